"""Events from records: any cut gives the same frames, and a hole never gives wrong text."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.streams import MASK, PLAIN, REQUESTED, TAKEOVER, cut, random_sizes, talk
from wsinspect.capture import timeline
from wsinspect.capture.timeline import (
    Event,
    FactEvent,
    FrameEvent,
    GapEvent,
    MessageEvent,
    RawEvent,
    Timeline,
)
from wsinspect.model import (
    Clock,
    Closed,
    FactRecord,
    Gap,
    Opened,
    Read,
    Record,
    ScanState,
    Sent,
    Side,
    Violation,
)
from wsinspect.wire.frames import encode_frame


def events_of(records: list[Record], opened: Opened | None = PLAIN) -> list[Event]:
    line = Timeline()
    before = [FactRecord(1, 0, REQUESTED), FactRecord(1, 0, opened)] if opened else []
    return [event for record in [*before, *records] for event in line.feed(record)]


def frames_in(events: list[Event]) -> list[FrameEvent]:
    return [event for event in events if isinstance(event, FrameEvent)]


def texts_in(events: list[Event]) -> list[str]:
    return [event.message.text or "" for event in events if isinstance(event, MessageEvent)]


@given(st.integers(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_cut_gives_the_same_frames_and_texts(seed: int, deflate: bool) -> None:
    rng = random.Random(seed)
    stream, texts = talk(rng, 12, deflate=deflate)
    whole = events_of(list(cut(stream, [])), TAKEOVER)
    parts = events_of(list(cut(stream, random_sizes(rng))), TAKEOVER)
    assert texts_in(whole) == texts_in(parts) == texts
    assert [e.frame for e in frames_in(whole)] == [e.frame for e in frames_in(parts)]
    assert not [e for e in parts if isinstance(e, GapEvent)]


@given(st.integers(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_after_a_missing_read_numbers_are_right_and_texts_right_or_lost(
    seed: int, said: bool, twice: bool
) -> None:
    """The promise that the scan state in each read is there for, under context takeover."""
    rng = random.Random(seed)
    stream, _ = talk(rng, 30, deflate=True)
    reads = cut(stream, random_sizes(rng))
    right = {e.frame.number: e.frame for e in frames_in(events_of(list(reads), TAKEOVER))}
    true_texts = {
        e.message.last_frame: e.message.text
        for e in events_of(list(reads), TAKEOVER)
        if isinstance(e, MessageEvent)
    }
    records: list[Record] = list(reads)
    for _ in range(2 if twice else 1):
        at = rng.randrange(len(records) - 1)
        hole = records[at]
        if isinstance(hole, Read):
            gap = Gap(1, hole.side, hole.t_ns, hole.offset, len(hole.data), "slow")
            records[at : at + 1] = [gap] if said else []
    events = events_of(records, TAKEOVER)
    assert [e for e in events if isinstance(e, GapEvent)]
    for event in events:
        if isinstance(event, FrameEvent):
            expected = right[event.frame.number]
            assert event.frame.offset == expected.offset
            assert event.frame.opcode == expected.opcode
            assert event.frame.truncated or event.frame.payload == expected.payload
        if isinstance(event, MessageEvent):
            message = event.message
            if message.lost or message.truncated:
                assert not message.lost or message.payload == b""
            else:
                assert message.text == true_texts[message.last_frame]


def test_reads_tell_where_a_frame_came_in() -> None:
    stream = encode_frame(1, b"a" * 10) + encode_frame(1, b"b") + encode_frame(2, b"c" * 30)
    reads = cut(stream, [5, 12, 1, 20], side=Side.SERVER)
    assert [e.reads for e in frames_in(events_of(list(reads)))] == [(1, 2), (2, 2), (2, 5)]


def test_attached_in_the_middle_without_the_handshake() -> None:
    stream, _ = talk(random.Random(1), 6, deflate=True)
    reads = cut(stream, random_sizes(random.Random(2)))
    events = events_of(list(reads[len(reads) // 2 :]), opened=None)
    gap = events[0]
    assert isinstance(gap, GapEvent)
    assert gap.nbytes == reads[len(reads) // 2].offset
    assert frames_in(events)
    for event in events:
        if isinstance(event, MessageEvent) and not event.message.lost:
            assert (event.message.text or "").startswith("message")


def test_a_gap_that_is_said_and_one_that_is_not() -> None:
    stream = b"".join(encode_frame(2, bytes(8)) for _ in range(8))
    reads = cut(stream, [10] * 8, side=Side.SERVER)
    said = Gap(1, Side.SERVER, 3, 20, 10, "slow disk")
    events = events_of([*reads[:2], said, reads[3], *reads[5:]])
    gaps = [(e.nbytes, e.reason) for e in events if isinstance(e, GapEvent)]
    assert gaps == [(10, "slow disk"), (10, "missing read")]
    assert [e.frame.number for e in frames_in(events)] == [1, 2, 4, 6, 7, 8]


def test_a_header_cut_by_a_gap_costs_one_read_more() -> None:
    stream = b"".join(encode_frame(1, b"%04d" % n) for n in range(6))
    reads = cut(stream, [7, 9, 8], side=Side.SERVER)
    assert reads[1].carry
    events = events_of([reads[1], *reads[2:]])
    assert [e.reason for e in events if isinstance(e, GapEvent)][1] == timeline.CUT_HEADER
    assert [e.frame.number for e in frames_in(events)] == [4, 5, 6]


def test_out_of_order_reads_do_not_raise() -> None:
    stream = b"".join(encode_frame(1, b"%04d" % n) for n in range(6))
    reads = cut(stream, [6] * 6, side=Side.SERVER)
    events = events_of([reads[0], reads[3], reads[1], reads[1]])
    assert [e.frame.payload for e in frames_in(events)] == [b"0000", b"0003", b"0001", b"0001"]


def test_injected_frames_are_flagged_and_not_numbered() -> None:
    data = encode_frame(1, b"hello", mask=MASK) + encode_frame(9, b"ping", mask=MASK)
    sent = Sent(1, Side.CLIENT, 5, data, 100, "injected", "my-rule")
    frame, message, ping = events_of([sent])[2:]
    assert isinstance(frame, FrameEvent)
    assert isinstance(message, MessageEvent)
    assert isinstance(ping, FrameEvent)
    assert (frame.frame.number, frame.frame.offset, frame.flags) == (0, 100, ("injected",))
    assert (message.message.text, message.flags, message.rule) == ("hello", ("injected",), "my-rule")
    assert (ping.frame.opcode, ping.rule) == (9, "my-rule")


def test_what_is_not_parsed_comes_out_raw() -> None:
    raw = Opened(transport="raw")
    read = Read(1, Side.SERVER, 1, b"SSH-2.0", 0)
    assert isinstance(events_of([read], raw)[-1], RawEvent)
    blind = Read(1, Side.SERVER, 1, b"\x81\x01x", 0, state=ScanState.BLIND)
    assert isinstance(events_of([blind])[-1], RawEvent)


def test_a_length_beyond_all_bounds_makes_the_rest_raw() -> None:
    data = encode_frame(1, b"ok") + b"\x82\x7f" + b"\xff" * 8 + b"rest"
    events = events_of([Read(1, Side.SERVER, 1, data, 0), Read(1, Side.SERVER, 2, b"more", len(data))])
    frames, raw = frames_in(events), [e.data for e in events if isinstance(e, RawEvent)]
    assert Violation.LENGTH_OVERFLOW in frames[1].frame.violations
    assert raw == [b"rest", b"more"]


def test_old_connections_are_forgotten_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_CONNECTIONS", 3)
    line = Timeline()
    for conn in range(1, 10):
        first = line.feed(Read(conn, Side.SERVER, 1, encode_frame(1, b"a"), 0))
        assert isinstance(first[0], FrameEvent)
    again = line.feed(Read(1, Side.SERVER, 2, encode_frame(1, b"b"), 3, frame=2))
    assert isinstance(again[0], GapEvent)
    assert isinstance(again[1], FrameEvent)
    assert again[1].frame.number == 2
    assert len(line._connections) <= 3


def test_facts_pass_and_clocks_do_not() -> None:
    line = Timeline()
    assert line.feed(FactRecord(3, 7, Closed())) == [FactEvent(3, 7, Closed())]
    assert line.feed(Clock(1, 2)) == []
