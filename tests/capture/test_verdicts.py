"""Verdicts and their messages: who finds whom, what a reader is told, what is counted, what is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.capture.streams import MASK, TAKEOVER, cut
from tests.capture.test_index import index_of, opened
from wsinspect.capture import verdicts as module
from wsinspect.capture.index import RowFlag
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, MessageEvent, Timeline
from wsinspect.capture.verdicts import RuleTally, verdict_flags
from wsinspect.model import (
    Closed,
    FactRecord,
    Gap,
    Judged,
    Notice,
    Outcome,
    Read,
    Record,
    Released,
    Ruled,
    RuleHit,
    ScanState,
    Sent,
    Side,
)
from wsinspect.wire.deflate import Deflater
from wsinspect.wire.frames import encode_frame

C, S = Side.CLIENT, Side.SERVER


def judged(
    first: int, last: int | None = None, *, rule: str = "r", did: str = "did it", **values: Any
) -> Judged:
    values = {"side": C, "opcode": 1, "hits": [RuleHit(rule=rule, did=(did,) if did else ())]} | values
    return Judged(first_frame=first, last_frame=first if last is None else last, **values)


def fact(value: Any, conn: int = 1, t_ns: int = 7) -> FactRecord:
    return FactRecord(conn, t_ns, value)


def read(*frames: bytes, number: int = 1, offset: int = 0, **values: Any) -> Read:
    return Read(1, C, 5, b"".join(frames), offset, number, **values)


def text(payload: bytes, **values: Any) -> bytes:
    return encode_frame(values.pop("opcode", 1), payload, mask=MASK, **values)


def events_of(*records: Record, finish: bool = False) -> list[Event]:
    line = Timeline()
    events = [event for record in [*opened(), *records] for event in line.feed(record)]
    return [*events, *(line.finish() if finish else [])][2:]


def kinds(events: list[Event]) -> list[str]:
    return [event.fact.kind if isinstance(event, FactEvent) else type(event).__name__ for event in events]


# ------------------------------------------------------------------------------------------- on the events


def test_a_verdict_goes_with_its_message_and_is_no_event_of_its_own() -> None:
    verdict = judged(2, outcome=Outcome.DROPPED)
    events = events_of(fact(verdict), read(text(b"one"), text(b"two"), text(b"three")))
    assert kinds(events) == ["FrameEvent", "MessageEvent"] * 3
    frame, message = events[2], events[3]
    assert isinstance(frame, FrameEvent)
    assert isinstance(message, MessageEvent)
    assert frame.verdict is message.verdict is verdict
    assert frame.flags == message.flags == ("dropped",)
    assert (message.rule, message.ours) == ("r", False)
    for other in (*events[:2], *events[4:]):
        assert isinstance(other, FrameEvent | MessageEvent)
        assert (other.verdict, other.flags, other.rule) == (None, (), None)


def test_fragments_and_the_ping_between_them_have_each_their_own() -> None:
    ping = judged(2, opcode=9, outcome=Outcome.DROPPED, rule="no-pings")
    whole = judged(1, 3, outcome=Outcome.PASSED, tags=["seen"])
    first = text(b"he", fin=False)
    events = events_of(
        read(first),
        fact(ping),
        fact(whole),
        read(text(b"", opcode=9), text(b"llo", opcode=0), number=2, offset=len(first), state=ScanState.TEXT),
    )
    found = [(e.frame.number, e.rule, e.flags) for e in events if isinstance(e, FrameEvent)]
    assert found == [(1, None, ()), (2, "no-pings", ("dropped",)), (3, "r", ("tag:seen",))]
    (message,) = [event for event in events if isinstance(event, MessageEvent)]
    assert message.verdict is whole


@pytest.mark.parametrize(
    ("verdict", "flags"),
    [
        (judged(1), ()),
        (judged(1, outcome=Outcome.CHANGED), ("replaced",)),
        (judged(1, outcome=Outcome.HELD, hold=3), ("held",)),
        (judged(1, delay_ms=200.0), ("delayed",)),
        (judged(1, outcome=Outcome.CHANGED, delay_ms=1.0, behind=2), ("replaced", "delayed", "reordered")),
        (judged(1, captured="redacted", tags=["a", "b"]), ("redacted", "tag:a", "tag:b")),
        (judged(1, outcome=Outcome.DROPPED, shadow=True, tags=["a"]), ("shadow", "tag:a")),
    ],
)
def test_flags(verdict: Judged, flags: tuple[str, ...]) -> None:
    assert verdict_flags(verdict) == flags


def test_what_is_sent_instead_says_for_which_message() -> None:
    sent = Sent(1, C, 9, text(b"other"), 3, "modified", "r", 4, 5)
    frame, message = events_of(sent)
    assert isinstance(frame, FrameEvent)
    assert isinstance(message, MessageEvent)
    assert (frame.frame.number, frame.ours, frame.of, frame.flags) == (0, True, (4, 5), ("modified",))
    assert (message.message.first_frame, message.of, message.rule) == (0, (4, 5), "r")


def test_what_went_out_compressed_is_read_as_it_was_before() -> None:
    sent = Sent(1, C, 9, text(b"inflated"), 3, "modified", "r", 4, 4, wire_bytes=11)
    message = events_of(sent)[1]
    assert isinstance(message, MessageEvent)
    assert (message.message.text, message.message.compressed, message.message.wire_bytes) == (
        "inflated", True, 11,
    )  # fmt: skip


@pytest.mark.parametrize(("nbytes", "payload"), [(1, b""), (5, b""), (6, b""), (9, b"who")])
def test_what_was_cut_off_in_its_middle_shows_how_far_it_came(
    tmp_path: Path, nbytes: int, payload: bytes
) -> None:
    sent = Sent(1, C, 9, text(b"whole message")[:nbytes], 3, "cut", "r", 4, 4)
    (frame,) = events_of(sent)
    assert isinstance(frame, FrameEvent)
    assert (frame.frame.payload, frame.frame.truncated, frame.frame.opcode) == (payload, True, 1)
    assert (frame.flags, frame.ours, frame.of) == (("cut",), True, (4, 4))
    with index_of(tmp_path / "a.wscap", [*opened(), sent]) as index:
        assert index.frame(2) == frame.frame
        assert index.row(2).flags & RowFlag.TRUNCATED
        assert index.message(2) is None


def test_whole_frames_before_a_cut_are_whole(tmp_path: Path) -> None:
    data = text(b"he", fin=False) + text(b"llo", opcode=0)
    sent = Sent(1, C, 9, data[:-2], 3, "cut", "r", 4, 4)
    with index_of(tmp_path / "a.wscap", [*opened(), sent]) as index:
        flags = [bool(index.row(row).flags & RowFlag.TRUNCATED) for row in (2, 3)]
        assert flags == [False, True]
        assert [index.frame(row).payload for row in (2, 3)] == [b"he", b"l"]


def test_what_refers_to_a_window_that_nobody_knows_is_lost_not_guessed() -> None:
    deflater = Deflater()
    first = deflater.deflate(b"the same words again")
    second = deflater.deflate(b"the same words again")
    line = Timeline()
    for record in opened(TAKEOVER):
        line.feed(record)
    shown = []
    for payload in (first, second):
        sent = Sent(1, C, 9, text(payload, rsv=4), 0, "injected")
        shown.append(next(e.message for e in line.feed(sent) if isinstance(e, MessageEvent)))
    assert (shown[0].text, shown[0].lost) == ("the same words again", "")
    assert (shown[1].payload, shown[1].lost, shown[1].violations) == (b"", "window-lost", ())


# -------------------------------------------------------------------------------- verdicts without a message


def test_a_handshakes_verdict_is_a_fact() -> None:
    assert kinds(events_of(fact(judged(0, 0, opcode=0)))) == ["judged"]


def test_a_message_that_a_gap_ate_leaves_its_verdict_as_a_fact() -> None:
    one, two, three = (text(payload) for payload in (b"one", b"two", b"three"))
    stream = cut(one + two + three, [len(one), len(two)])
    gap = Gap(1, C, 6, len(one), len(two), "slow disk")
    events = events_of(stream[0], fact(judged(2)), gap, stream[2])
    assert kinds(events) == ["FrameEvent", "MessageEvent", "GapEvent", "FrameEvent", "MessageEvent", "judged"]


def test_what_a_rule_keeps_out_of_the_capture_says_so_at_its_gap(tmp_path: Path) -> None:
    hidden = judged(1, captured="nothing")
    records: list[Record] = [fact(hidden), fact(judged(2)), Gap(1, C, 6, 0, 9, "no-capture")]
    records.append(read(text(b"next"), number=2, offset=9))
    assert kinds(events_of(*records)) == ["GapEvent", "judged", "FrameEvent", "MessageEvent"]
    with index_of(tmp_path / "a.wscap", [*opened(), *records]) as index:
        assert [index.row(row).kind for row in range(2, len(index))] == ["gap", "judged", "text"]
        assert index.fact(3) == hidden
        assert index.judged.verdict(4) is not None


@pytest.mark.parametrize(
    "end",
    [
        fact(Closed()),
        FactRecord(0, 9, Notice(code="segment", text="another process")),
        fact(Notice(code="evicted", text="gone")),
        Read(1, C, 9, b"raw", 0, state=ScanState.BLIND),
    ],
)
def test_where_nothing_more_can_come_the_verdicts_are_told(end: Record) -> None:
    events = events_of(fact(judged(1)), fact(judged(2)), end)
    assert kinds(events).count("judged") == 2
    assert events_of(fact(judged(1)), fact(judged(2)), end, finish=True) == events


def test_the_end_of_the_capture_tells_them_too() -> None:
    assert kinds(events_of(fact(judged(1)))) == []
    assert kinds(events_of(fact(judged(1)), finish=True)) == ["judged"]


def test_verdicts_that_wait_are_bounded_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    records: list[Record] = [fact(judged(number)) for number in range(1, 9)]
    records.append(read(*(text(b"%d" % number) for number in range(1, 9))))
    events = events_of(*records)
    assert kinds(events).count("judged") == 5
    assert [e.message.text for e in events if isinstance(e, MessageEvent) and e.verdict] == ["6", "7", "8"]
    with index_of(tmp_path / "a.wscap", [*opened(), *records]) as index:
        assert [index.row(row).kind for row in range(len(index))].count("judged") == 5


def test_a_second_verdict_on_a_message_is_not_lost() -> None:
    events = events_of(fact(judged(1, rule="a")), fact(judged(1, rule="b")), read(text(b"x"), text(b"y")))
    assert kinds(events) == ["FrameEvent", "MessageEvent"] * 2 + ["judged"]


# ------------------------------------------------------------------------------------------------ the index


def test_before_and_after_find_each_other(tmp_path: Path) -> None:
    first, rest = text(b"he", fin=False), text(b"llo", opcode=0)
    records: list[Record] = [
        *opened(),
        read(first),
        fact(judged(1, 2, outcome=Outcome.CHANGED)),
        fact(judged(3, outcome=Outcome.CHANGED)),
        read(rest, text(b"next"), number=2, offset=len(first), state=ScanState.TEXT),
        Sent(1, S, 8, encode_frame(1, b"the other side's"), 0, "modified", "r", 2, 2),
        Sent(1, C, 8, text(b"HELLO"), 0, "modified", "r", 1, 2),
        Sent(1, C, 8, text(b"NEXT"), 0, "modified", "r", 3, 3),
        Sent(1, C, 8, text(b"NEXT"), 0, "duplicate", "r", 3, 3),
    ]
    with index_of(tmp_path / "a.wscap", records) as index:
        rows = index.judged
        assert [rows.sent_for(row) for row in range(2, 9)] == [[6], [6], [7, 8], [], [], [], []]
        assert [rows.original(row) for row in range(2, 9)] == [None, None, None, None, 3, 4, 4]
        assert [bool(rows.verdict(row)) for row in range(2, 9)] == [True] * 3 + [False] * 4
        message = index.message(6)
        assert message is not None
        assert message.text == "HELLO"


def test_what_is_held_and_what_became_of_it(tmp_path: Path) -> None:
    records: list[Record] = [*opened()]
    for number in range(1, 5):
        hold = judged(number, outcome=Outcome.HELD, hold=number, limit_ms=9000)
        records += [fact(hold), read(text(b"%d" % number), number=number, offset=7 * (number - 1))]
    with index_of(tmp_path / "a.wscap", records) as index:
        held = list(index.judged.held.values())
        assert [(each.hold, each.limit_ms, each.rule) for each in held] == [
            (n, 9000, "r") for n in range(1, 5)
        ]
        messages = [index.message(each.row) for each in held]
        assert [each.text for each in messages if each] == ["1", "2", "3", "4"]
    records.append(fact(Released(side=C, hold=2, how="drop")))
    with index_of(tmp_path / "b.wscap", records) as index:
        assert [each.hold for each in index.judged.held.values()] == [1, 3, 4]
    with index_of(tmp_path / "c.wscap", [*records, fact(Closed())]) as index:
        assert not index.judged.held


def test_nothing_is_held_in_shadow(tmp_path: Path) -> None:
    hold = judged(1, outcome=Outcome.HELD, hold=1, shadow=True)
    with index_of(tmp_path / "a.wscap", [*opened(), fact(hold), read(text(b"x"))]) as index:
        assert not index.judged.held


def test_which_rules_hold(tmp_path: Path) -> None:
    loaded = FactRecord(0, 1, Ruled(files=["a.yaml"], rules=["one", "two"]))
    broken = FactRecord(0, 2, Ruled(error="a.yaml:3:1: what is this"))
    with index_of(tmp_path / "a.wscap", [loaded, broken]) as index:
        assert index.judged.ruled == loaded.fact
        assert index.judged.rules_error == "a.yaml:3:1: what is this"
    with index_of(tmp_path / "b.wscap", [loaded, broken, loaded]) as index:
        assert index.judged.rules_error == ""


def test_hostile_numbers_do_no_harm(tmp_path: Path) -> None:
    huge = 10**30
    records: list[Record] = [
        *opened(),
        fact(judged(-5, 10**30)),
        fact(judged(huge, -huge, hold=huge, outcome=Outcome.HELD)),
        fact(judged(1, 1, outcome=Outcome.HELD, hold=-1, limit_ms=-1, delay_ms=float("inf"), hits=[])),
        fact(Released(side=S, hold=huge, how="drop", held_ms=float("nan"))),
        read(text(b"x"), text(b"y")),
        Sent(1, C, 1, text(b"z"), 2**64 - 1, "modified", None, 2**64 - 1, 2**64 - 1, 2**64 - 1),
    ]
    Summary().feed(events_of(*records, finish=True)[0])
    with index_of(tmp_path / "a.wscap", records) as index:
        for row in range(len(index)):
            index.judged.verdict(row)
            index.judged.sent_for(row)
            index.judged.original(row)


# ------------------------------------------------------------------------------------------------ the counts


def test_counts_by_rule() -> None:
    tally = RuleTally()
    tally.judged(judged(1, rule="fake", outcome=Outcome.CHANGED))
    both = [RuleHit(rule="tag"), RuleHit(rule="drop", did=("drop it",))]
    tally.judged(judged(2, hits=both, outcome=Outcome.DROPPED))
    tally.judged(judged(3, rule="slow", delay_ms=5.0))
    tally.judged(judged(4, rule="fake", outcome=Outcome.DROPPED, shadow=True))
    tally.judged(judged(5, rule="wait", outcome=Outcome.HELD))
    tally.sent("answer", "injected")
    tally.sent("fake", "modified")
    tally.sent(None, "injected")
    assert {rule: counts.words() for rule, counts in tally.rules.items()} == {
        "fake": "2 hits, 1 changed, 1 in shadow",
        "tag": "1 hit",
        "drop": "1 hit, 1 dropped",
        "slow": "1 hit, 1 delayed",
        "wait": "1 hit, 1 held",
        "answer": "0 hits, 1 sent",
    }
    assert tally.hits == 6


def test_names_of_rules_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RULES", 2)
    tally = RuleTally()
    for name in "abcdab":
        tally.judged(judged(1, rule=name))
    assert {rule: counts.hits for rule, counts in tally.rules.items()} == {"a": 2, "b": 2, "(others)": 2}


def test_a_summary_counts_each_verdict_once_and_ours_apart() -> None:
    first = text(b"he", fin=False)
    summary = Summary()
    for event in events_of(
        fact(judged(0, 0, opcode=0, rule="handshake")),
        fact(judged(1, 2, outcome=Outcome.CHANGED, rule="fake")),
        fact(judged(3, opcode=9, outcome=Outcome.DROPPED, rule="no-pings")),
        read(first, text(b"llo", opcode=0), text(b"", opcode=9)),
        Sent(1, C, 8, text(b"HELLO"), 0, "modified", "fake", 1, 2),
        Sent(1, C, 8, text(b"more"), 0, "injected", "answer"),
        FactRecord(0, 9, Ruled(files=["a.yaml"], rules=["fake"])),
        fact(Notice(code="private", text="captured after rules", side=S)),
    ):
        summary.feed(event)
    connection = summary.connections[1]
    for tally in (summary.totals.rules, connection.rules):
        assert {rule: counts.words() for rule, counts in tally.rules.items()} == {
            "handshake": "1 hit",
            "fake": "1 hit, 1 changed",
            "no-pings": "1 hit, 1 dropped",
            "answer": "0 hits, 1 sent",
        }
    assert (connection.frames, connection.messages, connection.injected) == ([3, 0], [1, 0], [2, 0])
    assert connection.private == [False, True]
    assert summary.ruled is not None
    assert summary.ruled.rules == ["fake"]
