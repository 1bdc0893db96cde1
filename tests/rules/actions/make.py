"""Actions as the loader makes them: fields converted, nothing else."""

from __future__ import annotations

from typing import Any

import re2

from wsinspect.model import RuleHit
from wsinspect.model.plans import HandshakePlan, Plan
from wsinspect.rules import jsonpath
from wsinspect.rules.actions import ACTIONS, Action
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.template import Template, Value
from wsinspect.rules.turn import Turn


def action(word: str, **fields: Any) -> Action:
    """The action of rule `r`; raises ValueError as the loader would show it."""
    made = ACTIONS[word]
    unknown = fields.keys() - {each.attribute for each in made.fields}
    assert not unknown, unknown
    return made("r", **fields)


def template(text: str) -> Template:
    return Template.parse(text)


def templates(*texts: str) -> tuple[Template, ...]:
    return tuple(Template.parse(text) for text in texts)


def value(source: Any) -> Value:
    return Value.parse(source)


def regex(pattern: str) -> Any:
    return re2.compile(pattern)


def regexes(*patterns: str) -> tuple[Any, ...]:
    return tuple(regex(pattern) for pattern in patterns)


def paths(*texts: str) -> tuple[jsonpath.Path, ...]:
    return tuple(jsonpath.parse(text) for text in texts)


def by_path(values: dict[str, Any]) -> dict[jsonpath.Path, Value]:
    return {jsonpath.parse(path): Value.parse(value) for path, value in values.items()}


def plan_of(turn: Turn, *actions: Action) -> Plan:
    """The plan after these actions of one rule, as the engine makes it."""
    did = tuple(word for each in actions if (word := each.apply(turn)))
    turn.hits += (RuleHit("r", did),)
    plan = turn.plan()
    assert plan is not None
    return plan


def handshake_plan_of(turn: HandshakeTurn, *actions: Action) -> HandshakePlan:
    did = tuple(word for each in actions if (word := each.apply_handshake(turn)))
    turn.hits += (RuleHit("r", did),)
    plan = turn.plan()
    assert plan is not None
    return plan


def did(plan: Plan | HandshakePlan) -> str:
    """What was done, in words."""
    return "; ".join(plan.hits[0].did)
