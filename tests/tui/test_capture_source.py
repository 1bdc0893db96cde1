"""The source over a real capture: rows, previews that come later, counts, a proxy that goes."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from wsinspect.capture.format import MAGIC, Segment, encode, segment_record
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import Timeline
from wsinspect.capture.writer import Writer
from wsinspect.control.protocol import CaptureMoved, Listener, NoticeEvent, ProxyInfo, RulesStatus, Stopping
from wsinspect.errors import NotFound, ProxyUnreachable
from wsinspect.model import (
    ConnectionState,
    Ended,
    FactRecord,
    Failed,
    Gap,
    How,
    Notice,
    Opened,
    Read,
    Record,
    Requested,
    Sent,
    Side,
)
from wsinspect.tui.capture_source import CaptureSource
from wsinspect.tui.source import QuitPolicy, Scope
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.deflate import Deflater
from wsinspect.wire.frames import encode_frame

C, S = Side.CLIENT, Side.SERVER
DEFLATE = Opened(reason="Switching Protocols", headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])


def until(condition, what=""):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


class Session:
    """Writes the records of connections, one frame a read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self.offset: dict[tuple[int, Side], int] = {}
        self.frame: dict[tuple[int, Side], int] = {}
        self.t_ns = 1_000_000_000
        path.write_bytes(MAGIC + segment_record(Segment(10**18, 0, 1, "host", "0", 1)))

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.t_ns += 1_000_000
        with self.path.open("ab") as file:
            file.write(b"".join(encode(record)))

    def fact(self, conn: int, fact: Any) -> None:
        self.add(FactRecord(conn, self.t_ns, fact))

    def open(self, conn: int, opened: Opened | None = None) -> None:
        self.fact(conn, Requested(url=f"ws://server/{conn}", mode="reverse:http://server"))
        self.fact(conn, opened or Opened(reason="Switching Protocols"))

    def send(self, conn: int, side: Side, opcode: int, payload: bytes, **values: Any) -> None:
        mask = b"\1\2\3\4" if side is C else None
        data = encode_frame(opcode, payload, mask=values.pop("mask", mask), **values)
        key = conn, side
        offset, frame = self.offset.get(key, 0), self.frame.get(key, 1)
        self.add(Read(conn, side, self.t_ns, data, offset, frame))
        self.offset[key], self.frame[key] = offset + len(data), frame + 1


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path / "a.wscap")


@pytest.fixture
def source_of():
    """Start sources, and close them in the end."""
    started: list[CaptureSource] = []

    def start(*values: Any, **options: Any) -> CaptureSource:
        source = CaptureSource(*values, **options)
        started.append(source)
        source.start()
        return source

    yield start
    for source in started:
        source.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("source_")]


def busy(session: Session) -> None:
    rng = random.Random(3)
    deflater = Deflater()
    for conn in (1, 2, 3):
        session.open(conn, DEFLATE if conn == 2 else None)
    session.fact(4, Requested(url="ws://server/4"))
    session.fact(4, Failed(phase="connect", message="refused", errno="ECONNREFUSED"))
    for n in range(200):
        session.send(1, rng.choice([C, S]), 1, b'{"n":%d}' % n)
        session.send(2, S, 1, deflater.deflate(b"compressed text %d" % n), rsv=4)
        if n % 10 == 0:
            session.send(3, C, 9, b"beat")
            session.send(3, S, 10, b"beat")
    session.send(1, C, 1, b"unmasked", mask=None)
    session.send(3, S, 2, bytes(range(64)), fin=False)
    session.send(3, S, 0, b"the end of it")
    session.send(1, C, 8, encode_close(1000, "bye"))
    session.send(1, S, 8, encode_close(1000, "bye"))
    session.add(Sent(3, C, session.t_ns, encode_frame(1, b"put in", mask=b"abcd"), session.offset[3, C]))
    session.fact(3, Ended(side=S, how=How.RST, errno="ECONNRESET"))
    session.add(Gap(2, C, session.t_ns, 0, 12345, "queue full"))


def all_lines(source: CaptureSource):
    return source.lines(source.rows(Scope())[:])


