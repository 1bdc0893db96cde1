"""toxiproxy's toxics: its names, attributes, units and defaults."""

import random
from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of
from tests.rules.talk import FakeTalk
from tests.rules.world import World
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import BOTH, LimitData, Reset, Slice, SlowClose, Stall, Throttle
from wsinspect.rules.actions import GROUPS, On

S, C = Side.SERVER, Side.CLIENT
WORDS = [cls.word for cls in GROUPS["toxiproxy's toxics"]]
NEEDED: dict[str, dict[str, Any]] = {"latency": {"latency": 1}, "slicer": {"average_size": 9}}


@pytest.mark.parametrize(
    ("word", "fields", "effect", "explained"),
    [
        (
            "bandwidth",
            {"rate": 64},
            Throttle("r", S, 64_000.0),
            "let through at most 64 KB/s of what the server sends",
        ),
        ("bandwidth", {}, Throttle("r", S, None), "let what the server sends through without a limit"),
        ("slow_close", {"delay": 3000}, SlowClose("r", S, 3000.0), "pass the server's end on 3 s later"),
        ("timeout", {}, Stall("r", (S,)), "swallow all that the server sends"),
        (
            "timeout",
            {"timeout": 5000, "stream": "upstream"},
            Stall("r", (C,), then_fin_ms=5000.0),
            "swallow all that the client sends, and end the connection after 5 s",
        ),
        ("reset_peer", {"timeout": 2000}, Reset("r", BOTH, 2000.0), "reset both sides after 2 s"),
        ("reset_peer", {}, Reset("r", BOTH), "reset both sides"),
        (
            "limit_data",
            {"bytes_": 100, "stream": "upstream"},
            LimitData("r", C, 100),
            "end the connection after 100 bytes that the client sends",
        ),
    ],
)
def test_those_that_act_on_the_stream(word: str, fields: dict[str, Any], effect: Any, explained: str) -> None:
    act, talk = action(word, **fields), FakeTalk()
    plan = plan_of(talk.opening(), act)
    assert plan.effects == (effect,)
    assert not plan.touches
    assert did(plan)
    assert act.explain() == explained
    assert plan_of(talk.turn("x"), act).effects == (), "once in a connection"
    assert plan_of(FakeTalk().turn("x"), act).effects == (effect,), "a rule may meet a message first"
    assert act.once
    assert act.acts_on() == On.TRAFFIC


def test_slicer() -> None:
    act = action("slicer", average_size=64, size_variation=32, delay=1500, seed=1)
    (first,) = plan_of(FakeTalk().opening(), act).effects
    assert isinstance(first, Slice)
    assert (first.sender, first.average_bytes, first.variation_bytes, first.delay_us) == (S, 64, 32, 1500)
    assert plan_of(FakeTalk(rng=random.Random(9)).opening(), act).effects == (first,)
    other = action("slicer", average_size=64, size_variation=32, delay=1500, seed=2)
    assert plan_of(FakeTalk().opening(), other).effects != (first,)
    assert act.explain() == "cut what the server sends into pieces of 32 to 96 bytes, 1.5 ms apart"
    with pytest.raises(ValueError, match="smaller than average_size"):
        action("slicer", average_size=64, size_variation=64)


# ----------------------------------------------------------------------------------------------- latency


def test_latency_delays_each_of_its_stream() -> None:
    act, talk = action("latency", latency=100), FakeTalk()
    for _ in range(3):
        assert plan_of(talk.turn("x", S), act).delay_ms == 100
        assert plan_of(talk.turn("x", C), act).delay_ms == 0
    assert plan_of(talk.control(Opcode.PING, side=S), act).delay_ms == 100
    assert act.acts_on() == On.FRAMES
    assert not act.once
    assert act.explain() == "delay what the server sends by 100 ms"


def test_jitter_is_drawn_each_time_and_repeats() -> None:
    def drawn(talk: FakeTalk, **fields: Any) -> list[float]:
        act = action("latency", latency=50, jitter=80, stream="upstream", **fields)
        return [plan_of(talk.turn("x"), act).delay_ms for _ in range(100)]

    delays = drawn(FakeTalk())
    assert min(delays) == 0
    assert 110 < max(delays) <= 130
    assert drawn(FakeTalk()) == delays
    assert drawn(FakeTalk(rng=random.Random(5)), seed=3) == drawn(FakeTalk(), seed=3) != delays
    assert action("latency", latency=50, jitter=80).explain() == "delay what the server sends by 0 to 130 ms"
    with pytest.raises(ValueError, match="nothing would be delayed"):
        action("latency")


# ---------------------------------------------------------------------------------------------- toxicity


@pytest.mark.parametrize("word", WORDS)
def test_the_defaults_are_toxiproxy_s(word: str) -> None:
    act: Any = action(word, **NEEDED.get(word, {}))
    assert act.stream == "downstream"
    assert act.toxicity == 1.0


@pytest.mark.parametrize("word", WORDS)
def test_toxicity_is_drawn_once_for_each_connection(word: str) -> None:
    act = action(word, toxicity=0.5, **NEEDED.get(word, {}))
    hit = 0
    for number in range(200):
        talk = FakeTalk(rng=random.Random(number))
        first = plan_of(talk.turn("x", S), act)
        touched = bool(first.effects or first.delay_ms)
        assert bool(did(first)) is touched
        hit += touched
        if word == "latency":
            assert all(bool(plan_of(talk.turn("x", S), act).delay_ms) is touched for _ in range(5))
    assert 70 < hit < 130
    assert act.explain().endswith(", in 50 % of the connections")


def test_no_toxicity_at_all() -> None:
    act = action("latency", latency=5, toxicity=0.0)
    assert all(plan_of(FakeTalk(rng=random.Random(n)).turn("x", S), act).delay_ms == 0 for n in range(20))


# ------------------------------------------------------------------------------------ what counts as a hit


def hits(world: World, *sides: Side) -> list[int]:
    """How many rules hit each of these messages."""
    plans = [world.text(side, "x") for side in sides]
    return [0 if plan is None else len(plan.hits) for plan in plans]


def test_latency_does_not_even_look_at_the_other_direction() -> None:
    """Its rows were marked, and its hits counted, where it did nothing."""
    world = World("- {id: r, then: [latency: {latency: 100, stream: upstream}]}")
    assert hits(world, C, S, C) == [1, 0, 1]
    assert world.ruleset.hits.acted == {"r": 2}
    assert (world.rules.watch(C).data, world.rules.watch(S).data) == (True, False)
    both = World("- {id: r, then: [{latency: {latency: 9, stream: upstream}}, latency: 9]}")
    assert hits(both, C, S) == [1, 1]
    tagged = World("- {id: r, then: [{latency: 9}, tag: t]}")
    assert hits(tagged, C, S) == [1, 1]


def test_a_toxic_that_spares_the_connection_is_no_hit() -> None:
    world = World("- {id: r, then: [latency: {latency: 100, toxicity: 0}]}")
    assert hits(world, S, S) == [0, 0]
    assert world.ruleset.hits.acted == {}


def test_a_toxic_of_the_stream_hits_once_and_whoever_sent_the_message() -> None:
    world = World("- {id: r, when: {from: client, text: x}, then: [bandwidth: 64]}")
    assert hits(world, C, C, S) == [1, 0, 0]
    kept = World("- {id: r, capture: {all: $}, when: {text: x}, then: [bandwidth: 64]}")
    assert hits(kept, C, C) == [1, 1]
