"""Messages of a capture at random: the frames of one, fed again to an assembler whose window is right.

Without context takeover a message needs nothing but its own frames. With it, it needs the window that all
compressed messages before it have left: so copies of the assembler are kept, one each MiB of the direction,
and one where the last look ended, so that looking on is cheap. Messages passed on the way are kept, so that
looking back is.
"""

from __future__ import annotations

import bisect
import operator
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsinspect.capture.boundaries import Resume
from wsinspect.capture.columns import BITS_SHIFT, FIN, FLAGS_SHIFT, HEAD_SHIFT, RSV_SHIFT, SERVER, RowFlag
from wsinspect.capture.timeline import make_assembler
from wsinspect.model import Frame, Message, ScanState, Side
from wsinspect.wire.messages import MessageAssembler

if TYPE_CHECKING:
    from wsinspect.capture.index import FrameIndex

SNAPSHOT_EVERY = 1 << 20
"""Wire bytes of a direction between two copies of its assembler."""
SNAPSHOTS_KEPT = 64
"""Of one direction; beyond it every second one goes, and the next ones lie twice as far apart."""
WINDOWS_KEPT = 16
"""Directions whose copies are kept: those looked at last."""
LOOK_BACK = 1 << 17
"""Rows of a connection that are looked through for the beginning of a message."""
STATE_LOOK_BACK = 1 << 12
"""Likewise for whether a message is open; asked for each frame that is shown."""
_MESSAGES_KEPT = 512
_MESSAGE_KEPT = 16 << 10

type Key = tuple[int, Side]

_FIN = FIN << BITS_SHIFT
_COMPRESSED = 4 << RSV_SHIFT << BITS_SHIFT
_DATA_MASK = 0xF8 | SERVER << BITS_SHIFT | int(RowFlag.INJECTED) << FLAGS_SHIFT
"""The bits of a shape that tell a direction's own data frames."""

_OWN_MASK = _DATA_MASK & ~0x08
"""Likewise its own frames of any kind."""

_frame_of = operator.attrgetter("frame")


def _data_of(side: Side) -> int:
    return SERVER << BITS_SHIFT if side else 0


class _Windows:
    """The copies of one direction's assembler, each to be used from a row on."""

    def __init__(self, assembler: MessageAssembler) -> None:
        self.rows = [0]
        self.assemblers = [assembler]
        self.offsets = [0]
        self.every = SNAPSHOT_EVERY
        self.hot: tuple[int, MessageAssembler] | None = None

    def best(self, row: int) -> tuple[int, MessageAssembler]:
        """The nearest place before or at `row`, with an assembler that may be used up."""
        at = bisect.bisect_right(self.rows, row) - 1
        if self.hot is not None and self.rows[at] <= self.hot[0] <= row:
            hot, self.hot = self.hot, None
            return hot
        return self.rows[at], self.assemblers[at].copy()

    def keep(self, row: int, offset: int, assembler: MessageAssembler) -> None:
        """Consider the place before `row`, at a message's boundary."""
        if row <= self.rows[-1] or offset - self.offsets[-1] < self.every:
            return
        self.rows.append(row)
        self.offsets.append(offset)
        self.assemblers.append(assembler.copy())
        if len(self.rows) > SNAPSHOTS_KEPT:
            self.every *= 2
            self.rows, self.offsets = self.rows[::2], self.offsets[::2]
            self.assemblers = self.assemblers[::2]


