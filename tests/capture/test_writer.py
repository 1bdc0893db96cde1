"""Writing: in order, under load, beside a reader, through kill -9, a slow disk and a full one."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.capture.helpers import read_all, reads, start_python, wait_until
from wsinspect.capture import live, scribe, writer
from wsinspect.capture.disk import Disk
from wsinspect.capture.format import HEADER, MAGIC, encode, fields_of
from wsinspect.capture.reader import Reader
from wsinspect.capture.writer import Writer
from wsinspect.model import (
    Closed,
    FactRecord,
    Gap,
    Notice,
    Opened,
    Read,
    Record,
    Requested,
    Sent,
    Side,
)


def requested(conn: int = 1) -> FactRecord:
    return FactRecord(conn, 1, Requested(url="ws://x/"))


def test_everything_comes_out_in_order(tmp_path: Path) -> None:
    sent: list[Record] = [requested(), *reads(3000), *reads(20, 70_000), *reads(1500)]
    sent += [Sent(1, Side.SERVER, 5, b"\x89\0", 7), Gap(1, Side.CLIENT, 6, 0, 9, "x")]
    capture = Writer(tmp_path / "a.wscap")
    for record in sent:
        capture.append(record)
    capture.close()
    capture.close()
    capture.append(requested())  # too late, and no fault
    assert read_all(capture.path) == sent
    assert capture.queue_bytes == 0
    assert capture.troubles == []


def test_a_read_is_the_same_whether_it_was_sealed_in_time_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, disk = resting_for_an_hour(tmp_path, monkeypatch)
    *sent, last = [*reads(50), *reads(20, 70_000), *reads(50)]
    for number, read in enumerate(sent):
        capture.append_read(fields_of(read))
        if number % 2:
            capture.seal()
            capture.seal()  # once is enough
    kinds = [type(entry) for entry in capture._queue]
    assert kinds.count(tuple) == 20, "a large read's record is made by the writer"
    disk.go.set()
    capture.append_read(fields_of(last))
    capture.close()
    assert [record for record in read_all(capture.path) if isinstance(record, Read)] == [*sent, last]


def test_a_single_record_is_on_disk_without_another_one(tmp_path: Path) -> None:
    """No wake-up is lost, wherever in its rest the writer is met."""
    capture = Writer(tmp_path / "a.wscap")
    with Reader(capture.path) as reader:
        for number, read in enumerate(reads(60)):
            capture.append(read)
            wait_until(lambda: capture.queue_bytes == 0, 0.5)
            pause = time.perf_counter() + number % 7 * 0.001
            while time.perf_counter() < pause:
                pass
        assert len([1 for _, r in reader.read() if isinstance(r, Read)]) == 60
    capture.close()


FOLLOW = """
import sys; from pathlib import Path
from wsinspect.capture.reader import Reader; from wsinspect.model import Read, Closed, FactRecord
ended = False; count = 0
for _, record in Reader(Path(sys.argv[1])).follow(lambda: ended):
    if isinstance(record, Read):
        assert record.offset == count * 70, (record, count)
        count += 1
    ended = ended or isinstance(record, FactRecord) and isinstance(record.fact, Closed)
print(count)
"""


def test_another_process_follows_while_it_is_written(tmp_path: Path) -> None:
    capture = Writer(tmp_path / "a.wscap")
    with start_python(FOLLOW, capture.path) as follower:
        for count, read in enumerate(reads(30_000)):
            capture.append(read)
            if count % 1000 == 0:
                wait_until(lambda: capture.queue_bytes == 0)
        capture.append(FactRecord(1, 1, Closed()))
        out, err = follower.communicate(timeout=20)
    assert (out.strip(), err) == ("30000", "")
    capture.close()


KILLED = """
import os, sys, time; from pathlib import Path
from wsinspect.capture.writer import Writer; from wsinspect.model import Read, Side
sys.setswitchinterval(0.0005)
capture = Writer(Path(sys.argv[1])); shown = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
number = 0
while True:
    for _ in range(200):
        capture.append(Read(1, Side.CLIENT, time.monotonic_ns(), b"%08d" % number, number * 8)); number += 1
    os.pwrite(shown, b"%020d %020d" % (number, time.monotonic_ns()), 0)
    until = time.perf_counter() + 0.001
    while time.perf_counter() < until: pass
