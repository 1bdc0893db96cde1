"""Captures with a limit: segments, eviction, readers that follow, what they say of what is gone."""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.capture.helpers import drain, read_all, reads, start_python, wait_until
from tests.capture.streams import REQUESTED, TAKEOVER, cut, random_sizes, talk
from wsinspect.capture import files, locks, segments
from wsinspect.capture.appending import last_counts
from wsinspect.capture.format import MAGIC, Counts
from wsinspect.capture.index import FrameIndex
from wsinspect.capture.reader import Reader
from wsinspect.capture.segments import listed
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import EVICTED, FrameEvent, GapEvent, MessageEvent, Timeline
from wsinspect.capture.writer import Writer
from wsinspect.errors import CaptureLocked, NotACapture, UsageError
from wsinspect.model import (
    Closed,
    ConnectionState,
    FactRecord,
    Notice,
    Read,
    Record,
    Side,
)
from wsinspect.wire.frames import encode_frame

LIMIT = 80_000


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LEAST_SEGMENT", 10_000)


def opened(conn: int) -> list[FactRecord]:
    return [FactRecord(conn, 1, REQUESTED), FactRecord(conn, 2, TAKEOVER)]


def frames_of(conn: int, count: int) -> list[Read]:
    """A frame a read, as a client sends them."""
    return [
        Read(conn, Side.CLIENT, n + 1, encode_frame(1, b"%064d" % n, mask=bytes(4)), n * 70, n + 1)
        for n in range(count)
    ]


