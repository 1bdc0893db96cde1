"""Frames, RFC 6455 section 5: an incremental decoder that accepts any cut of the stream, and an encoder.

    receive(bytes) ──▶ header ──▶ payload ──▶ Frame
                         │           │
                         │           └ over max_payload: counted, not kept
                         └ top bit of a 64-bit length: the Frame, then blind

What a peer does wrong is a `Violation` on its frame; nothing that it sends raises.
"""

from __future__ import annotations

import struct

from wsinspect.model import Frame, Opcode, ScanState, Side, Violation
from wsinspect.wire.close_codes import parse_close
from wsinspect.wire.masking import apply_mask

__all__ = ["FrameDecoder", "encode_frame"]

_MESSAGE_BITS = int(ScanState.TEXT | ScanState.BINARY)
_CLOSED = int(ScanState.CLOSED)
_BLIND = int(ScanState.BLIND)

# First bytes that need no second look in the state that they are listed for: they break no rule and leave
# the state as it is. (The mask bit and the length are looked at in any case.)
_PING_PONG = frozenset({0x89, 0x8A})
_PLAIN_IDLE = _PING_PONG | {0x81, 0x82}
_PLAIN_IDLE_DEFLATE = _PLAIN_IDLE | {0xC1, 0xC2}
_PLAIN_IN_MESSAGE = _PING_PONG | {0x00}

_HEAD_16 = struct.Struct("!BBH").pack
_HEAD_64 = struct.Struct("!BBQ").pack

_KEPT_OF_CONTROL = 125
"""Payloads of control frames are kept up to their legal size, whatever max_payload says."""