"""


def test_after_kill_9_all_but_the_last_moment_is_there(tmp_path: Path) -> None:
    path, shown = tmp_path / "a.wscap", tmp_path / "shown"
    with start_python(KILLED, path, shown) as process:
        wait_until(lambda: shown.exists() and int(shown.read_bytes()[:20] or 0) > 20_000)
        process.send_signal(signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        process.communicate()
    appended, at_ns = map(int, shown.read_bytes().split())
    found = [r for r in read_all(path) if isinstance(r, Read)]
    assert [r.offset for r in found] == list(range(0, len(found) * 8, 8))
    assert at_ns > killed_ns - 150_000_000, "the writer process itself was starved"
    assert found[-1].t_ns > killed_ns - 200_000_000
    assert len(found) > appended - 20_000
    # And the capture goes on.
    capture = Writer(path)
    assert capture.next_conn() == 2
    capture.append(requested(2))
    capture.close()
    with Reader(path) as reader:
        assert reader.read(1 << 30)[-1][1] == requested(2)
        assert reader.damage == []
        assert reader.torn_bytes == 0


class SlowDisk:
    """Stands in for os.writev: waits until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.waiting = threading.Event()
        real = os.writev

        def slow(fd: int, chunks: list[bytes]) -> int:
            self.waiting.set()
            assert self.go.wait(20)
            return real(fd, chunks)

        monkeypatch.setattr("wsinspect.capture.disk.os.writev", slow)


def test_a_full_queue_drops_reads_never_facts_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    capture = Writer(tmp_path / "a.wscap", queue_limit=50_000)
    told: list[str] = []
    capture.on_trouble = told.append
    capture.append(requested())
    assert disk.waiting.wait(5)
    client, server = reads(1000), reads(1000, side=Side.SERVER)
    for one, other in zip(client, server, strict=True):
        capture.append(one)
        capture.append(other)
    opened = FactRecord(1, 2, Opened())
    capture.append(opened)
    assert capture.queue_bytes < 52_000
    disk.go.set()
    wait_until(lambda: capture.queue_bytes == 0 and not capture._pending)
    later = Read(1, Side.CLIENT, 9, b"later", 70_000, 1001)
    capture.append(later)
    capture.close()
    records = read_all(capture.path)
    gaps = [r for r in records if isinstance(r, Gap)]
    for side in Side:
        kept = [r for r in records if isinstance(r, Read) and r.side is side and r is not later]
        (gap,) = [g for g in gaps if g.side is side]
        assert kept[: gap.offset // 70] == (client, server)[side][: gap.offset // 70]
        assert gap.offset + gap.nbytes == 70_000
    assert records[-2:] == [opened, later]
    assert records.index(opened) > max(records.index(gap) for gap in gaps), "a gap comes before the facts"
    assert capture.gaps == 2000 - len([r for r in records[:-1] if isinstance(r, Read)])
    assert len(told) == 1
    assert "slower" in told[0]


def resting_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Writer, SlowDisk]:
    """A writer that rests so long behind each batch, in the middle of its first one."""
    monkeypatch.setattr(writer, "NAP_S", 3600)
    disk = SlowDisk(monkeypatch)
    capture = Writer(tmp_path / "a.wscap")
    capture.append(requested())
    assert disk.waiting.wait(5)
    return capture, disk