class Counting:
    """A writer with a limit whose frames are counted as the relay does: before each append."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.frames = 0
        self.writer = Writer(path, limit=limit)
        self.writer.count_frames = lambda: self.frames

    def append(self, records: Iterable[Record]) -> None:
        """Slowly enough that each mark is met where it stands."""
        for record in records:
            self.writer.append(record)
            if isinstance(record, Read):
                self.frames += 1

    def flush(self) -> None:
        wait_until(lambda: self.writer.queue_bytes == 0)


def notices(records: Iterable[Record], code: str = "evicted") -> list[tuple[int, str]]:
    return [
        (record.conn, record.fact.text)
        for record in records
        if isinstance(record, FactRecord) and isinstance(record.fact, Notice) and record.fact.code == code
    ]


def test_a_capture_with_a_limit_keeps_to_it_and_says_what_went(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    capture = Counting(path)
    capture.append(opened(7))
    capture.append([*opened(3), *reads(10, conn=3), FactRecord(3, 3, Closed())])
    capture.append(reads(3000, conn=7))
    capture.writer.close()
    assert path.is_dir()
    assert path.stat().st_mode & 0o777 == 0o700
    assert segments.bytes_in(path) <= LIMIT
    numbers = [number for number, _ in listed(path)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert 6 <= len(numbers) <= 8
    assert all(file.stat().st_mode & 0o777 == 0o600 for _, file in listed(path))
    records = read_all(path)
    found = [record for record in records if isinstance(record, Read)]
    assert found == reads(3000, conn=7)[-len(found) :]
    first = found[0].frame
    gone = first - 1 + 10
    (conn, text) = notices(records)[0]
    assert conn == 0
    assert f"{gone:,} frames, 1 whole connections," in text
    # The connection that lives is introduced again, once.
    assert [r for r in records if isinstance(r, FactRecord) and r.conn == 7] == opened(7)
    with Reader(path) as reader:
        drain(reader)
        assert reader.damage == []
        assert reader.torn_bytes == 0
        assert reader.evicted_bytes > 200_000
        assert reader.highest_conn == 7


def test_each_segment_can_be_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    capture = Counting(path)
    capture.append([*opened(1), *reads(2000)])
    capture.writer.close()
    for _, file in listed(path):
        records = read_all(file)
        assert [r for r in records if isinstance(r, FactRecord) and r.conn == 1] == opened(1)
        assert "are not in this file" in notices(records)[0][1]


@pytest.mark.slow
def test_a_reader_that_follows_goes_from_segment_to_segment(tmp_path: Path) -> None:
    capture = Counting(tmp_path / "a.wscap")
    found: list[Record] = []
    with Reader(capture.writer.path) as reader:
        for some in itertools.batched(reads(4000), 40):
            capture.append(some)
            capture.flush()
            found += [record for _, record in drain(reader) if isinstance(record, Read)]
        assert reader.evicted_bytes == 0
        assert len(reader._parts._parts) <= 9, "what is evicted is let go"  # type: ignore[union-attr]
    capture.writer.close()
    assert found == reads(4000)


def test_a_reader_survives_the_eviction_of_the_segment_it_stands_in(tmp_path: Path) -> None:
    capture = Counting(tmp_path / "a.wscap")
    capture.append(opened(1) + opened(2))
    sent = reads(5000)
    capture.append(sent[:200])
    capture.flush()
    with Reader(capture.writer.path) as reader:
        early = [record for _, record in reader.read(2000)]
        assert len(early) < 100
        capture.append([FactRecord(2, 3, Closed())])
        capture.append(sent[200:])
        capture.flush()
        rest = [record for _, record in drain(reader)]
        found = [record for record in [*early, *rest] if isinstance(record, Read)]
        # What was left in its own segment is still read; then it goes on where the capture now begins.
        jump = next(n for n, (a, b) in enumerate(itertools.pairwise(found)) if b.frame != a.frame + 1)
        assert found[: jump + 1] == sent[: jump + 1]
        assert found[jump + 1 :] == sent[found[jump + 1].frame - 1 :]
        missed = found[jump + 1].frame - found[jump].frame - 1
        told = notices(rest)
        assert [conn for conn, _ in told] == [0, 2]
        assert f"{missed:,} frames, 1 whole connections," in told[0][1]
        assert f"{reader.evicted_bytes:,} bytes" in told[0][1]
        assert told[1][1] == "how it ended was evicted"
        assert reader.evicted_bytes > 200_000
        assert reader.damage == []
        summary, timeline = Summary(), Timeline()
        for record in [*early, *rest]:
            for event in timeline.feed(record):
                summary.feed(event)
        assert summary.connections[1].state is ConnectionState.OPEN
        assert not summary.connections[2].is_live
    capture.writer.close()


def test_text_after_an_eviction_is_right_or_marked_lost(tmp_path: Path) -> None:
    rng = random.Random(5)
    stream, _ = talk(rng, 6000, deflate=True)
    everything = cut(stream, random_sizes(rng, 2000))
    capture = Writer(tmp_path / "a.wscap", limit=LIMIT)
    for record in [*opened(1), *everything]:
        capture.append(record)
    capture.close()
    timeline = Timeline()
    whole = [event for record in [*opened(1), *everything] for event in timeline.feed(record)]
    right = {e.message.first_frame: e.message for e in whole if isinstance(e, MessageEvent)}
    last_frame = max(e.frame.number for e in whole if isinstance(e, FrameEvent))
    timeline = Timeline()
    events = [event for record in read_all(capture.path) for event in timeline.feed(record)]
    gaps = [event.reason for event in events if isinstance(event, GapEvent)]
    assert gaps[0] == EVICTED
    frames = [event.frame.number for event in events if isinstance(event, FrameEvent)]
    assert frames == list(range(frames[0], last_frame + 1))
    messages = [event.message for event in events if isinstance(event, MessageEvent)]
    lost = [message for message in messages if message.lost]
    known = [message for message in messages if not message.lost]
    assert len(messages) > 200
    assert {message.lost for message in lost} <= {"window-lost", "gap"}
    assert all(message.payload == right[message.first_frame].payload for message in known)
    assert len(known) > len(messages) // 10, "what is not compressed, at the least, is known"
    with FrameIndex(capture.path) as index:
        while index.update(1.0):
            pass
        rows = [row for row in range(len(index)) if index.columns.kind(row) == 1]
        shown = [message for row in rows if (message := index.message(row)) is not None]
        assert len(shown) >= len(messages) - 2
        assert all(m.lost or m.payload == right[m.first_frame].payload for m in shown)
        assert {m.first_frame for m in shown if not m.lost} == {m.first_frame for m in known}


def test_rows_of_evicted_segments_are_gone_and_never_wrong(tmp_path: Path) -> None:
    rng = random.Random(6)
    stream, _ = talk(rng, 6000, deflate=True)
    everything = cut(stream, random_sizes(rng, 2000))
    capture = Writer(tmp_path / "a.wscap", limit=LIMIT)
    with FrameIndex(capture.path) as index:
        right = {}
        for some in itertools.batched([*opened(1), *everything], 20):
            for record in some:
                capture.append(record)
            wait_until(lambda: capture.queue_bytes == 0)
            known = len(index)
            while index.update(1.0):
                pass
            for row in range(known, len(index), 7):
                if index.columns.kind(row) == 1 and (message := index.message(row)) is not None:
                    right[row] = message
        index.reader.read()
        assert index.is_gone(2)
        assert not index.is_gone(len(index) - 1)
        for row in rng.sample(sorted(right), 60):
            message = index.message(row)
            assert message is None or message.lost or message.payload == right[row].payload
        index.rows_of(1)
    capture.close()


def test_a_second_writer_of_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    writer = Writer(path, limit=LIMIT)
    assert locks.is_being_written(path)
    with pytest.raises(CaptureLocked, match="another process"):
        Writer(path, limit=LIMIT)
    with pytest.raises(UsageError, match="--capture-limit"):
        Writer(path)
    writer.close()
    assert not locks.is_being_written(path)
    Writer(path, limit=LIMIT).close()


KILLED = """
import os, sys, time; from pathlib import Path
from wsinspect.capture import segments; segments.LEAST_SEGMENT = 10_000
from tests.capture.test_segments import frames_of, opened
from tests.capture.helpers import wait_until
from wsinspect.capture.writer import Writer
capture = Writer(Path(sys.argv[1]), limit=80_000); frames = 0
capture.count_frames = lambda: frames
for record in opened(9): capture.append(record)
for read in frames_of(9, 3000):
    capture.append(read); frames += 1
