"""Reading a capture, also while another process writes it, and whatever happened to its bytes.

what stands at the position                        what the reader does
a whole record, check right                        yields it
less than a whole record, at the end of the file   waits: it is not yet there (a torn tail)
... and no process holds the writer's lock,        looks behind it, see the last line
    or the rest has not come for UNFINISHED_S
a whole record, check wrong, another one after it  skips it, says so in `damage`
anything else                                      finds the next whole record, says so in `damage`

A capture in segments is read as one; what was evicted before it was read is told as a notice `evicted`.
"""

from __future__ import annotations

import bisect
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from xxhash import xxh3_64_intdigest as digest

from wsinspect.capture.evictions import Evictions
from wsinspect.capture.format import (
    HEADER,
    MAGIC,
    READ_FIELDS,
    SPLIT,
    Checkpoint,
    End,
    RecordType,
    Segment,
    decode,
    is_intact,
    is_plausible,
)
from wsinspect.capture.parts import Part, Parts
from wsinspect.capture.resync import find_record
from wsinspect.errors import DamagedInput, WsinspectError
from wsinspect.model import Clock, Closed, FactRecord, Failed, Notice, Opened, Read, Record, Requested, Side

_HEADER_SIZE = HEADER.size
_DAMAGE_KEPT = 1000
_FAR = 1 << 62

UNFINISHED_S = 2.0
"""How long a living writer may take for the rest of a record. It takes milliseconds, unless the length is
damaged and the rest never comes; then what was written behind it must not wait for it."""


@dataclass(slots=True)
class _Clocks:
    """The clock pairs of one segment, by time, and the times that its records span."""

    position: int
    first_ns: int
    last_ns: int
    t_ns: list[int] = field(default_factory=list)
    wall_ns: list[int] = field(default_factory=list)

    def add(self, t_ns: int, wall_ns: int) -> None:
        if self.t_ns and t_ns >= self.t_ns[-1] and wall_ns - self.wall_ns[-1] == t_ns - self.t_ns[-1]:
            return  # nothing new: a long capture in segments brings thousands
        at = bisect.bisect_right(self.t_ns, t_ns)
        self.t_ns.insert(at, t_ns)
        self.wall_ns.insert(at, wall_ns)
        self.last_ns = max(self.last_ns, t_ns)

    def wall(self, t_ns: int) -> int:
        at = max(0, bisect.bisect_right(self.t_ns, t_ns) - 1)
        return self.wall_ns[at] + t_ns - self.t_ns[at]


