"""Transcripts of held messages: who decides, what waits behind them, and what happens where nobody does."""

from __future__ import annotations

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, MS, C, Play, S, frames
from wsinspect.model import How, Judged, Notice, Outcome, Released
from wsinspect.model.plans import Fate, Hold, HoldDefault
from wsinspect.relay.commands import DropHeld, Edit, Release, Wait, Word
from wsinspect.relay.ends import Finish
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import encode_frame

HELD = plan("look-first", hold=Hold("look-first", 10_000))
DROPPED = plan("look-first", hold=Hold("look-first", 10_000, HoldDefault.DROP))


def held(**lines: object) -> Play:
    return Play(Script({"hold": HELD, **lines}), attended=True)  # type: ignore[dict-item]


def test_a_held_message_stops_its_direction_and_not_pings_nor_the_other_one() -> None:
    play = held()
    play.say(C, "first")
    play.say(C, "hold me")
    play.say(C, "behind")
    play.receive(C, encode_frame(9, b"?", mask=KEY))
    play.say(S, "the other way")
    play.wait(9_000)
    assert play.texts_to(S) == ["first", "<ping ?>"]
    assert play.texts_to(C) == ["the other way"]
    (fact,) = play.facts(Judged)
    assert (fact.outcome, fact.hold, fact.limit_ms) == (Outcome.HELD, 1, 10_000)
    (message,) = play.session.holds()
    assert (message.hold, message.side, message.rule, message.payload) == (1, C, "look-first", b"hold me")
    assert (message.since_ns, message.limit_ms, message.first_frame) == (0, 10_000, 2)


@pytest.mark.parametrize(
    ("word", "how", "texts", "sent"),
    [
        (Release(1), "release", ["hold me", "behind"], []),
        (DropHeld(1), "drop", ["behind"], []),
        (Edit(1, b"other"), "edit", ["other", "behind"], ["modified"]),
    ],
    ids=["release", "drop", "edit"],
)
@pytest.mark.parametrize("deflate", [None, DeflateParams()], ids=["plain", "compressed"])
@pytest.mark.parametrize("side", [C, S], ids=["client", "server"])
def test_the_first_word_counts(
    word: Word, how: str, texts: list[str], sent: list[str], deflate: DeflateParams | None, side: object
) -> None:
    assert side in (C, S)
    play = Play(Script({"hold": HELD}), attended=True, deflate=deflate)
    play.say(side, "hold me")  # type: ignore[arg-type]
    play.say(side, "behind")  # type: ignore[arg-type]
    play.wait(1234)
    assert play.command(word).ok
    assert play.texts_to(side.other) == texts  # type: ignore[attr-defined]
    (released,) = play.facts(Released)
    assert (released.hold, released.how, released.by, released.held_ms) == (1, how, "user", 1234)
    assert (released.first_frame, released.last_frame) == (1, 1)
    assert [each.why for each in play.sent()] == sent
    for again in (Release(1), Edit(1, b"no"), DropHeld(1)):
        assert (play.command(again).ok, play.command(again).text) == (False, "already released")
    assert play.session.holds() == []
    assert play.session.next_wake_ns is None
    assert play.texts_to(side.other) == texts  # type: ignore[attr-defined]


def test_no_such_hold() -> None:
    play = held()
    assert play.command(Release(7)).text == "there is no hold 7"
    assert not play.command(Release(0)).ok


@pytest.mark.parametrize(("lines", "texts"), [(HELD, ["hold me"]), (DROPPED, [])], ids=["release", "drop"])
def test_when_the_time_is_over_the_default_is_taken(lines: object, texts: list[str]) -> None:
    play = held(hold=lines)
    play.say(C, "hold me")
    assert play.session.next_wake_ns == 10_000 * MS
    play.wait(9_999)
    assert play.texts_to(S) == []
    play.wait(1)
    assert play.texts_to(S) == texts
    (released,) = play.facts(Released)
    assert (released.by, released.held_ms) == ("default", 10_000)
    assert play.command(Release(1)).text == "already released"


@pytest.mark.parametrize(("lines", "texts"), [(HELD, ["hold me"]), (DROPPED, [])], ids=["release", "drop"])
def test_with_nobody_there_the_default_is_taken_at_once(lines: object, texts: list[str]) -> None:
    play = Play(Script({"hold": lines}))  # type: ignore[dict-item]
    play.say(C, "hold me")
    play.say(C, "behind")
    assert play.texts_to(S) == [*texts, "behind"]
    assert play.kinds()[:3] == ["judged", "released", "read"]
    assert play.facts(Released)[0].by == "default"
    play.session.attend(True, play.now_ns)
    play.say(C, "hold me too")
    assert play.session.holds()[0].hold == 2


