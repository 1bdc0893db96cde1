"""Appending to a capture without ever making the relay wait.

    relay's thread                          writer's thread
    append: keep a small read, else    -->  take what is queued, make the records of large reads,
            enqueue                         one writev, nap 20 ms
    seal:   enqueue the small read's        (`scribe`: where it goes, segments, checkpoints, clocks)
            record; wake it only where
            it sleeps

The queue is a deque with one producer and one consumer, its methods atomic under the interpreter lock: no
lock on the fast path. The writer announces that it sleeps *before* it looks at the queue a last time, and the
producer enqueues *before* it looks at that flag: one of them sees the other, so no wake-up is lost.

The nap is what makes an append cheap: while records come every few microseconds the writer never sleeps, so
the relay seldom pays for a wake-up (a futex call, a fight for the interpreter lock), and a record is on disk
some milliseconds later. Each batch gives up the interpreter lock twice, in the writev and in the nap. What
floods in does not wait for the end of a nap: the relay wakes the writer for each MiB.

While the writer has the interpreter the relay waits. So the relay itself makes the records of small reads,
once they are on their way and nobody waits for it (half a microsecond each). A batch has hundreds, which
showed in the slowest messages. Of large reads the writer makes them.

A full queue (a slow disk, or none) drops reads, never facts, and merges what it dropped into one gap for each
direction, which is written as soon as half of the queue is free again. With `throttle` the relay is told to
stop reading at half of the queue, so that it never gets full, and to go on below a quarter.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from wsinspect.capture import facts, files
from wsinspect.capture.format import MAX_DATA, fact_record, fields_of, pack_record, read_head
from wsinspect.capture.scribe import Entry, FactEntry, Mark, Move, Scribe
from wsinspect.errors import Unavailable, UsageError
from wsinspect.model import FactRecord, Gap, Judged, Notice, Read, ReadFields, Record, Side

type Pressure = Literal["drop", "throttle"]
"""What gives way where the disk is slower than the traffic: the capture, or the traffic."""

NAP_S = 0.02
"""How long the writer rests after a batch: what is on disk lags by this."""
WORTH_A_WRITE = 1 << 20
"""Bytes; for so many the writer does not rest: what floods in would fill the queue."""
REST_S = 0.004
"""How long the relay rests at most for each such a number of bytes, where the writer falls behind."""
STUCK_S = 0.5
"""For a disk that has taken nothing for so long nobody rests."""
IDLE_S = 1.0
FACT_SLACK = 16 << 20
"""By how many bytes facts may exceed the queue's limit."""

_RECORDS_A_BATCH = 8192
_BYTES_A_BATCH = 4 << 20
"""Roughly: the queue's bytes are taken as spread evenly."""
_SMALL = 4096
"""Bytes; the relay makes the records of reads up to this size."""
_RETRY_FIRST_S = 0.25
_RETRY_LAST_S = 2.0
_LAST_CONN = (1 << 32) - (1 << 24)
_NEVER = 1 << 62

SLOW = "the disk was slower than the traffic"
TOO_LONG = "one read of more than 64 MiB"


