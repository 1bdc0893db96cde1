"""`slow_close`: the end comes later."""

from __future__ import annotations

from wsinspect.model.plans import SlowClose
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic, milliseconds
from wsinspect.rules.turn import Turn


class SlowCloseToxic(Toxic):
    word = "slow_close"
    doc = "toxiproxy's `slow_close`: the end of the stream is passed on that much later."
    example = "slow_close: {delay: 3000}"
    fields = (milliseconds("delay", "How much later"), *COMMON)
    short = "delay"

    delay: int

    def effect(self) -> str:
        return f"pass the {self.sender.word}'s end on {words.duration(self.delay)} later"

    def attack(self, turn: Turn) -> str:
        turn.effects += (SlowClose(self.rule, self.sender, self.delay),)
        return f"slow_close {words.duration(self.delay)}"
