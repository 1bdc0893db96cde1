"""That no condition, no action and no field of one is missing from the tests through real sockets.

Each module of the matrix has its rules in `rules()`, and each of its checks says what the peer receives and
what the capture says (`ways.Rig.everywhere`). What is declared in `wsinspect/rules/` and stands in none of
their rules has no such test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.rules import (
    test_actions,
    test_conditions,
    test_control_frames,
    test_effects,
    test_handshake_rules,
    test_shapes,
)
from wsinspect.rules.actions import ACTIONS, Action, On
from wsinspect.rules.conditions import CONDITIONS
from wsinspect.rules.fields import Field
from wsinspect.rules.reach import KIND_WORDS
from wsinspect.rules.rule import RULE_FIELDS
from wsinspect.rules.values_tests import JSON_OPERATORS

MODULES = (
    test_conditions, test_control_frames, test_actions, test_shapes, test_effects, test_handshake_rules,
)  # fmt: skip


def all_rules() -> list[dict[str, Any]]:
    return [rule for module in MODULES for rule in yaml.load("\n" + module.rules(), yaml.BaseLoader)]


RULES = all_rules()
"""Of all modules; their values are texts."""


def conditions(when: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each condition with its value, those within `all`, `any`, `not` and `after` too."""
    for word, value in when.items():
        yield word, value
        inner = value if word in ("all", "any") else [value] if word in ("not", "after") else []
        for each in inner:
            yield from conditions(each)


TRIED = [pair for rule in RULES for pair in conditions(rule.get("when", {}))]


def fields_of(action: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Its word, and its fields by name, also where it stands for one alone."""
    if isinstance(action, str):
        return action, {}
    [(word, value)] = action.items()
    kind = ACTIONS[word]
    return word, value if isinstance(value, dict) and not kind.whole else {kind.short: value}


DONE = [fields_of(action) for rule in RULES for action in rule["then"]]


def test_every_condition_is_there() -> None:
    assert set(CONDITIONS) - {word for word, _ in TRIED} == set()


def test_every_kind_is_there() -> None:
    kinds = [value for word, value in TRIED if word == "kind"]
    named = {each for value in kinds for each in (value if isinstance(value, list) else [value])}
    assert set(KIND_WORDS) - named == set()


def test_every_operator_is_there() -> None:
    tests = [test for word, value in TRIED if word == "json" for test in value.values()]
    used = {operator for test in tests if isinstance(test, dict) for operator in test}
    assert set(JSON_OPERATORS) - used == {"equals"}, "a value alone is `equals`"


def test_every_key_of_a_rule_is_there() -> None:
    named = {key for rule in RULES for key in rule}
    assert {field.name for field in RULE_FIELDS} - named == {"description"}


def test_every_action_is_there() -> None:
    assert set(ACTIONS) - {word for word, _ in DONE} == set()


@pytest.mark.parametrize("kind", ACTIONS.values(), ids=ACTIONS)
def test_every_field_of_an_action_is_there(kind: type[Action]) -> None:
    given = [fields for word, fields in DONE if word == kind.word]
    for field in kind.fields:
        values = [fields[field.name] for fields in given if field.name in fields]
        assert values, f"`{kind.word}` with `{field.name}`"
        assert words_of(field) - set(map(str, values)) == set(), f"`{kind.word}` with `{field.name}`"


def words_of(field: Field) -> set[str]:
    """What can be written there and differs from what holds without it."""
    return {str(word) for word in field.words} - {str(field.default)}


@pytest.mark.parametrize("kind", [each for each in ACTIONS.values() if On.RESPONSE in each.on], ids=str)
def test_an_action_on_handshakes_is_there_for_the_request_and_for_the_answer(kind: type[Action]) -> None:
    on_answers = {"request": False, "answer": False}
    for rule in RULES:
        if kind.word in [fields_of(action)[0] for action in rule["then"]]:
            sender = rule["when"].get("from")
            on_answers["request"] |= sender in ("client", None)
            on_answers["answer"] |= sender in ("server", None)
    assert on_answers == {"request": True, "answer": True}
