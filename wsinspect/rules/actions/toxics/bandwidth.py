"""`bandwidth`: a slow line."""

from __future__ import annotations

from wsinspect.model.plans import Throttle
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Bandwidth(Toxic):
    word = "bandwidth"
    doc = "toxiproxy's `bandwidth`: the stream carries at most that much."
    example = "bandwidth: {rate: 64}"
    fields = (
        Field(
            "rate",
            Type.INT,
            "In KB (1,000 bytes) per second; 0: no limit, as toxiproxy has it.",
            0,
            low=0,
            high=1 << 40,
        ),
        *COMMON,
    )
    short = "rate"

    rate: int

    def effect(self) -> str:
        if not self.rate:
            return f"let what {self.whose} through without a limit"
        return f"let through at most {self.rate:,} KB/s of what {self.whose}"

    def attack(self, turn: Turn) -> str:
        turn.effects += (Throttle(self.rule, self.sender, self.rate * 1000.0 if self.rate else None),)
        return f"bandwidth {words.rate(self.rate * 1000)}" if self.rate else "bandwidth without limit"
