"""A stream of bytes that tells how its other end went away: what a connection needs of TCP or TLS."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from wsinspect.model import Address, How


class End(NamedTuple):
    """How the peer ended the stream."""

    how: How
    errno: str | None = None
    """The symbolic name, where the kernel gave one."""
    detail: str = ""
    """Such as the TLS alert's name."""


class Stream(Protocol):
    """What a connection needs of TCP or TLS. `read` and `drain` are for one task at a time each."""

    @property
    def ends(self) -> list[End]:
        """How the peer ended, in order; empty while it has not, and where we ended first."""
        ...

    @property
    def gone(self) -> bool:
        """Nothing can be sent any more: we closed or reset it, or the peer reset it."""
        ...

    local: Address
    remote: Address

    async def read(self) -> bytes:
        """The next bytes, as they came in one read; b"" when no more will come. Never raises."""
        ...

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what `read` gives next."""
        ...

    def write(self, data: bytes) -> None:
        """Send, or keep for sending. Raises ConnectionEnded where nothing can be sent any more."""
        ...

    @property
    def congested(self) -> bool:
        """More is unsent than `drain` would accept."""
        ...

    async def drain(self) -> None:
        """Wait until little is unsent. Raises ConnectionEnded where it cannot be sent any more."""
        ...

    async def flush(self) -> None:
        """Wait until all is sent, or nothing can be sent any more."""
        ...

    def write_eof(self, *, close_notify: bool = True) -> None:
        """FIN after all that was written; over TLS a close_notify before it, unless told otherwise."""
        ...

    async def wait_ended(self) -> None:
        """Wait for the peer's FIN or RST, or for an end of our own."""
        ...

    def reset(self) -> None:
        """RST at once; what is unsent is dropped."""
        ...

    def close(self) -> None:
        """Give the socket up at once. A FIN, but the kernel makes it an RST where input is unread."""
        ...


class ShortInputError(Exception):
    """The stream ended, or the limit was reached, before what was asked for; `data` is what came."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"only {len(data)} bytes came")
        self.data = data


async def read_until(stream: Stream, separator: bytes, limit: int) -> bytes:
    """Bytes up to and with the separator; what follows stays in the stream. Raises ShortInputError."""
    data = b""
    while separator not in data:
        more = await stream.read() if len(data) < limit else b""
        if not more:
            raise ShortInputError(data)
        data += more
    end = data.index(separator) + len(separator)
    stream.unread(data[end:])
    if end > limit:
        raise ShortInputError(data)
    return data[:end]


async def read_exactly(stream: Stream, size: int) -> bytes:
    """So many bytes; what follows stays in the stream. Raises ShortInputError."""
    data = b""
    while len(data) < size:
        more = await stream.read()
        if not more:
            raise ShortInputError(data)
        data += more
    stream.unread(data[size:])
    return data[:size]
