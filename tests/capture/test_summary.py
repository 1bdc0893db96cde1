"""Counting, and the state that each connection is in."""

from __future__ import annotations

import pytest

from tests.capture.streams import MASK, PLAIN, REQUESTED, TAKEOVER
from wsinspect.capture.summary import ConnectionSummary, Summary
from wsinspect.capture.timeline import Timeline
from wsinspect.model import (
    Altered,
    Closed,
    ConnectionState,
    Ended,
    Fact,
    FactRecord,
    Failed,
    Gap,
    How,
    Notice,
    Opened,
    Read,
    Record,
    Sent,
    Side,
)
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.frames import encode_frame

CLIENT_CLOSE = encode_frame(8, encode_close(1000, "bye"), mask=MASK)
SERVER_CLOSE = encode_frame(8, encode_close(1000, "bye"))


def summarise(records: list[Record]) -> Summary:
    timeline, summary = Timeline(), Summary()
    for record in records:
        for event in timeline.feed(record):
            summary.feed(event)
    return summary


def story(*steps: Fact | tuple[Side, bytes]) -> ConnectionSummary:
    """One connection, one step a nanosecond: facts, or bytes that a side sent."""
    offsets = [0, 0]
    records: list[Record] = []
    for t_ns, step in enumerate(steps):
        if isinstance(step, tuple):
            side, data = step
            records.append(Read(1, side, t_ns, data, offsets[side]))
            offsets[side] += len(data)
        else:
            records.append(FactRecord(1, t_ns, step))
    return summarise(records).connections[1]


CLIENT_CLOSES = (Side.CLIENT, CLIENT_CLOSE)
SERVER_CLOSES = (Side.SERVER, SERVER_CLOSE)
CLIENT_FIN = Ended(side=Side.CLIENT, how=How.FIN)
SERVER_RST = Ended(side=Side.SERVER, how=How.RST, errno="ECONNRESET")
RAW = Opened(transport="raw")
REFUSED = Failed(phase="connect", message="connection refused", errno="ECONNREFUSED")


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([REQUESTED], "connecting"),
        ([REQUESTED, REFUSED], "failed"),
        ([REQUESTED, Closed()], "failed"),
        ([REQUESTED, REFUSED, CLIENT_FIN, Closed()], "failed"),
        ([REQUESTED, PLAIN], "open"),
        ([REQUESTED, PLAIN, CLIENT_CLOSES], "closing"),
        ([REQUESTED, PLAIN, CLIENT_CLOSES, CLIENT_CLOSES], "closing"),
        ([REQUESTED, PLAIN, CLIENT_CLOSES, SERVER_CLOSES], "closed"),
        ([REQUESTED, PLAIN, SERVER_CLOSES, SERVER_RST], "closed"),
        ([REQUESTED, PLAIN, CLIENT_CLOSES, Closed()], "closed"),
        ([REQUESTED, PLAIN, CLIENT_CLOSES, SERVER_CLOSES, CLIENT_FIN, Closed()], "closed"),
        ([REQUESTED, PLAIN, SERVER_RST], "dropped"),
        ([REQUESTED, PLAIN, CLIENT_FIN, SERVER_CLOSES, Closed()], "dropped"),
        ([REQUESTED, PLAIN, Closed()], "dropped"),
        ([(Side.CLIENT, encode_frame(9, b"", mask=MASK))], "open"),
        ([REQUESTED, RAW, (Side.SERVER, b"SSH")], "open"),
        ([REQUESTED, RAW, CLIENT_FIN], "closed"),
        ([REQUESTED, RAW, SERVER_RST], "dropped"),
    ],
)
def test_states(steps: list[Fact | tuple[Side, bytes]], state: str) -> None:
    connection = story(*steps)
    assert connection.state is ConnectionState(state)
    assert (connection.closed_ns is None) is connection.is_live


def test_who_ended_it_and_how_and_when() -> None:
    connection = story(REQUESTED, PLAIN, SERVER_CLOSES, SERVER_RST, CLIENT_FIN, Closed())
    assert connection.ended_first == SERVER_RST
    assert connection.ends == [SERVER_RST, CLIENT_FIN]
    assert (connection.first_ns, connection.opened_ns, connection.closed_ns, connection.last_ns) == (
        0,
        1,
        3,
        5,
    )
    (close,) = connection.close
    assert (close.side, close.code, close.reason, close.injected) == (Side.SERVER, 1000, "bye", False)


def test_counts() -> None:
    text = encode_frame(1, b"hello", mask=MASK)
    fragments = encode_frame(2, b"a", fin=False) + encode_frame(9, b"") + encode_frame(0, b"b")
    summary = summarise(
        [
            FactRecord(1, 1, REQUESTED),
            FactRecord(1, 2, TAKEOVER),
            Read(1, Side.CLIENT, 3, text * 2, 0),
            Read(1, Side.SERVER, 4, fragments, 0),
            Sent(1, Side.SERVER, 5, encode_frame(1, b"injected"), 8),
            Gap(1, Side.SERVER, 6, len(fragments), 50, "slow"),
            Read(1, Side.SERVER, 7, encode_frame(11, b"x"), len(fragments) + 50, frame=9),
            FactRecord(1, 8, Altered(what="request header Host")),
            FactRecord(1, 9, Notice(code="n", text="t")),
            FactRecord(0, 10, Notice(code="whole", text="t")),
        ]
    )
    connection, totals = summary.connections[1], summary.totals
    assert connection.url == "ws://server/path"
    assert connection.deflate is not None
    assert connection.frames == totals.frames == [2, 4]
    assert connection.messages == totals.messages == [2, 1]
    assert connection.kinds == {"text": 2, "binary": 1, "ping": 1, "continuation": 1, "reserved-11": 1}
    assert totals.kinds == [{"text": 2}, {"binary": 1, "ping": 1, "continuation": 1, "reserved-11": 1}]
    assert connection.bytes == totals.bytes == [2 * len(text), len(fragments) + 3]
    assert connection.lost_bytes == totals.lost_bytes == [0, 50]
    assert connection.injected == totals.injected == [0, 1]
    assert connection.violations == totals.violations == {"reserved-opcode": 1}
    assert (totals.gaps, totals.first_ns, totals.last_ns) == (1, 1, 10)
    assert len(connection.altered) == len(connection.notices) == len(summary.notices) == 1
    assert connection.findings, "that handshake lacks nearly everything"
    assert summary.states() == {ConnectionState.OPEN: 1}


def test_a_new_segment_ends_what_lived_in_the_last_one() -> None:
    summary = summarise(
        [
            FactRecord(1, 1, REQUESTED),
            FactRecord(2, 1, REQUESTED),
            FactRecord(2, 2, PLAIN),
            FactRecord(0, 9, Notice(code="segment", text="another process")),
        ]
    )
    assert [c.state.value for c in summary.connections.values()] == ["failed", "dropped"]
    assert summary.connections[2].closed_ns == 2


def test_a_length_that_never_comes_is_not_counted() -> None:
    assert story(REQUESTED, PLAIN, (Side.SERVER, b"\x82\x7f" + b"\xff" * 8)).bytes == [0, 10]


def test_a_flood_of_facts_is_bounded() -> None:
    assert len(story(REQUESTED, PLAIN, *[Notice(code="n", text="t")] * 500).notices) == 100
