"""permessage-deflate, RFC 7692: its parameters, and raw DEFLATE with a window that outlives the message.

**When the window is lost** (bytes of the direction are missing) the inflater starts again with an empty
one at each message until one succeeds, and goes on from there. That is sound: zlib refuses a reference to
before its start ("invalid distance too far back"), and nothing but the window carries over from one message
to the next. So a message comes out right, or lost; never guessed.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass

from wsinspect.model import Side

__all__ = ["DeflateParams", "Deflater", "Inflated", "Inflater"]

TAIL = b"\x00\x00\xff\xff"
"""RFC 7692 7.2.1: an empty stored block ends each message, less these four bytes."""

_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # 7.1.2: decimal, no leading zero

_IN_SLICE = 16 << 10  # zlib hands back what it has not read yet as a copy: small slices keep that linear
_OUT_SLICE = 1 << 20
_DROP_LIMIT = 1 << 30  # output past max_bytes that is worth the time to keep the window; 1 to 2 s of work
_FINAL_BLOCKS = 4096  # streams in one message: a hostile one holds millions of two bytes each


@dataclass(frozen=True)
class DeflateParams:
    """The four parameters of RFC 7692 section 7.1, as agreed. Window bits are 8 to 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def no_context_takeover(self, side: Side) -> bool:
        """Whether each message of `side` is compressed with an empty window."""
        return self.server_no_context_takeover if side is Side.SERVER else self.client_no_context_takeover

    def window_bits(self, side: Side) -> int:
        """The base-2 logarithm of the window with which `side` compresses."""
        return self.server_max_window_bits if side is Side.SERVER else self.client_max_window_bits

    def header(self) -> str:
        """The value of Sec-WebSocket-Extensions that says these parameters."""
        parts = ["permessage-deflate"]
        parts += [name for name in _FLAGS if getattr(self, name)]
        parts += [f"{name}={getattr(self, name)}" for name in _WINDOWS if getattr(self, name) != 15]
        return "; ".join(parts)

    @classmethod
    def parse(cls, params: list[tuple[str, str | None]]) -> DeflateParams:
        """Read the parameters of one `permessage-deflate` element (section 7.1).

        `client_max_window_bits` without a value, which only an offer may say, is 15. Raises ValueError with a
        sentence for an unknown or doubled parameter and for a value that must not be.
        """
        found: dict[str, int] = {}
        for name, value in params:
            if name in found:
                raise ValueError(f"{name} stands twice")
            if name in _FLAGS:
                if value is not None:
                    raise ValueError(f"{name} takes no value, but has {value!r}")
                found[name] = True
            elif name in _WINDOWS:
                if value is None and name == "server_max_window_bits":
                    raise ValueError(f"{name} needs a value from 8 to 15")
                bits = 15 if value is None else _WINDOW_BITS.get(value)
                if bits is None:
                    raise ValueError(f"{name} must be a number from 8 to 15, not {value!r}")
                found[name] = bits
            else:
                raise ValueError(f"permessage-deflate has no parameter {name!r}")
        return cls(**found)  # type: ignore[arg-type]  # the flags' values are bools


@dataclass(slots=True)
class Inflated:
    """What came out of an `Inflater`."""

    data: bytes
    error: bool = False
    """The compressed data is damaged. `data` is what came out before, perhaps nothing."""
    truncated: bool = False
    """More than max_bytes: `data` is its beginning."""
    lost: bool = False
    """It refers to data from before the window was lost: what it says cannot be known."""


