"""What the writer's thread does with the records it takes from the queue.

    records ──▶ chunks ──▶ home (a file, or segments under a limit)
                  │           refuses: disk full, disk error
                  └─────▶ ring (segments in memory), until home has room again; home then goes on with a gap
                              for each direction, and the facts that it missed

Without a home (`--no-save`) all goes to the ring. Nothing here raises on what a disk does.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import wsinspect
from wsinspect.capture.format import (
    Counts,
    Segment,
    checkpoint_record,
    encode,
    end_record,
    read_head,
    segment_record,
)
from wsinspect.capture.live import LiveConnections
from wsinspect.capture.outage import Outage
from wsinspect.capture.ring import make_ring, remove_ring
from wsinspect.capture.store import SegmentStore, Store
from wsinspect.model import Clock, Fact, ReadFields

CLOCK_CHECK_NS = 1_000_000_000
CLOCK_DRIFT_NS = 50_000_000
HOME_CHECK_S = 1.0
DELETED = "it has been deleted"
CHECKPOINT_EVERY = 8 << 20
"""Bytes of file between two checkpoints; more where the checkpoints themselves are large."""
_RETURN_FIRST_S = 0.25
_RETURN_LAST_S = 2.0


@dataclass(slots=True)
class FactEntry:
    """A fact in the queue."""

    record: bytes
    conn: int
    t_ns: int
    fact: Fact
    payload: bytes


@dataclass(slots=True)
class Mark:
    """A place in the queue where a segment may end, and the frames counted up to it."""

    frames: int | None


type Entry = bytes | ReadFields | FactEntry | Mark
"""A whole record, a Read, …"""

_JOINED = 4096
"""Up to this many bytes of data are copied: that costs less than a chunk of its own."""


@dataclass(frozen=True, slots=True)
class Move:
    """The records go on in another place."""

    path: Path
    position: int
    """Where those who have read the old place go on."""
    left: int
    """Where the old place ends for them."""
    saved: bool
    """It outlives the process."""
    text: str


class Scribe:
    """Writes batches. All of it belongs to one thread, but for the properties."""

    def __init__(self, home: Store | None, *, memory: bool = False, before: Counts | None = None) -> None:
        """`home`: None to keep nothing on disk. `memory`: go on in a ring where home fails. `before`: what
        earlier processes put into home. Raises OSError where not even the first segment can be begun."""
        self.home = home
        self.ring: Path | None = None
        """The ring's folder, once there is one."""
        self.on_move: Callable[[Move], None] | None = None
        self.opening_bytes = 0
        """Of the last segment."""
        self._memory = memory
        self._before = before or Counts()
        self._frames: int | None = 0
        self._live = LiveConnections()
        self._live.over, self._live.highest = self._before.connections, self._before.highest
        self._ring: SegmentStore | None = None
        self._outage: Outage | None = None
        self._own = 0  # bytes of ours that were written, or are held, and came from no queue
        self._return_at = 0.0
        self._return_s = _RETURN_FIRST_S
        self._home_due = 0.0
        self._deleted = False
        self._clock_offset = 0
        self._clock_due = 0
        if home is None:
            self._store: Store = self._make_ring()
        else:
            self._store = home
        if isinstance(self._store, SegmentStore):
            self._store.rotate(b"", self._opening(continues=False))
        self._checkpoint_at = self._store.position + CHECKPOINT_EVERY

    def first_records(self, number: int) -> list[bytes]:
        """What a process begins with in a single file; a segment has it already."""
        if isinstance(self._store, SegmentStore):
            return []
        return self._begin_records(Segment(0, 0, segment=number))

    # --------------------------------------------------------------------------------------- where it is

    @property
    def path(self) -> Path:
        """Where records go now."""
        return self._store.path

    @property
    def trouble(self) -> str:
        """Why the disk takes nothing; empty where all is well."""
        return self._outage.reason if self._outage is not None else self._store.trouble

    @property
    def deleted(self) -> bool:
        """Home has been deleted: nothing of it outlives the process."""
        return self._deleted or (self.home is not None and self.home.deleted)

    @property
    def held(self) -> bool:
        """No place takes the records: they wait."""
        return self._store.held

    @property
    def away(self) -> bool:
        """The ring stands in for home."""
        return self._outage is not None

    @property
    def segment_bytes(self) -> int:
        """After how many bytes a `Mark` is wanted; 0 for never."""
        size = self._store.segment_bytes
        return max(size, 4 * self.opening_bytes) if size else 0

    # ------------------------------------------------------------------------------------------- writing

    def write(self, entries: Sequence[Entry]) -> int:
        """Write a batch, of which a Mark can be the last entry. Returns how many bytes of entries, of this
        batch or an earlier one, are written now."""
        given_up = 0
        if self._outage is not None and time.monotonic() >= self._return_at:
            given_up = self._return(force=False)
        elif entries and self._is_deleted_meanwhile():
            given_up = self._leave()
        chunks = self._chunks(entries)
        store = self._store
        done = self._put(chunks) + given_up
        if store is self._store and not self.held:
            if entries and isinstance(entries[-1], Mark):
                self._rotate(entries[-1].frames)
            elif store.position >= self._checkpoint_at:
                self._checkpoint()
        own = min(self._own, done)
        self._own -= own
        return done - own

    def _put(self, chunks: Sequence[bytes]) -> int:
        done = self._store.write(chunks)
        if self._store.held and self._store is self.home and self._memory:
            done += self._leave()
        if not self.held:
            self._live.settle()
        return done

    def _chunks(self, entries: Sequence[Entry]) -> list[bytes]:
        """The entries as few chunks."""
        chunks: list[bytes] = []
        small: list[bytes] = []
        if entries and (clock := self._clock_if_due()):
            self._own += len(clock)
            small.append(clock)
        outage = self._outage
        if outage is None and set(map(type, entries)) == {bytes}:  # as nearly all batches are
            return [b"".join([*small, *entries])]  # type: ignore[list-item]
        for entry in entries:
            if isinstance(entry, bytes):
                record = entry
                small.append(record)
            elif isinstance(entry, tuple):
                record, data = read_head(entry), entry[3]
                small.append(record)
                if len(data) > _JOINED:
                    chunks += (b"".join(small), data)
                    small.clear()
                else:
                    small.append(data)
            elif isinstance(entry, FactEntry):
                record = entry.record
                small.append(record)
                self._live.take(entry.conn, entry.t_ns, entry.fact, entry.payload)
            else:
                continue
            if outage is not None:
                outage.note(record)
        if small:
            chunks.append(b"".join(small))
        return chunks

    def _checkpoint(self) -> None:
        records = [checkpoint_record(time.monotonic_ns(), batch) for batch in self._live.batches()]
        size = sum(map(len, records))
        self._own += size
        if records:
            self._own -= self._put(records)
        # Ten thousand connections make a checkpoint of 20 MB: no more than a sixteenth of the file.
        self._checkpoint_at = self._store.position + max(CHECKPOINT_EVERY, 16 * size)

    # ------------------------------------------------------------------------------------------ segments

    def _rotate(self, frames: int | None) -> None:
        """Begin the next segment; where that cannot be, the old one grows until the next mark."""
        self._frames = frames
        counts = self._counts()
        try:
            self._store.rotate(end_record(time.monotonic_ns(), counts), self._opening(continues=True))
        except OSError:
            return
        self._checkpoint_at = self._store.position + CHECKPOINT_EVERY

    def _counts(self) -> Counts:
        before, frames = self._before.frames, self._frames
        total = None if before is None or frames is None else before + frames
        return Counts(total, self._live.over, self._live.highest)

    def _opening(self, *, continues: bool) -> Callable[[int, int], list[bytes]]:
        def opening(base: int, number: int) -> list[bytes]:
            now_ns = time.monotonic_ns()
            checkpoints = [checkpoint_record(now_ns, batch) for batch in self._live.batches()]
            segment = Segment(
                0,
                0,
                segment=number,
                base=base,
                continues=continues,
                checkpoints=len(checkpoints),
                before=self._counts(),
            )
            records = self._begin_records(segment) + checkpoints
            self.opening_bytes = sum(map(len, records))
            return records

        return opening

    def _begin_records(self, segment: Segment) -> list[bytes]:
        mono_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        self._clock_offset = wall_ns - mono_ns
        self._clock_due = mono_ns + CLOCK_CHECK_NS
        segment.mono_ns, segment.wall_ns = mono_ns, wall_ns
        segment.pid, segment.host, segment.wsinspect = (
            os.getpid(),
            socket.gethostname(),
            wsinspect.__version__,
        )
        return [segment_record(segment), encode(Clock(mono_ns, wall_ns))[0]]

    def _clock_if_due(self) -> bytes:
        """A CLOCK record where the clocks have parted since the last one; looked at once a second."""
        mono_ns = time.monotonic_ns()
        if mono_ns < self._clock_due:
            return b""
        self._clock_due = mono_ns + CLOCK_CHECK_NS
        wall_ns = time.time_ns()
        if abs(wall_ns - mono_ns - self._clock_offset) <= CLOCK_DRIFT_NS:
            return b""
        self._clock_offset = wall_ns - mono_ns
        return encode(Clock(mono_ns, wall_ns))[0]

    # --------------------------------------------------------------------------------- away and back again

    def _make_ring(self) -> SegmentStore:
        if self._ring is None:
            self._ring = make_ring()
            self.ring = self._ring.path
        return self._ring

    def _is_deleted_meanwhile(self) -> bool:
        """Whether records go to a home that is not there any more; looked at once a second."""
        now = time.monotonic()
        if self._store is not self.home or not self._memory or now < self._home_due:
            return False
        self._home_due = now + HOME_CHECK_S
        return self.deleted

    def _leave(self) -> int:
        """Home refuses, or is gone: go on in the ring. Returns the bytes that are written there at once."""
        assert self.home is not None
        held = self.home.give_up()
        frames, self._frames = self._frames, None  # the queue may be behind: nobody knows them here
        try:
            ring = self._make_ring()
            position = ring.position
            ring.rotate(end_record(time.monotonic_ns(), self._counts()), self._opening(continues=True))
        except OSError:
            self.home.hold(held)
            self._frames = frames
            return 0
        self._outage = Outage(DELETED if self.deleted else self.home.trouble, time.monotonic_ns())
        self._outage.note_all(held)
        self._return_s = _RETURN_FIRST_S
        self._return_at = time.monotonic() + self._return_s
        self._store = ring
        self._checkpoint_at = ring.position + CHECKPOINT_EVERY
        text = f"cannot write the capture {self.home.path}: {self._outage.reason}; records go to {ring.path}"
        text += " (in memory)" + ("" if self.deleted else " until there is room again")
        self._tell(Move(ring.path, position, self.home.position, False, text))
        return ring.write([held]) if held else 0

    def _return(self, *, force: bool) -> int:
        """Home goes on, if it can. Returns the bytes that the ring has not taken either, and never will."""
        home, outage = self.home, self._outage
        assert home is not None
        assert outage is not None
        self._return_s = min(2 * self._return_s, _RETURN_LAST_S)
        self._return_at = time.monotonic() + self._return_s
        if self.deleted:
            return 0
        if not force and not home.has_room(2 * outage.nbytes):
            return 0
        if not home.write_all([b"".join(outage.bridge(time.monotonic_ns()))]):
            return 0
        lost = len(self._store.give_up())
        left = self._store.position
        self._outage = None
        self._store = home
        self._live.settle()
        self._checkpoint_at = home.position
        text = f"the capture {home.path} goes on; it lacks {outage.missed_bytes:,} bytes: {outage.reason}"
        self._tell(Move(home.path, home.position, left, True, text))
        return lost

    def _tell(self, move: Move) -> None:
        if self.on_move is not None:
            self.on_move(move)

    def close(self, frames: int | None) -> None:
        """The last records: what home still misses, if it can be had, and the counts of a segment."""
        if self._outage is not None:
            self._return(force=True)
        self._frames = frames
        if isinstance(self._store, SegmentStore) and not self.held:
            self._store.write_all([end_record(time.monotonic_ns(), self._counts())])
        if self.home is not None:
            self._deleted = self.deleted  # a file that is closed cannot be asked
            self.home.close()
        if self._ring is not None:
            self._ring.close()
            remove_ring(self._ring.path)