def test_its_time_begins_anew_as_long_as_somebody_is_at_it() -> None:
    play = held()
    play.say(C, "hold me")
    for _ in range(5):
        play.wait(9_000)
        assert play.command(Wait(1)).text == "waiting"
    (message,) = play.session.holds()
    assert (message.since_ns, message.limit_ms) == (0, 45_000 + 10_000)
    assert play.session.take_hold_news() == [message] * 6
    play.wait(9_000)
    assert play.texts_to(S) == []
    play.wait(1_000)
    assert play.texts_to(S) == ["hold me"]
    (released,) = play.facts(Released)
    assert (released.by, released.held_ms) == ("default", 55_000)
    assert play.command(Wait(1)).text == "already released"
    assert play.command(Wait(2)).text == "there is no hold 2"


def test_of_several_the_others_keep_their_time() -> None:
    play = held()
    play.say(C, "hold c")
    play.say(S, "hold s")
    play.wait(6_000)
    play.command(Wait(1))
    play.wait(4_000)
    assert (play.texts_to(S), play.texts_to(C)) == ([], ["hold s"])
    play.wait(6_000)
    assert play.texts_to(S) == ["hold c"]
    assert play.session.next_wake_ns is None


def test_those_behind_wait_as_long() -> None:
    """They could not go before it; who edits one after the other should not lose them meanwhile."""
    play = held()
    for text in ("hold 1", "hold 2", "hold 3"):
        play.say(C, text)
        play.wait(2_000)
    play.receive(C, encode_frame(9, b"?", mask=KEY))
    play.wait(1_000)
    play.session.take_hold_news()
    play.command(Wait(2))  # at 7 s: half of the third's time is not over yet, and the first is before it
    assert [message.hold for message in play.session.take_hold_news()] == [2]
    play.wait(2_500)
    play.command(Wait(2))
    assert [(message.hold, message.limit_ms) for message in play.session.take_hold_news()] == [
        (2, 7_500 + 10_000),
        (3, 5_500 + 10_000),
    ]
    play.wait(9_000)
    assert [message.hold for message in play.session.holds()] == [2, 3]
    play.wait(1_000)
    assert play.texts_to(S) == ["<ping ?>", "hold 1", "hold 2", "hold 3"]


def test_more_time_keeps_nothing_waiting_for_nobody() -> None:
    play = held()
    play.say(C, "hold me")
    play.command(Wait(1))
    play.session.attend(False, play.now_ns)
    play.turn()
    assert play.texts_to(S) == ["hold me"]


def test_several_are_held_in_order_each_with_its_own_word() -> None:
    play = held()
    for text in ("hold 1", "hold 2", "free", "hold 3"):
        play.say(S, text)
    assert [message.hold for message in play.session.holds()] == [1, 2, 3]
    assert play.command(Release(2)).ok
    assert play.texts_to(C) == []
    assert play.command(DropHeld(1)).ok
    assert play.texts_to(C) == ["hold 2", "free"]
    assert play.command(Release(3)).ok
    assert play.texts_to(C) == ["hold 2", "free", "hold 3"]


def test_holds_of_both_directions_are_numbered_together() -> None:
    play = held()
    play.say(S, "hold s")
    play.say(C, "hold c")
    assert [(message.hold, message.side) for message in play.session.holds()] == [(1, S), (2, C)]


def test_a_held_message_that_a_rule_changed_shows_what_will_go_out() -> None:
    changed = plan("both", hold=Hold("both"), payload=b"changed by a rule")
    play = held(hold=changed)
    play.say(C, "hold me")
    assert play.session.holds()[0].payload == b"changed by a rule"
    play.command(Release(1))
    assert play.texts_to(S) == ["changed by a rule"]
    assert [(sent.why, sent.rule) for sent in play.sent()] == [("modified", "both")]


def test_an_edited_text_must_be_one() -> None:
    play = held()
    play.say(C, "hold me")
    assert play.command(Edit(1, b"\xff")).text == "a text message must be UTF-8 (RFC 6455 8.1)"
    assert play.session.holds()
    play.say(C, b"hold\xff", 2)
    assert play.command(Edit(2, b"\xff")).ok


