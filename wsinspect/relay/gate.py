"""Whole messages out of the bytes of one direction, sans-I/O.

    receive(data)  what passes at once (bytes of data frames), control frames (`Control`), and data messages
                   kept until they are whole (`Held`), in the order in which they are known
    rest()         what is kept and belongs to no whole message: an end, or a fault, lets it pass

A fragment is not handed out before its message is whole, so a control frame may come out before fragments
that came before it (RFC 6455 5.4 lets it). What is too large to keep, and what cannot be parsed, passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsinspect.model import Frame, Message, Side, Violation
from wsinspect.relay.scan import BoundaryScan
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder
from wsinspect.wire.messages import MessageAssembler

INSPECT_LIMIT = 16 << 20
"""Bytes of a message that is kept, on the wire and inflated; a larger one passes unseen."""
MOST_FRAMES = 1 << 16
"""Of a message that is kept: each costs some hundred bytes, however short it is."""


PAST_KEPT = 1 << 20
"""Bytes of messages that are kept while the window before them is looked for."""


@dataclass(slots=True)
class _Kept:
    """Something whole, and the bytes in which it came."""

    before: list[bytes] | None
    """Those in earlier reads."""
    data: bytes
    """The read with its last byte, which has the rest of it from `start` to `stop`."""
    start: int
    stop: int

    @property
    def raw(self) -> bytes:
        """As it came, without control frames between."""
        last = self.data[self.start : self.stop]
        return b"".join([*self.before, last]) if self.before else last

    def keep(self) -> None:
        """Let go of the read that it came in, and of what there is twice: it will not go out at once."""
        self.before, self.data = None, self.raw
        self.start, self.stop = 0, len(self.data)


@dataclass(slots=True)
class Control(_Kept):
    """A whole control frame."""

    frame: Frame


@dataclass(slots=True)
class Held(_Kept):
    """A whole data message, kept back."""

    message: Message
    frames: list[Frame]
    """Its frames; no payloads after `keep`."""
    number: int
    """Among the compressed messages of its direction, from 1; 0 where it is not compressed."""

    def keep(self) -> None:
        _Kept.keep(self)
        for frame in self.frames:
            frame.payload = b""


type Item = bytes | Control | Held


class Gate:
    """Cuts the bytes of one direction into what passes and what is kept."""

    def __init__(
        self,
        side: Side,
        deflate: DeflateParams | None = None,
        *,
        rsv_allowed: int | None = None,
        limit: int = INSPECT_LIMIT,
        data: bool = True,
        after: BoundaryScan | None = None,
    ) -> None:
        """`rsv_allowed`: as for `FrameDecoder`. `data`: False to keep control frames alone.

        `after`: where the direction stands, between two messages; what was compressed before is not known.
        """
        self.side = side
        self.limit = limit
        self.oversize = 0
        """Messages that passed unseen because of their size."""
        self.end = 0
        """Position in the direction's bytes behind all that came."""
        allowed = rsv_allowed if rsv_allowed is not None else 4 if deflate else 0
        self._frames = FrameDecoder(side, rsv_allowed=allowed, max_payload=limit)
        self._messages = MessageAssembler(side, deflate, max_message=limit)
        self._keeps_data = data
        self._data = b""
        self._taken = 0
        """Bytes of `_data` that have been handed out, or are in `_parts`."""
        self._tail: list[bytes] = []
        """Of earlier reads, what belongs to the frame under way."""
        self._tail_bytes = 0
        self._parts: list[bytes] = []
        """Of the message under way, what came before `_tail`."""
        self._of: list[Frame] = []
        self._kept = 0
        """Bytes in `_parts`."""
        self._passing = False
        """Of the message under way something has gone out: its bytes pass."""
        self.passing_compressed = False
        """So does a compressed message."""
        self._midway = False
        """So has something of the frame under way."""
        self._numbers = 0
        self.past_from: int | None = None
        """Position in the direction's bytes, between two messages, at which the window is looked for."""
        self._past: list[bytes] = []
        """The compressed messages since."""
        self._past_bytes = 0
        if after is not None and after.offset:
            self._frames.resume(after.frame, after.offset, 0, 0, after.state)
            self._messages.gap(after.state)
            self.end = after.offset

    @property
    def keeps_data(self) -> bool:
        """Data messages are kept until they are whole, not control frames alone."""
        return self._keeps_data

    @property
    def blind(self) -> bool:
        """Frames cannot be parsed any more."""
        return self._frames.blind

    @property
    def offset(self) -> int:
        """Position in the direction's bytes behind what has been handed out or dropped."""
        return self.end - self.kept_bytes

    @property
    def kept_bytes(self) -> int:
        """Bytes that came and have not been handed out."""
        return self._kept + self._tail_bytes + len(self._data) - self._taken

    @property
    def between_messages(self) -> bool:
        """Nothing of a message has gone out that is not whole: another frame may be put in here."""
        return not (self._passing or self._midway or self._frames.blind)

    @property
    def empty(self) -> bool:
        """Nothing is under way: the direction stands between two messages, as far as it has come."""
        return self.between_messages and not (self._parts or self._of or self._frames.mid_frame)

    @property
    def window_known(self) -> bool:
        """Every message to come can be read. Else some refer to bytes from before this gate was there."""
        return self._messages.window_known

    def remember(self) -> int:
        """Keep what comes from here on, between two messages, for `catch_up`; returns the position."""
        self._past, self._past_bytes, self.past_from = [], 0, self.end
        return self.end

    def catch_up(self, assembler: MessageAssembler) -> bool:
        """`assembler` knows the window at `past_from`: go on with it. False where that cannot be just now."""
        if self._passing or self.past_from is None:
            return False
        assembler.set_max(self.limit)
        past = FrameDecoder(self.side, rsv_allowed=7, max_payload=self.limit)
        for frame in [*past.receive(b"".join(self._past)), *self._of]:
            assembler.receive(frame)
        self._messages = assembler
        self.forget()
        return True

    def forget(self) -> None:
        """The window is not looked for any more."""
        self._past, self.past_from = [], None

    def set_limit(self, limit: int) -> None:
        """Keep messages up to another size, from the next one on."""
        self.limit = limit
        self._frames.max_payload = limit
        self._messages.set_max(limit)

    def receive(self, data: bytes) -> Iterator[Item]:
        """Take the next bytes; each item gets its word before the next is taken."""
        self._data, self._taken = data, 0
        base, self.end = self.end, self.end + len(data)
        for frame in self._frames.receive(data):
            stop = frame.offset + frame.wire_bytes - base
            if stop > len(data):
                break  # an impossible length: blind from here on
            if frame.opcode < 8:
                message = self._messages.receive(frame)
                if message is None or message.compressed or not self._is_fresh:
                    yield from self._data_frame(frame, message, stop)
                    continue
                # Nearly every message: one frame, whole in this read.
                start, self._taken, self._midway = self._taken, stop, False
                yield Held(None, data, start, stop, message, [frame], 0)
                continue
            before, start, self._taken = self._take_tail(), self._taken, stop
            if self._midway:
                self._midway = False
                yield data[start:stop]
            else:
                yield Control(before, data, start, stop, frame)
        if self._taken < len(data) or self._kept:
            yield from self._left_over()

    def rest(self) -> list[bytes]:
        """What is kept and belongs to no whole message; it is let go of."""
        left = [*self._parts, *(self._take_tail() or ()), self._data[self._taken :]]
        self._data, self._taken = b"", 0
        self._let_go()
        return [part for part in left if part]

    @property
    def _is_fresh(self) -> bool:
        """Data is kept, and of the message that ends now nothing came in earlier reads or frames."""
        return self._keeps_data and not (self._passing or self._tail or self._parts)

    def _data_frame(self, frame: Frame, message: Message | None, stop: int) -> Iterator[Item]:
        """`message`: the one that ends with it."""
        start, self._taken, self._midway = self._taken, stop, False
        if message is not None and self._keeps_data and not self._passing:
            number = 0
            if message.compressed:
                number = self._numbers = self._numbers + 1
            before, frames = self._take_tail(), [frame]
            if self._parts:
                before, frames = [*self._parts, *(before or ())], [*self._of, frame]
                self._parts, self._of, self._kept = [], [], 0
            if message.truncated and Violation.BAD_DEFLATE not in message.violations:
                self.oversize += 1
            held = Held(before, self._data, start, stop, message, frames, number)
            if number and self.past_from is not None:
                self._note(held.raw, stop)
            yield held
            return
        self._kept += self._tail_bytes + stop - start
        self._parts += [*(self._take_tail() or ()), self._data[start:stop]]
        self._of.append(frame)
        if message is not None and message.compressed and self.past_from is not None:
            self._note(None, stop)
        if frame.fin or self._passing or not self._keeps_data:
            self._passing = (self._passing or not self._keeps_data) and not frame.fin
            yield self._let_go()
            self.passing_compressed = self.passing_compressed and self._passing
        elif len(self._of) > MOST_FRAMES:
            self._let_pass()
            yield self._let_go()

    def _note(self, raw: bytes | None, stop: int) -> None:
        """A compressed message; None: one that was not kept, so that the window is wanted behind it."""
        self._past_bytes += len(raw or b"")
        if self.window_known:
            self.forget()
        elif raw is None or self._past_bytes > PAST_KEPT:
            self._past, self._past_bytes = [], 0
            self.past_from = self.end - len(self._data) + stop
        else:
            self._past.append(raw)

    def _left_over(self) -> Iterator[bytes]:
        """The beginning of a frame that is not whole, behind the fragments that may be kept."""
        if self._frames.blind:
            yield from self.rest()
            return
        if rest := self._data[self._taken :]:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        self._data, self._taken = b"", 0
        control = bool(self._tail) and not self._midway and self._tail[0][0] & 8
        if not self._passing and self._kept + (0 if control else self._tail_bytes) > self.limit:
            self._let_pass()
        passing = self._passing or not self._keeps_data
        if passing and self._parts:
            yield self._let_go()
        if (passing and self._tail and not control) or self._tail_bytes > self.limit:
            self._midway = True
            self._passing = self._passing or not control
            yield b"".join(self._take_tail() or ())

    def _let_pass(self) -> None:
        """The message under way is too large to keep."""
        self._passing = True
        self.passing_compressed = bool(self._of[0].rsv & 4 if self._of else self._tail[0][0] & 0x40)
        self.oversize += 1

    def _let_go(self) -> bytes:
        parts = b"".join(self._parts)
        self._parts, self._of, self._kept = [], [], 0
        return parts

    def _take_tail(self) -> list[bytes] | None:
        if not self._tail:
            return None
        tail, self._tail, self._tail_bytes = self._tail, [], 0
        return tail
