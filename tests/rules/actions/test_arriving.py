"""`drop`, `hold`, `delay`, `reorder`, `duplicate`, `throttle`: whether and when it arrives."""

import random
from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import BOTH, Fate, Hold, HoldDefault, Throttle
from wsinspect.rules.actions import On


def test_drop() -> None:
    act = action("drop")
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.fate is Fate.DROP
    assert plan.touches
    assert (act.explain(), did(plan)) == ("drop it", "drop")
    assert plan_of(FakeTalk().control(Opcode.PING), act).fate is Fate.DROP
    assert act.terminal


def test_hold() -> None:
    act = action("hold", limit=120_000.0, default="drop")
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.hold == Hold("r", 120_000, HoldDefault.DROP)
    assert act.explain() == "hold it for a decision, and drop it after 2 min"
    assert plan_of(FakeTalk().turn("x"), action("hold")).hold == Hold("r", 30_000, HoldDefault.RELEASE)
    assert plan_of(FakeTalk().turn("x"), action("hold", limit=0.2)).hold == Hold("r", 1)


# ------------------------------------------------------------------------------------------------- delay


def delays(count: int, talk: FakeTalk | None = None, **fields: Any) -> list[float]:
    act, talk = action("delay", **fields), talk or FakeTalk()
    return [plan_of(talk.turn("x"), act).delay_ms for _ in range(count)]


def test_a_fixed_delay_and_delays_that_add_up() -> None:
    act = action("delay", by=(200.0, 200.0))
    plan = plan_of(FakeTalk().turn("x"), act, action("delay", by=(50.0, 50.0)))
    assert plan.delay_ms == 250
    assert did(plan) == "delay 200 ms; delay 50 ms"
    assert act.explain() == "hold it back for 200 ms"


def test_a_range_and_a_jitter_are_drawn_each_time() -> None:
    for fields in ({"by": (100.0, 300.0)}, {"by": (200.0, 200.0), "jitter": 100.0}):
        drawn = delays(200, **fields)
        assert 100 <= min(drawn) < 120
        assert 280 < max(drawn) <= 300
        assert action("delay", **fields).explain() == "hold it back for 100 to 300 ms"


def test_random_delays_repeat() -> None:
    assert delays(5, by=(0.0, 9.0)) == delays(5, by=(0.0, 9.0))
    other = FakeTalk(rng=random.Random(2))
    assert delays(5, other, by=(0.0, 9.0)) != delays(5, by=(0.0, 9.0))


def test_a_seed_of_its_own_repeats_whatever_else_is_random() -> None:
    first = delays(5, FakeTalk(rng=random.Random(3)), by=(0.0, 9.0), seed=1)
    talk = FakeTalk(rng=random.Random(4))
    talk.rng.random()
    assert delays(5, talk, by=(0.0, 9.0), seed=1) == first
    assert delays(5, by=(0.0, 9.0), seed=2) != first
    assert len(set(first)) == 5


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"by": (1.0, 2.0), "jitter": 1.0}, "a range and a jitter"),
        ({"by": (100.0, 100.0), "jitter": 101.0}, "jitter is longer than the delay"),
    ],
)
def test_delays_that_make_no_sense(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("delay", **fields)


# ------------------------------------------------------------------------- reorder, duplicate, throttle


def test_reorder() -> None:
    act = action("reorder", by=2, within=500.0)
    plan = plan_of(FakeTalk().turn("x"), act)
    assert (plan.behind, plan.behind_ms) == (2, 500.0)
    assert act.explain() == "let 2 messages overtake it, within 500 ms"
    assert action("reorder").explain() == "let 1 message overtake it, within 1 s"


def test_duplicate() -> None:
    assert plan_of(FakeTalk().turn("x"), action("duplicate")).copies == 2
    act = action("duplicate", times=5)
    assert plan_of(FakeTalk().turn("x"), act).copies == 5
    assert act.explain() == "send it 5 times"


def test_throttle_concerns_the_sender_or_at_the_opening_both() -> None:
    act = action("throttle", rate=64_000.0)
    assert plan_of(FakeTalk().turn("x", Side.SERVER), act).effects == (Throttle("r", Side.SERVER, 64_000.0),)
    opened = plan_of(FakeTalk().opening(), act)
    assert opened.effects == tuple(Throttle("r", side, 64_000.0) for side in BOTH)
    assert not opened.touches
    one = action("throttle", rate=1500.0, from_=(Side.CLIENT,))
    assert plan_of(FakeTalk().opening(), one).effects == (Throttle("r", Side.CLIENT, 1500.0),)
    assert one.explain() == "let through at most 1.5 KB/s of what the client sends"
    assert act.once
    assert act.acts_on() == On.TRAFFIC


def test_a_throttle_is_lifted() -> None:
    act = action("throttle", off=True, from_=BOTH)
    assert plan_of(FakeTalk().turn("x"), act).effects == tuple(Throttle("r", side, None) for side in BOTH)
    assert act.explain() == "let what both sides send through freely again"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give a rate, or off: true"),
        ({"rate": 1.0, "off": True}, "give a rate, or off: true"),
        ({"rate": 0.0}, "`stall` is made for that"),
    ],
)
def test_throttles_that_make_no_sense(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("throttle", **fields)
