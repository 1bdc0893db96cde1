"""A disk that fails and comes back, memory that takes its place, and a writer that asks for a pause."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.helpers import drain, read_all, reads, start_python, wait_until
from wsinspect.capture import ring, scribe, segments
from wsinspect.capture.reader import Reader
from wsinspect.capture.scribe import Move
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import Timeline
from wsinspect.capture.writer import Writer
from wsinspect.model import (
    Closed,
    Ended,
    FactRecord,
    Gap,
    How,
    Notice,
    Opened,
    Read,
    Record,
    Requested,
    Side,
)


def opened(conn: int) -> list[FactRecord]:
    return [FactRecord(conn, 1, Requested(url="ws://x/")), FactRecord(conn, 2, Opened())]


def ended(conn: int) -> list[FactRecord]:
    return [FactRecord(conn, 8, Ended(side=Side.CLIENT, how=How.FIN)), FactRecord(conn, 9, Closed())]


class BadDisk:
    """Stands in for os.writev: refuses what goes to the files under a folder, while `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.error = 0
        self.folder = str(folder)
        real = os.writev

        def writev(fd: int, chunks: list[bytes]) -> int:
            if self.error and os.readlink(f"/proc/self/fd/{fd}").startswith(self.folder):
                raise OSError(self.error, os.strerror(self.error))
            return real(fd, chunks)

        monkeypatch.setattr("wsinspect.capture.disk.os.writev", writev)


@pytest.fixture
def rings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where rings are made, and nothing may stay."""
    folder = tmp_path_factory.mktemp("rings")
    monkeypatch.setattr(ring, "_parents", lambda: [folder])
    monkeypatch.setattr(scribe, "_RETURN_FIRST_S", 0.0)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BadDisk:
    return BadDisk(monkeypatch, tmp_path)


def put(capture: Writer, records: list[Record]) -> None:
    for record in records:
        capture.append(record)
    wait_until(lambda: capture.queue_bytes == 0)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("limit", [0, 8 << 20], ids=["file", "segments"])
def test_memory_stands_in_for_a_disk_that_fails(
    number: int, limit: int, tmp_path: Path, rings: Path, disk: BadDisk
) -> None:
    capture = Writer(tmp_path / "a.wscap", limit=limit, memory=True)
    moves: list[Move] = []
    capture.on_move = moves.append
    sent = reads(300)
    put(capture, [*opened(1), *opened(2), *reads(5, conn=2), *sent[:100]])
    with Reader(capture.path) as reader:
        found = [record for _, record in drain(reader)]
        disk.error = number
        put(capture, [*sent[100:150], *opened(3), *reads(4, conn=3)])
        assert capture.memory is not None
        assert capture.path == capture.memory
        assert capture.memory.parent == rings
        assert capture.memory.stat().st_mode & 0o777 == 0o700
        assert os.strerror(number) in capture.troubles[0]
        # A reader that attaches there knows who lives, and who has come.
        told = [r for r in read_all(capture.path) if isinstance(r, FactRecord)]
        assert told == [*opened(1), *opened(2), *opened(3)]
        found += [record for _, record in drain(reader)]
        reader.go_on(moves[0].path, moves[0].position, moves[0].left)
        put(capture, [*ended(2), *ended(3), *sent[150:200]])
        found += [record for _, record in drain(reader)]
        disk.error = 0
        put(capture, sent[200:])
        wait_until(lambda: len(moves) == 2)
        assert capture.path == tmp_path / "a.wscap"
        assert capture.troubles == []
        put(capture, [FactRecord(1, 10, Closed())])
        found += [record for _, record in drain(reader)]
        reader.go_on(moves[1].path, moves[1].position, moves[1].left)
        found += [record for _, record in drain(reader)]
        assert reader.damage == []
    # Who followed has everything, once.
    reads_of_1 = [record for record in found if isinstance(record, Read) and record.conn == 1]
    assert reads_of_1 == sent
    facts = [r for r in found if isinstance(r, FactRecord) and r.conn]
    assert facts == [*opened(1), *opened(2), *opened(3), *ended(2), *ended(3), FactRecord(1, 10, Closed())]
    capture.close()
    # The file has a gap, and what became of each connection.
    records = read_all(tmp_path / "a.wscap")
    gaps = [record for record in records if isinstance(record, Gap)]
    assert {(gap.conn, gap.reason) for gap in gaps} == {(1, os.strerror(number)), (3, os.strerror(number))}
    expected = 0
    for record in records:
        if isinstance(record, Read | Gap) and record.conn == 1:
            assert record.offset == expected
            expected += len(record.data) if isinstance(record, Read) else record.nbytes
    assert expected == 300 * 70
    assert gaps[1].offset + gaps[1].nbytes == 4 * 70 or gaps[0].offset + gaps[0].nbytes == 4 * 70
    about_3 = [r for r in records if not isinstance(r, Notice) and getattr(r, "conn", 0) == 3]
    assert [type(r.fact) if isinstance(r, FactRecord) else Gap for r in about_3] == [
        Requested,
        Opened,
        Gap,
        Ended,
        Closed,
    ]
    summary, timeline = Summary(), Timeline()
    for record in records:
        for event in timeline.feed(record):
            summary.feed(event)
    assert [each.is_live for each in summary.connections.values()] == [False] * 3
    assert any(notice.code == "outage" for notice in summary.notices)


@pytest.mark.parametrize("heard", ["before reading", "between", "afterwards"])
@pytest.mark.parametrize("limit", [0, 8 << 20], ids=["file", "segments"])
def test_nothing_comes_twice_however_late_a_reader_hears_of_it(
    heard: str, limit: int, tmp_path: Path, rings: Path, disk: BadDisk
) -> None:
    capture = Writer(tmp_path / "a.wscap", limit=limit, memory=True)
    moves: list[Move] = []
    capture.on_move = moves.append
    sent = reads(300)
    reader = Reader(capture.path)
    put(capture, [*opened(1), *sent[:100]])
    for start in (100, 200):  # two outages
        disk.error = errno.ENOSPC
        put(capture, sent[start : start + 50])
        disk.error = 0
        put(capture, sent[start + 50 : start + 60])
        wait_until(lambda start=start: len(moves) == start // 50)
        put(capture, sent[start + 60 : start + 100])
    found: list[Record] = []
    if heard == "between":
        found += [record for _, record in reader.read(5000)]
    elif heard == "afterwards":
        found += [record for _, record in drain(reader)]
    for move in moves:
        reader.go_on(move.path, move.position, move.left)
    found += [record for _, record in drain(reader)]
    assert reader.damage == []
    reader.close()
    capture.close()
    seen = [record for record in found if isinstance(record, Read)]
    offsets = [read.offset for read in seen]
    assert offsets == sorted(set(offsets))
    assert seen[-1] == sent[-1]
    if heard == "afterwards":
        assert len([record for record in found if isinstance(record, Gap)]) == 2
    else:
        assert seen == sent
        assert not [record for record in found if isinstance(record, Gap)]


def test_the_last_word_is_written_where_the_disk_comes_back_in_time(
    tmp_path: Path, rings: Path, disk: BadDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "_RETURN_FIRST_S", 3600.0)
    capture = Writer(tmp_path / "a.wscap", memory=True)
    put(capture, [*opened(1), *reads(3)])
    disk.error = errno.ENOSPC
    put(capture, [*reads(9)[3:], *ended(1)])
    disk.error = 0
    capture.close()
    records = read_all(tmp_path / "a.wscap")
    (gap,) = [record for record in records if isinstance(record, Gap)]
    assert (gap.offset, gap.nbytes) == (3 * 70, 6 * 70)
    assert [r for r in records if isinstance(r, FactRecord) and r.conn] == [*opened(1), *ended(1)]


@pytest.mark.parametrize("limit", [0, 8 << 20], ids=["file", "segments"])
def test_a_capture_that_is_deleted_goes_on_in_memory_and_says_so(
    limit: int, tmp_path: Path, rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came after went into a file that nobody could open, without a word."""
    monkeypatch.setattr(scribe, "HOME_CHECK_S", 0.0)
    capture = Writer(tmp_path / "a.wscap", limit=limit, memory=True)
    moves: list[Move] = []
    capture.on_move = moves.append
    put(capture, [*opened(1), *reads(3)])
    assert capture.saved == tmp_path / "a.wscap"
    delete(tmp_path / "a.wscap")
    put(capture, reads(9)[3:])
    put(capture, reads(10)[9:])
    (move,) = moves
    assert not move.saved
    assert "it has been deleted; records go to" in move.text
    found = [record for record in read_all(move.path) if isinstance(record, Read)]
    assert found == reads(10)[3:]
    assert capture.saved is None
    capture.close()
    assert capture.saved is None
    assert not (tmp_path / "a.wscap").exists()


def delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def test_one_that_is_deleted_at_the_very_end_is_not_called_saved(tmp_path: Path, rings: Path) -> None:
    capture = Writer(tmp_path / "a.wscap", memory=True)
    put(capture, [*opened(1)])
    (tmp_path / "a.wscap").unlink()
    capture.close()
    assert capture.saved is None


def test_a_disk_that_stays_full_leaves_whole_records(tmp_path: Path, rings: Path, disk: BadDisk) -> None:
    capture = Writer(tmp_path / "a.wscap", memory=True)
    put(capture, [*opened(1), *reads(3)])
    disk.error = errno.ENOSPC
    put(capture, reads(9)[3:])
    capture.close()
    disk.error = 0
    assert read_all(tmp_path / "a.wscap") == [*opened(1), *reads(3)]


def test_without_any_place_the_records_wait(
    tmp_path: Path, rings: Path, disk: BadDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(limit: int = 0) -> None:
        raise OSError(errno.ENOSPC, "no memory either")

    monkeypatch.setattr(scribe, "make_ring", nowhere)
    capture = Writer(tmp_path / "a.wscap", memory=True, pressure="throttle", queue_limit=10_000)
    paused: list[int] = []
    capture.on_full = lambda: paused.append(1)
    put(capture, opened(1))
    disk.error = errno.ENOSPC
    capture.append(reads(1)[0])
    wait_until(lambda: capture._scribe.held)
    for read in reads(500)[1:]:
        capture.append(read)
    assert capture.gaps > 0, "traffic is not stopped for a disk that may never come back"
    assert not capture.full
    disk.error = 0
    wait_until(lambda: capture.queue_bytes == 0 and not capture._pending)
    capture.close()
    expected = 0
    for record in read_all(tmp_path / "a.wscap"):
        if isinstance(record, Read | Gap):
            assert record.offset == expected
            expected += len(record.data) if isinstance(record, Read) else record.nbytes
    assert expected == 500 * 70


def test_throttle_asks_for_a_pause_at_half_and_ends_it_at_a_quarter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, real = threading.Event(), os.writev

    def slow(fd: int, chunks: list[bytes]) -> int:
        assert go.wait(20)
        return real(fd, chunks)

    monkeypatch.setattr("wsinspect.capture.disk.os.writev", slow)
    capture = Writer(tmp_path / "a.wscap", pressure="throttle", queue_limit=100_000)
    told: list[str] = []
    capture.on_full = lambda: told.append(f"full {capture.queue_bytes // 10_000}")
    capture.on_room = lambda: told.append(f"room {capture.queue_bytes <= 25_000}")
    sent = reads(600)
    for read in sent[:500]:
        capture.append(read)
    assert told == ["full 4"]
    assert capture.full
    for read in sent[500:]:  # what was under way when the pause was asked for
        capture.append(read)
    assert told == ["full 4"]
    assert capture.gaps == 0
    go.set()
    wait_until(lambda: len(told) == 2)
    assert told[1] == "room True"
    assert not capture.full
    capture.close()
    assert read_all(tmp_path / "a.wscap") == sent


def test_nothing_on_disk(tmp_path: Path, rings: Path) -> None:
    capture = Writer(None)
    assert capture.saved is None
    put(capture, [*opened(1), *reads(20)])
    assert capture.path.parent == rings
    with Reader(capture.path) as reader:
        capture.append(reads(21)[20])
        capture.close()
        assert [r for _, r in drain(reader)][-1] == reads(21)[20], "what is open can be read to its end"
        assert not reader.is_written()


def test_rings_of_the_dead_are_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_parents", lambda: [tmp_path])
    with start_python("") as process:
        process.communicate()
    dead = tmp_path / f"{ring.PREFIX}{process.pid}-x"
    dead.mkdir()
    segments.begin(dead, 1, [])
    unlocked = tmp_path / f"{ring.PREFIX}{os.getpid()}-made-this-moment"
    unlocked.mkdir()
    living = ring.make_ring()
    (tmp_path / f"{ring.PREFIX}notes").write_text("a file")
    ring.sweep()
    assert {each.name for each in tmp_path.iterdir()} == {
        living.path.name,
        unlocked.name,
        f"{ring.PREFIX}notes",
    }
    living.close()


def test_a_ring_of_a_dead_process_that_is_locked_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may live in another PID namespace that shares the folder."""
    monkeypatch.setattr(ring, "_parents", lambda: [tmp_path])
    monkeypatch.setattr(ring, "_is_alive", lambda pid: False)
    living = ring.make_ring()
    ring.sweep()
    assert living.path.exists()
    living.close()
    ring.sweep()
    assert not living.path.exists()