class FrameDecoder:
    """Turns the bytes of one direction into frames, however the stream is cut.

    `rsv_allowed` has the bits (4, 2, 1 for RSV1, 2, 3) that an agreed extension defines: 4 for
    permessage-deflate, 7 where an extension that we do not know may use any. Payload bytes beyond
    `max_payload` are counted, not kept, and their frame is `truncated`.
    """

    __slots__ = (
        "_closed",
        "_head",
        "_keep",
        "_left",
        "_mask_bit",
        "_open",
        "_open_message",
        "_parts",
        "_plain",
        "blind",
        "frame",
        "max_payload",
        "offset",
        "rsv_allowed",
        "side",
        "synced",
    )

    def __init__(self, side: Side, *, rsv_allowed: int = 0, max_payload: int = 16 << 20) -> None:
        self.side = side
        self.rsv_allowed = rsv_allowed
        self.max_payload = max_payload
        self.frame = 1
        """Number of the frame that is open, or of the next one."""
        self.offset = 0
        """Bytes of the direction seen, or skipped by `resume`."""
        self.synced = True
        """False after a hole that ended inside a header, until the next `resume` at a known place."""
        self.blind = False
        """The stream cannot be parsed any more: no frames come."""
        self._mask_bit = 0x80 if side is Side.CLIENT else 0
        self._head = b""  # bytes of a header that is not complete
        self._open: Frame | None = None  # its header is known, its payload not complete
        self._left = 0  # payload bytes to come, of _open or of a frame whose header is unknown
        self._parts: list[bytes] = []
        self._keep = 0  # payload bytes of _open that may still be kept
        self._set_state(0)

    @property
    def mid_frame(self) -> bool:
        """Whether the stream stands inside a frame: in its header, or in its payload."""
        return bool(self._left or self._head or not self.synced)

    def receive(self, data: bytes) -> list[Frame]:
        """Take the next bytes; return the frames that they complete."""
        if self.blind or not self.synced:
            self.offset += len(data)
            return []
        frames: list[Frame] = []
        pos = 0
        if self._left:
            pos = self._take(data, 0, frames)
        elif self._head:
            self.offset -= len(self._head)
            data = self._head + data  # at most 13 bytes more
            self._head = b""
        side, base, end, mask_bit, max_payload = (
            self.side,
            self.offset,
            len(data),
            self._mask_bit,
            self.max_payload,
        )
        while end - pos >= 2:
            first = data[pos]
            second = data[pos + 1]
            length = second & 0x7F
            start = pos + 2
            minimal = True
            if (
                length >= 126
            ):  # 5.2: a 16-bit or a 64-bit length follows, and the shortest form that fits must be used
                start += 2 if length == 126 else 8
                if start > end:
                    break
                minimal_from = 126 if length == 126 else 0x10000
                length = int.from_bytes(data[pos + 2 : start])
                minimal = length >= minimal_from
            mask = None
            if second & 0x80:
                start += 4
                if start > end:
                    break
                mask = data[start - 4 : start]
            stop = start + length
            if (
                first in self._plain
                and second & 0x80 == mask_bit
                and stop <= end
                and minimal
                and (length < 126 or first & 0x08 == 0)
                and length <= max_payload
            ):  # nearly every frame: complete, and nothing to say about it
                payload = data[start:stop]
                frames.append(
                    Frame(
                        side,
                        self.frame,
                        base + pos,
                        first >= 0x80,
                        first >> 4 & 7,
                        first & 15,
                        mask,
                        length,
                        start - pos,
                        payload if mask is None else apply_mask(payload, mask),
                    )
                )
                self.frame += 1
                pos = stop
                continue
            frame = Frame(
                side,
                self.frame,
                base + pos,
                first >= 0x80,
                first >> 4 & 7,
                first & 15,
                mask,
                length,
                start - pos,
                b"",
            )
            if not self._judge(frame, minimal):
                frames.append(frame)  # it never ends, so it stays the open one
                self.offset = base + end
                return frames
            self._open = frame
            self._left = length
            self._keep = max(max_payload, _KEPT_OF_CONTROL) if first & 0x08 else max_payload
            pos = self._take(data, start, frames)
        if pos < end:
            self._head = data[pos:]
        self.offset = base + end
        return frames

    def cut_off(self) -> Frame | None:
        """Nothing more comes: the frame under way, truncated; None where the stream stands at a boundary.

        Of a header that is not whole, the first byte is believed and the length is 0.
        """
        if self._open is not None:
            frame = self._open
        elif self._head:
            first, size = self._head[0], len(self._head)
            fin, rsv, opcode = first >= 0x80, first >> 4 & 7, first & 15
            frame = Frame(self.side, self.frame, self.offset - size, fin, rsv, opcode, None, 0, size, b"")
        else:
            return None
        frame.truncated = True
        self._left, self._head = 0, b""
        self.frame += 1
        return self._complete(frame)

    def resume(self, frame: int, offset: int, left: int, carry: int, state: int) -> None:
        """Start, or start again after a hole, from the scan state that stands in a `model.Read`.

        left > 0: the rest of that frame is skipped. It still comes out, truncated, where its header had been
        seen; else there is no Frame for it. carry > 0: a header is cut, so no frames until `resume` is called
        with carry == 0. Where nothing was lost the call changes nothing.
        """
        blind = bool(state & _BLIND)
        there = (frame, offset, left, carry, blind)
        if self.synced and there == (self.frame, self.offset, self._left, len(self._head), self.blind):
            return
        known = self._open
        if known is not None and left and known.offset + known.wire_bytes == offset + left:
            known.truncated = True  # its middle is lost
            self._keep = 0
        else:
            self._open = None
            self._parts = []
        self.frame = frame
        self.offset = offset
        self.synced = carry == 0 or blind
        self.blind = blind
        self._left = left
        self._head = b""
        self._set_state(state)

    def _set_state(self, state: int) -> None:
        self._open_message = bool(state & _MESSAGE_BITS)
        self._closed = bool(state & _CLOSED)
        self._choose_plain()

    def _choose_plain(self) -> None:
        if self._closed:
            self._plain = _PING_PONG
        elif self._open_message:
            self._plain = _PLAIN_IN_MESSAGE
        else:
            self._plain = _PLAIN_IDLE_DEFLATE if self.rsv_allowed & 4 else _PLAIN_IDLE

    def _judge(self, frame: Frame, minimal: bool) -> bool:
        """All that a header can violate; advances message and closing. False: blind from here."""
        found: list[Violation] = []
        opcode, rsv = frame.opcode, frame.rsv
        if self.side is Side.CLIENT:
            if frame.mask is None:
                found.append(Violation.UNMASKED_CLIENT)  # 5.1, 5.3
        elif frame.mask is not None:
            found.append(Violation.MASKED_SERVER)  # 5.1
        if rsv & ~self.rsv_allowed:
            found.append(Violation.RESERVED_BITS)  # 5.2
        if rsv & 4 and self.rsv_allowed == 4 and (opcode == 0 or opcode >= 8):
            found.append(
                Violation.BAD_RSV1
            )  # RFC 7692 6.1: only a message's first frame; 5.2 forbids it on control
        if 3 <= opcode <= 7 or opcode >= 11:
            found.append(Violation.RESERVED_OPCODE)  # 5.2
        if frame.length >> 63:
            found.append(Violation.LENGTH_OVERFLOW)  # 5.2
            frame.truncated = True
            self.blind = True
        elif not minimal:
            found.append(Violation.NON_MINIMAL_LENGTH)  # 5.2
        if opcode >= 8:
            self._judge_control(frame, found)
        else:
            self._judge_data(frame, found)
        frame.violations = tuple(found)
        self._choose_plain()
        return not self.blind

    def _judge_control(self, frame: Frame, found: list[Violation]) -> None:
        if not frame.fin:
            found.append(Violation.FRAGMENTED_CONTROL)  # 5.5
        if frame.length > 125:
            found.append(Violation.LONG_CONTROL)  # 5.5
        # 5.5.1 forbids data frames after a Close. A Ping that crosses it must still be answered (5.5.2),
        # so Ping and Pong are left in peace; another Close is not.
        if self._closed and frame.opcode not in (Opcode.PING, Opcode.PONG):
            found.append(Violation.DATA_AFTER_CLOSE)
        if frame.opcode == Opcode.CLOSE:
            self._closed = True

    def _judge_data(self, frame: Frame, found: list[Violation]) -> None:
        if frame.opcode == Opcode.CONTINUATION:
            if self._open_message:
                self._open_message = not frame.fin
            else:
                found.append(Violation.UNEXPECTED_CONTINUATION)  # 5.4
        else:
            if self._open_message:
                found.append(Violation.EXPECTED_CONTINUATION)  # 5.4: messages must not be interleaved
            self._open_message = not frame.fin  # the new message takes the place of the old one
        if self._closed:
            found.append(Violation.DATA_AFTER_CLOSE)  # 5.5.1

    def _take(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take payload of the open (or skipped) frame from `data[start:]`; return where the next begins."""
        taken = min(self._left, len(data) - start)
        self._left -= taken
        frame = self._open
        if frame is not None:
            kept = min(taken, self._keep)
            if kept:
                self._parts.append(data[start : start + kept])  # no copy where it is the whole read
                self._keep -= kept
            if kept < taken:
                frame.truncated = True
        if not self._left:
            if frame is not None:
                frames.append(self._complete(frame))
            self.frame += 1
        return start + taken

    def _complete(self, frame: Frame) -> Frame:
        parts = self._parts
        payload = parts[0] if len(parts) == 1 else b"".join(parts)
        frame.payload = payload if frame.mask is None else apply_mask(payload, frame.mask)
        if frame.opcode == Opcode.CLOSE and not frame.truncated:
            frame.violations += parse_close(frame.payload)[2]
        self._open = None
        self._parts = []
        return frame


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    wide: bool = False,
) -> bytes:
    """One whole frame, RFC 6455 section 5.2, its length in the shortest form, or in 64 bits where `wide`.

    `rsv` has RSV1, 2, 3 as the bits 4, 2, 1; `mask` is the masking key, four bytes, or None for a server's
    frame. Nothing else is checked: a test must be able to send what the protocol forbids.
    """
    first = (0x80 if fin else 0) | (rsv & 7) << 4 | opcode & 15
    mask_bit = 0 if mask is None else 0x80
    length = len(payload)
    if length < 126 and not wide:
        header = bytes((first, mask_bit | length))
    elif length < 0x10000 and not wide:
        header = _HEAD_16(first, mask_bit | 126, length)
    else:
        header = _HEAD_64(first, mask_bit | 127, length)
    if mask is None:
        return header + payload
    return header + mask + apply_mask(payload, mask)
