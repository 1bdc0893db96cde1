"""HTTP/1.1 as far as an opening handshake needs it: heads and short bodies, read and written."""

from __future__ import annotations

import base64
import http
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from wsinspect.model import Header
from wsinspect.peer.errors import ConnectFailed, Phase
from wsinspect.peer.stream import ShortInputError, Stream, read_exactly, read_until

HEAD_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024

type HeaderChange = tuple[str, str | None]
"""A header that stands in for the usual one of its name, or, with None, takes that one away."""


@dataclass(slots=True)
class Head:
    """What a request and a response share."""

    headers: list[Header] = field(default_factory=list)
    http_version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """The first value of that name (any case), or None."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        """All values of that name, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def tokens(self, name: str) -> list[str]:
        """The comma-separated values of that name, in order, as they were written."""
        return [token.strip() for value in self.all(name) for token in value.split(",") if token.strip()]


@dataclass(slots=True)
class Request(Head):
    """A client's opening handshake."""

    method: str = "GET"
    target: str = "/"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def encode(self) -> bytes:
        return encode_head(f"{self.method} {self.target} {self.http_version}", self.headers)


@dataclass(slots=True)
class Response(Head):
    """The answer to it."""

    status: int = 101
    reason: str = ""

    def encode(self, body: bytes = b"") -> bytes:
        reason = self.reason or reason_of(self.status)
        return encode_head(f"{self.http_version} {self.status} {reason}", self.headers) + body


def reason_of(status: int) -> str:
    """The usual phrase for a status, or nothing."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def encode_head(start: str, headers: Iterable[Header]) -> bytes:
    """A start line and headers, with the empty line. Raises ValueError on a line break inside one."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            raise ValueError(f"a line break inside {line!r}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def changed(headers: list[Header], changes: Iterable[HeaderChange]) -> list[Header]:
    """The headers with the changes made: replaced in place, taken away, or added at the end."""
    wanted = list(changes)
    names = {name.lower() for name, _ in wanted}
    result: list[Header] = []
    placed: set[str] = set()
    for name, value in headers:
        key = name.lower()
        if key not in names:
            result.append((name, value))
        elif key not in placed:
            placed.add(key)
            result += [(n, v) for n, v in wanted if n.lower() == key and v is not None]
    return result + [(n, v) for n, v in wanted if n.lower() not in placed and v is not None]


async def read_head(stream: Stream, whose: str, phase: Phase = "http") -> bytes:
    """A head with its empty line; what is glued to it stays in the stream. Raises ConnectFailed."""
    try:
        return await read_until(stream, b"\r\n\r\n", HEAD_LIMIT_BYTES)
    except ShortInputError as ended:
        if len(ended.data) >= HEAD_LIMIT_BYTES:
            raise ConnectFailed(phase, f"{whose} sent more than 64 KiB of headers") from None
        how = f" ({', '.join(end.how for end in stream.ends)})" if stream.ends else ""
        came = f"after {len(ended.data)} bytes" if ended.data else "without an answer"
        raise ConnectFailed(phase, f"{whose} ended the connection {came}{how}") from None


def parse_request(head: bytes) -> Request:
    """Raises ValueError where it is not an HTTP/1 request."""
    start, headers = _parse_head(head)
    parts = start.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise ValueError(f"not an HTTP/1 request line: {start[:80]!r}")
    return Request(headers=headers, http_version=parts[2], method=parts[0], target=parts[1])


def parse_response(head: bytes) -> Response:
    """Raises ValueError where it is not an HTTP/1 response."""
    start, headers = _parse_head(head)
    version, _, rest = start.partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdecimal():
        raise ValueError(f"not an HTTP/1 status line: {start[:80]!r}")
    return Response(headers=headers, http_version=version, status=int(status), reason=reason)


def _parse_head(head: bytes) -> tuple[str, list[Header]]:
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers: list[Header] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"not a header: {line[:80]!r}")
        headers.append((name, value.strip(" \t")))
    return start, headers


async def read_body(stream: Stream, head: Head) -> bytes:
    """The body's first 64 KiB, as far as they come: by length, in chunks, or to the end of the stream."""
    try:
        if "chunked" in (token.lower() for token in head.tokens("Transfer-Encoding")):
            return await _read_chunks(stream)
        length = head.header("Content-Length")
        if length is not None and length.isdecimal():
            return await read_exactly(stream, min(int(length), BODY_LIMIT_BYTES))
        return await read_exactly(stream, BODY_LIMIT_BYTES)
    except ShortInputError as ended:
        return ended.data[:BODY_LIMIT_BYTES]


async def _read_chunks(stream: Stream) -> bytes:
    body = b""
    while len(body) < BODY_LIMIT_BYTES:
        try:
            line = await read_until(stream, b"\r\n", 1024)
            size = int(line.partition(b";")[0], 16)
            if size <= 0:
                break
            body += await read_exactly(stream, min(size, BODY_LIMIT_BYTES - len(body)))
            await read_until(stream, b"\r\n", 2)
        except ShortInputError as ended:
            raise ShortInputError(body + ended.data) from None
        except ValueError:
            break
    return body


def basic_auth(userinfo: str) -> str:
    """The header value for `user:password` as it stands, percent-encoded, in a URL."""
    user, _, password = userinfo.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
