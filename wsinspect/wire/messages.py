"""Messages from frames: reassembled (RFC 6455 5.4), inflated (RFC 7692 6.2), checked for UTF-8 (8.1).

What cannot be known is said, not guessed: a message with a hole in it is lost ("gap"), and so is one that
needs a deflate window which a hole took away ("window-lost"). Both are empty then.
"""

from __future__ import annotations

import codecs
import copy
from typing import Literal

from wsinspect.model import Frame, Message, Opcode, ScanState, Side, Violation
from wsinspect.wire.deflate import DeflateParams, Inflater

__all__ = ["MessageAssembler"]

_MESSAGE_BITS = int(ScanState.TEXT | ScanState.BINARY)
_UTF8_SLICE = 1 << 20  # the decoder makes a str that nobody needs: at most this much of it at a time


class MessageAssembler:
    """Turns the frames of one direction into messages.

    `deflate` is what was agreed, if it was. A message is held to `max_message` bytes (inflated); the rest of
    a longer one is dropped and it comes out `truncated`.
    """

    def __init__(
        self, side: Side, deflate: DeflateParams | None = None, *, max_message: int = 64 << 20
    ) -> None:
        self.side = side
        self.max_message = max_message
        self._open: _OpenMessage | None = None
        self._inflater: Inflater | None = None
        if deflate is not None:
            self._inflater = Inflater(
                deflate.window_bits(side),
                no_context_takeover=deflate.no_context_takeover(side),
                max_bytes=max_message,
            )

    def receive(self, frame: Frame) -> Message | None:
        """Take the next frame; return the message that it ends.

        Adds BAD_UTF8 and BAD_DEFLATE to the violations of the frame in which they show. Control frames pass
        by; a continuation without a message belongs to none; a new message inside an unfinished one takes
        its place.
        """
        opcode = frame.opcode
        if opcode >= 8:
            return None
        if opcode:
            if self._open is not None:
                self._abandon()
            compressed = frame.rsv & 4 != 0 and self._inflater is not None
            if frame.fin and not compressed and not frame.truncated and frame.length <= self.max_message:
                return self._whole(frame)
            message = self._open = _OpenMessage(opcode, compressed, self.max_message)
        elif self._open is None or Violation.UNEXPECTED_CONTINUATION in frame.violations:
            return None
        else:
            message = self._open
        message.begin_frame(frame)
        if not message.lost:
            if message.compressed and self._inflater is not None:
                message.take_compressed(frame, self._inflater)
            else:
                message.take_plain(frame)
        message.violations += [v for v in frame.violations if v not in message.violations]
        if not frame.fin:
            return None
        self._open = None
        return message.finished(frame)

    def gap(self, state: int) -> None:
        """Bytes of this direction are missing; `state` has the `ScanState` bits that hold after them.

        The window is lost. If a message is open after the gap, it comes out with lost="gap" when it ends.
        """
        if self._inflater is not None:
            self._inflater.lose_window()
        if state & _MESSAGE_BITS:
            opcode = Opcode.TEXT if state & ScanState.TEXT else Opcode.BINARY
            compressed = bool(state & ScanState.COMPRESSED) and self._inflater is not None
            self._open = _OpenMessage(int(opcode), compressed, self.max_message)
        if self._open is not None:
            # Even where none is open by `state`: if the gap fell into its last frame, that one still follows.
            self._open.lose("gap")

    def set_max(self, max_message: int) -> None:
        """Hold messages to another size, from the next one on."""
        self.max_message = max_message
        if self._inflater is not None:
            self._inflater.set_max(max_message)

    @property
    def window_known(self) -> bool:
        """Whether the next message can be inflated whatever it refers to; True without compression."""
        return self._inflater is None or self._inflater.window_known

    def copy(self) -> MessageAssembler:
        """A snapshot that goes its own way."""
        other = copy.copy(self)
        other._open = None if self._open is None else self._open.copy()
        other._inflater = None if self._inflater is None else self._inflater.copy()
        return other

    def _whole(self, frame: Frame) -> Message:
        """The common case: one frame is the message, as it stands."""
        payload = frame.payload
        if frame.opcode == 1 and not payload.isascii() and not _is_utf8(payload):
            frame.violations += (Violation.BAD_UTF8,)
        number = frame.number
        return Message(
            self.side,
            frame.opcode,
            payload,
            number,
            number,
            frame.header_bytes + frame.length,
            violations=frame.violations,
        )

    def _abandon(self) -> None:
        """A new message began before this one ended; if this was compressed, the window is half written."""
        if self._open is not None and self._open.compressed and self._inflater is not None:
            self._inflater.lose_window()
        self._open = None