class Reader:
    """The records of one capture, in the order in which they were written."""

    def __init__(self, path: Path, *, final: bool = False) -> None:
        """`final`: nobody writes it any more, whatever its lock says.

        Raises NotFound, NotACapture, or Unavailable where the file may not be read.
        """
        self.path = path
        self.size = 0
        """Bytes in the capture when it was last looked at, those of evicted segments included."""
        self.damage: list[str] = []
        """What was skipped, a sentence each; the first thousand."""
        self.damaged = 0
        """How often something was skipped."""
        self.highest_conn = 0
        """The highest connection number seen."""
        self.evicted_bytes = 0
        """Bytes of segments that were deleted before they were read."""
        self.opening: Segment | None = None
        """The last SEGMENT record."""
        self.ending: End | None = None
        """The last record, where it is an END."""
        self._final = final
        self._search_from = 0
        self._searched_size = -1
        self._unfinished = -1, 0.0
        """The record that is waited for, and since when."""
        self._known: dict[int, int] = {}
        self._segments: list[_Clocks] = []
        self._checkpoints: set[int] = set()
        self._evictions = Evictions()
        self._moves: deque[tuple[Path, int, int]] = deque()
        self._parts: Parts | None = None
        self._parts = Parts(path)
        self.position = self._parts.current.start + len(MAGIC)
        """Where the next record begins."""

    def close(self) -> None:
        """Let go of the file. Nothing can be read after that."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_parts", None) is not None:
            self.close()

    # --------------------------------------------------------------------------------------- reading

    @property
    def segments(self) -> int:
        """How many processes have written to it, as far as it was read."""
        return len(self._segments)

    @property
    def torn_bytes(self) -> int:
        """Bytes after the last whole record: not yet complete, or never completed."""
        return max(0, self.size - self.position)

    @property
    def cut_off_bytes(self) -> int:
        """The same, where no process writes the capture any more: they will never be completed."""
        return 0 if self.is_written() else self.torn_bytes

    def read(self, max_bytes: int = 1 << 20) -> list[tuple[int, Record]]:
        """The next records with their file positions, at least one if there is one; [] when nothing is new.

        About `max_bytes` of the file are read at once. A file error reads as "nothing new", with a line in
        `damage`: what is on a screen must not vanish for it.
        """
        found: list[tuple[int, Record]] = []
        if self._parts is None:
            return found
        try:
            self._read_part(self._parts, max_bytes, found)
            while not found and self._next_place(self._parts):
                self._read_part(self._parts, max_bytes, found)
            self._parts.look_now_and_then()
            self.size = self._parts.last.end
        except OSError as error:
            self._say(f"{self._name(self.position)}: {error.strerror or error}")
        return found

    def _read_part(self, parts: Parts, max_bytes: int, found: list[tuple[int, Record]]) -> None:
        size = min(parts.current.end, self._left(parts))
        if size < self.position and not self._moves:
            self._file_was_cut(parts.current, size)
        want = max(max_bytes, _HEADER_SIZE)
        while not found and size - self.position >= _HEADER_SIZE:
            block = parts.pread(min(want, size - self.position), self.position)
            used = self._parse(block, found)
            self.position += used
            if used:
                self._searched_size = -1
                want = max(max_bytes, _HEADER_SIZE)
                continue
            if len(block) < min(want, size - self.position):
                break  # the file is shorter than it was
            needed = self._blocked(parts, block, size)
            if not needed:
                break
            want = max(max_bytes, needed)

    def _next_place(self, parts: Parts) -> bool:
        """Nothing is left here: whether there is more to read in a later segment, or in another place."""
        if self.position < self._left(parts) and self._next_part(parts):
            return True
        while self._moves:
            path, position, left = self._moves.popleft()
            if path == self.path or self.position > parts.shift + left:
                continue  # what went elsewhere is behind us: this place has told that it lacks it
            try:
                self.position = parts.go_on(path, position)
            except WsinspectError as error:
                self._say(str(error))
                continue
            self.path = path
            self._searched_size = -1
            self._evictions.leave(position + parts.shift)
            return True
        return False

    def _left(self, parts: Parts) -> int:
        """Where the reading ends in the current place, for it goes on in another one."""
        return parts.shift + self._moves[0][2] if self._moves else _FAR

    def _next_part(self, parts: Parts) -> bool:
        """Nothing is left in the current part: whether there is more to read."""
        current = parts.current
        was_complete = current.complete
        parts.look()
        if current.complete and not was_complete:
            return True  # it may have grown since it was read
        end = current.end
        part = parts.next()
        if part is None:
            return False
        if end > self.position:
            self._say(
                f"{self._name(self.position, current)}: its last {end - self.position} bytes are not whole"
            )
        self._evictions.leave(end)
        self.position = part.start + len(MAGIC)
        self._searched_size = -1
        return True

    def go_on(self, path: Path, position: int, left: int) -> None:
        """Once the current place is read up to its position `left`, go on in another one at its `position`.

        May be called again before that, in the order in which the writer moved. A place that cannot be opened
        then is said in `damage`.
        """
        self._moves.append((path, position, left))

    def follow(self, stop: Callable[[], bool], poll_s: float = 0.03) -> Iterator[tuple[int, Record]]:
        """All records, then the ones that are appended, until `stop()`; it looks every `poll_s` seconds."""
        while True:
            # Asked before reading: whatever was there when stop() turned true is still yielded.
            stopping = stop()
            records = self.read()
            yield from records
            if not records:
                if stopping:
                    return
                time.sleep(poll_s)

    def at(self, position: int) -> Record:
        """The record at a position that `read` gave. Raises DamagedInput where none (any longer) is."""
        try:
            header = self._pread(_HEADER_SIZE, position)
            if len(header) == _HEADER_SIZE:
                _, length, kind, side, carry, _, _, _ = HEADER.unpack(header)
                if is_plausible(length, kind, side, carry):
                    record = self._pread(_HEADER_SIZE + length, position)
                    if len(record) == _HEADER_SIZE + length and is_intact(record):
                        match decode(record):
                            case Segment() as segment:
                                return _continued(segment)
                            case Checkpoint(facts=[first, *_]):
                                return first
                            case Checkpoint() | End() | None:
                                pass
                            case found:
                                return found
        except (OSError, OverflowError):
            pass
        raise DamagedInput(f"{self.path}: no record at byte {position}")

    def is_checkpoint(self, position: int) -> bool:
        """Whether a fact that `read` gave comes from a checkpoint: `at` finds only the first of those."""
        return position in self._checkpoints

    def data(self, position: int, start: int, nbytes: int) -> bytes:
        """Up to `nbytes` of a Read's data from its byte `start` on, unchecked; b"" on a file error."""
        try:
            return self._pread(nbytes, position + SPLIT + start)
        except (OSError, OverflowError):
            return b""

    def is_there(self, position: int) -> bool:
        """Whether the record at a position that `read` gave is still in the capture."""
        try:
            return bool(self._pread(1, position))
        except OSError:
            return False

    def is_written(self) -> bool:
        """Whether a process writes the capture now."""
        return self._parts is not None and not self._final and self._parts.is_written()

    def _pread(self, nbytes: int, position: int) -> bytes:
        return b"" if self._parts is None else self._parts.pread(nbytes, position)

    def _parse(self, block: bytes, found: list[tuple[int, Record]]) -> int:
        """Parse whole records with right checks; returns how many bytes they take."""
        base = self.position
        unpack, unpack_read = HEADER.unpack_from, READ_FIELDS.unpack_from
        pos, end = 0, len(block)
        highest = self.highest_conn
        client, server = Side.CLIENT, Side.SERVER
        while end - pos >= _HEADER_SIZE:
            check, length, kind, side, carry, state, conn, t_ns = unpack(block, pos)
            split = pos + SPLIT
            stop = pos + _HEADER_SIZE + length
            if stop > end:
                break
            if kind == 2 and length >= 24 and side < 2:
                data = block[split:stop]
                if digest(data, digest(block[pos + 4 : split])) & 0xFFFFFFFF != check:
                    break
                offset, frame, left = unpack_read(block, pos + 24)
                who = server if side else client
                found.append((base + pos, Read(conn, who, t_ns, data, offset, frame, left, carry, state)))
            else:
                record = block[pos:stop]
                if not is_intact(record):
                    break
                self._take(base + pos, record, t_ns, found)
            if conn > highest:
                highest = conn
            pos = stop
        self.highest_conn = highest
        self._note_time(found)
        return pos

    def _note_time(self, found: list[tuple[int, Record]]) -> None:
        if self._segments and found:
            self._segments[-1].last_ns = max(self._segments[-1].last_ns, found[-1][1].t_ns)

    def _take(self, position: int, record: bytes, t_ns: int, found: list[tuple[int, Record]]) -> None:
        decoded = decode(record)
        match decoded:
            case None:
                if record[8] in RecordType:
                    self._say(f"record at {self._name(position)}: its payload makes no sense; skipped")
            case Segment():
                self._note_time(found)
                self._take_segment(position, decoded, found)
            case End():
                self.ending = decoded
                self._evictions.ending(decoded.counts)
            case Checkpoint(facts):
                self._tell_evicted(position, self._evictions.checkpoint(facts, self._known, t_ns), found)
                for fact in facts:
                    self.highest_conn = max(self.highest_conn, fact.conn)
                    if self._is_new(fact):
                        self._checkpoints.add(position)
                        found.append((position, fact))
            case FactRecord():
                if self._is_new(decoded):
                    found.append((position, decoded))
            case Clock():
                if not self._segments:
                    self._segments.append(_Clocks(position, t_ns, t_ns))
                self._segments[-1].add(t_ns, decoded.wall_ns)
                found.append((position, decoded))
            case _:
                found.append((position, decoded))

    def _take_segment(self, position: int, segment: Segment, found: list[tuple[int, Record]]) -> None:
        parts = self._parts
        base = position - len(MAGIC) if parts is not None and parts.current.number else None
        facts = self._evictions.segment(segment, base, self._known)
        self.evicted_bytes = self._evictions.nbytes
        self._tell_evicted(position, facts, found)
        first = not self._segments
        if first or not segment.continues:
            if not first:
                found.append((position, _continued(segment)))
                self._known.clear()
            self._segments.append(_Clocks(position, segment.mono_ns, segment.mono_ns))
        self._segments[-1].add(segment.mono_ns, segment.wall_ns)
        self.opening, self.ending = segment, None

    def _tell_evicted(self, position: int, facts: list[FactRecord], found: list[tuple[int, Record]]) -> None:
        for fact in facts:
            self._checkpoints.add(position)  # no record says it: whoever wants it later has to keep it
            self._known.pop(fact.conn, None)
            found.append((position, fact))

    def _is_new(self, record: FactRecord) -> bool:
        """Note a fact that a checkpoint may repeat; False where it was seen already."""
        match record.fact:
            case Requested():
                bit = 1
            case Opened():
                bit = 2
            case Failed() | Closed():
                self._known.pop(record.conn, None)
                return True
            case _:
                return True
        seen = self._known.get(record.conn, 0)
        self._known[record.conn] = seen | bit
        return not seen & bit

    # --------------------------------------------------------------------------- damage and torn tails

    def _blocked(self, parts: Parts, block: bytes, size: int) -> int:
        """No record could be parsed at the position. Returns the bytes to read next, 0 to wait for more."""
        _, length, kind, side, carry, _, _, _ = HEADER.unpack_from(block)
        total = _HEADER_SIZE + length
        plausible = is_plausible(length, kind, side, carry)
        if plausible and self.position + total > size:
            if not parts.current.complete and self.is_written() and not self._waited_long():
                return 0
            return self._resync(parts.current, size)
        if plausible and total > len(block):
            return int(total)
        if plausible and self._may_follow(self.position + total, size):
            self._say(f"record at {self._name(self.position)}: the checksum is wrong; {total} bytes skipped")
            self.position += total
            return _HEADER_SIZE
        return self._resync(parts.current, size)

    def _waited_long(self) -> bool:
        """Whether the record at the position has been short of its end for longer than a writer takes."""
        now = time.monotonic()
        if self._unfinished[0] != self.position:
            self._unfinished = self.position, now
        return now - self._unfinished[1] > UNFINISHED_S

    def _may_follow(self, position: int, size: int) -> bool:
        """Whether a record could begin at `position`, or the file ends there."""
        header = self._pread(_HEADER_SIZE, position)
        if len(header) < _HEADER_SIZE:
            return position + len(header) == size
        _, length, kind, side, carry, _, _, _ = HEADER.unpack(header)
        return is_plausible(length, kind, side, carry)

    def _resync(self, part: Part, size: int) -> int:
        if size == self._searched_size:
            return 0
        start = self.position + 1 if self._searched_size < 0 else max(self.position + 1, self._search_from)
        search = find_record(part.fd, start - part.start, size - part.start)
        if search.found is None:
            self._search_from, self._searched_size = part.start + search.again_from, size
            return 0
        found = part.start + search.found
        self._say(f"{self._name(self.position, part)} to {found - part.start}: no whole record; skipped")
        self.position = found
        self._searched_size = -1
        return _HEADER_SIZE

    def _file_was_cut(self, part: Part, size: int) -> None:
        position = max(size, part.start + len(MAGIC))
        if position < self.position:
            was, now = self.position - part.start, size - part.start
            self._say(f"the file was cut from {was} to {now} bytes while it was read")
            self.position = position
        self._searched_size = -1

    def _name(self, position: int, part: Part | None = None) -> str:
        """A place, for people."""
        if part is None:
            part = self._parts.current if self._parts is not None else None
        if part is None:
            return f"byte {position}"
        return f"{part.path.name + ' ' if part.number else ''}byte {position - part.start}"

    def _say(self, sentence: str) -> None:
        if self.damage and self.damage[-1] == sentence:
            return
        self.damaged += 1
        if len(self.damage) < _DAMAGE_KEPT:
            self.damage.append(sentence)

    # ----------------------------------------------------------------------------------------- clocks

    def wall_ns(self, t_ns: int, position: int | None = None) -> int:
        """Nanoseconds since the epoch at the monotonic `t_ns`, by the clock pairs seen so far.

        `position` (of the record that has this time) makes it exact in a capture that was appended to after
        the machine started anew; without it the latest segment that spans `t_ns` counts. 0 without any pair.
        """
        if not self._segments:
            return 0
        if position is not None:
            at = bisect.bisect_right(self._segments, position, key=lambda segment: segment.position) - 1
            return self._segments[max(0, at)].wall(t_ns)
        for segment in reversed(self._segments):
            if segment.first_ns <= t_ns <= segment.last_ns:
                return segment.wall(t_ns)
        return self._segments[-1].wall(t_ns)


def _continued(segment: Segment) -> FactRecord:
    text = f"process {segment.pid} goes on with this capture (segment {segment.segment})"
    return FactRecord(0, segment.mono_ns, Notice(code="segment", text=text))