wait_until(lambda: capture.queue_bytes == 0)
print("written", flush=True)
time.sleep(60)
"""


def test_appending_after_a_kill_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    with start_python(KILLED, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    number, last = listed(path)[-1]
    with last.open("ab") as file:
        file.write(b"torn" * 20)
    _, counts, end = last_counts(last)
    assert counts.frames == 3000
    assert counts.highest == 9
    assert end == last.stat().st_size - 80
    capture = Counting(path)
    assert capture.writer.next_conn() == 10
    assert last.stat().st_size == end
    assert listed(path)[-1][0] == number + 1
    capture.append([*opened(10), *reads(3000, conn=10)])
    capture.writer.close()
    records = read_all(path)
    first = next(record for record in records if isinstance(record, Read))
    assert first.conn == 10
    assert f"{3000 + first.frame - 1:,} frames" in notices(records)[0][1]
    with Reader(path) as reader:
        drain(reader)
        assert reader.damage == []


def test_a_torn_segment_in_the_middle_is_said_and_passed(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    capture = Counting(path)
    capture.append([*opened(1), *reads(300)])
    capture.writer.close()
    second = listed(path)[1][1]
    second.write_bytes(second.read_bytes()[:-200])
    with Reader(path) as reader:
        found = [record for _, record in drain(reader) if isinstance(record, Read)]
        assert len(reader.damage) == 1
        assert "0002.wscap" in reader.damage[0]
    assert 296 <= len(found) < 300
    assert found[-1] == reads(300)[-1]


def test_a_new_process_ends_what_lived_in_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    for conn in (1, 2):
        capture = Counting(path)
        capture.append([*opened(conn), *reads(5, conn=conn)])
        capture.writer.close()
    summary, timeline = Summary(), Timeline()
    for record in read_all(path):
        for event in timeline.feed(record):
            summary.feed(event)
    assert [each.is_live for each in summary.connections.values()] == [False, True]


def test_what_is_not_a_capture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.wscap"
    Writer(file).close()
    with pytest.raises(UsageError, match="is a file"):
        Writer(file, limit=LIMIT)
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="other things"):
        Writer(home, limit=LIMIT)
    with pytest.raises(NotACapture, match="directory"):
        Reader(home)
    assert files.open_for_writing(tmp_path / "new").highest_conn == 0


def test_unnamed_folders_are_kept_and_deleted_like_files(tmp_path: Path) -> None:
    names = [tmp_path / f"2026-11-22T16-05-{second:02}-77.wscap" for second in range(4)]
    for name in names:
        Writer(name, limit=LIMIT).close()
    writing = Writer(names[0], limit=LIMIT)
    assert files.keep_last(2, tmp_path) == [names[1]]
    assert [name.exists() for name in names] == [True, False, True, True]
    writing.close()


def test_counts_without_a_relay_are_left_out(tmp_path: Path) -> None:
    capture = Writer(tmp_path / "a.wscap", limit=LIMIT)
    for record in [*opened(1), *reads(3000)]:
        capture.append(record)
    capture.close()
    text = notices(read_all(capture.path))[0][1]
    assert "were evicted" in text
    assert "frames" not in text


def test_the_counts_of_a_segment_go_round(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    capture = Counting(path)
    capture.append([*opened(1), *reads(50), FactRecord(1, 9, Closed())])
    capture.writer.close()
    assert last_counts(listed(path)[0][1])[1] == Counts(50, 1, 1)
    assert listed(path)[0][1].read_bytes().startswith(MAGIC)
