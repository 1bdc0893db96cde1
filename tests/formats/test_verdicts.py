"""What rules did, as lines for people and as NDJSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.formats.test_lines import line
from tests.formats.test_ndjson import fact, frame, lines, wall
from wsinspect.capture.timeline import Event, FrameEvent, MessageEvent
from wsinspect.capture.verdicts import rule_of, verdict_flags
from wsinspect.formats.lines import TextLines
from wsinspect.formats.verdict_words import row_flags, ruled_words
from wsinspect.model import Judged, Message, Opcode, Outcome, Released, Ruled, RuleHit, Side


def judged(outcome: Outcome = Outcome.PASSED, *, did: str = "", rule: str = "r", **values: Any) -> Judged:
    hits = [RuleHit(rule=rule, did=(did,) if did else ())]
    fields = {"side": Side.SERVER, "first_frame": 2, "last_frame": 2, "opcode": 1, "hits": hits} | values
    return Judged(outcome=outcome, **fields)


def came(payload: bytes, verdict: Judged, opcode: int = Opcode.TEXT) -> MessageEvent:
    message = Message(Side.SERVER, opcode, payload, verdict.first_frame, verdict.last_frame, 9)
    return MessageEvent(1, Side.SERVER, 7, message, verdict_flags(verdict), rule_of(verdict), verdict)


def went(
    payload: bytes, why: str = "modified", rule: str | None = "r", of: tuple[int, int] = (2, 2)
) -> MessageEvent:
    message = Message(Side.SERVER, Opcode.TEXT, payload, 0, 0, 9)
    return MessageEvent(1, Side.SERVER, 8, message, (why,), rule, None, True, of)


def both(verdict: Judged, before: bytes, after: bytes, **options: Any) -> list[str]:
    text = TextLines(wall, **options)
    return [found for event in (came(before, verdict), went(after)) for found in text.feed(event)]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (came(b"x", judged(Outcome.DROPPED)), "← text 1 B x [✗ dropped by r]"),
        (came(b"x", judged(Outcome.CHANGED)), "← text 1 B x [≠ replaced by r]"),
        (came(b"x", judged(delay_ms=200.0)), "← text 1 B x [◷ delayed 200 ms by r]"),
        (came(b"x", judged(delay_ms=1234.5)), "← text 1 B x [◷ delayed 1,234 ms by r]"),
        (came(b"x", judged(Outcome.HELD, hold=1)), "← text 1 B x [‖ held by r]"),
        (
            came(b"x", judged(Outcome.CHANGED, delay_ms=5.0, behind=1, tags=["a b"])),
            "← text 1 B x [≠ replaced by r] [◷ delayed 5 ms] [⇅ reordered] [⚑ a b]",
        ),
        (came(b"x", judged(captured="redacted")), "← text 1 B x [░ redacted by r]"),
        (came(b"x", judged(tags=["seen"], did="tag seen")), "← text 1 B x [§ r: tag seen] [⚑ seen]"),
        (came(b"x", judged(did="send ping to the server")), "← text 1 B x [§ r: send ping to the server]"),
        (
            came(b"x", judged(Outcome.DROPPED, shadow=True)),
            "← text 1 B x [☾ shadow: r would have dropped it]",
        ),
        (
            came(b"x", judged(delay_ms=200.0, did="close both sides with 1001", shadow=True)),
            "← text 1 B x [☾ shadow: r would have done: close both sides with 1001]",
        ),
        (
            came(b"x", judged(Outcome.HELD, did="hold up to 9 s", shadow=True)),
            "← text 1 B x [☾ shadow: r would have held it: hold up to 9 s]",
        ),
        (
            came(b"x", judged(delay_ms=200.0, shadow=True)),
            "← text 1 B x [☾ shadow: r would have delayed it 200 ms]",
        ),
        (
            came(b"x", judged(captured="redacted", did="redact", tags=["a"], notes=["n"], shadow=True)),
            "← text 1 B x [☾ shadow: r matched] [░ redacted] [⚑ a] [§ n]",
        ),
        (
            fact(judged(did="no capture", captured="nothing", shadow=True)),
            "← rule r matched the server's text message 2; in the capture: no capture "
            "(in shadow: no traffic was touched)",
        ),
        (
            fact(judged(did="throttle to 5 KB/s", first_frame=0, last_frame=0, opcode=1, shadow=True)),
            "← rule r matched the opening, and would have done: throttle to 5 KB/s "
            "(in shadow: no traffic was touched)",
        ),
        (came(b"x", judged(Outcome.DROPPED, notes=["odd\x1b"])), "← text 1 B x [✗ dropped by r] [§ odd␛]"),
        (went(b"x", "injected", "answer", (0, 0)), "← text 1 B x [✚ injected by answer]"),
        (went(b"x", "injected", None, (0, 0)), "← text 1 B x [✚ injected]"),
        (went(b"x", "duplicate"), "← text 1 B x [⊕ duplicate by r]"),
        (went(b"x"), "← text 1 B x [✎ modified by r]"),
        (
            FrameEvent(1, Side.CLIENT, 5, frame(Opcode.PING, b"beat"), (1, 1), ("dropped",), "r",
                       judged(Outcome.DROPPED, opcode=9)),
            "→ ping 4 B beat [✗ dropped by r]",
        ),
        (
            fact(Released(side=Side.SERVER, hold=1, how="edit", first_frame=4, held_ms=1204.0)),
            "← rule the held message 4 of the server went on with another payload, after 1,204 ms",
        ),
        (
            fact(
                judged(
                    Outcome.DROPPED, side=Side.CLIENT, first_frame=0, last_frame=0, opcode=0, did="reject 403"
                )
            ),
            "→ rule r rejected the request: reject 403",
        ),
        (
            fact(judged(Outcome.CHANGED, did="drop 1 byte", first_frame=4, last_frame=6)),
            "← rule r changed the server's text message 4-6: drop 1 byte",
        ),
    ],
)  # fmt: skip
def test_lines(event: Event, expected: str) -> None:
    assert line(event) == f"#1 {expected}"


@pytest.mark.parametrize(
    ("verdict", "flags"),
    [
        (judged(Outcome.CHANGED, did="set it"), ("shadow: would have been changed",)),
        (judged(Outcome.HELD, captured="redacted"), ("shadow: would have been held", "redacted")),
        (judged(did="cut after 4 bytes"), ("shadow: would have been done: cut after 4 bytes",)),
        (judged(did="x" * 99), ("shadow: would have been done: " + "x" * 25 + "…",)),
        (judged(delay_ms=200.0, tags=["a"]), ("shadow: would have been delayed 200 ms", "tag:a")),
        (judged(did="redact", captured="redacted"), ("shadow: matched", "redacted")),
    ],
)
def test_a_row_says_what_was_not_done_in_shadow(verdict: Judged, flags: tuple[str, ...]) -> None:
    """It said `matched` of a cut, a close, a stall and a delay."""
    assert row_flags(replace(verdict, shadow=True)) == flags


def test_rules_that_were_loaded_or_could_not_be() -> None:
    loaded = Ruled(files=["a.yaml", "b.yaml"], rules=["one", "two"], shadow=True)
    assert line(fact(loaded, conn=0)) == "rules 2 rules of a.yaml, b.yaml, in shadow"
    broken = Ruled(error="a.yaml:3:5: no action is called drip; did you mean drop?")
    assert line(fact(broken, conn=0)).startswith("rules the rules stay as they were: a.yaml:3:5: no action")


def test_what_changed_stands_before_what_went_out() -> None:
    changed = judged(Outcome.CHANGED)
    before, after = both(changed, b'{"op":"tick","price":100}', b'{"op":"tick","price":1}')
    assert before.endswith('{"op":"tick","price":100} [≠ replaced by r]')
    assert after.endswith('$.price 100 → 1 · {"op":"tick","price":1} [✎ modified by r]')
    assert both(changed, b"hello", b"bye")[1].endswith(" hello → bye [✎ modified by r]")
    assert both(changed, b"\x1b[2J", b"bye")[1].endswith(" ␛[2J → bye [✎ modified by r]")
    assert both(changed, b"x" * 99, b"bye")[1].endswith("  bye [✎ modified by r]")
    held = judged(Outcome.HELD, hold=1)
    assert both(held, b'{"a":1}', b'{"a":2}')[1].endswith('$.a 1 → 2 · {"a":2} [✎ modified by r]')


def test_only_so_many_befores_are_remembered() -> None:
    text = TextLines(wall)
    for number in range(1, 1000):
        text.feed(came(b'{"a":1}', judged(Outcome.CHANGED, first_frame=number, last_frame=number)))
    assert len(text._befores._kept) == 256
    assert "$.a 1 → 2" in text.feed(went(b'{"a":2}', of=(999, 999)))[0]
    assert "$.a" not in text.feed(went(b'{"a":2}', of=(9, 9)))[0]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_with_marks_fit_the_terminal(width: int) -> None:
    verdict = judged(Outcome.CHANGED, rule="a-rule-with-a-long-name", delay_ms=20.0, tags=["one", "two"])
    for found in both(verdict, b'{"a":%d}' % (10**60), b'{"a":2}', width=width):
        assert len(found) <= width, found
        assert "≠ replaced" in found or "✎ modified" in found or width < 60


# ------------------------------------------------------------------------------------------------- NDJSON


def test_a_dropped_message_as_it_stands() -> None:
    (found,) = lines(came(b"x", judged(Outcome.DROPPED, did="drop it", tags=["a"])))
    assert (found["flags"], found["rule"]) == (["dropped", "tag:a"], "r")
    assert found["verdict"] == {
        "outcome": "dropped", "hits": [{"rule": "r", "did": ["drop it"]}], "tags": ["a"],
    }  # fmt: skip


def test_a_verdict_has_what_it_has_and_no_more() -> None:
    verdict = judged(
        Outcome.HELD, delay_ms=200.0, behind=2, hold=3, limit_ms=9000, notes=["n"], shadow=True,
        captured="redacted",
    )  # fmt: skip
    (found,) = lines(came(b"x", verdict))
    assert found["verdict"] == {
        "outcome": "held", "hits": [{"rule": "r", "did": []}], "delay_ms": 200.0, "behind": 2, "hold": 3,
        "limit_ms": 9000, "notes": ["n"], "shadow": True, "captured": "redacted",
    }  # fmt: skip
    assert found["flags"] == ["shadow", "redacted"]
    (plain,) = lines(came(b"x", judged()))
    assert set(plain["verdict"]) == {"outcome", "hits"}


def test_before_and_after_name_the_same_frames() -> None:
    before, after = lines(came(b"x", judged(Outcome.CHANGED)), went(b"y"))
    assert (before["frames"], before["flags"], "of" in before) == ([2, 2], ["replaced"], False)
    assert (after["frames"], after["of"], after["flags"], after["rule"]) == (
        [0, 0],
        [2, 2],
        ["modified"],
        "r",
    )
    assert "verdict" not in after
    (injected,) = lines(went(b"y", "injected", None, (0, 0)))
    assert not {"of", "rule", "verdict"} & set(injected)


def test_of_frames_and_their_message_one_has_the_verdict() -> None:
    verdict = judged(Outcome.DROPPED)
    text = FrameEvent(1, Side.SERVER, 7, frame(), (1, 1), ("dropped",), "r", verdict)
    ping = FrameEvent(1, Side.SERVER, 7, frame(Opcode.PING), (1, 1), ("dropped",), "r", verdict)
    found = lines(text, came(b"x", verdict), ping, frames=True)
    assert [(each["kind"], each["flags"], "verdict" in each) for each in found] == [
        ("frame", ["dropped"], False), ("message", ["dropped"], True), ("ping", ["dropped"], True),
    ]  # fmt: skip


def test_what_went_out_before_a_cut_has_a_line_of_its_own() -> None:
    cut = frame(payload=b"h", length=9, truncated=True, number=0)
    event = FrameEvent(1, Side.CLIENT, 7, cut, (0, 0), ("cut",), "r", None, True, (2, 2))
    (found,) = lines(event)
    assert (found["kind"], found["flags"], found["of"], found["text"]) == (
        "frame",
        ["cut", "truncated"],
        [2, 2],
        "h",
    )
    assert "[↯ cut by r] [truncated]" in line(event)


def test_notes_of_rules() -> None:
    request = judged(Outcome.CHANGED, first_frame=0, last_frame=0, opcode=0, did="set header X to 1")
    released = Released(
        side=Side.CLIENT, hold=3, how="drop", by="default", first_frame=4, last_frame=5, held_ms=9.5
    )
    ruled = Ruled(files=["a.yaml"], rules=["r"])
    found = lines(fact(request), fact(released), fact(ruled, conn=0), fact(Ruled(error="bad"), conn=0))
    assert [(each["kind"], each["code"], each["level"]) for each in found] == [
        ("note", "judged", "info"), ("note", "released", "info"),
        ("note", "rules", "info"), ("note", "rules", "error"),
    ]  # fmt: skip
    assert found[0]["verdict"]["hits"] == [{"rule": "r", "did": ["set header X to 1"]}]
    assert (found[0]["side"], found[0]["opcode"], found[0]["frames"]) == ("server", 0, [0, 0])
    expected = {"side": "client", "frames": [4, 5], "hold": 3, "how": "drop", "by": "default", "held_ms": 9.5}
    assert expected.items() <= found[1].items()
    assert {"files": ["a.yaml"], "rules": ["r"], "shadow": False}.items() <= found[2].items()
    assert found[3]["error"] == "bad"


def test_rules_in_words() -> None:
    """A switched rule was said as if the file had been loaded anew."""
    ruled = Ruled(files=["a.yaml", "b.yaml"], rules=["r", "s", "t"], off=["s", "t"], shadow=True)
    assert ruled_words(ruled) == "3 rules of a.yaml, b.yaml, 2 off (s, t), in shadow"
    assert ruled_words(Ruled(rules=[*"abcdefg"], off=[*"abcdef"])) == "7 rules, 6 off (a, b, c, d, e, …)"
    assert ruled_words(Ruled(rules=["r"])) == "1 rule"
    assert ruled_words(Ruled(error="bad")) == "the rules stay as they were: bad"


def test_numbers_that_json_does_not_have() -> None:
    endless = judged(delay_ms=float("inf"))
    (found,) = lines(came(b"x", endless))
    assert "delay_ms" not in found["verdict"]
    (note,) = lines(fact(Released(side=Side.CLIENT, hold=1, how="drop", held_ms=float("nan"))))
    assert note["held_ms"] is None
    assert json.dumps(note, allow_nan=False)
    assert "delayed inf ms" in line(came(b"x", endless))
