"""Random access: the index shows what the timeline does, whatever is missing, and in bounded memory."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.helpers import capture_bytes
from tests.capture.streams import MASK, PLAIN, REQUESTED, TAKEOVER, cut, judge, random_sizes, talk
from wsinspect.capture import boundaries, facts, format, reassembly
from wsinspect.capture.index import FrameIndex, RowFlag
from wsinspect.capture.timeline import FactEvent, FrameEvent, GapEvent, MessageEvent, RawEvent, Timeline
from wsinspect.model import (
    Closed,
    Ended,
    FactRecord,
    Gap,
    How,
    Judged,
    Message,
    Opened,
    Read,
    Record,
    Sent,
    Side,
    Violation,
)
from wsinspect.wire.deflate import Deflater
from wsinspect.wire.frames import encode_frame


def index_of(path: Path, records: list[Record]) -> FrameIndex:
    path.write_bytes(capture_bytes(records))
    index = FrameIndex(path)
    while index.behind or not len(index):
        if not index.update(1) and not index.behind:
            break
    return index


def opened(fact: Opened = PLAIN, conn: int = 1) -> list[Record]:
    return [FactRecord(conn, 0, REQUESTED), FactRecord(conn, 0, fact)]


def check_against_timeline(index: FrameIndex, records: list[Record]) -> None:
    """Row for event, payload for payload, message for message."""
    line = Timeline()
    row = gaps = 0
    messages: dict[tuple[int, Side, int], Message] = {}
    verdicts: dict[tuple[int, Side, int], Judged] = {}
    frame_rows: dict[tuple[int, Side, int], list[int]] = {}
    for record in records:
        for event in line.feed(record):
            if isinstance(event, MessageEvent):
                if not event.ours:
                    key = event.conn, event.side, event.message.last_frame
                    messages[key] = event.message
                    if event.verdict is not None:
                        verdicts[key] = event.verdict
                continue
            found = index.row(row)
            assert (found.conn, found.t_ns) == (event.conn, event.t_ns)
            match event:
                case FrameEvent():
                    frame = event.frame
                    assert found.side is event.side
                    assert found.opcode == frame.opcode
                    assert (found.number, found.fin, found.rsv) == (frame.number, frame.fin, frame.rsv)
                    assert (found.length, found.masked) == (frame.length, frame.mask is not None)
                    assert found.wire_bytes == frame.wire_bytes
                    assert bool(found.flags & RowFlag.TRUNCATED) == frame.truncated
                    assert index.payload(row) == frame.payload
                    seen = index.frame(row)
                    assert [v for v in seen.violations if v not in OF_MESSAGES] == [
                        v for v in frame.violations if v not in OF_MESSAGES
                    ]
                    assert (seen.payload, seen.offset, seen.mask) == (frame.payload, frame.offset, frame.mask)
                    if not event.ours and not gaps:
                        assert index.reads_of(row) == event.reads
                    if event.verdict is not None and frame.fin:
                        assert index.judged.verdict(row) == event.verdict
                        assert found.flags & RowFlag.JUDGED
                    if event.ours:
                        sent = index.judged.sent(row)
                        assert sent is not None
                        assert (sent.rule, sent.first_frame, sent.last_frame) == (event.rule, *event.of)
                    else:
                        frame_rows.setdefault((event.conn, event.side, frame.number), []).append(row)
                case GapEvent():
                    gaps += 1
                    assert (found.kind, found.length) == ("gap", event.nbytes)
                    assert index.gap_reason(row) == event.reason
                case RawEvent():
                    assert (found.kind, index.payload(row)) == ("raw", event.data)
                case FactEvent():
                    assert index.fact(row) == event.fact
            row += 1
    assert row == len(index)
    order = list(messages)
    random.Random(len(order)).shuffle(order)
    for key in order:
        (at,) = frame_rows[key]
        expected = messages[key]
        found_message = index.message(at)
        assert found_message == expected, (found_message, expected)
        assert index.judged.verdict(at) == verdicts.get(key)


def make_holes(rng: random.Random, records: list[Record], count: int, *, said: bool) -> None:
    """Reads go missing; a Gap stands for each where that is `said`."""
    for _ in range(count if len(records) > 5 else 0):
        at = rng.randrange(2, len(records))
        hole = records[at]
        if isinstance(hole, Read):
            gap = Gap(1, hole.side, hole.t_ns, hole.offset, len(hole.data), "slow")
            records[at : at + 1] = [gap] if said else []


OF_MESSAGES = (Violation.BAD_UTF8, Violation.BAD_DEFLATE)


@given(st.integers(), st.booleans(), st.sampled_from([0, 0, 1, 3]), st.booleans())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_payloads_and_messages_are_the_timelines(
    tmp_path: Path, seed: int, deflate: bool, holes: int, said: bool
) -> None:
    rng = random.Random(seed)
    records = opened(TAKEOVER if deflate else PLAIN)
    streams = [
        cut(talk(rng, 12, deflate=deflate, side=side)[0], random_sizes(rng), side=side) for side in Side
    ]
    while any(streams):
        stream = rng.choice([s for s in streams if s])
        records.append(stream.pop(0))
    make_holes(rng, records, holes, said=said)
    records.append(FactRecord(1, 9, Closed()))
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)


@given(st.integers(), st.booleans(), st.sampled_from([0, 0, 1, 3]), st.booleans())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_verdicts_are_the_timelines_and_none_is_lost(
    tmp_path: Path, seed: int, deflate: bool, holes: int, said: bool
) -> None:
    """Also where the message that a verdict is about is not in the capture."""
    rng = random.Random(seed)
    streams = [
        cut(talk(rng, 12, deflate=deflate, side=side)[0], random_sizes(rng), side=side) for side in Side
    ]
    records = opened(TAKEOVER if deflate else PLAIN)
    while any(streams):
        records.append(rng.choice([s for s in streams if s]).pop(0))
    records = judge(rng, records)
    make_holes(rng, records, holes, said=said)
    records.append(FactRecord(1, 9, Closed()))
    judged = [r.fact for r in records if isinstance(r, FactRecord) and isinstance(r.fact, Judged)]
    line = Timeline()
    events = [event for record in records for event in line.feed(record)]
    told = [e.fact for e in events if isinstance(e, FactEvent) and isinstance(e.fact, Judged)]
    carried = [
        e.verdict
        for e in events
        if isinstance(e, MessageEvent) or (isinstance(e, FrameEvent) and e.frame.is_control)
        if e.verdict
    ]
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)
        assert index.judged.rules.hits == len(judged)
    key = repr
    assert sorted(told + carried, key=key) == sorted(judged, key=key)
    if not holes:
        assert not told


@given(st.integers())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hostile_stream_gives_the_same_rows(tmp_path: Path, seed: int) -> None:
    """Random bytes as frames, with every violation; the index reads headers only, the timeline all."""
    rng = random.Random(seed)
    stream = b""
    for _ in range(rng.randrange(1, 40)):
        opcode, rsv = rng.choice([0, 1, 1, 2, 3, 8, 9, 11]), rng.choice([0, 0, 0, 4, 1])
        frame = encode_frame(
            opcode,
            rng.randbytes(rng.choice([0, 1, 2, 125, 126, 300])),
            fin=rng.random() < 0.7,
            rsv=rsv,
            mask=rng.choice([MASK, None]),
        )
        if rng.random() < 0.05:
            frame = frame[:1] + bytes([127]) + rng.choice([b"\0" * 7 + b"\5hello", b"\xff" * 9])
        stream += frame * rng.choice([1, 1, 1, 6])
    records = opened(rng.choice([PLAIN, TAKEOVER])) + list(cut_blindly(stream, rng))
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)


def cut_blindly(stream: bytes, rng: random.Random) -> list[Read]:
    reads, pos = [], 0
    while pos < len(stream):
        data = stream[pos : pos + rng.randrange(1, 600)]
        reads.append(Read(1, Side.CLIENT, pos, data, pos))
        pos += len(data)
    return reads


def test_runs_of_equal_headers_are_found_and_end_where_they_end(tmp_path: Path) -> None:
    stream = b""
    for size, count in [(5, 40), (0, 3), (0, 9), (130, 7), (70_000, 5), (64, 1300), (64, 1)]:
        stream += b"".join(encode_frame(2, bytes([n % 256]) * size, mask=MASK) for n in range(count))
        stream += encode_frame(9, b"p", mask=MASK)
    for sizes in ([], [1000] * 500, [65_536] * 20):
        records = opened() + list(cut(stream, sizes))
        with index_of(tmp_path / "a.wscap", records) as index:
            check_against_timeline(index, records)


def test_it_grows_with_the_capture_and_a_row_comes_with_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    stream = encode_frame(1, b"x" * 100, mask=MASK)
    reads = cut(stream, [50, 50])
    whole = capture_bytes([*opened(), *reads])
    path.write_bytes(whole[:-20])
    with FrameIndex(path) as index:
        assert index.update() == 2
        assert index.update() == 0
        with path.open("ab") as file:
            file.write(whole[-20:])
        assert index.update() == 1
        assert index.payload(2) == b"x" * 100
        assert index.payload(2, 10) == b"x" * 10
        assert list(index.rows_of(1)) == [0, 1, 2]
        assert list(index.rows_of(9)) == []
        assert index.connections() == [1]
        assert index.wall_ns(2) == 10**18 + reads[-1].t_ns
        assert index.row(0).side is None
        with pytest.raises(IndexError):
            index.row(3)
        with pytest.raises(ValueError, match="not a frame"):
            index.frame(0)
        assert index.message(0) is None


def test_injected_frames_have_rows_of_their_own(tmp_path: Path) -> None:
    data = encode_frame(9, b"ping", mask=MASK) + encode_frame(1, b"hello", mask=MASK)
    records = [*opened(), Sent(1, Side.CLIENT, 5, data, 0, "injected", "my-rule")]
    records.append(FactRecord(1, 6, Ended(side=Side.SERVER, how=How.RST)))
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)
        assert index.row(3).flags == RowFlag.INJECTED
        sent = index.judged.sent(3)
        assert sent is not None
        assert sent.rule == "my-rule"
        assert index.judged.sent(0) is None
        message = index.message(3)
        assert message is not None
        assert message.text == "hello"
        assert index.message(2) is None
        assert index.row(4).side is Side.SERVER


def test_late_messages_of_a_compressed_stream_start_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reassembly, "SNAPSHOT_EVERY", 2000)
    monkeypatch.setattr(reassembly, "_MESSAGES_KEPT", 5)
    monkeypatch.setattr(reassembly, "SNAPSHOTS_KEPT", 8)
    rng = random.Random(3)
    stream, texts = talk(rng, 600, deflate=True)
    records = opened(TAKEOVER) + list(cut(stream, [900] * 1000))
    with index_of(tmp_path / "a.wscap", records) as index:
        rows = [i for i in index.rows_of(1) if index.row(i).kind == "text"]
        assert len(rows) == len(texts)
        fetched = []
        bytes_at = index.bytes_at
        monkeypatch.setattr(index, "bytes_at", lambda *where: fetched.append(where) or bytes_at(*where))
        last = index.message(rows[-1])
        assert last is not None
        assert last.text == texts[-1]
        assert len(fetched) > 400
        fetched.clear()
        for at in (300, 301, 302, 120, 599, 0):
            message = index.message(rows[at])
            assert message is not None
            assert message.text == texts[at]
        assert len(fetched) < 400
        (windows,) = index._reassembly._windows.values()
        assert len(windows.rows) <= 8


def test_facts_from_a_checkpoint_keep_their_rows(tmp_path: Path) -> None:
    entries = [(conn, 1, facts.dumps(fact)) for conn in (1, 2) for fact in (REQUESTED, TAKEOVER)]
    checkpoint = format.checkpoint_record(2, entries)
    stream = encode_frame(1, Deflater().deflate(b"tick"), rsv=4, mask=MASK)
    path = tmp_path / "a.wscap"
    path.write_bytes(capture_bytes([]) + checkpoint + capture_bytes(list(cut(stream, [])))[8:])
    with FrameIndex(path) as index:
        index.update(1)
        kinds = [index.row(i).kind for i in range(len(index))]
        assert [index.fact(i) for i in range(4)] == [REQUESTED, TAKEOVER] * 2
        message = index.message(kinds.index("text"))
        assert message is not None
        assert message.text == "tick"


def test_hostile_numbers_do_not_raise(tmp_path: Path) -> None:
    huge = 2**64 - 1
    data = encode_frame(1, b"x") * 10
    records = opened()
    records += [
        Read(1, Side.SERVER, huge, data, huge, huge, huge, 0, 0),
        Read(1, Side.SERVER, huge, data, 2**62, huge, 0, 0, 0),
        Read(1, Side.SERVER, huge, data, 2**61, 2**63, huge, 13, 255),
        Gap(1, Side.SERVER, huge, huge, huge, ""),
        Read(1, Side.SERVER, huge, data, 5, 0, 0, 0, 0),
        Read(2**32 - 1, Side.SERVER, 0, b"\x82\x7f" + b"\xff" * 8 + data, 0),
        Sent(7, Side.CLIENT, 0, b"\x82\xff" + b"\xff" * 9, huge),
    ]
    with index_of(tmp_path / "a.wscap", records) as index:
        for row in range(len(index)):
            index.row(row)
            index.payload(row)
            index.message(row)
            index.fact(row)
            index.gap_reason(row)
            index.wall_ns(row)


def test_a_damaged_capture_and_one_that_vanishes_are_survived(tmp_path: Path) -> None:
    rng = random.Random(5)
    path = tmp_path / "a.wscap"
    whole = capture_bytes(opened(TAKEOVER) + list(cut(talk(rng, 60, deflate=True)[0], random_sizes(rng))))
    for _ in range(40):
        broken = bytearray(whole)
        for _ in range(10):
            broken[rng.randrange(8, len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        with FrameIndex(path) as index:
            index.update(5)
            if rng.random() < 0.3:
                path.write_bytes(whole[:30])
                index.update()
            for row in rng.sample(range(len(index)), min(20, len(index))):
                index.payload(row)
                index.message(row)
                index.fact(row)


def test_it_stops_at_its_limit_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    path.write_bytes(capture_bytes(list(cut(encode_frame(9, b"") * 100, [2] * 100, side=Side.SERVER))))
    with FrameIndex(path, max_rows=40) as index:
        index.update(1)
        assert len(index) == 40
        assert index.full


def test_the_budget_bounds_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.capture.index._SCAN_BYTES", 4096)
    path = tmp_path / "a.wscap"
    path.write_bytes(capture_bytes(list(cut(encode_frame(9, b"") * 3000, [2] * 3000, side=Side.SERVER))))
    with FrameIndex(path) as index:
        assert 0 < index.update(0) < 3000
        assert index.behind
        deadline = time.monotonic() + 10
        while index.behind:
            index.update(0.001)
            assert time.monotonic() < deadline
        assert len(index) == 3000
        assert boundaries.GAP_REASONS[0] == ""
