"""Who is there to decide about held messages, and what he hears of them."""

from __future__ import annotations

from tests.relay.judges import Script, plan
from tests.relay.play import C, Play, S
from wsinspect.model import Released
from wsinspect.model.plans import Hold, HoldDefault
from wsinspect.relay.commands import Release
from wsinspect.relay.holds import HeldMessage

SCRIPT = {"wait": plan(hold=Hold("r")), "drop": plan(hold=Hold("r", default=HoldDefault.DROP))}


def words(news: list[HeldMessage | Released]) -> list[str]:
    return [
        f"{each.hold} {each.payload.decode()}"
        if isinstance(each, HeldMessage)
        else f"{each.hold} {each.how} by {each.by}"
        for each in news
    ]


def test_who_is_there_hears_of_each_held_message_once() -> None:
    play = Play(Script(SCRIPT), attended=True)
    play.say(C, "wait a")
    play.say(S, "wait b")
    assert words(play.session.take_hold_news()) == ["1 wait a", "2 wait b"]
    assert play.session.take_hold_news() == []
    play.command(Release(2))
    play.wait(30_000)
    assert words(play.session.take_hold_news()) == ["2 release by user", "1 release by default"]


def test_when_the_last_one_leaves_what_is_held_takes_its_default() -> None:
    play = Play(Script(SCRIPT), attended=True)
    play.say(C, "wait a")
    play.say(C, "drop b")
    play.say(C, "behind")
    play.session.take_hold_news()
    play.session.attend(False, play.now_ns)
    play.turn()
    assert play.texts_to(S) == ["wait a", "behind"]
    assert words(play.session.take_hold_news()) == ["1 release by default", "2 drop by default"]
    assert [fact.how for fact in play.facts(Released)] == ["release", "drop"]


def test_with_nobody_there_nothing_is_news() -> None:
    play = Play(Script(SCRIPT))
    play.say(C, "wait a")
    assert play.texts_to(S) == ["wait a"]
    assert play.session.take_hold_news() == []
    play.session.attend(True, play.now_ns)
    play.say(C, "wait b")
    assert words(play.session.take_hold_news()) == ["2 wait b"]


def test_nobody_need_leave_a_session_without_rules() -> None:
    play = Play()
    play.session.attend(False, 0)
    assert not play.session.ruled
