"""One direction's frame boundaries, from headers alone: no payload is touched.

Frames of equal headers often stand one after the other (a flood, a price feed). Their boundaries are a fixed
stride apart, so that slices with that stride find the length of the run at a fraction of the cost per frame.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from wsinspect.capture.columns import (
    FIN,
    GAP,
    MASKED,
    RAW,
    RSV_SHIFT,
    SERVER,
    Columns,
    Reads,
    RowFlag,
    make_shape,
)
from wsinspect.capture.timeline import CUT_HEADER, EVICTED, MISSING_READ, OUT_OF_ORDER
from wsinspect.model import Gap, Opcode, Read, ScanState, Side

GAP_REASONS = ("", MISSING_READ, OUT_OF_ORDER, CUT_HEADER, EVICTED)
"""By the code in a gap row's header size; 0: the Gap record says it."""

_VIOLATION = int(RowFlag.VIOLATION) << 16
_TRUNCATED = int(RowFlag.TRUNCATED) << 16
_BEYOND = 1 << 62
_RUN_AT_LEAST = 4
_RUN_AT_MOST = 512

_SHAPES: dict[tuple[Side, int], dict[int, int]] = {}


def _shape_of(side: Side, rsv_allowed: int, first: int, second: int) -> int:
    """The row shape of a header's first two bytes, with what they violate."""
    opcode, rsv, masked, short = first & 15, first >> 4 & 7, second & 0x80, second & 0x7F
    wrong = bool(masked) is (side is Side.SERVER) or rsv & ~rsv_allowed or 3 <= opcode <= 7 or opcode >= 11
    wrong = wrong or (opcode >= 8 and (first < 0x80 or short > 125))
    wrong = wrong or (rsv & 4 and rsv_allowed == 4 and (opcode == 0 or opcode >= 8))
    bits = (FIN if first & 0x80 else 0) | rsv << RSV_SHIFT
    bits |= (MASKED if masked else 0) | (SERVER if side else 0)
    head = 2 + (0 if short < 126 else 2 if short == 126 else 8) + (4 if masked else 0)
    return make_shape(opcode, bits=bits, flags=RowFlag.VIOLATION if wrong else 0, head=head)


class Resume(NamedTuple):
    """Where a direction goes on after a gap."""

    frame: int
    """The number of the frame that the first byte after it belongs to, or begins."""
    state: int
    """ScanState bits there: what is open once that frame ends."""
    inside: bool
    """The gap is inside that frame, and its header is known: it has a row."""