def test_rows_previews_and_flags(session, source_of):
    busy(session)
    source = source_of(session.path)
    until(lambda: source.snapshot().status.frames == 445, "all frames")
    rows = source.rows(Scope())
    until(lambda: not any(line.pending for line in all_lines(source)), "previews")
    lines = all_lines(source)
    assert len(lines) == len(rows)
    assert all(line.row == n for n, line in enumerate(lines))
    compressed = [line for line in lines if line.conn == 2 and line.kind == "text"]
    assert [line.preview for line in compressed] == [f"compressed text {n}" for n in range(200)]
    by_preview = {line.preview: line for line in lines}
    assert by_preview["unmasked"].violations == ("unmasked-client",)
    assert by_preview["put in"].flags == ("injected",)
    assert by_preview["1000 bye"].kind == "close"
    assert by_preview["server RST ECONNRESET"].level == "warning"
    assert by_preview["connect: ECONNREFUSED"].level == "error"
    gap = next(line for line in lines if line.kind == "gap")
    assert "missing: queue full" in gap.preview
    assert [source.lines([row])[0].conn for row in source.rows(Scope(conn=3))].count(3) == len(
        source.rows(Scope(conn=3))
    )


def test_counts_are_those_of_a_timeline(session, source_of):
    busy(session)
    timeline, summary = Timeline(), Summary()
    for record in session.records:
        for event in timeline.feed(record):
            summary.feed(event)
    source = source_of(session.path)
    until(lambda: source.snapshot().status.frames == sum(summary.totals.frames), "all frames")
    shown = {row.conn: row for row in source.snapshot().connections}
    for conn, expected in summary.connections.items():
        row = shown[conn]
        assert list(row.frames) == expected.frames
        assert list(row.wire_bytes) == expected.bytes
        assert row.state is expected.state
        detail = source.connection(conn)
        assert detail is not None
        assert detail.kinds == dict(expected.kinds)
        assert len(detail.ends) == len(expected.ends)
    assert shown[1].state is ConnectionState.CLOSED
    assert shown[1].end == "1000 bye · client"
    problems = [f for f in summary.connections[1].findings if f.problem.severity != "info"]
    assert shown[1].problems == 1 + len(problems)
    assert shown[3].end == "server RST ECONNRESET, no Close"
    assert shown[4].end == "connect: ECONNREFUSED"
    assert shown[2].state is ConnectionState.OPEN


def test_details(session, source_of):
    busy(session)
    source = source_of(session.path)
    until(lambda: source.snapshot().status.frames == 445, "all frames")
    lines = all_lines(source)
    late = [line.row for line in lines if line.conn == 2 and line.kind == "text"][150]
    detail = source.detail(late)
    assert detail.message is not None
    assert detail.message.text == "compressed text 150"
    assert detail.frame is not None
    assert detail.frame.rsv == 4
    assert detail.connection is not None
    assert detail.connection.extensions == "permessage-deflate"
    ended = next(line.row for line in lines if line.kind == "ended")
    assert isinstance(source.detail(ended).fact, Ended)
    gap = next(line.row for line in lines if line.kind == "gap")
    assert "queue full" in source.detail(gap).note


def test_it_follows_a_growing_capture(session, source_of):
    source = source_of(session.path)
    session.open(1)
    rows = source.rows(Scope(conn=1))
    until(lambda: len(rows) == 2, "the handshake")
    version = source.snapshot().version
    session.send(1, S, 1, b"later")
    until(lambda: len(rows) == 3, "the frame")
    until(lambda: source.snapshot().version > version, "a new version")
    assert source.lines([rows[2]])[0].preview == "later"


def test_not_there(tmp_path):
    with pytest.raises(NotFound):
        CaptureSource(tmp_path / "none.wscap")


class FakeControl:
    """As much of a control client as the source uses."""

    def __init__(self) -> None:
        self.info = ProxyInfo("0.1.0", 1, None, (Listener("reverse:http://server", "127.0.0.1", 8080),))
        self.come = threading.Semaphore(0)
        self.events: list[object] = []
        self.stops = 0

    def watch(self) -> FakeControl:
        return self

    def rules(self) -> RulesStatus:
        return RulesStatus()

    def say(self, event: object) -> None:
        self.events.append(event)
        self.come.release()

    def __iter__(self):
        while self.come.acquire() and self.events:
            yield self.events.pop(0)

    def close(self) -> None:
        self.come.release()

    def stop(self, wait_s: float | None = None) -> None:
        self.stops += 1
        raise ProxyUnreachable("gone already")


