"""Random access to a capture, while it grows: rows are integers, and a row costs some 50 bytes.

Only headers are looked at while the capture is scanned. What a row shows is fetched when it is asked for: a
payload from the reads that hold it, a message by assembling its frames again (`reassembly`).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from wsinspect.capture.boundaries import GAP_REASONS, Boundaries, Resume
from wsinspect.capture.columns import (
    BITS_SHIFT,
    FACT_KINDS,
    FIN,
    FIRST_FACT,
    GAP,
    MASKED,
    RAW,
    RSV_SHIFT,
    SERVER,
    Columns,
    Reads,
    Row,
    RowFlag,
    make_shape,
)
from wsinspect.capture.judged import JudgedRows
from wsinspect.capture.reader import Reader
from wsinspect.capture.reassembly import Reassembly
from wsinspect.capture.timeline import Limits, decode_sent, make_decoder, sent_frames
from wsinspect.capture.verdicts import Waiting
from wsinspect.errors import DamagedInput
from wsinspect.model import (
    Closed,
    Ended,
    Fact,
    FactRecord,
    Failed,
    Frame,
    Gap,
    Judged,
    Message,
    Notice,
    Opened,
    Read,
    Record,
    Released,
    Ruled,
    Sent,
    Side,
    Unknown,
)
from wsinspect.wire.extensions import Negotiated, negotiated
from wsinspect.wire.masking import apply_mask

__all__ = ["FrameIndex", "Row", "RowFlag"]

_SCAN_BYTES = 1 << 18
_AGREED_KEPT = 256


class FrameIndex:
    """The rows of one capture: frames, facts, gaps and raw reads, in capture order.

    A frame's row appears when its last byte is there. Rows never change or go away.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_payload: int = 16 << 20,
        max_message: int = 64 << 20,
        max_rows: int = 20_000_000,
    ) -> None:
        """Limits in bytes as `Timeline`'s; past `max_rows` nothing is added (`full`). Raises as Reader."""
        self.reader = Reader(path)
        self.full = False
        """There is more in the capture than `max_rows`."""
        self._limits = Limits(max_payload, max_message)
        self._max_rows = max_rows
        self._columns = Columns()
        self._reads = Reads()
        self._by_conn: dict[int, array[int]] = {}
        self._directions: dict[tuple[int, Side], Boundaries] = {}
        self._marks: dict[tuple[int, Side], tuple[list[Resume], int]] = {}
        self._opened_rows: dict[int, int] = {}
        self._agreed: dict[int, Negotiated | None] = {}
        self._checkpoint_facts: dict[int, Fact] = {}
        self._evicted = False
        self._reassembly = Reassembly(self, max_message)
        self.judged = JudgedRows(self, self._reassembly)
        """What rules did, by row and in all, and what is held now."""
        self._verdicts = self.judged.waiting

    def close(self) -> None:
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------- rows

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def behind(self) -> int:
        """Bytes of the capture, as it was last looked at, that are not scanned yet."""
        return self.reader.torn_bytes

    def row(self, i: int) -> Row:
        """Row `i`. Raises IndexError where there is none."""
        return self._columns.row(i)

    def rows_of(self, conn: int) -> Sequence[int]:
        """The rows of one connection, ascending. It grows with `update`; do not change it."""
        return self._by_conn.get(conn, _NO_ROWS)

    def connections(self) -> list[int]:
        """The connections seen, in order of their first row."""
        return [conn for conn in self._by_conn if conn]

    def wall_ns(self, i: int) -> int:
        """Nanoseconds since the epoch at row `i`."""
        return self.reader.wall_ns(self._columns.t_ns[i], self._position(i))

    def _position(self, i: int) -> int | None:
        read = self._columns.read[i]
        if read:
            return self._reads.position[read - 1]
        return self._columns.where[i] or None

    def update(self, budget_s: float = 0.05) -> int:
        """Scan what was appended, for about `budget_s` seconds. Returns how many rows came.

        More may be waiting even where none came: see `behind`.
        """
        before = len(self)
        deadline = time.perf_counter() + budget_s
        while not self.full:
            records = self.reader.read(_SCAN_BYTES)
            for position, record in records:
                self._take(position, record)
            if not records or time.perf_counter() >= deadline:
                break
        return len(self) - before

    # ------------------------------------------------------------------------------------------- scan

    def _take(self, position: int, record: Record) -> None:
        columns, missed = self._columns, None
        before = len(columns)
        if before >= self._max_rows:
            self.full = True
            return
        if type(record) is Read:  # nearly all are
            key = record.conn, record.side
            direction = self._directions.get(key)
            (direction or self._direction(record.conn, record.side)).read(record, position)
            if self._verdicts:
                missed = self.judged.take_rows(key, before)
        elif isinstance(record, FactRecord):
            self._fact(position, record)
            return
        elif isinstance(record, Gap):
            self._direction(record.conn, record.side).gap(record, position)
            if self._verdicts:
                missed = self.judged.kept_out((record.conn, record.side))
        elif isinstance(record, Sent):
            self._sent(position, record)
        else:
            return
        added = len(columns) - before
        if added:
            rows = self._by_conn.get(record.conn)
            if rows is None:
                rows = self._by_conn[record.conn] = array("I")
            if added == 1:
                rows.append(before)
            else:
                rows.extend(range(before, before + added))
        if missed:
            self._tell(missed)

    def _direction(self, conn: int, side: Side) -> Boundaries:
        direction = self._directions.get((conn, side))
        if direction is None:
            agreed = self.agreed(conn)
            raw = False
            if conn in self._opened_rows:
                opened = self.fact(self._opened_rows[conn])
                raw = isinstance(opened, Opened) and opened.transport != "websocket"
            allowed = 7 if agreed is None else agreed.rsv_allowed
            direction = Boundaries(self._columns, self._reads, conn, side, allowed, raw)
            direction.evicted = self._evicted
            self._directions[conn, side] = direction
        return direction

    def _tell(self, missed: list[Waiting]) -> None:
        """Verdicts whose messages are not there have rows of their own."""
        for each in missed:
            self._add_fact(each.position, each.record)

    def _fact(self, position: int, record: FactRecord) -> None:
        match record.fact:
            case Judged(last_frame=last) as judged if last:
                self._tell(self.judged.wait(Waiting(judged, record, position)))
                return
            case Judged() as judged:
                self.judged.count(record.conn, judged)
            case Released() as released:
                self.judged.released(record.conn, released)
            case Ruled() as ruled if not record.conn:
                self.judged.loaded(ruled)
            case Failed() | Closed() | Notice(code="evicted"):
                self._give_up(record.conn)
            case Notice(code="segment"):
                for conn in self._living():
                    self._give_up(conn)
                self.judged.unloaded()
            case _:
                pass
        self._add_fact(position, record)

    def _living(self) -> list[int]:
        return list(dict.fromkeys(conn for conn, _ in self._directions))

    def _give_up(self, conn: int) -> None:
        for side in Side:
            self._tell(self.judged.give_up((conn, side)))
        self.judged.over(conn)

    def _add_fact(self, position: int, record: FactRecord) -> None:
        fact = record.fact
        kind = FIRST_FACT + FACT_KINDS.index("unknown" if isinstance(fact, Unknown) else fact.kind)
        side = fact.side if isinstance(fact, Ended | Notice | Judged | Released) else None
        shape = make_shape(
            kind,
            bits=SERVER if side is Side.SERVER else 0,
            flags=RowFlag.NO_SIDE if side is None else 0,
        )
        row = len(self)
        if self.reader.is_checkpoint(position):
            self._checkpoint_facts[row] = fact
        self._columns.add(record.conn, shape, record.t_ns, 0, 0, position)
        self._by_conn.setdefault(record.conn, array("I")).append(row)
        match fact:
            case Opened():
                self._opened_rows.setdefault(record.conn, row)
                self._agreed.pop(record.conn, None)
            case Failed() | Closed():
                self._retire(record.conn)
            case Notice(code="segment"):
                for conn in self._living():
                    self._retire(conn)
            case Notice(code="evicted") if record.conn:
                self._retire(record.conn)
            case Notice(code="evicted"):
                self._evicted = True
                for direction in self._directions.values():
                    direction.evicted = True
            case _:
                pass

    def _retire(self, conn: int) -> None:
        """No more of this connection will come: keep only what looking at its rows needs."""
        for side in Side:
            direction = self._directions.pop((conn, side), None)
            if direction is not None and (direction.resumes or direction.close_frame):
                self._marks[conn, side] = direction.resumes, direction.close_frame

    def _sent(self, position: int, sent: Sent) -> None:
        frames, rest = sent_frames(sent, self.agreed(sent.conn), 0)
        for number, frame in enumerate(frames if rest is None else [*frames, rest], 1):
            bits = (FIN if frame.fin else 0) | frame.rsv << RSV_SHIFT | (SERVER if sent.side else 0)
            bits |= MASKED if frame.mask is not None else 0
            flags = RowFlag.INJECTED | (RowFlag.VIOLATION if frame.violations else 0)
            flags |= RowFlag.TRUNCATED if frame is rest else 0
            shape = make_shape(frame.opcode, bits=bits, flags=flags, head=frame.header_bytes)
            self.judged.add_sent(len(self._columns), sent)
            self._columns.add(sent.conn, shape, sent.t_ns, number, frame.length, position)

    # -------------------------------------------------------------------------------------- what rows show

    def fact(self, i: int) -> Fact | None:
        """The fact of row `i`, None where it is not one or cannot be read (any more)."""
        if not FIRST_FACT <= self._columns.kind(i) < GAP:
            return None
        if i in self._checkpoint_facts:
            return self._checkpoint_facts[i]
        record = self.record(i)
        return record.fact if isinstance(record, FactRecord) else None

    def is_gone(self, i: int) -> bool:
        """Whether the frame of row `i` was evicted from the capture since it was indexed."""
        return self.payload(i, 1) == b"" and self._columns.length[i] > 0

    def gap_reason(self, i: int) -> str:
        """Why the bytes of a gap's row are missing; "" for other rows."""
        if self._columns.kind(i) != GAP:
            return ""
        code = self._columns.head(i)
        record = None if code else self.record(i)
        return record.reason if isinstance(record, Gap) else GAP_REASONS[code]

    def payload(self, i: int, max_bytes: int | None = None) -> bytes:
        """The frame's payload, unmasked, not inflated; a raw row's bytes; b"" for others.

        At most `max_bytes` (else the index's `max_payload`); shorter where bytes are not in the capture.
        """
        columns = self._columns
        limit = self._limits.max_payload if max_bytes is None else max_bytes
        shape = columns.shape[i]
        kind = shape & 0xFF
        if kind == RAW:
            return self.bytes_at(columns.read[i], columns.where[i], min(limit, columns.length[i]))
        if kind >= FIRST_FACT:
            return b""
        if not columns.is_own_frame(i):
            frame = self.frame(i)
            return frame.payload[:limit]
        head, length = shape >> 24, columns.length[i]
        if length >> 63:
            return b""  # what it announces never comes
        data = self.bytes_at(columns.read[i], columns.where[i], head + min(limit, length))
        if len(data) > head and shape >> BITS_SHIFT & MASKED:
            return apply_mask(data[head:], data[head - 4 : head])
        return data[head:]

    def frame(self, i: int) -> Frame:
        """The frame of row `i`, with all that it violates, but for what shows only in its message.

        Raises ValueError where the row is not a frame, DamagedInput where it cannot be read any more.
        """
        columns = self._columns
        if columns.kind(i) >= FIRST_FACT:
            raise ValueError(f"row {i} is not a frame")
        if not columns.is_own_frame(i):
            return self._injected(i)[0]
        side, number, where = columns.side(i), columns.number[i], columns.where[i]
        length, head = columns.length[i], columns.head(i)
        decoder = make_decoder(side, self.agreed(columns.conn[i]), self._limits.max_payload)
        decoder.resume(number, where, 0, 0, self._reassembly.state_before(i))
        wanted = 0 if length >> 63 else min(length, self._limits.max_payload)
        frames = decoder.receive(self.bytes_at(columns.read[i], where, head + wanted))
        if not frames and length:
            # Cut off by the limit or by a gap: as if only its last byte were left, and it is truncated.
            decoder.resume(number, where + head + length - 1, 1, 0, 0)
            frames = decoder.receive(b"\0")
        if not frames:
            raise DamagedInput(f"{self.reader.path}: frame {number} of connection {columns.conn[i]} is gone")
        return frames[0]

    def message(self, i: int) -> Message | None:
        """The message that the frame of row `i` is part of; None for others, or where its end is not there.

        In a direction with context takeover the first look at a late message runs through what comes before
        it; later looks start from a copy of the window, at most 1 MiB before.
        """
        columns = self._columns
        if columns.kind(i) >= 8:
            return None
        try:
            if columns.flags(i) & RowFlag.INJECTED:
                return self._injected_message(i)
            return self._reassembly.message(i)
        except DamagedInput:
            return None

    def _injected(self, i: int) -> tuple[Frame, Message | None]:
        found = self._sent_frames(i)
        number = self._columns.number[i]
        if number > len(found):
            raise DamagedInput(f"{self.reader.path}: an injected frame is gone")
        return found[number - 1]

    def _injected_message(self, i: int) -> Message | None:
        for frame, message in self._sent_frames(i)[self._columns.number[i] - 1 :]:
            if message is not None or (frame.fin and frame.opcode < 8):
                return message
        return None

    def _sent_frames(self, i: int) -> list[tuple[Frame, Message | None]]:
        record = self.record(i)
        if not isinstance(record, Sent):
            return []
        return decode_sent(record, self.agreed(record.conn), self._limits)

    # ------------------------------------------------------------------------------- for the reassembly

    @property
    def columns(self) -> Columns:
        return self._columns

    def agreed(self, conn: int) -> Negotiated | None:
        """What the connection's handshake agreed to; None where its 101 is not in the capture."""
        row = self._opened_rows.get(conn)
        if row is None:
            return None
        if conn not in self._agreed:
            if len(self._agreed) >= _AGREED_KEPT:
                del self._agreed[next(iter(self._agreed))]
            opened = self.fact(row)
            self._agreed[conn] = negotiated(opened.headers) if isinstance(opened, Opened) else None
        return self._agreed[conn]

    def resumes(self, conn: int, side: Side) -> list[Resume]:
        """Where a direction goes on after each of its gaps."""
        return self._marks_of(conn, side)[0]

    def bytes_at(self, read: int, offset: int, nbytes: int) -> bytes:
        """A direction's bytes from `offset` on, beginning in `read` (1 + its index); fewer at a gap."""
        reads = self._reads
        parts: list[bytes] = []
        while nbytes > 0 and read:
            start = offset - reads.offset[read - 1]
            count = min(nbytes, reads.size[read - 1] - start)
            if count > 0:
                part = self.reader.data(reads.position[read - 1], start, count)
                parts.append(part)
                if len(part) < count:
                    break
                offset += count
                nbytes -= count
            read = reads.next[read - 1]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def reads_of(self, i: int) -> tuple[int, int] | None:
        """Which reads of its direction brought row `i`, first and last, from 1; None where no read did."""
        columns, reads = self._columns, self._reads
        read = columns.read[i]
        if not read or not columns.is_own_frame(i):
            return None
        length = columns.length[i]
        end = columns.where[i] + columns.head(i) + (0 if length >> 63 else length)
        last = read
        while reads.offset[last - 1] + reads.size[last - 1] < end and reads.next[last - 1]:
            last = reads.next[last - 1]
        return reads.ordinal[read - 1], reads.ordinal[last - 1]

    def close_frame(self, conn: int, side: Side) -> int:
        """Number of a direction's first Close frame; 0 for none."""
        return self._marks_of(conn, side)[1]

    def _marks_of(self, conn: int, side: Side) -> tuple[list[Resume], int]:
        direction = self._directions.get((conn, side))
        if direction is not None:
            return direction.resumes, direction.close_frame
        return self._marks.get((conn, side), ([], 0))

    def record(self, i: int) -> Record | None:
        """The record of a fact's row, a gap's that one says, or one that wsinspect sent."""
        try:
            return self.reader.at(self._columns.where[i])
        except DamagedInput:
            return None


_NO_ROWS = array("I")
