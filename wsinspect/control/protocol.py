"""The language of the control socket: JSON lines, both ways, version 1. Sans-I/O; client and server share it.

    request   {"id": 1, "do": "send", "conn": 3, "to": "server", "opcode": "text", "text": "hi"}
    answer    {"id": 1, "ok": true, ...}
    refusal   {"id": 1, "ok": false, "error": "sentence", "code": "not-found"}
    event     {"event": "notice", "level": "warning", "text": "...", "conn": 3}     only after `watch`

    Request = Hello | Status | Stop | Send | Close | Watch
    Event   = NoticeEvent | CaptureMoved | Stopping | UnknownEvent

A server is a loop over `Lines.receive`, `parse_request`, and `encode_answer` or `encode_refusal`; unknown
fields are ignored, so that a newer client can talk to it.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeGuard, assert_never

from wsinspect.errors import ProxyUnreachable, UsageError, WsinspectError
from wsinspect.model import Opcode, Side

PROTOCOL = 1
"""Raised when an old client could misread an answer; new commands and fields leave it as it is."""

MAX_LINE_BYTES = 1 << 20
"""A longer line is refused with `too-long`, and its sender disconnected."""


class ErrorCode(enum.StrEnum):
    """Why a request was refused."""

    BAD_REQUEST = "bad-request"
    """Not JSON, or a value is missing or of the wrong type."""
    UNKNOWN_COMMAND = "unknown-command"
    TOO_LONG = "too-long"
    NOT_FOUND = "not-found"
    """No such connection."""
    NOT_OPEN = "not-open"
    """The connection exists, but nothing can be sent on it (any more)."""
    NOT_SUPPORTED = "not-supported"
    """This proxy cannot do that (on this path, or at all)."""
    FAILED = "failed"
    """The proxy's own fault."""


_USAGE = {ErrorCode.BAD_REQUEST, ErrorCode.UNKNOWN_COMMAND, ErrorCode.TOO_LONG, ErrorCode.NOT_FOUND}


class ControlError(WsinspectError):
    """A request was refused; the sentence is for the user. Exit code 2, or 3 where it is the proxy's part."""

    def __init__(self, code: ErrorCode, sentence: str, *, request_id: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.request_id = request_id
        self.exit_code = 2 if code in _USAGE else 3


# ---------------------------------------------------------------------------------------------- requests


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


type Request = Hello | Status | Stop | Watch | Send | Close

_SENDABLE = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING, "pong": Opcode.PONG}
_SIDES = {"client": Side.CLIENT, "server": Side.SERVER}
_BARE: dict[str, Request] = {"hello": Hello(), "status": Status(), "stop": Stop(), "watch": Watch()}


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
            return {"do": "watch"}
        case Send():
            fields = _payload_fields(request.payload)
            opcode = request.opcode.name.lower()
            return {"do": "send", "conn": request.conn, "to": request.to.word, "opcode": opcode} | fields
        case Close():
            side = request.to[0].word if len(request.to) == 1 else "both"
            values = {"do": "close", "conn": request.conn, "code": request.code}
            return values | {"reason": request.reason, "side": side}
        case _:
            assert_never(request)


def parse_request(line: bytes) -> tuple[int, Request]:
    """The request's id and the request. Raises ControlError (with the id, where it was readable)."""
    values = parse_line(line)
    request_id = values.get("id")
    if not _is_int(request_id):
        raise ControlError(ErrorCode.BAD_REQUEST, "a request needs an id (an integer)")
    try:
        return request_id, _request(values)
    except ControlError as error:
        error.request_id = request_id
        raise


def _request(values: dict[str, Any]) -> Request:
    do = values.get("do")
    if isinstance(do, str) and do in _BARE:
        return _BARE[do]
    if do == "send":
        return _send(values)
    if do == "close":
        return _close(values)
    raise ControlError(ErrorCode.UNKNOWN_COMMAND, f"unknown command {do!r}")


def _send(values: dict[str, Any]) -> Send:
    opcode = _choice(values, "opcode", _SENDABLE)
    if ("text" in values) == ("b64" in values):
        raise ControlError(ErrorCode.BAD_REQUEST, "send needs either text or b64")
    payload = _payload(values)
    if opcode >= Opcode.CLOSE and len(payload) > 125:
        raise ControlError(ErrorCode.BAD_REQUEST, "a control frame carries at most 125 bytes (RFC 6455 5.5)")
    if opcode is Opcode.TEXT:
        _must_be_utf8(payload)
    return Send(_conn(values), _choice(values, "to", _SIDES), opcode, payload)


