"""`merge`: one frame."""

from __future__ import annotations

from wsinspect.rules.actions.base import Action
from wsinspect.rules.actions.shape import reshape
from wsinspect.rules.turn import Turn


class Merge(Action):
    word = "merge"
    doc = "The message goes out in a single frame, however many it came in."
    example = "merge"

    def explain(self) -> str:
        return "put it into one frame"

    def apply(self, turn: Turn) -> str:
        reshape(turn, merge=True, sizes=None)
        return "merge into one frame"
