"""`reorder`: later ones overtake it."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Reorder(Action):
    word = "reorder"
    doc = (
        "Let later messages of its direction overtake it. It goes out after that many of them, or when its "
        "time is over, whichever comes first."
    )
    example = "reorder: {by: 2, within: 500ms}"
    fields = (
        Field("by", Type.INT, "How many messages overtake it.", 1, low=1, high=1000),
        Field("within", Type.DURATION, "How long it waits for them at most.", 1000.0, low=1),
    )
    short = "by"

    by: int
    within: float

    def explain(self) -> str:
        return f"let {words.plural(self.by, 'message')} overtake it, within {words.duration(self.within)}"

    def apply(self, turn: Turn) -> str:
        turn.behind, turn.behind_ms = self.by, self.within
        return f"reorder behind {words.plural(self.by, 'message')}"