def test_a_live_proxy_and_its_end(session, source_of):
    control = FakeControl()
    source = source_of(session.path, control, quit_policy=QuitPolicy.ASK)
    status = source.snapshot().status
    assert status.source == "live"
    assert status.listeners == ("127.0.0.1:8080 reverse:http://server",)
    assert source.quit_policy is QuitPolicy.ASK
    control.say(NoticeEvent("the disk is full", "error", 3))
    until(lambda: ("error", "#3: the disk is full") in source.snapshot().status.notices, "the notice")
    control.say(Stopping())
    until(lambda: source.snapshot().status.source == "ended", "the end")
    source.stop_proxy()
    assert control.stops == 1


def test_records_that_go_on_in_memory_and_back(session, source_of, tmp_path):
    control = FakeControl()
    source = source_of(session.path, control)
    session.open(1)
    session.send(1, S, 1, b"on disk")
    rows = source.rows(Scope(conn=1))
    until(lambda: len(rows) == 3, "what is on disk")
    file, ring = session.path, tmp_path / "ring.wscap"
    left = file.stat().st_size
    ring.write_bytes(MAGIC)
    session.path = ring
    session.send(1, S, 1, b"in memory")
    control.say(CaptureMoved(str(ring), 0, left, False))
    until(lambda: len(rows) == 4, "what is in memory")
    session.path = file
    session.add(Gap(1, S, session.t_ns, 9, 11, "disk full"))
    position = file.stat().st_size
    session.send(1, S, 1, b"on disk again")
    control.say(CaptureMoved(str(file), position, ring.stat().st_size, True))
    until(lambda: len(rows) == 5, "what is on disk again")
    previews = [line.preview for line in source.lines(list(rows))]
    assert previews[2:] == ["on disk", "in memory", "on disk again"]
    until(lambda: source.snapshot().status.capture == str(file), "the place")


def test_what_is_evicted_says_so(tmp_path, source_of, monkeypatch):
    monkeypatch.setattr("wsinspect.capture.segments.LEAST_SEGMENT", 10_000)
    session = Session(tmp_path / "unused.wscap")
    writer = Writer(tmp_path / "a.wscap", limit=80_000)
    session.add = writer.append
    source = source_of(writer.path)
    rows = source.rows(Scope(conn=None))
    session.open(1)
    session.send(1, S, 1, b"the first")
    until(lambda: len(rows) == 3, "the first")
    assert source.lines([2])[0].preview == "the first"
    for n in range(3000):
        session.send(1, S, 1, b"%d later" % n)
        if n % 100 == 0:
            until(lambda n=n: len(rows) >= n, "the rows")
    until(lambda: len(rows) == 3003, "all")
    until(lambda: source.lines([2])[0].preview == "no longer in the capture", "its end")
    assert source.lines([3002])[0].preview == "2999 later"
    gone, there = source.detail(2), source.detail(3002)
    assert (gone.frame, gone.note) == (None, "this frame was evicted: it is no longer in the capture")
    assert there.frame is not None
    assert there.frame.payload == b"2999 later"
    writer.close()


def test_when_no_more_rows_fit_it_says_so(session, source_of):
    busy(session)
    source = source_of(session.path, max_rows=100)
    words = "the screen holds 100 rows and takes no more; wsinspect tail shows the rest"
    until(lambda: ("warning", words) in source.snapshot().status.notices, "the notice")
    assert len(source.rows(Scope())) == 100


async def test_the_screen_over_a_capture(session, run):
    busy(session)
    session.fact(1, Notice(code="note", text="said by the proxy"))
    source = CaptureSource(session.path)
    async with run(source) as screen:
        await screen.sees("compressed text 0")
        await screen.sees("FILE")
        await screen.press("G")
        await screen.sees("missing: queue full")
        await screen.sees("✚ injected")
        await screen.sees("ECONNRESET")
        await screen.press("shift+tab", "j", "enter")
        await screen.sees("only #2")
        await screen.press("G", "k")
        await screen.sees("compressed text 199")
        session.send(2, S, 1, b"it still grows")
        await screen.press("G")
        await screen.sees("it still grows")