def _close(values: dict[str, Any]) -> Close:
    code, reason = values.get("code", 1000), values.get("reason", "")
    if code is not None and not (_is_int(code) and 0 <= code <= 0xFFFF):
        raise ControlError(ErrorCode.BAD_REQUEST, "code must be an integer of 16 bits, or null")
    if not isinstance(reason, str) or len(reason.encode(errors="surrogatepass")) > 123:
        raise ControlError(ErrorCode.BAD_REQUEST, "reason must be a text of at most 123 bytes (RFC 6455 5.5)")
    if code is None and reason:
        raise ControlError(ErrorCode.BAD_REQUEST, "a reason needs a code")
    to = (Side.CLIENT, Side.SERVER)
    if values.get("side", "both") != "both":
        return Close(_conn(values), code, reason, (_choice(values, "side", _SIDES),))
    return Close(_conn(values), code, reason, to)


def _payload(values: dict[str, Any]) -> bytes:
    text, b64 = values.get("text"), values.get("b64")
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(b64, str):
            return base64.b64decode(b64, validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        pass
    raise ControlError(ErrorCode.BAD_REQUEST, "text must be a string, or b64 a base64 string")


def _must_be_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ControlError(ErrorCode.BAD_REQUEST, "a text message must be UTF-8") from None


def _payload_fields(payload: bytes) -> dict[str, str]:
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(payload).decode()}


def _conn(values: dict[str, Any]) -> int:
    conn = values.get("conn")
    if not _is_int(conn) or conn < 1:
        raise ControlError(ErrorCode.BAD_REQUEST, "conn must be a connection's number (1 or more)")
    return conn