class _OpenMessage:
    """A message under way."""

    def __init__(self, opcode: int, compressed: bool, max_message: int) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.lost: Literal["", "window-lost", "gap"] = ""
        self.truncated = False
        self.violations: list[Violation] = []
        self._first_frame = 0
        self._wire_bytes = 0
        self._inflating = compressed
        self._parts: list[bytes] = []
        self._room = max_message
        self._utf8 = _Utf8Check() if opcode == Opcode.TEXT else None

    def begin_frame(self, frame: Frame) -> None:
        self._first_frame = self._first_frame or frame.number
        self._wire_bytes += frame.wire_bytes

    def take_plain(self, frame: Frame) -> None:
        if self.truncated:
            return
        part = frame.payload
        if frame.truncated or len(part) > self._room:
            self.truncated = True
            part = part[: self._room]
        self._room -= len(part)
        self._add(part, frame)

    def take_compressed(self, frame: Frame, inflater: Inflater) -> None:
        if not self._inflating:
            return
        result = inflater.feed(frame.payload, final=frame.fin and not frame.truncated)
        if result.lost:
            self.lose("window-lost")
        else:
            self.truncated |= result.truncated or result.error or frame.truncated
            self._add(result.data, frame)
        if result.error:
            frame.violations += (Violation.BAD_DEFLATE,)
        if result.lost or result.error or frame.truncated:
            inflater.lose_window()  # and with it the rest of this message
            self._inflating = False

    def lose(self, why: Literal["window-lost", "gap"]) -> None:
        self.lost = why
        self.truncated = False
        self._parts = []

    def finished(self, frame: Frame) -> Message:
        """The message that ends with `frame`."""
        return Message(
            frame.side,
            self.opcode,
            self._parts[0] if len(self._parts) == 1 else b"".join(self._parts),
            self._first_frame,
            frame.number,
            self._wire_bytes,
            self.compressed,
            self.lost,
            self.truncated,
            tuple(self.violations),
        )

    def copy(self) -> _OpenMessage:
        other = copy.copy(self)
        other.violations = list(self.violations)
        other._parts = list(self._parts)
        other._utf8 = None if self._utf8 is None else self._utf8.copy()
        return other

    def _add(self, data: bytes, frame: Frame) -> None:
        if data:
            self._parts.append(data)
        whole = frame.fin and not self.truncated  # the end of a truncated one may stand inside a character
        if self._utf8 is not None and not self._utf8.feed(data, final=whole):
            self._utf8 = None
            frame.violations += (Violation.BAD_UTF8,)


class _Utf8Check:
    """Whether pieces make up UTF-8, cut anywhere."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None  # made at the first piece that is not ASCII

    def feed(self, data: bytes, *, final: bool) -> bool:
        decoder = self._decoder
        if decoder is None:
            if data.isascii():
                return True
            decoder = self._decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, len(data), _UTF8_SLICE):
                decoder.decode(data[start : start + _UTF8_SLICE])
            if final:
                decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False
        return True

    def copy(self) -> _Utf8Check:
        other = _Utf8Check()
        if self._decoder is not None:
            other._decoder = codecs.getincrementaldecoder("utf-8")()
            other._decoder.setstate(self._decoder.getstate())
        return other


def _is_utf8(data: bytes) -> bool:
    return _Utf8Check().feed(data, final=True)
