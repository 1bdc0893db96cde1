"""`timeout`: nothing passes, then the end."""

from __future__ import annotations

from wsinspect.model.plans import Stall
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic, milliseconds
from wsinspect.rules.turn import Turn


class Timeout(Toxic):
    word = "timeout"
    doc = (
        "toxiproxy's `timeout`: nothing of the stream gets through, and the connection is closed after that "
        "time; with 0 it stays open, a black hole."
    )
    example = "timeout: {timeout: 5000}"
    fields = (milliseconds("timeout", "After what time the connection is closed"), *COMMON)
    short = "timeout"

    timeout: int

    def effect(self) -> str:
        then = f", and end the connection after {words.duration(self.timeout)}" if self.timeout else ""
        return f"swallow all that {self.whose}{then}"

    def attack(self, turn: Turn) -> str:
        turn.effects += (Stall(self.rule, (self.sender,), then_fin_ms=float(self.timeout) or None),)
        return f"timeout {words.duration(self.timeout)}" if self.timeout else "timeout: a black hole"
