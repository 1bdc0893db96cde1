"""`set`, `remove`, `append`: values of decoded messages."""

import json
from typing import Any

import pytest

from tests.rules.actions.make import action, by_path, did, paths, plan_of
from tests.rules.talk import FakeTalk
from wsinspect.model import Decoded, Side

MESSAGE = {"price": 10, "user": {"name": "Ada"}, "items": [{"id": 1, "s": "x"}, {"id": 2, "s": "y"}]}


def after(plan: Any) -> Any:
    return json.loads(plan.payload)


def test_set_several_values_at_once() -> None:
    act = action(
        "set", values=by_path({"$.price": 1, "$.user.age": {"a": [None, True]}, "$.items[0].id": "{{n}}"})
    )
    turn = FakeTalk().turn(MESSAGE)
    plan = plan_of(turn, act)
    assert after(plan) == {
        "price": 1,
        "user": {"name": "Ada", "age": {"a": [None, True]}},
        "items": [{"id": 3, "s": "x"}, {"id": 2, "s": "y"}],
    }
    assert did(plan) == 'set $.price to 1, set $.user.age to {"a":[null,true]}, set $.items[0].id to "{{n}}"'
    assert act.explain() == 'set $.price to 1, $.user.age to {"a":[null,true]} and $.items[0].id to "{{n}}"'


def test_set_works_on_whatever_a_decoder_reads() -> None:
    """Not only on text: the codec that read it writes it."""

    class Reversed(FakeTalk):
        def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
            return Decoded("reversed", json.loads(payload[::-1]))

        def encode(self, decoded: Decoded, tree: Any) -> bytes:
            assert decoded.codec == "reversed"
            return json.dumps(tree).encode()[::-1]

    plan = plan_of(Reversed().turn(b'{"a":1}'[::-1]), action("set", values=by_path({"$.a": 2})))
    assert plan.payload == b'{"a": 2}'[::-1]


def test_what_a_value_was_stands_in_no_word() -> None:
    """Words go into the capture even where the message itself must not."""
    act = action("set", values=by_path({"$.copy": "{{$.user.name}}"}))
    plan = plan_of(FakeTalk().turn(MESSAGE), act)
    assert after(plan)["copy"] == "Ada"
    assert "Ada" not in did(plan)


def test_braces_that_are_text_and_values_that_are_the_message_s_own() -> None:
    act = action("set", values=by_path({"$.price": "{{'{{'}}x", "$.items": [1]}))
    turn = FakeTalk().turn(MESSAGE)
    act.apply(turn)
    assert turn.decoded is not None
    turn.decoded.tree["items"].append(2)
    assert after(plan_of(FakeTalk().turn(MESSAGE), act)) == {**MESSAGE, "price": "{{x", "items": [1]}


def test_a_second_set_builds_on_the_first() -> None:
    turn = FakeTalk().turn(MESSAGE)
    plan = plan_of(
        turn,
        action("set", values=by_path({"$.price": 1})),
        action("set", values=by_path({"$.new": "{{$.price}}"})),
    )
    assert after(plan)["new"] == 1


def test_places_that_are_not_there_are_said_and_nothing_passes_changed() -> None:
    plan = plan_of(FakeTalk().turn(MESSAGE), action("set", values=by_path({"$.no.where": 1})))
    assert plan.payload is None
    assert did(plan) == "no place for $.no.where"
    plan = plan_of(FakeTalk().turn(MESSAGE), action("remove", paths=paths("$.no", "$.where")))
    assert plan.payload is None
    assert did(plan) == "no $.no, no $.where"
    plan = plan_of(FakeTalk().turn(MESSAGE), action("append", values=by_path({"$.user": 1})))
    assert plan.payload is None
    assert did(plan) == "no list at $.user"


@pytest.mark.parametrize(
    ("act", "verb"),
    [
        (action("set", values=by_path({"$.a": 1})), "set"),
        (action("remove", paths=paths("$.a")), "removed"),
        (action("append", values=by_path({"$.a": 1})), "appended"),
    ],
)
def test_a_payload_that_no_decoder_knows_passes(act: Any, verb: str) -> None:
    plan = plan_of(FakeTalk().turn("not json"), act)
    assert plan.payload is None
    assert did(plan) == f"nothing {verb}: no decoder knows this payload"


def test_remove() -> None:
    act = action("remove", paths=paths("$.items[*].s", "$.price", "$.gone"))
    plan = plan_of(FakeTalk().turn(MESSAGE), act)
    assert after(plan) == {"user": {"name": "Ada"}, "items": [{"id": 1}, {"id": 2}]}
    assert did(plan) == "remove $.items[*].s (2 places), remove $.price, no $.gone"
    assert act.explain() == "remove $.items[*].s, $.price and $.gone"


def test_append() -> None:
    act = action("append", values=by_path({"$.items": {"id": 99, "of": "{{$.user.name}}"}}))
    plan = plan_of(FakeTalk().turn(MESSAGE), act)
    assert after(plan)["items"][2] == {"id": 99, "of": "Ada"}
    assert act.explain() == 'append {"id":99,"of":"{{$.user.name}}"} to $.items'


def test_a_tree_that_the_codec_cannot_carry_is_a_value_error() -> None:
    class Narrow(FakeTalk):
        def encode(self, decoded: Decoded, tree: Any) -> bytes:
            raise ValueError("no such thing here")

    with pytest.raises(ValueError, match="no such thing"):
        action("set", values=by_path({"$.price": 1})).apply(Narrow().turn(MESSAGE))


@pytest.mark.parametrize(
    ("word", "fields", "sentence"),
    [
        ("set", {"values": {}}, "nothing to set"),
        ("append", {"values": {}}, "nothing to append"),
        ("remove", {"paths": ()}, "nothing to remove"),
        ("remove", {"paths": paths("$")}, "`drop` drops the message"),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action(word, **fields)


def test_a_long_value_is_cut_short_in_words() -> None:
    act = action("set", values=by_path({"$.a": "x" * 1000, "$.b": [0] * 1000}))
    assert len(act.explain()) < 200
    assert "a list of 1000" in act.explain()
