"""`drop`: it never arrives."""

from __future__ import annotations

from wsinspect.model.plans import Fate
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.turn import Turn


class Drop(Action):
    word = "drop"
    doc = "The message, or the ping, pong or close frame, goes no further. Its sender is not told."
    example = "drop"
    on = On.FRAMES
    terminal = True

    def explain(self) -> str:
        return "drop it"

    def apply(self, turn: Turn) -> str:
        turn.fate = Fate.DROP
        return "drop"
