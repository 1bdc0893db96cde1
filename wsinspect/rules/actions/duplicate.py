"""`duplicate`: it arrives more than once."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Duplicate(Action):
    word = "duplicate"
    doc = "The message goes out several times, one right behind the other."
    example = "duplicate: {times: 3}"
    fields = (Field("times", Type.INT, "How often it goes out in all.", 2, low=2, high=1000),)
    short = "times"

    times: int

    def explain(self) -> str:
        return f"send it {words.times(self.times)}"

    def apply(self, turn: Turn) -> str:
        turn.copies = self.times
        return f"duplicate: sent {words.times(self.times)}"
