"""Close codes and the payload of Close frames, RFC 6455 sections 5.5.1 and 7.4, and the IANA registry.

0-999        not used
1000-2999    the protocol and its extensions; what the registry does not list is unassigned
3000-3999    libraries and frameworks, by registration
4000-4999    private: the two applications agree on them
5000-        outside the protocol
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wsinspect.model import Violation

__all__ = ["CLOSE_CODES", "CloseCode", "close_code", "describe", "encode_close", "parse_close"]


@dataclass(frozen=True, slots=True)
class CloseCode:
    """What is known of one close code."""

    code: int
    name: str
    """Lower case, as it follows the number in a line: `1001 going away`."""
    sentence: str
    may_stand_on_wire: bool = True
    """False where a Close frame must not carry it."""


_ON_WIRE = (
    CloseCode(1000, "normal closure", "the purpose of the connection is fulfilled"),
    CloseCode(1001, "going away", "the server shuts down, or the browser leaves the page"),
    CloseCode(1002, "protocol error", "the other side broke the WebSocket protocol"),
    CloseCode(
        1003, "unsupported data", "a kind of data came that this endpoint does not take, such as binary"
    ),
    CloseCode(1007, "invalid payload data", "data does not fit its type, such as text that is not UTF-8"),
    CloseCode(1008, "policy violation", "a message broke a policy; the generic refusal"),
    CloseCode(1009, "message too big", "a message is too big to process"),
    CloseCode(1010, "mandatory extension", "the client needs an extension that the server did not agree to"),
    CloseCode(1011, "internal error", "the server met a condition that it did not expect"),
    CloseCode(1012, "service restart", "the service restarts; reconnect after 5 to 30 s, at random"),
    CloseCode(1013, "try again later", "the service is overloaded; reconnect later, or elsewhere"),
    CloseCode(1014, "bad gateway", "a gateway got an invalid answer from the server behind it"),
)
_NOT_ON_WIRE = (
    CloseCode(1004, "reserved", "reserved; its meaning might be defined in the future", False),
    CloseCode(1005, "no status received", "stands for a Close frame without a code", False),
    CloseCode(1006, "abnormal closure", "stands for an end without a Close frame", False),
    CloseCode(1015, "TLS handshake", "stands for a TLS handshake that failed", False),
)

CLOSE_CODES: dict[int, CloseCode] = {c.code: c for c in sorted(_ON_WIRE + _NOT_ON_WIRE, key=lambda c: c.code)}
"""The registered codes of 1000-2999, https://www.iana.org/assignments/websocket."""


def close_code(code: int) -> CloseCode:
    """The code's meaning, by the registry or else by its range (RFC 6455 section 7.4.2)."""
    known = CLOSE_CODES.get(code)
    if known is not None:
        return known
    if code < 1000:
        return CloseCode(code, "unused", "codes below 1000 are not used", False)
    if code < 3000:
        return CloseCode(code, "unassigned", "the registry does not list this code of the protocol", False)
    if code < 4000:
        return CloseCode(code, "library code", "codes 3000 to 3999 belong to libraries and frameworks")
    if code < 5000:
        return CloseCode(code, "private code", "codes 4000 to 4999 mean what the two applications agreed")
    return CloseCode(code, "out of range", "codes from 5000 on are not defined", False)


def describe(code: int | None) -> str:
    """Number and name, such as `1001 going away`; a Close frame without a code is `no code`."""
    return "no code" if code is None else f"{code} {close_code(code).name}"


def parse_close(payload: bytes) -> tuple[int | None, str, tuple[Violation, ...]]:
    """The code, the reason, and what is wrong with them. Any two bytes are a code, shown as they stand.

    A reason that is not UTF-8 comes with U+FFFD in the bad places. A payload of one byte has no code.
    """
    if not payload:
        return None, "", ()  # 5.5.1: a Close may have no body
    if len(payload) == 1:
        return None, "", (Violation.BAD_CLOSE_LENGTH,)  # 5.5.1: the body's first two bytes are the code
    code = payload[0] << 8 | payload[1]
    violations: tuple[Violation, ...] = ()
    if not close_code(code).may_stand_on_wire:
        violations = (Violation.BAD_CLOSE_CODE,)  # 7.4.1, 7.4.2
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        reason = payload[2:].decode(errors="replace")
        violations += (Violation.BAD_CLOSE_REASON,)  # 5.5.1: the reason is UTF-8
    return code, reason, violations


def encode_close(code: int | None, reason: str = "") -> bytes:
    """The payload of a Close frame. Any code of 0 to 65535 goes: a test must be able to send a wrong one.

    Raises ValueError for a reason without a code, and for a code that two bytes cannot hold.
    """
    if code is None:
        if reason:
            raise ValueError("a reason needs a code before it")
        return b""
    if not 0 <= code <= 0xFFFF:
        raise ValueError(f"close code {code} does not fit two bytes")
    return struct.pack("!H", code) + reason.encode()
