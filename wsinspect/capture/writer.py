"""Appending to a capture without ever making the relay wait.

    relay's thread                          writer's thread
    append: encode, checksum, enqueue  -->  take all that is queued, one writev, nap a few ms
            wake it only where it sleeps

The queue is a deque with one producer and one consumer, its methods atomic under the interpreter lock: no
lock on the fast path. The writer announces that it sleeps *before* it looks at the queue a last time, and the
producer enqueues *before* it looks at that flag: one of them sees the other, so no wake-up is lost.

The nap is what makes an append cheap: while records come every few microseconds the writer never sleeps, so
the relay never pays for a wake-up (a futex call, a fight for the interpreter lock), and a record is on disk
some milliseconds later. Each batch gives up the interpreter lock twice, in the writev and in the nap.

A full queue (a slow disk, or none) drops reads, never facts, and merges what it dropped into one gap for each
direction, which is written as soon as half of the queue is free again.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import wsinspect
from wsinspect.capture.disk import Disk
from wsinspect.capture.files import open_for_writing
from wsinspect.capture.format import (
    MAX_DATA,
    Segment,
    checkpoint_record,
    encode,
    fact_record,
    read_head,
    segment_record,
)
from wsinspect.capture.live import LiveConnections
from wsinspect.errors import UsageError
from wsinspect.model import Clock, FactRecord, Gap, Notice, Read, Record, Sent, Side

NAP_S = 0.004
"""How long the writer rests after a batch: what is on disk lags by this."""
IDLE_S = 1.0
CLOCK_CHECK_NS = 1_000_000_000
CLOCK_DRIFT_NS = 50_000_000
CHECKPOINT_EVERY = 8 << 20
"""Bytes of file between two checkpoints; more where the checkpoints themselves are large."""
FACT_SLACK = 16 << 20
"""By how many bytes facts may exceed the queue's limit."""

_JOINED = 4096
"""Up to this many bytes of data a record is one chunk: copying them costs less than a second chunk."""
_RECORDS_A_BATCH = 8192
_RETRY_FIRST_S = 0.25
_RETRY_LAST_S = 2.0
_LAST_CONN = (1 << 32) - (1 << 24)

SLOW = "the disk was slower than the traffic"
TOO_LONG = "one read of more than 64 MiB"


