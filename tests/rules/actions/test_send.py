from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of, template, templates, value
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import Fate, Send, StopSending
from wsinspect.rules.actions import On

MS = 1_000_000


class FakeCondition:
    def explain(self) -> str:
        return "the server sends bye"


@pytest.mark.parametrize(
    ("fields", "opcode", "payload", "words"),
    [
        ({"text": templates("n is {{n}}")}, Opcode.TEXT, b"n is 3", 'the text "n is {{n}}"'),
        ({"json": value({"id": "{{$.id}}"})}, Opcode.TEXT, b'{"id":5}', 'the JSON {"id":"{{$.id}}"}'),
        ({"base64": b"\x00\x01"}, Opcode.BINARY, b"\x00\x01", "the bytes 0001 (hex)"),
        ({"hex_": b""}, Opcode.BINARY, b"", "the bytes  (hex)"),
        ({"ping": template("")}, Opcode.PING, b"", "a ping"),
        ({"pong": template("{{$.id}}")}, Opcode.PONG, b"5", 'a pong of "{{$.id}}"'),
    ],
)
def test_each_kind_of_content(fields: dict[str, Any], opcode: int, payload: bytes, words: str) -> None:
    act = action("send", to=Side.SERVER, after=20.0, **fields)
    plan = plan_of(FakeTalk().turn({"id": 5}, Side.SERVER), act)
    (sent,) = plan.effects
    assert isinstance(sent, Send)
    assert (sent.rule, sent.to, sent.opcode, sent.payload) == ("r", Side.SERVER, opcode, payload)
    assert (sent.after_ms, sent.every_ms, sent.times) == (20.0, 0.0, 1)
    assert not plan.touches
    assert act.explain() == f"send {words} to the server after 20 ms"
    assert did(plan) == f"send {words} to the server"


def sends(act: Any, turn: Any) -> list[Send]:
    return [effect for effect in plan_of(turn, act).effects if isinstance(effect, Send)]


def test_several_texts_go_out_in_turn() -> None:
    act = action("send", to=Side.CLIENT, text=templates("a", "b", "c"))
    assert [sent.payload for sent in sends(act, FakeTalk().turn("x"))] == [b"a", b"b", b"c"]
    assert all(sent.after_ms == 0 for sent in sends(act, FakeTalk().turn("x")))
    repeated = action("send", to=Side.CLIENT, text=templates("a", "b"), every=10.0, after=5.0, times=3)
    assert [
        (sent.payload, sent.after_ms, sent.every_ms, sent.times)
        for sent in sends(repeated, FakeTalk().turn("x"))
    ] == [
        (b"a", 5.0, 20.0, 3),
        (b"b", 15.0, 20.0, 3),
    ]
    assert repeated.explain() == (
        'send the text "a" and the text "b" to the client after 5 ms, every 10 ms, 3 times in all'
    )


def test_a_repeated_send_goes_on_until_its_condition() -> None:
    condition = FakeCondition()
    act = action("send", to=Side.CLIENT, ping=template(""), every=1000.0, until=condition)
    assert act.stop_condition is condition
    assert (
        act.explain()
        == "send a ping to the client, every 1 s, until a message comes that meets (the server sends bye)"
    )
    talk = FakeTalk()
    assert not act.is_running(talk.turn("x"))
    (first,) = sends(act, talk.turn("x"))
    assert first.times is None
    assert act.is_running(talk.turn("x", now_ns=10**15))
    assert not act.is_running(FakeTalk().turn("x")), "each connection has its own"
    turn = talk.turn("bye", Side.SERVER)
    assert act.stop(turn) == "stop sending to the client"
    assert turn.effects == (StopSending(first.key),)
    assert not act.is_running(talk.turn("x"))
    assert len(sends(act, talk.turn("x"))) == 1


def test_a_match_while_it_is_being_repeated_does_not_start_it_again() -> None:
    """A rule that matches each message would start a timer for each."""
    act, talk = action("send", to=Side.CLIENT, text=templates("x"), every=100.0, times=3), FakeTalk()
    assert len(sends(act, talk.turn("x"))) == 1
    assert sends(act, talk.turn("x", now_ns=199 * MS)) == []
    assert len(sends(act, talk.turn("x", now_ns=201 * MS))) == 1