class Boundaries:
    """Adds the rows of one direction to the index as its reads come in."""

    __slots__ = (
        "_blind",
        "_columns",
        "_conn",
        "_cut",
        "_expected",
        "_frame_read",
        "_head",
        "_last_read",
        "_left",
        "_number",
        "_open",
        "_ordinal",
        "_raw",
        "_reads",
        "_resume",
        "_rsv_allowed",
        "_shapes",
        "_side",
        "_side_bits",
        "close_frame",
        "evicted",
        "resumes",
    )

    def __init__(
        self, columns: Columns, reads: Reads, conn: int, side: Side, rsv_allowed: int, raw: bool
    ) -> None:
        self._columns = columns
        self._reads = reads
        self._conn = conn
        self._side = side
        self._side_bits = SERVER if side else 0
        self._rsv_allowed = rsv_allowed
        self._shapes = _SHAPES.setdefault((side, rsv_allowed), {})
        self._raw = raw
        self._blind = False
        self._cut = False  # the scan stands inside a header that is not there
        self._resume = False
        self._expected = 0
        self._number = 1
        self._left = 0
        self._head = b""
        self._open: tuple[int, int, int] | None = None  # shape, length, where of the frame under way
        self._frame_read = 0  # 1 + index of the read in which that frame began
        self._last_read = 0
        self._ordinal = 0  # reads so far
        self.close_frame = 0
        """Number of the first Close frame, 0 for none."""
        self.resumes: list[Resume] = []
        self.evicted = False
        """The next hole is where segments were deleted."""

    def gap(self, gap: Gap, position: int) -> None:
        """A Gap record, at `position` in the file."""
        self._add_gap(gap.t_ns, gap.nbytes, position, 0)
        self._expected = gap.offset + gap.nbytes
        self._resume = True

    def read(self, read: Read, position: int) -> None:
        """A Read record, at `position` in the file."""
        data, offset = read.data, read.offset
        if offset > _BEYOND:
            return  # no direction ever gets there; its sums would not fit the columns
        self._ordinal += 1
        index = self._reads.add(offset, position, len(data), self._ordinal)
        if offset == self._expected and not self._resume:
            if self._last_read:
                self._reads.next[self._last_read - 1] = index
            if not read.state & 0x80 and self._one_frame(data, offset, read.t_ns, index):
                return
        else:
            self._unexpected(read)
        self._last_read = index
        self._expected = offset + len(data)
        if self._raw or self._blind or read.state & ScanState.BLIND:
            self._add_raw(read.t_ns, offset, len(data), index)
            return
        if self._resume or self._cut:
            self._start_again(read)
            if self._cut:
                self._add_gap(read.t_ns, len(data), 0, GAP_REASONS.index(CUT_HEADER))
                return
        self._scan(data, offset, read.t_ns, index)

    def _one_frame(self, data: bytes, offset: int, t_ns: int, index: int) -> bool:
        """The read is one short frame, as most are where each message waits for an answer.

        Worth a way of its own: it takes a third of the time that `_scan` does.
        """
        if self._left or self._head or self._raw or self._blind or self._cut or len(data) < 2:
            return False
        second = data[1]
        length = second & 0x7F
        shape = self._shapes.get(data[0] << 8 | second)
        if shape is None or length >= 126 or len(data) != length + (shape >> 24) or shape & 0xFF == 8:
            return False
        columns = self._columns
        columns.conn.append(self._conn)
        columns.shape.append(shape)
        columns.number.append(self._number)
        columns.length.append(length)
        columns.where.append(offset)
        columns.read.append(index)
        columns.t_ns.append(t_ns)
        self._number += 1
        self._last_read = index
        self._expected = offset + len(data)
        return True

    # ------------------------------------------------------------------------------------------- gaps

    def _unexpected(self, read: Read) -> None:
        missing = read.offset - self._expected
        if missing:
            reason = OUT_OF_ORDER if missing < 0 else EVICTED if self.evicted else MISSING_READ
            self.evicted = False
            self._add_gap(read.t_ns, max(0, missing), 0, GAP_REASONS.index(reason))
            self._resume = True

    def _start_again(self, read: Read) -> None:
        """As `FrameDecoder.resume` does: a frame whose middle alone is missing still gets its row."""
        self._resume = False
        if self._open is not None:
            shape, length, where = self._open
            if read.left and where + (shape >> 24) + length == read.offset + read.left:
                self._open = shape | _TRUNCATED, length, where
            else:
                self._open = None
        self._number, self._left, self._head = min(read.frame, _BEYOND), read.left, b""
        self._cut = read.carry > 0
        self.resumes.append(Resume(self._number, read.state, self._open is not None))

    def _add_gap(self, t_ns: int, nbytes: int, position: int, reason: int) -> None:
        shape = make_shape(GAP, bits=self._side_bits, head=reason)
        self._columns.add(self._conn, shape, t_ns, 0, nbytes, position)

    def _add_raw(self, t_ns: int, offset: int, nbytes: int, index: int) -> None:
        if nbytes:
            shape = make_shape(RAW, bits=self._side_bits)
            self._columns.add(self._conn, shape, t_ns, 0, nbytes, offset, index)

    # ------------------------------------------------------------------------------------------- scan

    def _scan(self, data: bytes, offset: int, t_ns: int, index: int) -> None:
        pos = 0
        began = index
        if self._left:
            pos = min(self._left, len(data))
            self._left -= pos
            if self._left:
                return
            self._finish_open(t_ns)
        elif self._head:
            began = self._frame_read
            offset -= len(self._head)
            data = self._head + data
            self._head = b""
        self._scan_frames(data, pos, offset, t_ns, index, began)

    def _scan_frames(self, data: bytes, pos: int, base: int, t_ns: int, index: int, began: int) -> None:
        """`index` is the read of these bytes, `began` the one in which the first frame began."""
        columns, shapes = self._columns, self._shapes
        add_shape, add_length, add_where = columns.shape.append, columns.length.append, columns.where.append
        end = len(data)
        before = len(columns.shape)
        overflow = False
        while end - pos >= 2:
            first = data[pos]
            second = data[pos + 1]
            start = pos + 2
            length = second & 0x7F
            shape = shapes.get(first << 8 | second)
            if shape is None:
                shape = _shape_of(self._side, self._rsv_allowed, first, second)
                shapes[first << 8 | second] = shape
            if length >= 126:
                least = 126 if length == 126 else 0x10000
                start += 2 if length == 126 else 8
                if start > end:
                    break
                length = int.from_bytes(data[pos + 2 : start])
                if length < least or length >> 63:
                    shape |= _VIOLATION | (_TRUNCATED if length >> 63 else 0)
            if second & 0x80:
                start += 4
                if start > end:
                    break
            if first & 15 == Opcode.CLOSE and not self.close_frame:
                self.close_frame = self._number + len(columns.shape) - before
            stop = start + length
            if length >> 63:
                overflow = True
            elif stop > end:
                self._open = shape, length, base + pos
                self._left = stop - end
                break
            elif stop + 2 < end and data[stop] == first and data[stop + 1] == second:
                count = _run_length(data, pos, stop - pos, (shape >> 24) - (4 if second & 0x80 else 0))
                if count >= _RUN_AT_LEAST:
                    columns.shape.extend(array("I", (shape,)) * count)
                    columns.length.extend(array("Q", (length,)) * count)
                    stride = stop - pos
                    columns.where.extend(range(base + pos, base + pos + count * stride, stride))
                    pos += count * stride
                    continue
            add_shape(shape)
            add_length(length)
            add_where(base + pos)
            if overflow:
                pos = start
                break
            pos = stop
        added = len(columns.shape) - before
        if added:
            self._fill(added, t_ns, began, index)
            self._number += added
            began = index
        self._frame_read = began
        if overflow:
            self._blind = True
            self._add_raw(t_ns, base + pos, end - pos, index)
        elif pos < end and not self._left:
            self._head = data[pos:]

    def _fill(self, count: int, t_ns: int, first_read: int, read: int) -> None:
        """The columns that are the same for all rows of a read, but for the first one's read."""
        columns = self._columns
        if count == 1:
            columns.conn.append(self._conn)
            columns.number.append(self._number)
            columns.read.append(first_read)
            columns.t_ns.append(t_ns)
            return
        columns.conn.extend(array("I", (self._conn,)) * count)
        columns.number.extend(range(self._number, self._number + count))
        columns.read.append(first_read)
        columns.read.extend(array("I", (read,)) * (count - 1))
        columns.t_ns.extend(array("Q", (t_ns,)) * count)

    def _finish_open(self, t_ns: int) -> None:
        if self._open is not None:
            shape, length, where = self._open
            self._columns.add(self._conn, shape, t_ns, self._number, length, where, self._frame_read)
            self._open = None
        self._number += 1


def _run_length(data: bytes, pos: int, stride: int, header: int) -> int:
    """How many whole frames from `pos` on have the same `header` bytes, `stride` bytes apart."""
    count = min((len(data) - pos) // stride, _RUN_AT_MOST)
    for column in range(pos, pos + header):
        values = data[column : column + (count - 1) * stride + 1 : stride]
        count -= len(values.lstrip(values[:1]))
    return count
