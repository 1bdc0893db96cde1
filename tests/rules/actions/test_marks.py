"""`tag`, `note`, `no-capture`: what the capture has of it, and nothing that passes changes."""

import pytest

from tests.rules.actions.make import action, did, plan_of, template
from tests.rules.talk import FakeTalk


def test_tags_are_not_doubled() -> None:
    act = action("tag", tags=("login", "slow"))
    turn = FakeTalk().turn("x")
    plan = plan_of(turn, act, action("tag", tags=("slow", "new")), act)
    assert plan.tags == ("login", "slow", "new")
    assert did(plan) == "tag login and slow; tag new"
    assert act.explain() == "tag it login and slow"
    assert not plan.touches
    assert plan_of(FakeTalk().opening(), act).tags == ("login", "slow")


@pytest.mark.parametrize("tag", ["", "two words", " x", "x\x1b[31m", "a\nb"])
def test_a_tag_is_one_word_that_can_be_seen(tag: str) -> None:
    with pytest.raises(ValueError, match="is no tag"):
        action("tag", tags=(tag,))


def test_notes() -> None:
    act = action("note", text=template("order {{$.id}}"))
    long = action("note", text=template("{{long}}"))
    plan = plan_of(FakeTalk({"long": "y" * 600}).turn({"id": 5}), act, long)
    assert plan.notes[0] == "order 5"
    assert plan.notes[1] == "y" * 499 + "…"
    assert act.explain() == 'note "order {{$.id}}"'
    assert not plan.touches


def test_no_capture() -> None:
    act = action("no-capture")
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.uncaptured
    assert not plan.touches
    assert act.is_private()
    assert act.explain() == "keep it out of the capture"
