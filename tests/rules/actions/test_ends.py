"""`close`, `reset`, `cut`, `stall`."""

from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of, template
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import BOTH, Close, Cut, CutHow, Reset, Stall
from wsinspect.rules.actions import On


def test_close() -> None:
    act = action("close", code=1012, reason=template("bye {{conn}}"), to=(Side.CLIENT,), after=2000.0)
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.effects == (Close("r", 1012, "bye 7", (Side.CLIENT,), 2000.0),)
    assert not plan.touches
    assert act.explain() == 'close the client with 1012 (service restart) "bye {{conn}}" after 2 s'
    assert did(plan) == act.explain()


def test_close_by_default_and_empty() -> None:
    act = action("close")
    assert plan_of(FakeTalk().opening(), act).effects == (Close("r", 1000, "", BOTH),)
    assert act.explain() == "close both sides with 1000 (normal closure)"
    empty = action("close", empty=True)
    assert plan_of(FakeTalk().turn("x"), empty).effects == (Close("r", None, "", BOTH),)
    assert empty.explain() == "close both sides with an empty Close"


def test_a_reason_fits_into_the_frame() -> None:
    act = action("close", reason=template("{{text}}"))
    act.apply(FakeTalk().turn("ü" * 61 + "x"))
    with pytest.raises(ValueError, match="more than 123 bytes"):
        act.apply(FakeTalk().turn("ü" * 62))


def test_reset() -> None:
    act = action("reset", to=(Side.SERVER,), after=5000.0)
    assert plan_of(FakeTalk().turn("x"), act).effects == (Reset("r", (Side.SERVER,), 5000.0),)
    assert act.explain() == "reset the server after 5 s"
    assert plan_of(FakeTalk().opening(), action("reset")).effects == (Reset("r", BOTH),)


def test_stall() -> None:
    act = action("stall", from_=(Side.SERVER,), for_=30_000.0, after=100.0)
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.effects == (Stall("r", (Side.SERVER,), 100.0, 30_000.0, ends_pass=True),)
    assert act.explain() == "keep back for 30 s, then deliver, all that the server sends after 100 ms"
    assert plan.hits[0].did == ("stall the server for 30 s",)
    half = action("stall", how="half-open")
    assert plan_of(FakeTalk().opening(), half).effects == (Stall("r", BOTH, ends_pass=False),)
    assert half.explain() == "swallow, ends included, all that both sides send"


def test_cut() -> None:
    act = action("cut")
    plan = plan_of(FakeTalk().turn("x"), act)
    assert plan.effects == (Cut("r", 0, CutHow.RST, 0.5),)
    assert act.explain() == "cut the line after 50 % of it, with RST to both sides"
    assert did(plan) == "cut after 50 % of it"
    fin = action("cut", bytes_=1, how="fin")
    assert plan_of(FakeTalk().control(Opcode.PING), fin).effects == (Cut("r", 1, CutHow.FIN),)
    assert fin.explain() == "cut the line after 1 byte, with FIN to both sides"
    assert plan_of(FakeTalk().turn("x"), action("cut", at=0.125)).effects == (Cut("r", 0, CutHow.RST, 0.125),)
    assert act.terminal


@pytest.mark.parametrize("word", ["close", "reset", "stall"])
def test_what_ends_a_connection_acts_at_the_opening_where_it_can(word: str) -> None:
    act = action(word)
    assert act.once
    assert act.acts_on() == On.TRAFFIC


@pytest.mark.parametrize(
    ("word", "fields", "sentence"),
    [
        ("close", {"empty": True, "code": 1001}, "neither code nor reason"),
        ("close", {"empty": True, "reason": template("x")}, "neither code nor reason"),
        ("close", {"reason": template("x" * 124)}, "more than 123 bytes"),
        ("cut", {"at": 0.1, "bytes_": 3}, "`at` and `bytes` cannot both"),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action(word, **fields)
