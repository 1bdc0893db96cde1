"""`reset`: an RST instead of an end."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.model.plans import BOTH, Reset
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class ResetAction(Action):
    word = "reset"
    doc = "Reset the TCP connection (RST), without a Close frame, once what was sent before has arrived."
    example = "reset: {to: client, after: 5s}"
    fields = (
        Field("to", Type.SIDES, "Whose connection; without it both.", BOTH),
        Field("after", Type.DURATION, "How long after the match.", 0.0, low=0),
    )
    short = "to"
    on = On.TRAFFIC
    once = True

    to: tuple[Side, ...]
    after: float

    def explain(self) -> str:
        return f"reset {words.sides(self.to)}{words.later(self.after)}"

    def apply(self, turn: Turn) -> str:
        turn.effects += (Reset(self.rule, self.to, self.after),)
        return self.explain()
