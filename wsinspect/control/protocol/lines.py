"""JSON lines, and how a request is refused: what every other part of the protocol stands on."""

from __future__ import annotations

import base64
import binascii
import enum
import json
from collections.abc import Iterable
from typing import Any, TypeGuard

from wsinspect.errors import UsageError, WsinspectError
from wsinspect.model import Side

MAX_LINE_BYTES = 1 << 20
"""A longer line is refused with `too-long`, and its sender disconnected."""

LIST_BYTES = MAX_LINE_BYTES // 2
"""What the items of one list may take of a line."""

SIDES = {"client": Side.CLIENT, "server": Side.SERVER}


class ErrorCode(enum.StrEnum):
    """Why a request was refused."""

    BAD_REQUEST = "bad-request"
    """Not JSON, or a value is missing or of the wrong type."""
    UNKNOWN_COMMAND = "unknown-command"
    TOO_LONG = "too-long"
    NOT_FOUND = "not-found"
    """No such connection, rule or held message."""
    BAD_RULES = "bad-rules"
    """The rule files have mistakes; the old rules stay."""
    NOT_OPEN = "not-open"
    """The connection exists, but nothing can be sent on it (any more)."""
    ALREADY_RELEASED = "already-released"
    """Somebody, or the time limit, was first: the message is not held any more."""
    NOT_SUPPORTED = "not-supported"
    """This proxy cannot do that (on this path, or at all)."""
    FAILED = "failed"
    """The proxy's own fault."""


_USAGE = {
    ErrorCode.BAD_REQUEST,
    ErrorCode.UNKNOWN_COMMAND,
    ErrorCode.TOO_LONG,
    ErrorCode.NOT_FOUND,
    ErrorCode.BAD_RULES,
}


class ControlError(WsinspectError):
    """A request was refused; the sentence is for the user. Exit code 2, or 3 where it is the proxy's part."""

    def __init__(self, code: ErrorCode, sentence: str, *, request_id: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.request_id = request_id
        self.exit_code = 2 if code in _USAGE else 3


def bad_request(sentence: str) -> ControlError:
    return ControlError(ErrorCode.BAD_REQUEST, sentence)


# ------------------------------------------------------------------------------------------------- lines


def encode_line(values: dict[str, Any]) -> bytes:
    """One JSON object and a newline, in ASCII. Raises UsageError where it exceeds MAX_LINE_BYTES."""
    line = json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise UsageError(f"{len(line)} bytes do not fit into a control line of {MAX_LINE_BYTES} bytes")
    return line


def fitting[T](items: Iterable[T], most_bytes: int = LIST_BYTES) -> list[T]:
    """The first items, as many as go into that much of a line."""
    found: list[T] = []
    for item in items:
        most_bytes -= len(json.dumps(item)) + 1
        if most_bytes < 0:
            break
        found.append(item)
    return found


def parse_line(line: bytes) -> dict[str, Any]:
    """One line's object. Raises ControlError (`bad-request`)."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise bad_request("a line must be JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise bad_request("a line must be a JSON object")
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


# ------------------------------------------------------------------------------------------------ values


def is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def texts(value: object) -> tuple[str, ...]:
    """A list's items as text; nothing where it is no list."""
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def choice[T](values: dict[str, Any], name: str, choices: dict[str, T]) -> T:
    """Raises ControlError (`bad-request`)."""
    word = values.get(name)
    if isinstance(word, str) and word in choices:
        return choices[word]
    raise bad_request(f"{name} must be one of {', '.join(choices)}")


def number(values: dict[str, Any], name: str, what: str) -> int:
    """An integer from 1 on. Raises ControlError (`bad-request`)."""
    value = values.get(name)
    if not is_int(value) or value < 1:
        raise bad_request(f"{name} must be {what} (1 or more)")
    return value


def payload(values: dict[str, Any]) -> bytes:
    """Of `text` or `b64`. Raises ControlError (`bad-request`)."""
    text, b64 = values.get("text"), values.get("b64")
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(b64, str):
            return base64.b64decode(b64, validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        pass
    raise bad_request("text must be a string, or b64 a base64 string")


def payload_fields(data: bytes) -> dict[str, str]:
    """`text` where it is UTF-8, else `b64`."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}