class Inflater:
    """Inflates the messages of one direction, one after the other, each bounded to `max_bytes`.

    `window_bits` is what the compressing side agreed to. A reference that reaches farther back than that into
    earlier messages is damage, as it is for the peer. But 8 counts as 9: zlib makes 9 of 8 when it deflates,
    so such streams are in the field.
    """

    def __init__(
        self, window_bits: int = 15, *, no_context_takeover: bool = False, max_bytes: int = 64 << 20
    ) -> None:
        self.max_bytes = max_bytes
        self._bits = max(window_bits, 9)
        self._no_takeover = no_context_takeover
        self._stale = False  # the next message begins with an empty window
        self._since_loss: int | None = None  # bytes of window since it was lost; None: all of it is known
        self._room = max_bytes
        self._new_window()
        self._end_message()

    @property
    def window_known(self) -> bool:
        """Whether the next message can be inflated whatever it refers to."""
        return self._no_takeover or self._since_loss is None

    def inflate(self, payload: bytes) -> Inflated:
        """Inflate one whole message, as it stands in its frames: the tail 00 00 ff ff is added here."""
        return self.feed(payload, final=True)

    def feed(self, payload: bytes, *, final: bool) -> Inflated:
        """Inflate the next piece of a message; `final` with its last one.

        `data` is what this piece adds; the flags are of the message so far.
        """
        if self._stale:
            self._new_window()
        out: list[bytes] = []
        try:
            self._run(payload, out)
            # 7.2.3.4: a block with BFINAL may end the message. A padding byte follows it, which some
            # leave out; then the tail would not stand at the beginning of a block.
            if final and not self._padding_missing:
                self._run(TAIL, out)
        except zlib.error as exc:
            self._given_up = True
            if "too far back" in str(exc) and not self.window_known:
                self._lost = True
            else:
                self._error = True
        result = Inflated(
            out[0] if len(out) == 1 else b"".join(out), self._error, self._truncated, self._lost
        )
        if final:
            if self._given_up:
                self.lose_window()
            else:
                self._stale = self._no_takeover
                self._end_message()
        return result

    def set_max(self, max_bytes: int) -> None:
        """Bound messages to another size; one that is half inflated keeps to the old one."""
        if self._room == self.max_bytes:
            self._room = max_bytes
        self.max_bytes = max_bytes

    def lose_window(self) -> None:
        """Bytes of the direction are missing. A message that is half inflated is given up."""
        self._stale = True
        if not self._no_takeover:
            self._since_loss = 0
        self._end_message()

    def copy(self) -> Inflater:
        """A snapshot that goes its own way: an index keeps some, to start in the middle of a capture."""
        other = copy.copy(self)
        other._z = self._z.copy()
        other._recent = list(self._recent)
        return other

    def _new_window(self) -> None:
        self._z = zlib.decompressobj(-self._bits)
        self._recent: list[bytes] = []  # the output that makes up the window, for the stream after a BFINAL
        self._recent_bytes = 0
        self._stale = False

    def _end_message(self) -> None:
        self._room = self.max_bytes
        self._dropped = 0
        self._finals = 0
        self._padding_missing = False
        self._given_up = self._error = self._lost = self._truncated = False

    def _run(self, data: bytes, out: list[bytes]) -> None:
        for start in range(0, len(data), _IN_SLICE):
            rest = data[start : start + _IN_SLICE]
            while rest and not self._given_up:
                got = self._z.decompress(rest, _OUT_SLICE)
                if got:
                    self._remember(got)
                    self._keep(got, out)
                if self._z.eof:
                    rest = b"" if data is TAIL else self._z.unused_data
                    self._next_stream()
                    self._padding_missing = not rest
                else:
                    rest = self._z.unconsumed_tail
                    self._padding_missing = False

    def _keep(self, got: bytes, out: list[bytes]) -> None:
        """Give out what `max_bytes` has room for. The rest has gone through the window, and is dropped."""
        if len(got) <= self._room:
            out.append(got)
            self._room -= len(got)
            return
        self._truncated = True
        if self._room:
            out.append(got[: self._room])
        self._dropped += len(got) - self._room
        self._room = 0
        if self._dropped > _DROP_LIMIT:
            self._given_up = True

    def _remember(self, got: bytes) -> None:
        self._recent.append(got)
        self._recent_bytes += len(got)
        if self._since_loss is not None:
            self._since_loss += len(got)
            if self._since_loss >= 1 << self._bits:
                self._since_loss = None
        if len(self._recent) > 64 or self._recent_bytes > 4 << self._bits:
            # Only now and then: a window's length of copying per message would cost as much as inflating it.
            self._recent = [self._window()]
            self._recent_bytes = len(self._recent[0])

    def _window(self) -> bytes:
        return b"".join(self._recent)[-(1 << self._bits) :]

    def _next_stream(self) -> None:
        """A block with BFINAL ended zlib's stream; the window lives on (7.2.3.4)."""
        self._finals += 1
        if self._finals > _FINAL_BLOCKS:
            raise zlib.error("too many final blocks")
        window = self._window()
        self._z = zlib.decompressobj(-self._bits, zdict=window) if window else zlib.decompressobj(-self._bits)


class Deflater:
    """Compresses the messages of one direction.

    It refers to nothing before its own first message. So one that is new may go on where another compressor
    left off, whatever the peer has in its window.

    zlib cannot deflate with a window of 8 bits. 9 serves: zlib keeps a look-ahead of 262 bytes free in its
    window, so that it reaches back no farther than 250.
    """

    def __init__(self, window_bits: int = 15, *, no_context_takeover: bool = False, level: int = -1) -> None:
        self._z = zlib.compressobj(level, zlib.DEFLATED, -max(window_bits, 9))
        # A full flush forgets what came before: the bytes are a new compressor's. A small message takes 4 µs,
        # a new compressor of 15 bits 62.
        self._flush = zlib.Z_FULL_FLUSH if no_context_takeover else zlib.Z_SYNC_FLUSH

    def deflate(self, payload: bytes) -> bytes:
        """One message's payload for the wire (RFC 7692 7.2.1): flushed, the tail 00 00 ff ff taken off."""
        data = self._z.compress(payload) + self._z.flush(self._flush)
        # zlib flushes nothing where nothing came since the last flush. 7.2.3.6: the empty message is one
        # zero byte.
        return data.removesuffix(TAIL) or b"\x00"