class Writer:
    """The one writer of a capture. All methods belong to one thread, the relay's."""

    def __init__(
        self,
        path: Path | None,
        *,
        limit: int = 0,
        memory: bool = False,
        pressure: Pressure = "drop",
        queue_limit: int = 128 << 20,
    ) -> None:
        """Open or continue a capture; sizes in bytes. Raises what `files.open_for_writing` does.

        `path`: None keeps nothing on disk, only the last 64 MiB in memory. `limit`: 0 for one file, else a
        folder of segments that keeps to it. `memory`: go on in memory where the disk fails.
        """
        opened = files.open_store(path, limit) if path is not None else None
        if opened is not None and opened.before.highest > _LAST_CONN:
            opened.store.close()
            raise UsageError(f"{path}: its connection numbers are used up; name another file")
        self.named = path
        """What was asked for."""
        self.on_trouble: Callable[[str], None] | None = None
        """Told once, from the writer's thread, when the disk fails, and once when reads had to be dropped."""
        self.on_move: Callable[[Move], None] | None = None
        """Told, from the writer's thread, when the records go on elsewhere: to memory, and back again."""
        self.on_full: Callable[[], None] | None = None
        """Told in `append` that reading should stop (`throttle` alone)."""
        self.on_room: Callable[[], None] | None = None
        """Told, from the writer's thread, that it may go on; `full` is False then."""
        self.count_frames: Callable[[], int] | None = None
        """The frames that went by so far, in all connections of this process; asked in `append`."""
        self.full = False
        """`on_full` was told, and not yet `on_room`."""
        self.gaps = 0
        """Reads that were dropped."""
        self.moves: list[Move] = []
        """The last one, if any: where records go now."""
        try:
            self._scribe = Scribe(
                None if opened is None else opened.store,
                memory=memory,
                before=None if opened is None else opened.before,
            )
        except OSError as error:
            if opened is not None:
                opened.store.close()
            where = "nothing in memory" if path is None else str(path)
            raise Unavailable(f"cannot write {where}: {error.strerror}") from None
        self._scribe.on_move = self._moved
        self._conns = itertools.count(1 if opened is None else opened.before.highest + 1)
        self._limit = queue_limit
        self._throttle = pressure == "throttle"
        self._brim = min(MAX_DATA, queue_limit // 2 if self._throttle else queue_limit)
        self._worth = min(WORTH_A_WRITE, queue_limit // 4)
        self._queue: deque[Entry] = deque()
        self._unsealed: ReadFields | None = None  # the last read, where that is small: it counts as queued
        self._queued = 0  # bytes ever enqueued
        self._written = 0  # bytes ever written: the writer's thread alone changes it
        self._lock = threading.Lock()  # guards _pending and what else only the slow paths touch
        self._pending: dict[tuple[int, Side], Gap] = {}
        self._lost_facts = 0
        self._overflowed = False
        self._told: dict[str, str] = {}
        self._mark_every = 0
        self._mark_at = _NEVER
        self._rest_at = 0  # bytes ever enqueued at which the relay may rest again
        self._progress = (0, 0.0)  # `_written` when that was seen to change last, and the time
        self._clear_to = 0  # bytes ever enqueued up to which a read finds room, and nothing wants a look
        self._wake = threading.Lock()
        self._wake.acquire()
        self._sleeping = False
        self._closing = False
        for packed in self._scribe.first_records(1 if opened is None else opened.segments + 1):
            self._put(packed, len(packed))
        self._want_marks()
        self._thread = threading.Thread(target=self._run, name="wsinspect-capture", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Where records go now."""
        return self._scribe.path

    @property
    def saved(self) -> Path | None:
        """What outlives the process."""
        return None if self._scribe.deleted else self.named

    @property
    def memory(self) -> Path | None:
        """The folder in memory, once there is one. It goes with the process."""
        return self._scribe.ring

    @property
    def troubles(self) -> list[str]:
        """What does not go well, or did not: a sentence each."""
        return list(self._told.values())

    def next_conn(self) -> int:
        """A connection number that this capture has not seen, from 1."""
        return next(self._conns)

    @property
    def queue_bytes(self) -> int:
        """Bytes accepted and not yet on disk."""
        return self._queued - self._written

    # ---------------------------------------------------------------------------- the relay's thread

    def append(self, *records: Record) -> None:
        """Enqueue records; what finds no room is accounted in a gap. Never waits for the disk, but where it
        has a quarter of the queue to write it gets a head start: 4 ms for each MiB at most."""
        others: list[Record] = []
        for record in records:
            if type(record) is not Read:
                others.append(record)
                continue
            if others:
                self._append_slowly(others)
                others = []
            self.append_read(fields_of(record))
            self.seal()
        if others:
            self._append_slowly(others)

    def append_read(self, read: ReadFields) -> None:
        """`append` of a Read with these fields: the hot path. `seal` follows it, once it is sent on."""
        if self._unsealed is not None:  # a fault came between
            self.seal()
        nbytes = len(read[3])
        queued = self._queued + nbytes + 48
        if queued > self._clear_to and not self._is_clear(queued):
            self._append_slowly([Read(*read)])
            return
        self._queued = queued
        if nbytes <= _SMALL:
            self._unsealed = read
            return
        self._queue.append(read)
        if self._sleeping:
            self._rouse()

    def seal(self) -> None:
        """Make the record of the read that was appended, where it is small: off the message's way."""
        read = self._unsealed
        if read is not None:
            self._unsealed = None
            self._queue.append(read_head(read) + read[3])
            if self._sleeping:
                self._rouse()

    def _is_clear(self, queued: int) -> bool:
        """Whether a read that brings the queue there finds room, and nothing is against it."""
        waiting = queued - self._written
        if waiting > self._limit // 4 and queued >= self._rest_at and not self._scribe.held:
            self._rest(queued, waiting)
        if queued >= self._mark_at:
            self._put_mark()
        with self._lock:
            if self._pending or self._closing or queued - self._written > self._brim:
                return False
            self._clear_to = min(queued + self._worth, self._written + self._brim, self._mark_at - 1)
        if queued - self._written >= self._worth and not self._scribe.held:
            self._rouse()
        return True

    def _rest(self, queued: int, waiting: int) -> None:
        """The writer falls behind. While it gets on, it lacks a processor more than a faster disk."""
        self._rest_at = queued + WORTH_A_WRITE
        now = time.monotonic()
        if self._written != self._progress[0]:
            self._progress = self._written, now
        if now - self._progress[1] < STUCK_S:
            time.sleep(REST_S * min(waiting / self._limit, 1))

    def _rouse(self) -> None:
        self._sleeping = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it was awake already

    def _append_slowly(self, records: Sequence[Record]) -> None:
        """Everything but a Read that finds room at once."""
        if self._unsealed is not None:
            self.seal()
        with self._lock:
            if self._closing:
                return
            if self._pending and self.queue_bytes <= self._limit // 2:
                self._put_gaps()
            for record in records:
                if isinstance(record, Read):
                    self._append_read(record)
                elif isinstance(record, FactRecord):
                    self._append_fact(record)
                else:
                    packed = pack_record(record)
                    self._put_if_slack(packed, len(packed))
        if self._sleeping:
            self._rouse()

    def _append_fact(self, record: FactRecord) -> None:
        for side in Side if self._pending else ():
            if gap := self._pending.pop((record.conn, side), None):
                self._put_packed(gap)
        payload = facts.dumps(record.fact)
        packed = fact_record(record.conn, record.t_ns, payload)
        entry: Entry = packed  # a verdict, of which there may be one for each message
        if not isinstance(record.fact, Judged):
            entry = FactEntry(packed, record.conn, record.t_ns, record.fact, payload)
        self._put_if_slack(entry, len(packed))

    def _append_read(self, read: Read) -> None:
        size = len(read.data)
        if self._throttle and not self.full and self.queue_bytes + size + 48 > self._brim:
            self._hold_back()
        room = not self._pending and self.queue_bytes + size + 48 <= self._limit
        if room and size <= MAX_DATA:
            self._put(fields_of(read), size + 48)
            return
        self.gaps += 1
        self._overflowed = True
        gap = self._pending.get((read.conn, read.side))
        if gap is None:
            reason = self._scribe.trouble or (TOO_LONG if size > MAX_DATA else SLOW)
            gap = Gap(read.conn, read.side, read.t_ns, read.offset, 0, reason)
            self._pending[read.conn, read.side] = gap
            self._clear_to = 0
        gap.nbytes = read.offset + size - gap.offset

    def _hold_back(self) -> None:
        """Tell the relay to stop reading; not where no place takes the records, for that may last."""
        if self.on_full is not None and not self._scribe.held:
            self.full = True
            self.on_full()

    def _put(self, entry: Entry, size: int) -> None:
        self._queued += size
        self._queue.append(entry)

    def _put_if_slack(self, entry: Entry, size: int) -> None:
        queued = self._queued + size
        if queued - self._written > self._limit + FACT_SLACK:
            self._lost_facts += 1
            self._overflowed = True
        else:
            self._queued = queued
            self._queue.append(entry)

    def _put_mark(self) -> None:
        """Before a read that goes beyond a segment's size: the frames counted so far stand before it."""
        with self._lock:
            self._queue.append(Mark(self._frames()))
            self._mark_at = self._queued + self._mark_every

    def _frames(self) -> int | None:
        try:
            return None if self.count_frames is None else self.count_frames()
        except Exception:  # a number less must not cost the capture its end
            return None

    def _want_marks(self) -> None:
        """Follow the size of the segments, which changes with the place."""
        every = self._scribe.segment_bytes
        if every != self._mark_every:
            with self._lock:
                self._mark_every = every
                self._mark_at = self._queued + every if every else _NEVER
                self._clear_to = 0

    def _put_gaps(self) -> None:
        """Enqueue the pending gaps; the caller holds the lock. They are forgotten last: see `append`."""
        for gap in self._pending.values():
            self._put_packed(gap)
        if self._lost_facts:
            text = f"{self._lost_facts} facts or injected frames are not in this capture: {SLOW}"
            notice = Notice(code="capture-gap", text=text, level="warning")
            self._put_packed(FactRecord(0, time.monotonic_ns(), notice))
            self._lost_facts = 0
        self._pending.clear()

    def _put_packed(self, record: Gap | FactRecord) -> None:
        packed = pack_record(record)
        self._put(packed, len(packed))

    def close(self, timeout_s: float = 2.0) -> None:
        """Write everything queued and let go of the file; a disk that hangs for `timeout_s` is left alone."""
        self.seal()
        with self._lock:
            if not self._closing:
                self._put_gaps()
                self._closing = True
                self._clear_to = 0
        self._rouse()
        self._thread.join(timeout_s)

    # --------------------------------------------------------------------------- the writer's thread

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:  # our own fault: the relay goes on, its reads are accounted in gaps
            self._tell("fault", f"the capture {self.path} ends here: {error!r}")
        finally:
            self._scribe.close(self._frames())

    def _write_until_closed(self) -> None:
        retry_s = _RETRY_FIRST_S
        while True:
            closing = self._closing
            done = self._scribe.write(self._take())
            self._written += done
            self._want_marks()
            self._tell_trouble()
            if self.full and (self._scribe.held or self.queue_bytes <= self._limit // 4):
                self._let_go()
            if self._scribe.held:
                if closing:
                    return
                self._wake.acquire(timeout=retry_s)
                retry_s = min(retry_s * 2, _RETRY_LAST_S)
                continue
            retry_s = _RETRY_FIRST_S
            if self._pending and self.queue_bytes <= self._limit // 2:
                with self._lock:
                    self._put_gaps()
            elif done:
                if not self._closing and self.queue_bytes < self._worth:
                    self._wake.acquire(timeout=NAP_S)
            elif self._queue:
                pass  # a mark ended the batch
            elif closing:
                return
            else:
                self._sleep()

    def _sleep(self) -> None:
        self._sleeping = True
        if self._queue or self._closing:
            self._sleeping = False
        else:
            self._wake.acquire(timeout=IDLE_S)
            self._sleeping = False

    def _take(self) -> list[Entry]:
        """What is queued, up to a mark; nothing while an earlier batch still waits for the disk."""
        if self._scribe.held or not self._queue:
            return []
        pop = self._queue.popleft
        queued = len(self._queue)
        count = min(queued, _RECORDS_A_BATCH, 1 + queued * _BYTES_A_BATCH // max(self.queue_bytes, 1))
        if not self._mark_every:
            return [pop() for _ in itertools.repeat(None, count)]
        entries: list[Entry] = []
        for _ in itertools.repeat(None, count):
            entries.append(pop())
            if type(entries[-1]) is Mark:
                break
        return entries

    def _let_go(self) -> None:
        self.full = False
        try:
            if self.on_room is not None:
                self.on_room()
        except Exception:  # a listener's fault must not end the capture
            pass

    def _tell_trouble(self) -> None:
        if self._scribe.held:
            self._tell("disk", f"cannot write the capture {self.path}: {self._scribe.trouble}")
        if self._overflowed:
            self._tell("gaps", f"the capture {self.path} has gaps: {self._scribe.trouble or SLOW}")

    def _moved(self, move: Move) -> None:
        self._told.pop("away", None)
        if not move.saved:
            self._told["away"] = move.text
        self.moves[:] = [move]
        try:
            if self.on_move is not None:
                self.on_move(move)
        except Exception:  # a listener's fault must not end the capture
            pass

    def _tell(self, what: str, sentence: str) -> None:
        if what in self._told:
            return
        self._told[what] = sentence
        try:
            if self.on_trouble is not None:
                self.on_trouble(sentence)
        except Exception:  # a listener's fault must not end the capture
            pass