def test_what_was_begun_before_a_reload_is_stopped_after_it() -> None:
    """A reload makes new actions and hands them the memories of the old ones."""
    old, new = (action("send", to=Side.CLIENT, ping=template(""), every=1.0) for _ in range(2))
    talk = FakeTalk()
    (sent,) = sends(old, talk.turn("x"))
    talk.memories[id(new)] = talk.memories.pop(id(old))
    turn = talk.turn("x")
    assert new.is_running(turn)
    new.stop(turn)
    assert turn.effects == (StopSending(sent.key),)


def test_two_actions_of_one_rule_are_stopped_apart() -> None:
    one, two = (action("send", to=Side.CLIENT, ping=template(""), every=1.0) for _ in range(2))
    assert sends(one, FakeTalk().turn("x"))[0].key != sends(two, FakeTalk().turn("x"))[0].key


def test_it_acts_on_any_traffic() -> None:
    act = action("send", to=Side.CLIENT, text=templates("hello {{conn}}"))
    assert act.acts_on() == On.TRAFFIC
    assert sends(act, FakeTalk().opening())[0].payload == b"hello 7"
    assert sends(act, FakeTalk().control(Opcode.PING))[0].payload == b"hello 7"


def test_a_control_frame_that_gets_too_long() -> None:
    act = action("send", to=Side.CLIENT, ping=template("{{text}}"))
    with pytest.raises(ValueError, match="126 bytes are too many for a control frame"):
        act.apply(FakeTalk().turn("x" * 126))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of text, json, base64, hex, ping or pong is missing"),
        ({"text": templates("a"), "ping": template("")}, "text and ping cannot both"),
        ({"text": ()}, "the list of texts is empty"),
        ({"ping": template("x" * 126)}, "126 bytes are too many"),
        ({"text": templates("a"), "times": 2}, "`times` belongs to `every`"),
        ({"text": templates("a"), "until": FakeCondition()}, "`until` belongs to `every`"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("send", to=Side.CLIENT, **fields)


# ------------------------------------------------------------------------------------------------- reply


def test_a_reply_goes_to_the_sender_and_the_message_no_further() -> None:
    act = action("reply", json=value({"id": "{{$.id}}", "ok": True}), after=(50.0, 50.0))
    for side in Side:
        plan = plan_of(FakeTalk().turn({"id": 9}, side), act)
        assert plan.fate is Fate.DROP
        assert plan.effects == (Send("r", side, Opcode.TEXT, b'{"id":9,"ok":true}', after_ms=50.0),)
    assert act.terminal
    assert act.explain() == (
        'answer its sender after 50 ms with the JSON {"id":"{{$.id}}","ok":true}, and drop it'
    )


def test_a_reply_as_the_message_came() -> None:
    act = action("reply", tree=value({"got": "{{$.id}}"}))
    plan = plan_of(FakeTalk().turn({"id": 9}), act)
    assert plan.effects == (Send("r", Side.CLIENT, Opcode.TEXT, b'{"got": 9}'),)
    assert act.explain() == 'answer its sender with {"got":"{{$.id}}"}, encoded as it came, and drop it'
    with pytest.raises(ValueError, match="no decoder knows this one"):
        act.apply(FakeTalk().turn(b"\x00"))


def test_several_replies_and_a_pong() -> None:
    plan = plan_of(FakeTalk().turn("x"), action("reply", text=templates("a", "b")))
    assert [effect.payload for effect in plan.effects if isinstance(effect, Send)] == [b"a", b"b"]
    pong = plan_of(FakeTalk().control(Opcode.PING, b"p"), action("reply", pong=template("{{text}}")))
    assert pong.effects == (Send("r", Side.CLIENT, Opcode.PONG, b"p"),)


def test_the_time_of_a_reply_is_drawn_and_repeats() -> None:
    def after(talk: FakeTalk, **fields: Any) -> list[float]:
        act = action("reply", text=templates("x"), after=(10.0, 20.0), **fields)
        return [sends(act, talk.turn("x"))[0].after_ms for _ in range(20)]

    drawn = after(FakeTalk())
    assert min(drawn) >= 10
    assert max(drawn) <= 20
    assert len(set(drawn)) > 10
    assert after(FakeTalk()) == drawn
    assert after(FakeTalk(), seed=2) == after(FakeTalk(), seed=2) != drawn


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of text, json, tree, base64, hex or pong is missing"),
        ({"text": ()}, "the list of texts is empty"),
        ({"tree": value(1), "json": value(1)}, "json and tree cannot both"),
    ],
)
def test_replies_that_make_no_sense(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("reply", **fields)