def test_there_is_no_rest_in_a_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came while a batch was written had to wait for the nap behind it, and the queue was soon full."""
    capture, disk = resting_for_an_hour(tmp_path, monkeypatch)
    capture.append(Read(1, Side.CLIENT, 9, bytes(writer.WORTH_A_WRITE), 0, 1000))
    disk.go.set()
    wait_until(lambda: capture.queue_bytes == 0)
    capture.close()


def test_a_flood_ends_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a gigabyte a second 20 MB came in a rest of 20 ms."""
    capture, disk = resting_for_an_hour(tmp_path, monkeypatch)
    disk.go.set()
    wait_until(lambda: capture.path.stat().st_size > len(MAGIC))
    data = bytes(writer.WORTH_A_WRITE // 4)
    for number in range(16):
        capture.append(Read(1, Side.CLIENT, 9, data, number * len(data), 1, 1 << 30))
    wait_until(lambda: capture.queue_bytes < 2 * writer.WORTH_A_WRITE)
    capture.close()


def test_a_flood_does_not_wake_a_writer_that_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked the disk again for each MiB, and then waited the longer for room."""

    def full(fd: int, chunks: list[bytes]) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wsinspect.capture.disk.os.writev", full)
    capture = Writer(tmp_path / "a.wscap")
    wait_until(lambda: capture._scribe.held)
    with monkeypatch.context() as patch:
        woken: list[Writer] = []
        patch.setattr(Writer, "_rouse", woken.append)
        for number in range(4):
            data = bytes(writer.WORTH_A_WRITE)
            capture.append(Read(1, Side.CLIENT, 9, data, number * len(data), 1, 1 << 30))
        assert woken == []
    capture.close()


def mebibytes(count: int) -> list[Read]:
    data = bytes(1 << 20)
    return [Read(1, Side.CLIENT, 9, data, number << 20, 1, 1 << 30) for number in range(count)]


@pytest.mark.parametrize("stuck", [False, True])
def test_the_relay_rests_where_the_writer_falls_behind_and_gets_on(
    stuck: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the processor that the writer lacked, and a flood was dropped that the disk had taken."""
    capture, disk = resting_for_an_hour(tmp_path, monkeypatch)
    disk.go.set()
    wait_until(lambda: capture._written > 0)
    disk.go.clear()
    rests: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(writer, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append))
        if stuck:
            patch.setattr(writer, "STUCK_S", 0)
        for read in mebibytes(100):
            capture.append(read)
    if stuck:
        assert rests == []
    else:
        assert 60 <= len(rests) <= 70, "one for each MiB beyond a quarter of the queue"
        assert rests == sorted(rests)
        assert 0.001 <= rests[0] < rests[-1] <= writer.REST_S
    disk.go.set()
    capture.close()
    assert capture.gaps == 0


