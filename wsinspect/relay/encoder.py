"""What goes out for a message, and whether the deflate windows of both ends are still one.

Under context takeover (RFC 7692 7.1.1) a compressed message refers to those before it. So what goes out must
be, message for message, what came in; where one is dropped, changed, doubled or moved, the windows have
parted, and what follows is compressed anew, with a window of ours.

    in step ──▶ a compressed message is dropped, changed, moved ──▶ parted: our own Deflater
       ▲                                                                │
       └── a window's length of unchanged text has gone out since ──────┘

The way back is sound: a window is nothing but the last 2^bits bytes of text. Where both ends have the same
behind them, what the sender compresses inflates right at the receiver.

An uncompressed message never touches the window, and without context takeover nothing ever parts.
"""

from __future__ import annotations

from wsinspect.model import Opcode, Side, Violation
from wsinspect.model.plans import Shape
from wsinspect.relay.gate import Held
from wsinspect.relay.shaping import Look, NewKey, frames_of
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import FrameDecoder, encode_frame


class Encoder:
    """The messages of one direction, in the order in which they go out."""

    def __init__(self, side: Side, deflate: DeflateParams | None, new_key: NewKey) -> None:
        self._side = side
        self._new_key = new_key
        self._takeover = deflate is not None and not deflate.no_context_takeover(side)
        self._bits = max(deflate.window_bits(side), 9) if deflate is not None else 15
        self._next = 1
        """Number of the compressed message that is next, while nothing is dropped or moved."""
        self._deflater: Deflater | None = None
        """Since the windows have parted."""
        self._alone: Deflater | None = None
        """For messages that have no window but their own."""
        self._same = 0
        """Bytes of text that have gone out unchanged, and in order, since."""
        self.broken = False
        """A message passed as it came whose text was not known, while the windows were parted."""

    @property
    def parted(self) -> bool:
        """Compressed messages go out compressed anew."""
        return self._deflater is not None

    def in_window(self, held: Held) -> bool:
        """It is part of a window that outlives it: it cannot be dropped, changed or moved for nothing."""
        return bool(held.number) and self._takeover

    def breaks(self, held: Held) -> bool:
        """The message is next, and cannot go out rightly: too large to be compressed anew, as it must be."""
        message = held.message
        if not message.truncated or not self.in_window(held) or Violation.BAD_DEFLATE in message.violations:
            return False
        return self.parted or held.number != self._next

    def passes(self, held: Held) -> bool:
        """The message is next, unchanged: whether its very bytes can go out; else `encoded` is for it."""
        if not held.number or not self._takeover:
            return True
        in_step = held.number == self._next
        self._next = held.number + 1
        if self._deflater is None:
            if in_step:
                return True
            self._part()
        message = held.message
        if message.lost or message.truncated:
            self.broken = True
            self._same = 0
            return True
        if in_step and self._same >= 1 << self._bits:
            self._deflater = None
            return True
        self._same = self._same + len(message.payload) if in_step else 0
        return False

    def encoded(self, held: Held) -> bytes:
        """The same message, compressed anew."""
        return self._frames(held, held.message.payload, None)

    def changed(self, held: Held, payload: bytes | None, shape: Shape | None) -> bytes:
        """The message is next, with another payload or in other frames."""
        if becomes_control(shape):
            self.skipped(held)
            return self._control(held, payload, shape)
        if payload is None and self.passes(held):
            return frames_of(
                wire_payload(held), look_of(held), rsv1=bool(held.number), shape=shape, new_key=self._new_key
            )
        if payload is not None and self.in_window(held):
            self._next = held.number + 1
            self._part()
        return self._frames(held, held.message.payload if payload is None else payload, shape)

    def again(self, held: Held, payload: bytes | None, shape: Shape | None) -> bytes:
        """The message that went out just now, once more."""
        if becomes_control(shape):
            return self._control(held, payload, shape)
        if self.in_window(held):
            self._part()
        elif payload is None and shape is None:
            return held.raw
        return self._frames(held, held.message.payload if payload is None else payload, shape)

    def skipped(self, held: Held) -> None:
        """The message is next, and does not go out."""
        if self.in_window(held):
            self._next = held.number + 1
            self._part()

    def _part(self) -> None:
        self._same = 0
        if self._deflater is None:
            self._deflater = Deflater(self._bits)

    def _control(self, held: Held, payload: bytes | None, shape: Shape | None) -> bytes:
        """Control frames are not compressed (RFC 7692 6.1), also where they violate all else."""
        payload = held.message.payload if payload is None else payload
        return plain_frames(held, payload, shape, self._new_key)

    def _frames(self, held: Held, payload: bytes, shape: Shape | None) -> bytes:
        if held.number:
            if self._deflater is not None:
                deflater = self._deflater
            else:
                deflater = self._alone = self._alone or Deflater(self._bits, no_context_takeover=True)
            payload = deflater.deflate(payload)
        if shape is None and len(held.frames) == 1:
            frame = held.frames[0]
            rsv = frame.rsv & 3 | (4 if held.number else 0)
            return encode_frame(frame.opcode, payload, rsv=rsv, mask=frame.mask)
        return frames_of(payload, look_of(held), rsv1=bool(held.number), shape=shape, new_key=self._new_key)


def becomes_control(shape: Shape | None) -> bool:
    """The message goes out as a control frame, and so in no window."""
    return shape is not None and shape.opcode is not None and shape.opcode >= Opcode.CLOSE


def look_of(held: Held) -> Look:
    """How a message came."""
    frames = held.frames
    return Look(
        held.message.opcode,
        [frame.length for frame in frames],
        [frame.mask for frame in frames],
        frames[0].rsv,
    )


def plain_frames(held: Held, payload: bytes, shape: Shape | None, new_key: NewKey) -> bytes:
    """What a capture has of a message: its frames as they would be without compression."""
    return frames_of(payload, look_of(held), rsv1=False, shape=shape, new_key=new_key)


def wire_payload(held: Held) -> bytes:
    """The payloads of its frames, joined, as they are."""
    frames = FrameDecoder(held.message.side, rsv_allowed=7, max_payload=len(held.raw)).receive(held.raw)
    return b"".join(frame.payload for frame in frames)