class Writer:
    """The one writer of a capture. All methods but `close` belong to one thread, the relay's."""

    def __init__(self, path: Path, *, queue_limit: int = 64 << 20) -> None:
        """Open or continue a capture; `queue_limit` is in bytes. Raises what `open_for_writing` does."""
        opened = open_for_writing(path)
        if opened.highest_conn > _LAST_CONN:
            os.close(opened.fd)
            raise UsageError(f"{path}: its connection numbers are used up; name another file")
        self.path = path
        self.on_trouble: Callable[[str], None] | None = None
        """Told once, from the writer's thread, when the disk fails, and once when reads had to be dropped."""
        self.gaps = 0
        """Reads that were dropped."""
        self.troubles: list[str] = []
        """The sentences that `on_trouble` was told."""
        self._conns = itertools.count(opened.highest_conn + 1)
        self._disk = Disk(opened.fd, opened.size)
        self._limit = queue_limit
        self._queue: deque[bytes | tuple[bytes, bytes]] = deque()
        self._queued = 0  # bytes ever enqueued
        self._written = 0  # bytes ever written: the writer's thread alone changes it
        self._lock = threading.Lock()  # guards _pending and what else only the slow paths touch
        self._pending: dict[tuple[int, Side], Gap] = {}
        self._lost_facts = 0
        self._overflowed = False
        self._told: set[str] = set()
        self._live = LiveConnections()
        self._checkpoint_at = CHECKPOINT_EVERY
        self._wake = threading.Lock()
        self._wake.acquire()
        self._sleeping = False
        self._closing = False
        self._begin_segment(opened.segments + 1)
        self._thread = threading.Thread(target=self._run, name="wsinspect-capture", daemon=True)
        self._thread.start()

    def next_conn(self) -> int:
        """A connection number that this capture has not seen, from 1."""
        return next(self._conns)

    @property
    def queue_bytes(self) -> int:
        """Bytes accepted and not yet on disk."""
        return self._queued - self._written

    # ---------------------------------------------------------------------------- the relay's thread

    def append(self, record: Record) -> None:
        """Enqueue a record. Never waits for the disk; what finds no room is accounted in a gap."""
        if type(record) is not Read or self._pending or self._closing:
            return self._append_slowly(record)
        data = record.data
        size = len(data)
        queued = self._queued + size + 48
        if queued - self._written > self._limit or size > MAX_DATA:
            return self._append_slowly(record)
        if size <= _JOINED:
            self._queue.append(read_head(record) + data)
        else:
            self._queue.append((read_head(record), data))
        self._queued = queued
        if self._sleeping:
            self._rouse()
        if queued >= self._checkpoint_at:
            self._put_checkpoint(record.t_ns)
        return None

    def _rouse(self) -> None:
        self._sleeping = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it was awake already

    def _append_slowly(self, record: Record) -> None:
        """Everything but a Read that finds room at once."""
        with self._lock:
            if self._closing:
                return
            if self._pending and self.queue_bytes <= self._limit // 2:
                self._put_gaps()
            match record:
                case Read():
                    self._append_read(record)
                case FactRecord():
                    for side in Side:
                        if gap := self._pending.pop((record.conn, side), None):
                            self._put(encode(gap)[0])
                    payload = self._live.take(record)
                    self._put_if_slack(fact_record(record.conn, record.t_ns, payload))
                case Sent() | Gap() | Clock():
                    self._put_if_slack(encode(record)[0])
        if self._sleeping:
            self._rouse()

    def _append_read(self, read: Read) -> None:
        size = len(read.data)
        room = not self._pending and self.queue_bytes + size + 48 <= self._limit
        if room and size <= MAX_DATA:
            self._put((read_head(read), read.data))
            return
        self.gaps += 1
        self._overflowed = True
        gap = self._pending.get((read.conn, read.side))
        if gap is None:
            reason = self._disk.trouble or (TOO_LONG if size > MAX_DATA else SLOW)
            gap = Gap(read.conn, read.side, read.t_ns, read.offset, 0, reason)
            self._pending[read.conn, read.side] = gap
        gap.nbytes = read.offset + size - gap.offset

    def _put(self, chunks: bytes | tuple[bytes, bytes]) -> None:
        self._queued += len(chunks) if isinstance(chunks, bytes) else len(chunks[0]) + len(chunks[1])
        self._queue.append(chunks)

    def _put_if_slack(self, chunk: bytes) -> None:
        if self.queue_bytes + len(chunk) > self._limit + FACT_SLACK:
            self._lost_facts += 1
            self._overflowed = True
        else:
            self._put(chunk)

    def _put_gaps(self) -> None:
        """Enqueue the pending gaps; the caller holds the lock. They are forgotten last: see `append`."""
        for gap in self._pending.values():
            self._put(encode(gap)[0])
        if self._lost_facts:
            text = f"{self._lost_facts} facts or injected frames are not in this capture: {SLOW}"
            notice = Notice(code="capture-gap", text=text, level="warning")
            self._put(encode(FactRecord(0, time.monotonic_ns(), notice))[0])
            self._lost_facts = 0
        self._pending.clear()

    def _put_checkpoint(self, t_ns: int) -> None:
        with self._lock:
            before = self._queued
            for entries in self._live.batches():
                self._put(checkpoint_record(t_ns, entries))
            # Ten thousand connections make a checkpoint of 20 MB: no more than a sixteenth of the file.
            self._checkpoint_at = self._queued + max(CHECKPOINT_EVERY, 16 * (self._queued - before))

    def close(self, timeout_s: float = 2.0) -> None:
        """Write everything queued and let go of the file; a disk that hangs for `timeout_s` is left alone."""
        with self._lock:
            if not self._closing:
                self._put_gaps()
                self._closing = True
        self._rouse()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._disk.close()

    # --------------------------------------------------------------------------- the writer's thread

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:  # our own fault: the relay goes on, its reads are accounted in gaps
            self._tell("fault", f"the capture {self.path} ends here: {error!r}")

    def _write_until_closed(self) -> None:
        retry_s = _RETRY_FIRST_S
        while True:
            closing = self._closing
            batch = self._take()
            done = self._disk.write(batch)
            self._written += done
            self._tell_trouble()
            if self._disk.held:
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
                if not self._closing:
                    self._wake.acquire(timeout=NAP_S)
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

    def _take(self) -> list[bytes]:
        """All that is queued, as few chunks; nothing while an earlier batch still waits for the disk."""
        if self._disk.held or not self._queue:
            return []
        pop = self._queue.popleft
        count = min(len(self._queue), _RECORDS_A_BATCH)
        entries = [pop() for _ in itertools.repeat(None, count)]
        chunks: list[bytes] = []
        if clock := self._clock_if_due():
            self._written -= len(clock)  # it was never enqueued
            chunks.append(clock)
        small: list[bytes] = []
        for entry in entries:
            if isinstance(entry, bytes):
                small.append(entry)
            else:
                if small:
                    chunks.append(b"".join(small))
                    small = []
                chunks.extend(entry)
        if small:
            chunks.append(b"".join(small))
        return chunks

    def _tell_trouble(self) -> None:
        if self._disk.trouble:
            self._tell("disk", f"cannot write the capture {self.path}: {self._disk.trouble}")
        if self._overflowed:
            self._tell("gaps", f"the capture {self.path} has gaps: {self._disk.trouble or SLOW}")

    def _tell(self, what: str, sentence: str) -> None:
        if what in self._told:
            return
        self._told.add(what)
        self.troubles.append(sentence)
        try:
            if self.on_trouble is not None:
                self.on_trouble(sentence)
        except Exception:  # a listener's fault must not end the capture
            pass

    # ----------------------------------------------------------------------------------------- clocks

    def _begin_segment(self, number: int) -> None:
        mono_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        self._clock_offset = wall_ns - mono_ns
        self._clock_due = mono_ns + CLOCK_CHECK_NS
        segment = Segment(wall_ns, mono_ns, os.getpid(), socket.gethostname(), wsinspect.__version__, number)
        self._put(segment_record(segment))
        self._put(encode(Clock(mono_ns, wall_ns))[0])

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
