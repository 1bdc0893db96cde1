"""`no-capture`: the message passes and is not recorded."""

from __future__ import annotations

from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.turn import Turn


class NoCapture(Action):
    word = "no-capture"
    doc = "The message passes unchanged; the capture has its size and place, and not its payload."
    example = "no-capture"
    on = On.FRAMES
    private = True
    everywhere = True

    def explain(self) -> str:
        return "keep it out of the capture"

    def apply(self, turn: Turn) -> str:
        turn.uncaptured = True
        return "no capture"
