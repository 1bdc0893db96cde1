"""A plan as the fact that a capture has of it."""

from __future__ import annotations

from typing import Literal

from wsinspect.model import Judged, Outcome, Side
from wsinspect.model.plans import Fate, Plan


def judged(
    plan: Plan,
    side: Side,
    numbers: tuple[int, int],
    opcode: int,
    *,
    hold: int = 0,
) -> Judged:
    """`hold`: the number of the hold, where there is one."""
    return Judged(
        side=side,
        first_frame=numbers[0],
        last_frame=numbers[1],
        opcode=opcode,
        outcome=outcome_of(plan),
        hits=[*plan.hits],
        delay_ms=plan.delay_ms,
        behind=plan.behind,
        captured=_captured(plan),
        tags=list(plan.tags),
        notes=list(plan.notes),
        shadow=plan.shadow,
        hold=hold,
        limit_ms=plan.hold.limit_ms if plan.hold is not None else 0,
    )


def outcome_of(plan: Plan) -> Outcome:
    """What becomes of the message itself."""
    if plan.fate is Fate.DROP:
        return Outcome.DROPPED
    if plan.hold is not None:
        return Outcome.HELD
    if plan.payload is not None or plan.shape is not None:
        return Outcome.CHANGED
    return Outcome.PASSED


def rule_of(plan: Plan) -> str:
    """The rule that stands for what was done: the last that says it did something."""
    for hit in reversed(plan.hits):
        if hit.did:
            return hit.rule
    return plan.hits[-1].rule


def _captured(plan: Plan) -> Literal["whole", "redacted", "nothing"]:
    if plan.uncaptured:
        return "nothing"
    return "whole" if plan.captured is None else "redacted"
