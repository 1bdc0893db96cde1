"""One direction whose data messages wait for somebody's word: whole messages out of its bytes, sans-I/O.

    receive(data)  bytes that pass at once (control frames, what cannot be parsed, what is too large), and
                   `Held` messages; each gets its word, in order, before the next is taken
    passed(held) | replaced(held, payload) | dropped(held)
                   the bytes that go out for it
    rest()         what an end leaves unfinished; it passes as it came

A message that nobody changed goes out in the very bytes in which it came. Where a compressed one was changed
under context takeover the deflate windows have parted, and later compressed ones are compressed anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsinspect.model import Frame, Message, Side
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

INSPECT_LIMIT = 16 << 20
"""Bytes of a message that may be held; a larger one passes unseen."""


@dataclass(slots=True)
class Held:
    """A whole data message, kept back."""

    message: Message
    raw: bytes
    """Its frames as they came."""


class Gate:
    """Cuts the bytes of one direction into what passes and what is held."""

    def __init__(
        self, side: Side, deflate: DeflateParams | None = None, *, limit: int = INSPECT_LIMIT
    ) -> None:
        self.side = side
        self.limit = limit
        self.oversize = 0
        """Messages that passed unseen because of their size."""
        self._deflate = deflate
        self._frames = FrameDecoder(side, rsv_allowed=4 if deflate else 0, max_payload=limit)
        self._messages = MessageAssembler(side, deflate, max_message=limit)
        self._raw = bytearray()
        """Bytes that came and are in no held message yet; the first is at `_start`."""
        self._start = 0
        self._parts: list[bytes] = []
        """Frames of the message under way."""
        self._kept = 0
        self._passing = False
        """The message under way is too large: its bytes pass."""
        self._deflater: Deflater | None = None
        """Since the windows have parted."""
        self._mask: bytes | None = None
        """The sender's last masking key: it was random, and serves once for what goes out instead."""

    @property
    def offset(self) -> int:
        """Position in the direction's bytes behind what has been taken out."""
        return self._start

    @property
    def parted(self) -> bool:
        """Compressed messages go out compressed anew."""
        return self._deflater is not None

    @property
    def between_messages(self) -> bool:
        """Nothing of a message has gone out that is not whole: another frame may be put in here."""
        return not (self._passing or self._frames.blind)

    def receive(self, data: bytes) -> Iterator[bytes | Held]:
        """Take the next bytes; give each `Held` its word before going on."""
        self._raw += data
        for frame in self._frames.receive(data):
            if not self._frames.blind or frame.offset + frame.wire_bytes <= self._frames.offset:
                yield from self._frame(frame)
        if self._frames.blind:
            yield from self.rest()
        elif self._passing or self._kept + len(self._raw) > self.limit:
            if not self._passing:
                self._passing = True
                self.oversize += 1
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What is kept and belongs to no whole message."""
        left = b"".join(self._parts) + bytes(self._raw)
        self._start += len(self._raw)
        self._raw.clear()
        self._parts, self._kept = [], 0
        if left:
            yield left

    def passed(self, held: Held) -> bytes:
        """As it came, unless the windows have parted."""
        if self._deflater is None or not held.message.compressed or held.message.lost:
            return held.raw
        return self._encode(held.message, held.message.payload)

    def replaced(self, held: Held, payload: bytes) -> bytes:
        """One frame with another payload; compressed where the message was."""
        self.dropped(held)
        return self._encode(held.message, payload)

    def dropped(self, held: Held) -> None:
        """It does not go out: a window that outlives messages has parted from here on."""
        deflate = self._deflate
        if held.message.compressed and deflate is not None and not deflate.no_context_takeover(self.side):
            self._deflater = self._deflater or Deflater(deflate.window_bits(self.side))

    def _encode(self, message: Message, payload: bytes) -> bytes:
        rsv = 0
        if message.compressed and self._deflate is not None:
            deflater = self._deflater or Deflater(self._deflate.window_bits(self.side))
            payload, rsv = deflater.deflate(payload), 4
        return encode_frame(message.opcode, payload, rsv=rsv, mask=self._mask)

    def _frame(self, frame: Frame) -> Iterator[bytes | Held]:
        size = frame.offset + frame.wire_bytes - self._start
        raw = bytes(self._raw[:size])
        del self._raw[:size]
        self._start += size
        message = self._messages.receive(frame)
        if frame.is_control:
            yield raw
            return
        self._mask = frame.mask
        self._parts.append(raw)
        self._kept += size
        if message is not None and not self._passing and not message.truncated:
            held = Held(message, b"".join(self._parts))
            self._parts, self._kept = [], 0
            yield held
        elif message is not None or frame.fin or self._passing:
            yield b"".join(self._parts)
            self._parts, self._kept = [], 0
            self._passing = self._passing and not frame.fin