def test_a_ping_is_held_and_edited() -> None:
    play = Play(Script(control={"hold": HELD}), attended=True)
    play.receive(C, encode_frame(9, b"hold", mask=KEY))
    play.say(C, "data go on")
    play.receive(C, encode_frame(9, b"behind", mask=KEY))
    assert play.texts_to(S) == ["data go on"]
    assert "125" in play.command(Edit(1, bytes(126))).text
    assert play.command(Edit(1, b"edited")).ok
    assert play.texts_to(S) == ["data go on", "<ping edited>", "<ping behind>"]


def test_an_end_waits_behind_what_is_held() -> None:
    play = held()
    play.say(C, "hold me")
    play.receive(C, encode_frame(8, b"\x03\xe8", mask=KEY))
    play.end(C)
    assert play.got[S] == []
    play.say(S, "still open")
    assert play.texts_to(C) == ["still open"]
    play.command(Release(1))
    assert play.texts_to(S) == ["hold me", "<close \x03�>"]
    assert play.ends_to(S) == [Finish.FIN]


def test_a_reset_discards_what_is_held() -> None:
    play = held()
    data = play.say(C, "hold me") + play.say(C, "behind")
    play.wait(500)
    play.end(C, How.RST, errno="ECONNRESET")
    assert play.got[S] == [Finish.RST]
    (released,) = play.facts(Released)
    assert (released.how, released.by, released.held_ms) == ("discard", "reset", 500)
    (notice,) = play.facts(Notice)
    assert notice.code == "discarded"
    assert f"{len(data)} bytes" in notice.text
    assert play.command(Release(1)).text == "already released"


def test_when_the_receiver_is_reset_what_is_held_for_it_is_discarded() -> None:
    play = held()
    play.say(C, "hold me")
    play.end(S, How.RST)
    assert play.facts(Released)[0].how == "discard"
    assert play.bytes_to(S) == b""


def test_our_own_stop_takes_the_default() -> None:
    play = held(drop=DROPPED)
    play.say(C, "hold me")
    play.say(C, "drop me")
    play.say(C, "behind")
    play.session.stop(play.now_ns)
    play.turn()
    assert play.texts_to(S) == ["hold me", "behind"]
    assert [released.by for released in play.facts(Released)] == ["default", "default"]
    assert play.ends_to(S) == [Finish.FIN]


def test_what_a_rule_drops_is_not_held() -> None:
    play = held(hold=plan(hold=Hold("r"), fate=Fate.DROP))
    play.say(C, "hold me")
    assert play.outcomes() == ["dropped"]
    assert play.session.holds() == []


def test_compressed_messages_behind_a_dropped_one_are_encoded_when_they_go() -> None:
    """They came while it was not decided: their very bytes would refer to what never went out."""
    play = Play(Script({"hold": HELD}), attended=True, deflate=DeflateParams())
    for number in range(4):
        play.say(S, f"{'hold' if number == 1 else 'send'} the same words again: {number}")
    play.command(DropHeld(1))
    play.say(S, "send the same words again: 4")
    assert play.texts_to(C) == [f"send the same words again: {number}" for number in (0, 2, 3, 4)]


def test_compressed_messages_behind_a_released_one_go_out_in_their_very_bytes() -> None:
    play = Play(Script({"hold": HELD}), attended=True, deflate=DeflateParams())
    stream = b"".join(play.say(S, f"hold the same words again: {number}") for number in range(4))
    for number in range(1, 5):
        play.command(Release(number))
    assert play.bytes_to(C) == stream


def test_rules_that_go_leave_what_is_held_where_it_is() -> None:
    play = held()
    play.say(C, "hold me")
    play.judge(None)
    play.say(C, "behind")
    assert play.texts_to(S) == []
    play.command(Release(1))
    assert play.texts_to(S) == ["hold me", "behind"]
    data = frames(C, b"cut again")
    play.receive(C, data[:4])
    assert play.bytes_to(S).endswith(data[:4])
    assert play.session.direction(C).path is None


def test_too_much_behind_a_held_message_pauses_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.relay.slow.KEPT_LIMIT", 10_000)
    play = held()
    play.say(C, "hold me")
    while play.session.wants_reading(C):
        play.say(C, "x" * 100)
    play.command(Release(1))
    assert play.session.wants_reading(C)
