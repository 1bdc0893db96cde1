"""`reset_peer`: RST."""

from __future__ import annotations

from wsinspect.model.plans import BOTH, Reset
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic, milliseconds
from wsinspect.rules.turn import Turn


class ResetPeer(Toxic):
    word = "reset_peer"
    doc = (
        "toxiproxy's `reset_peer`: both connections are reset (RST), at once or after that time. The stream "
        "makes no difference."
    )
    example = "reset_peer: {timeout: 2000, toxicity: 0.1}"
    fields = (milliseconds("timeout", "After what time"), *COMMON)
    short = "timeout"

    timeout: int

    def effect(self) -> str:
        return f"reset both sides{words.later(self.timeout)}"

    def attack(self, turn: Turn) -> str:
        turn.effects += (Reset(self.rule, BOTH, self.timeout),)
        return f"reset_peer{words.later(self.timeout)}"