def _choice[T](values: dict[str, Any], name: str, choices: dict[str, T]) -> T:
    word = values.get(name)
    if isinstance(word, str) and word in choices:
        return choices[word]
    raise ControlError(ErrorCode.BAD_REQUEST, f"{name} must be one of {', '.join(choices)}")


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# ----------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket on which the proxy accepts clients."""

    mode: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxyInfo:
    """The answer to `hello`; also the line that a starting proxy writes to its ready descriptor."""

    wsinspect: str
    """Its version."""
    pid: int
    capture: str | None
    """Where records go now: an absolute path, of a file or a folder of segments, on disk or in memory."""
    listeners: tuple[Listener, ...] = ()
    protocol: int = PROTOCOL
    capture_position: int = 0
    """Where those who have read the last place go on in this one; 0 where there was none."""
    capture_left: int = 0
    """Where the last place ended for them."""
    saved: str | None = None
    """What outlives the proxy: `capture`, but for while the disk takes nothing. None: nothing does."""
    memory: str | None = None
    """The folder in memory that is there, or was, instead of a disk; it goes with the proxy."""

    def values(self) -> dict[str, Any]:
        return asdict(self) | {"listeners": [asdict(listener) for listener in self.listeners]}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ProxyInfo:
        """Raises ProxyUnreachable where the proxy speaks another version, or no sense."""
        if values.get("protocol") != PROTOCOL:
            raise ProxyUnreachable(
                f"the proxy speaks version {values.get('protocol')!r} of the control protocol, "
                f"this wsinspect speaks version {PROTOCOL}; use the same wsinspect for both"
            )
        try:
            capture = values["capture"]
            return cls(
                wsinspect=str(values["wsinspect"]),
                pid=int(values["pid"]),
                capture=None if capture is None else str(capture),
                listeners=tuple(
                    Listener(str(each["mode"]), str(each["host"]), int(each["port"]))
                    for each in values["listeners"]
                ),
                capture_position=int(values.get("capture_position", 0)),
                capture_left=int(values.get("capture_left", 0)),
                saved=_text_or_none(values.get("saved", capture)),
                memory=_text_or_none(values.get("memory")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProxyUnreachable(f"the proxy's hello cannot be understood ({error!r})") from error


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """The answer to `status`."""

    info: ProxyInfo
    live: int
    """Connections that are open now."""
    total: int
    """Connections since the start, failed set-ups included."""
    queue_bytes: int = 0
    """What the capture's writer has not written yet."""
    gaps: int = 0
    """Gap records so far."""
    uptime_s: float = 0.0
    trouble: list[str] = field(default_factory=list)
    """Sentences on what does not go well."""

    def values(self) -> dict[str, Any]:
        return self.info.values() | {
            "connections": {"live": self.live, "total": self.total},
            "queue_bytes": self.queue_bytes,
            "gaps": self.gaps,
            "uptime_s": self.uptime_s,
            "trouble": self.trouble,
        }

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ProxyStatus:
        """Raises ProxyUnreachable where the answer makes no sense."""
        info = ProxyInfo.parse(values)
        try:
            return cls(
                info=info,
                live=int(values["connections"]["live"]),
                total=int(values["connections"]["total"]),
                queue_bytes=int(values.get("queue_bytes", 0)),
                gaps=int(values.get("gaps", 0)),
                uptime_s=float(values.get("uptime_s", 0.0)),
                trouble=[str(each) for each in values.get("trouble", [])],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProxyUnreachable(f"the proxy's status cannot be understood ({error!r})") from error


def encode_hello(info: ProxyInfo) -> bytes:
    """The line for the ready descriptor."""
    return encode_line(info.values())


def encode_answer(request_id: int, values: dict[str, Any] | None = None) -> bytes:
    return encode_line({"id": request_id, "ok": True} | (values or {}))


def encode_refusal(error: ControlError) -> bytes:
    return encode_line({"id": error.request_id, "ok": False, "error": str(error), "code": error.code.value})


def answer_values(values: dict[str, Any]) -> dict[str, Any]:
    """An answer's own values. Raises ControlError for a refusal."""
    if values.get("ok") is True:
        return {name: value for name, value in values.items() if name not in ("id", "ok")}
    sentence = str(values.get("error") or "the proxy refused, and gave no reason")
    try:
        code = ErrorCode(str(values.get("code")))
    except ValueError:
        code = ErrorCode.FAILED
    raise ControlError(code, sentence)


# ------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """What a `model.Notice` says, at once and also where the disk is full."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    conn: int | None = None


@dataclass(frozen=True, slots=True)
class CaptureMoved:
    """Records go on in another place: to memory where the disk takes nothing, and back again."""

    path: str
    position: int
    """Where those who have read the old place go on."""
    left: int
    """Where the old place ends for them."""
    saved: bool
    """The new place outlives the proxy."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The proxy ends. The last event."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a newer proxy."""

    name: str
    values: dict[str, Any]


type Event = NoticeEvent | CaptureMoved | Stopping | UnknownEvent


def encode_event(event: Event) -> bytes:
    match event:
        case NoticeEvent():
            return encode_line(
                {"event": "notice", "level": event.level, "text": event.text, "conn": event.conn}
            )
        case CaptureMoved():
            return encode_line({"event": "capture"} | asdict(event))
        case Stopping():
            return encode_line({"event": "stopping"})
        case UnknownEvent():
            return encode_line({"event": event.name} | event.values)
        case _:
            assert_never(event)


def parse_event(values: dict[str, Any]) -> Event:
    """From a line's values that have `event`."""
    name = values["event"]
    if name == "notice":
        level, conn = values.get("level"), values.get("conn")
        return NoticeEvent(
            text=str(values.get("text", "")),
            level=level if level in ("info", "warning", "error") else "info",
            conn=conn if isinstance(conn, int) else None,
        )
    if name == "stopping":
        return Stopping()
    path, position, left = values.get("path"), values.get("position"), values.get("left")
    if name == "capture" and isinstance(path, str) and _is_int(position) and _is_int(left):
        return CaptureMoved(path, position, left, values.get("saved") is True)
    return UnknownEvent(str(name), {key: value for key, value in values.items() if key != "event"})


# ------------------------------------------------------------------------------------------------- lines


def encode_line(values: dict[str, Any]) -> bytes:
    """One JSON object and a newline, in ASCII. Raises UsageError where it exceeds MAX_LINE_BYTES."""
    line = json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise UsageError(f"{len(line)} bytes do not fit into a control line of {MAX_LINE_BYTES} bytes")
    return line


def parse_line(line: bytes) -> dict[str, Any]:
    """One line's object. Raises ControlError (`bad-request`)."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlError(ErrorCode.BAD_REQUEST, "a line must be JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise ControlError(ErrorCode.BAD_REQUEST, "a line must be a JSON object")
    return values


class Lines:
    """Cuts a stream into lines, in bounded memory."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newlines; empty ones are left out.

        Raises ControlError (`too-long`); after that the stream is of no use any more.
        """
        self._rest += data
        lines: list[bytes] = []
        start = 0
        while (end := self._rest.find(b"\n", start)) >= 0:
            lines.append(bytes(self._rest[start:end]))
            start = end + 1
        del self._rest[:start]
        if len(self._rest) > self._max_bytes or any(len(line) > self._max_bytes for line in lines):
            raise ControlError(ErrorCode.TOO_LONG, f"a line exceeds {self._max_bytes} bytes")
        return [line for line in lines if line.strip()]
