"""What rules did, on the screen: in rows, in the detail, in the connections."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.capture.ruled import Talk, ruled_session
from tests.cli.conftest import write_capture
from tests.tui.fake_source import FakeSource
from tests.tui.test_detail import content, names
from wsinspect.model import Judged, Outcome, Released, RuleHit, Side
from wsinspect.tui.capture_source import CaptureSource
from wsinspect.tui.source import Detail, LogLine, RuleDetail, Scope

C, S = Side.CLIENT, Side.SERVER


@pytest.fixture
def source(tmp_path: Path):
    source = CaptureSource(write_capture(tmp_path / "a.wscap", ruled_session()))
    source.start()
    yield source
    source.close()


def lines_of(source: CaptureSource) -> list[LogLine]:
    end = time.monotonic() + 10
    while True:
        frames = source.snapshot().status.frames
        lines = source.lines(source.rows(Scope())[:])  # later: they lack none of those frames
        if frames == 11 and lines and not any(line.pending for line in lines):
            return lines
        assert time.monotonic() < end
        time.sleep(0.01)


def the(lines: list[LogLine], flag: str, place: int = 0) -> LogLine:
    return [line for line in lines if flag in line.flags][place]


def test_rows_say_what_rules_did(source):
    lines = lines_of(source)
    found = [(line.flags, line.rule) for line in lines if line.flags]
    tick = [(("replaced",), "fake-price"), (("modified",), "fake-price")]
    assert found == [
        *tick * 3,
        (("dropped",), "no-heartbeats"),
        (("delayed 200 ms", "tag:chat"), "slow-chat"),
        (("dropped",), "mock-order"),
        (("injected",), "mock-order"),
        (("redacted",), "hide-token"),
        (("shadow: would have been dropped",), "watch-errors"),
        (("held",), "ask-me"),
        (("modified",), "ask-me"),
        (("held",), "ask-me"),
    ]
    assert the(lines, "modified").preview.startswith('$.price 64210 → 1 · {"type":"tick"')
    kinds = [line.kind for line in lines if line.kind in ("judged", "released", "ruled")]
    assert kinds == ["ruled", "judged", "judged", "released", "ruled"]


def test_the_detail_of_a_changed_message_is_the_same_from_both_sides(source):
    lines = lines_of(source)
    before, after = (source.detail(the(lines, flag, 1).row) for flag in ("replaced", "modified"))
    for detail in (before, after):
        assert names(detail)[0] == "Verdict"
        text = content(detail, "Verdict")
        assert '-   "price": 64211,' in text
        assert '+   "price": 1,' in text
        assert '    "type": "tick"' in text
    assert "set $.price to 1" in content(before, "Verdict")
    assert "instead of   frame 2" in content(after, "Verdict")
    assert "≠ replaced by fake-price" in content(before, "Verdict")
    assert "✎ modified by fake-price" in content(after, "Verdict")


def test_the_detail_of_what_was_held_says_how_it_went_on(source):
    lines = lines_of(source)
    edited, waiting = (
        content(source.detail(the(lines, "held", place).row), "Verdict", 140) for place in (0, 1)
    )
    assert "went on with another payload, after 1,204 ms" in edited
    assert '+   "text": "I shall!"' in edited
    assert "it waits for somebody's word" in waiting
    assert "at most      30.0 s" in waiting


def test_the_other_details(source):
    lines = lines_of(source)
    ping = source.detail(the(lines, "dropped").row)
    assert "it did not go on" in content(ping, "Verdict")
    shadow = content(source.detail(the(lines, "shadow: would have been dropped").row), "Verdict")
    assert "it would have been dropped; no traffic was touched" in shadow
    injected = content(source.detail(the(lines, "injected").row), "Verdict")
    assert "wsinspect, for the rule mock-order" in injected
    assert "before" not in injected
    redacted = source.detail(the(lines, "redacted").row)
    assert "without what a rule took out of it" in content(redacted, "Verdict")
    assert "as a whole frame, after the rules" in content(redacted, "Frame")
    assert "TCP reads" not in content(redacted, "Frame")
    untouched = source.detail(next(line.row for line in lines if line.kind == "text"))
    assert "Verdict" not in names(untouched)


def test_connections_count_hits(source):
    lines_of(source)
    rows = source.snapshot().connections
    assert [row.hits for row in rows] == [5, 7]
    pages = [source.detail(source.rows(Scope(conn=conn))[0]) for conn in (1, 2)]
    assert "fake-price  3 hits, 3 changed" in content(pages[0], "Rules")
    assert "who-asks    1 hit, 1 changed" in content(pages[0], "Rules")
    private = content(pages[1], "Rules")
    assert "→ ░ redacted  what the client sends is captured after the rules" in private


def test_a_message_in_fragments_has_one_verdict(tmp_path):
    talk = Talk()
    talk.open(1, "/")
    talk.judge(1, S, Outcome.DROPPED, "r", "drop it")
    talk.send(1, S, {"a": 1})
    source = CaptureSource(write_capture(tmp_path / "b.wscap", talk.records))
    source.start()
    try:
        end = time.monotonic() + 10
        while source.snapshot().status.frames != 1:
            assert time.monotonic() < end
        assert source.lines([2])[0].flags == ("dropped",)
    finally:
        source.close()


# ------------------------------------------------------------------------------------------------ the widgets


def judged(outcome: Outcome, **values: object) -> Judged:
    hits = [RuleHit(rule="fake-price", did=("set it",))]
    return Judged(side=S, first_frame=1, last_frame=1, opcode=1, outcome=outcome, hits=hits, **values)  # type: ignore[arg-type]


def with_rules(rules: RuleDetail, payload: bytes | str = "x") -> Detail:
    detail = FakeSource().frame(1, S, payload)
    detail.rules = rules
    return detail


def test_what_is_no_json_is_compared_as_text_or_hex():
    text = with_rules(RuleDetail(judged(Outcome.CHANGED), before=b"one\ntwo", after=[b"one\n2"]))
    assert [line for line in content(text, "Verdict").splitlines() if line[:2] in ("+ ", "- ")] == [
        "- two",
        "+ 2",
    ]
    binary = with_rules(RuleDetail(judged(Outcome.CHANGED), before=b"\xff\x00", after=[b"\xff\x01"] * 3))
    assert "ff 00" in content(binary, "Verdict")
    assert "sent 3 times" in content(binary, "Verdict")
    reshaped = with_rules(RuleDetail(judged(Outcome.CHANGED), before=b"same", after=[b"same"]))
    assert "the same payload, in other frames" in content(reshaped, "Verdict")


def test_hostile_words_and_numbers_stay_text():
    verdict = judged(Outcome.HELD, limit_ms=10**400, behind=10**30, delay_ms=float("inf"), notes=["\x1b[2J"])
    verdict.hits.append(RuleHit(rule="\x1b]0;x\x07[/]", did=("\u202e",)))
    detail = with_rules(
        RuleDetail(verdict, released=Released(side=S, hold=1, how="drop", held_ms=float("nan")))
    )
    assert "delayed inf ms" in content(detail, "Verdict")


async def test_rows_name_the_rule_where_there_is_room(run):
    source = FakeSource()
    source.frame(1, S, "payload-one", flags=("dropped",))
    source.details[-1].line = LogLine(0, 1, 1, "text", S, 5, "payload-one", ("dropped",), rule="no-news")
    async with run(source, size=(200, 60)) as screen:
        await screen.sees("✗ dropped by no-news  payload-one")
    async with run(source, size=(80, 24)) as screen:
        await screen.sees("✗ dropped  payload-one")


async def test_hits_stand_in_the_connections(run):
    source = FakeSource()
    source.connect(1, "ws://host/a", hits=1234, problems=2, end="1000 bye")
    for size in ((200, 60), (80, 24)):
        async with run(source, size=size) as screen:
            await screen.sees("§ 1.2k")
