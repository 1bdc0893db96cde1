"""What a client asks for: one line with an `id` and `do`.

do      hello status stop watch send close     of the proxy and its connections
        rules rule reload                      of its rules
        holds hold                             of held messages
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

from wsinspect.control.protocol.lines import (
    SIDES,
    ControlError,
    ErrorCode,
    bad_request,
    choice,
    encode_line,
    is_int,
    number,
    parse_line,
    payload,
    payload_fields,
)
from wsinspect.control.protocol.ruling import HOLD_WORDS, HoldWord
from wsinspect.model import Opcode, Side


@dataclass(frozen=True, slots=True)
class Hello:
    """Who are you? The first request of every client."""


@dataclass(frozen=True, slots=True)
class Status:
    """Hello's answer, and how it goes."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End all connections and the proxy. Answered before it begins."""


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on events come on this connection, beside answers."""

    attached: bool = True
    """Somebody is there to release what rules hold; without anybody it takes its default at once."""


@dataclass(frozen=True, slots=True)
class Send:
    """Put one message or control frame on the wire, at the next message boundary."""

    conn: int
    to: Side
    """Who receives it; it looks as if the other side had sent it."""
    opcode: Opcode
    """TEXT, BINARY, PING or PONG."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Put a Close frame on the wire, at the next message boundary."""

    conn: int
    code: int | None = 1000
    """None: a Close without a payload."""
    reason: str = ""
    to: tuple[Side, ...] = (Side.CLIENT, Side.SERVER)
    """Who receives it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rules are there, with their hits? `RulesStatus` is the answer."""


@dataclass(frozen=True, slots=True)
class SwitchRules:
    """These rules are on or off from now on, in all connections, until their files change; all or none."""

    rules: tuple[str, ...]
    on: bool


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the rule files anew; `RulesStatus` is the answer, or a refusal with every mistake in them."""


@dataclass(frozen=True, slots=True)
class Holds:
    """Which messages are held? `HoldsStatus` is the answer."""


@dataclass(frozen=True, slots=True)
class ResolveHold:
    """A held message goes on, with another payload or not, or does not: the first one wins. Or its time limit
    begins anew (`wait`), as somebody is at it."""

    conn: int
    hold: int
    how: HoldWord
    payload: bytes = b""
    """Of `edit`: in the place of the message's own (inflated)."""


type Request = (
    Hello | Status | Stop | Watch | Send | Close | Rules | SwitchRules | Reload | Holds | ResolveHold
)

_SENDABLE = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING, "pong": Opcode.PONG}
_BARE: dict[str, Request] = {
    "hello": Hello(),
    "status": Status(),
    "stop": Stop(),
    "rules": Rules(),
    "reload": Reload(),
    "holds": Holds(),
}


def encode_request(request_id: int, request: Request) -> bytes:
    """One line, newline included. Raises UsageError where it is too long."""
    return encode_line({"id": request_id} | request_values(request))


def request_values(request: Request) -> dict[str, Any]:
    """`do` and the request's values."""
    match request:
        case Hello():
            return {"do": "hello"}
        case Status():
            return {"do": "status"}
        case Stop():
            return {"do": "stop"}
        case Watch():
            return {"do": "watch", "attached": request.attached}
        case Send():
            fields = payload_fields(request.payload)
            opcode = request.opcode.name.lower()
            return {"do": "send", "conn": request.conn, "to": request.to.word, "opcode": opcode} | fields
        case Close():
            side = request.to[0].word if len(request.to) == 1 else "both"
            values = {"do": "close", "conn": request.conn, "code": request.code}
            return values | {"reason": request.reason, "side": side}
        case Rules():
            return {"do": "rules"}
        case SwitchRules():
            return {"do": "switch", "rules": list(request.rules), "on": request.on}
        case Reload():
            return {"do": "reload"}
        case Holds():
            return {"do": "holds"}
        case ResolveHold():
            fields = payload_fields(request.payload) if request.how == "edit" else {}
            return {"do": "hold", "conn": request.conn, "hold": request.hold, "how": request.how} | fields
        case _:
            assert_never(request)


def parse_request(line: bytes) -> tuple[int, Request]:
    """The request's id and the request. Raises ControlError (with the id, where it was readable)."""
    values = parse_line(line)
    request_id = values.get("id")
    if not is_int(request_id):
        raise bad_request("a request needs an id (an integer)")
    try:
        return request_id, _request(values)
    except ControlError as error:
        error.request_id = request_id
        raise


def _request(values: dict[str, Any]) -> Request:
    do = values.get("do")
    if isinstance(do, str) and do in _BARE:
        return _BARE[do]
    match do:
        case "watch":
            return Watch(values.get("attached") is not False)
        case "send":
            return _send(values)
        case "close":
            return _close(values)
        case "switch":
            return _switch(values)
        case "hold":
            return _hold(values)
    raise ControlError(ErrorCode.UNKNOWN_COMMAND, f"unknown command {do!r}")


def _send(values: dict[str, Any]) -> Send:
    opcode = choice(values, "opcode", _SENDABLE)
    if ("text" in values) == ("b64" in values):
        raise bad_request("send needs either text or b64")
    data = payload(values)
    if opcode >= Opcode.CLOSE and len(data) > 125:
        raise bad_request("a control frame carries at most 125 bytes (RFC 6455 5.5)")
    if opcode is Opcode.TEXT:
        _must_be_utf8(data)
    return Send(_conn(values), choice(values, "to", SIDES), opcode, data)


def _close(values: dict[str, Any]) -> Close:
    code, reason = values.get("code", 1000), values.get("reason", "")
    if code is not None and not (is_int(code) and 0 <= code <= 0xFFFF):
        raise bad_request("code must be an integer of 16 bits, or null")
    if not isinstance(reason, str) or len(reason.encode(errors="surrogatepass")) > 123:
        raise bad_request("reason must be a text of at most 123 bytes (RFC 6455 5.5)")
    if code is None and reason:
        raise bad_request("a reason needs a code")
    to: tuple[Side, ...] = (Side.CLIENT, Side.SERVER)
    if values.get("side", "both") != "both":
        to = (choice(values, "side", SIDES),)
    return Close(_conn(values), code, reason, to)


def _switch(values: dict[str, Any]) -> SwitchRules:
    rules, on = values.get("rules"), values.get("on")
    if not (isinstance(rules, list) and all(isinstance(each, str) for each in rules)):
        raise bad_request("rules must be a list of rules' ids")
    if not isinstance(on, bool):
        raise bad_request("on must be true or false")
    return SwitchRules(tuple(rules), on)


def _hold(values: dict[str, Any]) -> ResolveHold:
    how = choice(values, "how", {word: word for word in HOLD_WORDS})
    data = payload(values) if how == "edit" else b""
    return ResolveHold(_conn(values), number(values, "hold", "a hold's number"), how, data)


def _must_be_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise bad_request("a text message must be UTF-8") from None


def _conn(values: dict[str, Any]) -> int:
    return number(values, "conn", "a connection's number")
