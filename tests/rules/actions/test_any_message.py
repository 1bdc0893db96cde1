"""Every action, by the example in its docs, on any message: it acts or refuses, and tells no secret."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, RuleHit, Side
from wsinspect.rules.actions import ACTIONS, Action, On
from wsinspect.rules.loading import load_text

SECRET = "s3cret-Zq7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "prices.py").write_text("def double(message): return message.text and message.text * 2\n")
    return folder


def loaded(word: str, folder: Path) -> Action:
    text = f"version: 1\nrules:\n- id: r\n  then:\n  - {ACTIONS[word].example}\n"
    (rule,) = load_text(text, folder=folder, allow_python=True).rules
    (action,) = rule.actions
    return action


values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers()
    | st.just(SECRET)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["id", "items", "price", "user", "token", "users", "x"]), inner, max_size=4
    ),
    max_leaves=8,
)
payloads = values | st.binary(max_size=300) | st.text(max_size=300) | st.just(SECRET)


@pytest.mark.parametrize("word", [word for word, cls in ACTIONS.items() if cls.on & On.TRAFFIC])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_on_traffic(word: str, folder: Path, data: st.DataObject) -> None:
    action, talk = loaded(word, folder), FakeTalk({"secret": SECRET})
    on = action.acts_on()
    for _ in range(3):
        side = data.draw(st.sampled_from(list(Side)))
        kind = data.draw(st.sampled_from([each for each in (On.DATA, On.CONTROL, On.OPEN) if each in on]))
        payload: Any = data.draw(payloads)
        if kind is On.DATA:
            turn = talk.turn(payload, side)
        elif kind is On.CONTROL:
            opcode = data.draw(st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]))
            turn = talk.control(opcode, payload[:125] if isinstance(payload, bytes) else b"", side)
        else:
            turn = talk.opening()
        before = turn.payload
        try:
            did = action.apply(turn)
        except ValueError:
            continue  # the engine turns the rule off, and the message goes on
        turn.hits += (RuleHit("r", (did,)),)
        plan = turn.plan()
        if plan is None:
            assert word == "redact", "only where nothing was to hide"
            continue
        assert SECRET not in did
        assert len(did) < 400
        assert (plan.payload is not None) is (turn.payload != before)
        assert plan.delay_ms >= 0
        assert plan.copies >= 1


@pytest.mark.parametrize("word", [word for word, cls in ACTIONS.items() if cls.on & On.HANDSHAKE])
@pytest.mark.parametrize("answer", [False, True])
def test_on_a_handshake(word: str, answer: bool, folder: Path) -> None:
    action = loaded(word, folder)
    turn = FakeTalk().handshake(answer=answer)
    turn.hits += (RuleHit("r", (action.apply_handshake(turn),)),)
    assert turn.plan() is not None


@pytest.mark.parametrize("word", ACTIONS)
def test_it_explains_itself(word: str, folder: Path) -> None:
    explained = loaded(word, folder).explain()
    assert explained[0].islower()
    assert not explained.endswith(".")
    assert "None" not in explained
    assert "object at" not in explained