def test_a_full_queue_has_room_again_before_all_of_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was one batch, and what came meanwhile was dropped."""
    capture, disk = resting_for_an_hour(tmp_path, monkeypatch)
    batches: list[int] = []
    real = capture._scribe.write

    def write(entries: Sequence[scribe.Entry]) -> int:
        done = real(entries)
        batches.append(done)
        return done

    for read in mebibytes(40):
        capture.append(read)
    monkeypatch.setattr(capture._scribe, "write", write)
    disk.go.set()
    wait_until(lambda: capture.queue_bytes == 0)
    capture.close()
    assert sum(batches) > 40 << 20
    assert max(batches) < 6 << 20


def test_a_flood_of_facts_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FACT_SLACK", 10_000)
    disk = SlowDisk(monkeypatch)
    capture = Writer(tmp_path / "a.wscap", queue_limit=10_000)
    for number in range(2000):
        capture.append(FactRecord(0, number, Notice(code="n", text="t" * 100)))
    assert capture.queue_bytes < 21_000
    capture.append(reads(1)[0])
    disk.go.set()
    capture.close()
    texts = [
        r.fact.text
        for r in read_all(capture.path)
        if isinstance(r, FactRecord) and isinstance(r.fact, Notice)
    ]
    assert any("facts or injected frames are not in this capture" in text for text in texts)


FULL = """
import resource, sys; from pathlib import Path
from wsinspect.capture.writer import Writer
from tests.capture.helpers import reads, wait_until
capture = Writer(Path(sys.argv[1]), queue_limit=100_000)
told = []; capture.on_trouble = told.append
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
sent = reads(3000)
for read in sent[:500]: capture.append(read)
wait_until(lambda: told and capture._scribe.held)
for read in sent[500:-1]: capture.append(read)
size = capture.path.stat().st_size
assert 30_000 < size <= 40_000, size
print(size, flush=True); sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
wait_until(lambda: capture.queue_bytes == 0 and not capture._pending)
capture.append(sent[-1]); capture.close()
print(told[0])
"""


def test_a_full_disk_leaves_whole_records_and_the_capture_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    with start_python(FULL, path, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        with Reader(path) as reader:
            while reader.read():
                pass
            assert reader.torn_bytes == 0, "the partial write was cut back to whole records"
        out, err = process.communicate("go on\n", timeout=20)
    assert err == ""
    assert "cannot write the capture" in out
    assert "File too large" in out
    records = read_all(path)
    expected = 0
    for record in records:
        assert isinstance(record, Read | Gap)
        assert record.offset == expected
        expected += len(record.data) if isinstance(record, Read) else record.nbytes
    assert expected == 3000 * 70
    assert [r.reason for r in records if isinstance(r, Gap)] == ["File too large"]


def test_a_partial_write_is_cut_to_whole_records_at_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = [chunk for read in reads(3, 20) for chunk in encode(read)]
    whole = b"".join(chunks)
    size = len(whole) // 3
    for limit in range(len(whole)):
        path = tmp_path / "f"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        disk = Disk(fd, 0)
        room = [limit]

        def writev(fd: int, chunks: list[bytes], room: list[int] = room) -> int:
            part = b"".join(chunks)[: min(room[0], 50)]
            if not part:
                raise OSError(28, "No space left on device")
            room[0] -= len(part)
            return os.write(fd, part)

        with monkeypatch.context() as patch:
            patch.setattr("wsinspect.capture.disk.os.writev", writev)
            assert disk.write(chunks) == limit // size * size
            assert path.stat().st_size == limit // size * size
            assert disk.trouble == "No space left on device"
            room[0] = 10**6
            assert disk.write([]) == len(whole) - limit // size * size
        assert path.read_bytes() == whole
        assert disk.trouble == ""
        disk.close()


def test_checkpoints_repeat_what_opened_the_living(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "CHECKPOINT_EVERY", 20_000)
    monkeypatch.setattr(live, "BATCH_BYTES", 100)
    capture = Writer(tmp_path / "a.wscap")
    facts = [requested(1), requested(2), FactRecord(2, 2, Opened()), FactRecord(1, 3, Closed())]
    for fact in facts:
        capture.append(fact)
    for read in reads(1000, conn=2):
        capture.append(read)
    capture.close()
    assert read_all(capture.path) == [*facts, *reads(1000, conn=2)]
    # Cut the first facts out: the checkpoints bring back those of connection 2.
    data = capture.path.read_bytes()
    with Reader(capture.path) as reader:
        first_read = next(position for position, r in reader.read() if isinstance(r, Read))
    second = 8 + HEADER.size + int.from_bytes(data[12:16], "little")
    lost = tmp_path / "lost.wscap"
    lost.write_bytes(data[:second] + data[first_read:])
    told = [r for r in read_all(lost) if isinstance(r, FactRecord)]
    assert told == [requested(2), FactRecord(2, 2, Opened())]


def test_a_clock_that_jumps_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "CLOCK_CHECK_NS", 0)
    real = time.time_ns
    capture = Writer(tmp_path / "a.wscap")
    capture.append(reads(1)[0])
    wait_until(lambda: capture.queue_bytes == 0)
    monkeypatch.setattr(scribe.time, "time_ns", lambda: real() + 3600 * 10**9)
    wait_until(lambda: time.monotonic_ns() > capture._scribe._clock_due)
    capture.append(reads(2)[1])
    capture.close()
    assert capture.queue_bytes == 0
    with Reader(capture.path) as reader:
        clocks = [r for _, r in reader.read() if type(r).__name__ == "Clock"]
        assert len(clocks) == 2
        now = time.monotonic_ns()
        assert abs(reader.wall_ns(now) - real() - 3600 * 10**9) < 10**9


def test_a_listener_that_raises_does_not_end_the_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    capture = Writer(tmp_path / "a.wscap", queue_limit=100)

    def fault(sentence: str) -> None:
        raise RuntimeError(sentence)

    capture.on_trouble = fault
    capture.append(reads(1, 1000)[0])
    disk.go.set()
    wait_until(lambda: bool(capture.troubles))
    capture.append(requested())
    capture.close()
    assert read_all(capture.path)[-1] == requested()