class Reassembly:
    """The messages of a FrameIndex."""

    def __init__(self, index: FrameIndex, max_message: int) -> None:
        self._index = index
        self._columns = index.columns
        self._max_message = max_message
        self._windows: OrderedDict[Key, _Windows] = OrderedDict()
        self._kept: OrderedDict[int, Message] = OrderedDict()  # by the row of the first frame

    def message(self, row: int) -> Message | None:
        """The message of a data frame's row, None where it has none. Raises DamagedInput as `frame` does."""
        columns = self._columns
        first = self._first_row(row)
        if first is None:
            return None
        message = self._kept.get(first)
        if message is None:
            message = self._assemble(first)
        if message is None or not message.first_frame <= columns.number[row] <= message.last_frame:
            return None
        return message

    # ------------------------------------------------------------------------------------------- rows

    def data_rows(self, first: int, key: Key) -> Iterator[int]:
        """A direction's own data frames from row `first` on."""
        rows, shapes, wanted = self._index.rows_of(key[0]), self._columns.shape, _data_of(key[1])
        for place in range(bisect.bisect_left(rows, first), len(rows)):
            if shapes[rows[place]] & _DATA_MASK == wanted:
                yield rows[place]

    def data_rows_before(self, row: int, key: Key) -> Iterator[int]:
        """A direction's own data frames before `row`, the last first; -1 for each row of something else."""
        rows, shapes, wanted = self._index.rows_of(key[0]), self._columns.shape, _data_of(key[1])
        for place in range(bisect.bisect_left(rows, row) - 1, -1, -1):
            yield rows[place] if shapes[rows[place]] & _DATA_MASK == wanted else -1

    def data_row_before(self, row: int, key: Key, look_back: int = LOOK_BACK) -> int | None:
        """The direction's data frame before `row`; -1 where there is none, None where it is too far away."""
        for steps, before in enumerate(self.data_rows_before(row, key)):
            if before >= 0:
                return before
            if steps >= look_back:
                return None
        return -1

    def last_row(self, row: int) -> int | None:
        """The row of the last frame of the message that a data frame's row is part of; None: not there."""
        columns = self._columns
        for steps, after in enumerate(self.data_rows(row, (columns.conn[row], columns.side(row)))):
            if steps >= LOOK_BACK or (steps and columns.kind(after)):
                return None
            if columns.shape[after] & _FIN:
                return after
        return None

    def row_of_frame(self, row: int, key: Key, number: int) -> int | None:
        """The row before `row` that has the frame of that number in a direction; None: too far, or gone."""
        columns, rows = self._columns, self._index.rows_of(key[0])
        server = _data_of(key[1])
        for place in range(bisect.bisect_left(rows, row) - 1, -1, -1)[:LOOK_BACK]:
            before = rows[place]  # of all kinds, as what was replaced may be a control frame
            if columns.shape[before] & _OWN_MASK == server:
                found = columns.number[before]
                if found <= number:
                    return before if found == number else None
        return None

    def _first_row(self, row: int) -> int | None:
        """The row of the first frame of the message; that after a gap where its first is lost."""
        columns = self._columns
        current = row
        if columns.kind(current):
            return current
        key = columns.conn[row], columns.side(row)
        for steps, before in enumerate(self.data_rows_before(row, key)):
            if steps >= LOOK_BACK:
                return None
            if before < 0:
                continue
            if self._begins_after_gap(before, current):
                return current
            if columns.shape[before] & _FIN:
                return None if current == row else current
            current = before
            if columns.kind(current):
                return current
        return current

    def _begins_after_gap(self, previous: int, row: int) -> bool:
        """Whether a gap keeps `row` from being assembled with the data row before it.

        A gap inside a message's last frame does not: that frame ends the message, which is then lost.
        """
        if self._state_between(previous, row, inside=False) is not None:
            return True
        state = self._state_between(previous, row)
        return state is not None and bool(state & (ScanState.TEXT | ScanState.BINARY))

    def state_before(self, row: int) -> int:
        """The ScanState bits with which a decoder can start at a frame's header."""
        columns = self._columns
        key = columns.conn[row], columns.side(row)
        closed = 0 < self._index.close_frame(*key) < columns.number[row]
        return (ScanState.CLOSED if closed else ScanState.NONE) | self._message_before(row, key)

    def _message_before(self, row: int, key: Key) -> int:
        """Whether a message is open at a frame's header: as the frames before it say, or the last gap."""
        columns = self._columns
        current = row
        for steps, before in enumerate(self.data_rows_before(row, key)):
            if steps >= STATE_LOOK_BACK:  # too far to go for it: believe the frame
                return ScanState.NONE if columns.kind(row) else ScanState.TEXT
            if before < 0:
                continue
            state = self._state_between(before, current, inside=current != row)
            if state is not None:
                return state
            if columns.shape[before] & _FIN:
                return ScanState.NONE
            if columns.kind(before):
                return ScanState.TEXT
            current = before
        return self._state_between(-1, current, inside=current != row) or ScanState.NONE

    def _resumes_between(self, previous: int, row: int) -> list[Resume]:
        """Where the bytes went on after gaps between two data frames of a direction, or in the second.

        `previous` is -1 where `row` is the direction's first.
        """
        columns = self._columns
        since = columns.number[previous] if previous >= 0 else 0
        resumes = self._index.resumes(columns.conn[row], columns.side(row))
        if not resumes:
            return resumes
        first = bisect.bisect_right(resumes, since, key=_frame_of)
        last = bisect.bisect_right(resumes, columns.number[row], key=_frame_of)
        return resumes[first:last]

    def _state_between(self, previous: int, row: int, *, inside: bool = True) -> int | None:
        """The ScanState after the last such gap; None where there is none. `inside`: one in `row` counts."""
        number = self._columns.number[row]
        for resume in reversed(self._resumes_between(previous, row)):
            if inside or resume.frame < number or not resume.inside:
                return resume.state
        return None

    # --------------------------------------------------------------------------------------- assembly

    def _assemble(self, first: int) -> Message | None:
        columns = self._columns
        key = columns.conn[first], columns.side(first)
        agreed = self._index.agreed(key[0])
        deflate = None if agreed is None else agreed.deflate
        if deflate and self._columns.shape[first] & _COMPRESSED and not deflate.no_context_takeover(key[1]):
            return self._assemble_with_window(first, key)
        assembler = make_assembler(key[1], agreed, self._max_message)
        if columns.kind(first) == 0:
            self._tell_gaps(assembler, self.data_row_before(first, key), first)
        return self._run(assembler, first, key)[0]

    def _assemble_with_window(self, first: int, key: Key) -> Message | None:
        windows = self._windows_of(key)
        start, assembler = windows.best(first)
        previous = self._advance(windows, assembler, start, first, key)
        self._tell_gaps(assembler, previous, first)
        windows.hot = first, assembler.copy()
        message, last = self._run(assembler, first, key)
        if message is not None:
            windows.hot = last + 1, assembler
        return message

    def _tell_gaps(self, assembler: MessageAssembler, previous: int | None, row: int) -> int | None:
        """Tell the assembler of all gaps before a data frame. Returns the ScanState after the last one."""
        if previous is None:  # it was too far away to look for
            assembler.gap(ScanState.NONE)
            return ScanState.NONE
        state = None
        for resume in self._resumes_between(previous, row):
            state = resume.state
            assembler.gap(state)
        return state

    def _run(self, assembler: MessageAssembler, first: int, key: Key) -> tuple[Message | None, int]:
        """Feed the message's frames from row `first` on; None where another begins, or the capture ends."""
        previous = first
        for row in self.data_rows(first, key):
            if row != first:
                if self._columns.kind(row):
                    break
                self._tell_gaps(assembler, previous, row)
            message = assembler.receive(self._index.frame(row))
            if message is not None:
                self._keep(first, message)
                return message, row
            previous = row
        return None, -1

    def _advance(
        self, windows: _Windows, assembler: MessageAssembler, start: int, stop: int, key: Key
    ) -> int | None:
        """Run the compressed messages from row `start` up to row `stop` through the assembler.

        Messages that are not compressed leave the window alone, and are passed over. Returns the data row
        before `stop`.
        """
        previous = self.data_row_before(start, key)
        first, feeding = start, False
        shapes, resumes = self._columns.shape, self._index.resumes(*key)
        for row in self.data_rows(start, key):
            if row >= stop:
                break
            if resumes and (state := self._tell_gaps(assembler, previous, row)) is not None:
                feeding = bool(state & ScanState.COMPRESSED)
            shape = shapes[row]
            if shape & 0xFF:
                feeding = bool(shape & _COMPRESSED)
                first = row
            if feeding:
                after_end = previous is not None and (previous < 0 or shapes[previous] & _FIN)
                message = assembler.receive(self._frame(row, key, plain=not shape & 0xFF or bool(after_end)))
                if message is not None:
                    feeding = False
                    self._keep(first, message)
                    windows.keep(row + 1, self._columns.where[row], assembler)
            previous = row
        return previous

    def _frame(self, row: int, key: Key, *, plain: bool) -> Frame:
        """A frame for the assembler. `plain`: nothing in the frames before makes it a violation.

        Most break no rule, and need no decoder then: on the way through a long direction it is half the time.
        """
        columns = self._columns
        shape, number = columns.shape[row], columns.number[row]
        closed = 0 < self._index.close_frame(*key) < number
        if closed or not plain or shape >> FLAGS_SHIFT & 0xFF:
            return self._index.frame(row)
        bits = shape >> BITS_SHIFT
        payload = self._index.payload(row)
        length = columns.length[row]
        if len(payload) != length:
            return self._index.frame(row)
        rsv, kind, head = bits >> RSV_SHIFT & 7, shape & 0xFF, shape >> HEAD_SHIFT
        fin = bool(bits & FIN)
        return Frame(key[1], number, columns.where[row], fin, rsv, kind, None, length, head, payload)

    def _windows_of(self, key: Key) -> _Windows:
        windows = self._windows.get(key)
        if windows is None:
            windows = _Windows(make_assembler(key[1], self._index.agreed(key[0]), self._max_message))
            self._windows[key] = windows
            if len(self._windows) > WINDOWS_KEPT:
                self._windows.popitem(last=False)
        self._windows.move_to_end(key)
        return windows

    def _keep(self, first: int, message: Message) -> None:
        if len(message.payload) <= _MESSAGE_KEPT and message.first_frame == self._columns.number[first]:
            self._kept[first] = message
            if len(self._kept) > _MESSAGES_KEPT:
                self._kept.popitem(last=False)
