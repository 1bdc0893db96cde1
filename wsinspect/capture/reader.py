"""Reading a capture, also while another process writes it, and whatever happened to its bytes.

what stands at the position                        what the reader does
a whole record, check right                        yields it
less than a whole record, at the end of the file   waits: it is not yet there (a torn tail)
... and no process holds the writer's lock         looks behind it, see the last line
a whole record, check wrong, another one after it  skips it, says so in `damage`
anything else                                      finds the next whole record, says so in `damage`
"""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from xxhash import xxh3_64_intdigest as digest

from wsinspect.capture import locks
from wsinspect.capture.format import (
    HEADER,
    MAGIC,
    READ_FIELDS,
    SPLIT,
    Checkpoint,
    RecordType,
    Segment,
    decode,
    is_intact,
    is_plausible,
)
from wsinspect.capture.resync import find_record
from wsinspect.errors import DamagedInput, NotACapture, NotFound, Unavailable
from wsinspect.model import Clock, Closed, FactRecord, Failed, Notice, Opened, Read, Record, Requested, Side

_HEADER_SIZE = HEADER.size
_DAMAGE_KEPT = 1000


@dataclass(slots=True)
class _Clocks:
    """The clock pairs of one segment, by time, and the times that its records span."""

    position: int
    first_ns: int
    last_ns: int
    t_ns: list[int] = field(default_factory=list)
    wall_ns: list[int] = field(default_factory=list)

    def add(self, t_ns: int, wall_ns: int) -> None:
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
        self.position = len(MAGIC)
        """Where the next record begins."""
        self.size = 0
        """Bytes in the file when it was last looked at."""
        self.damage: list[str] = []
        """What was skipped, a sentence each; the first thousand."""
        self.damaged = 0
        """How often something was skipped."""
        self.highest_conn = 0
        """The highest connection number seen."""
        self._final = final
        self._search_from = 0
        self._searched_size = -1
        self._known: dict[int, int] = {}
        self._segments: list[_Clocks] = []
        self._checkpoints: set[int] = set()
        self._fd = _open(path)

    def close(self) -> None:
        """Let go of the file. Nothing can be read after that."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
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

    def read(self, max_bytes: int = 1 << 20) -> list[tuple[int, Record]]:
        """The next records with their file positions, at least one if there is one; [] when nothing is new.

        About `max_bytes` of the file are read at once. A file error reads as "nothing new", with a line in
        `damage`: what is on a screen must not vanish for it.
        """
        found: list[tuple[int, Record]] = []
        try:
            self.size = size = os.fstat(self._fd).st_size
            if size < self.position:
                self._file_was_cut(size)
            want = max(max_bytes, _HEADER_SIZE)
            while not found and size - self.position >= _HEADER_SIZE:
                block = os.pread(self._fd, min(want, size - self.position), self.position)
                used = self._parse(block, found)
                self.position += used
                if used:
                    self._searched_size = -1
                    want = max(max_bytes, _HEADER_SIZE)
                    continue
                if len(block) < min(want, size - self.position):
                    break  # the file is shorter than it was
                needed = self._blocked(block, size)
                if not needed:
                    break
                want = max(max_bytes, needed)
        except OSError as error:
            self._say(f"byte {self.position}: {error.strerror or error}")
        return found

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
            header = os.pread(self._fd, _HEADER_SIZE, position)
            if len(header) == _HEADER_SIZE:
                _, length, kind, side, carry, _, _, _ = HEADER.unpack(header)
                if is_plausible(length, kind, side, carry):
                    record = os.pread(self._fd, _HEADER_SIZE + length, position)
                    if len(record) == _HEADER_SIZE + length and is_intact(record):
                        match decode(record):
                            case Segment() as segment:
                                return _continued(segment)
                            case Checkpoint(facts=[first, *_]):
                                return first
                            case Checkpoint() | None:
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
            return os.pread(self._fd, nbytes, position + SPLIT + start)
        except (OSError, OverflowError):
            return b""

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
                    self._say(f"record at byte {position}: its payload makes no sense; skipped")
            case Segment():
                self._note_time(found)
                if self._segments:
                    found.append((position, _continued(decoded)))
                self._known.clear()
                self._segments.append(_Clocks(position, t_ns, t_ns))
                self._segments[-1].add(decoded.mono_ns, decoded.wall_ns)
            case Checkpoint(facts):
                for fact in facts:
                    self.highest_conn = max(self.highest_conn, fact.conn)
                    if self._is_new(fact):
                        self._checkpoints.add(position)
                        found.append((position, fact))
            case FactRecord():
                self._is_new(decoded)
                found.append((position, decoded))
            case Clock():
                if not self._segments:
                    self._segments.append(_Clocks(position, t_ns, t_ns))
                self._segments[-1].add(t_ns, decoded.wall_ns)
                found.append((position, decoded))
            case _:
                found.append((position, decoded))

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

    def _blocked(self, block: bytes, size: int) -> int:
        """No record could be parsed at the position. Returns the bytes to read next, 0 to wait for more."""
        _, length, kind, side, carry, _, _, _ = HEADER.unpack_from(block)
        total = _HEADER_SIZE + length
        plausible = is_plausible(length, kind, side, carry)
        if plausible and self.position + total > size:
            if not self._final and locks.is_written(self._fd):
                return 0
            return self._resync(size)
        if plausible and total > len(block):
            return int(total)
        if plausible and self._may_follow(self.position + total, size):
            self._say(f"record at byte {self.position}: the checksum is wrong; {total} bytes skipped")
            self.position += total
            return _HEADER_SIZE
        return self._resync(size)

    def _may_follow(self, position: int, size: int) -> bool:
        """Whether a record could begin at `position`, or the file ends there."""
        header = os.pread(self._fd, _HEADER_SIZE, position)
        if len(header) < _HEADER_SIZE:
            return position + len(header) == size
        _, length, kind, side, carry, _, _, _ = HEADER.unpack(header)
        return is_plausible(length, kind, side, carry)

    def _resync(self, size: int) -> int:
        if size == self._searched_size:
            return 0
        start = self.position + 1 if self._searched_size < 0 else max(self.position + 1, self._search_from)
        search = find_record(self._fd, start, size)
        if search.found is None:
            self._search_from, self._searched_size = search.again_from, size
            return 0
        self._say(f"bytes {self.position} to {search.found}: no whole record; skipped")
        self.position = search.found
        self._searched_size = -1
        return _HEADER_SIZE

    def _file_was_cut(self, size: int) -> None:
        position = max(size, len(MAGIC))
        if position < self.position:
            self._say(f"the file was cut from {self.position} to {size} bytes while it was read")
            self.position = position
        self._searched_size = -1

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


def _open(path: Path) -> int:
    """Open a capture for reading, its magic checked. An empty file is one whose writer has just begun."""
    try:
        # Not blocking: a FIFO must not hang us. It is refused below.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None
    try:
        check_magic(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_magic(fd: int, path: Path) -> None:
    """Raises NotACapture, with a sentence that says what the file is instead, where that can be known."""
    try:
        start = os.pread(fd, len(MAGIC), 0)
    except IsADirectoryError:
        raise NotACapture(f"{path} is a directory, not a capture") from None
    except OSError as error:
        raise NotACapture(f"{path} is not a capture: {error.strerror}") from None
    if MAGIC.startswith(start):
        return
    if start[:5] == MAGIC[:5] and start[6:] == MAGIC[6:]:
        raise NotACapture(f"{path} is a capture of format {start[5]}; this wsinspect reads format {MAGIC[5]}")
    if start[:5] == MAGIC[:5]:
        raise NotACapture(f"{path} was a capture, but its line ends were changed (copied as text?)")
    raise NotACapture(f"{path} is not a wsinspect capture")


def _continued(segment: Segment) -> FactRecord:
    text = f"process {segment.pid} goes on with this capture (segment {segment.segment})"
    return FactRecord(0, segment.mono_ns, Notice(code="segment", text=text))
