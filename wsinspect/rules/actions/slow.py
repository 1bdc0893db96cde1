"""`slow`: a handshake that takes its time."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.seeded import SEED_FIELD
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn


class Slow(Action):
    word = "slow"
    doc = (
        "Hold the handshake back for a while, once: the request, or where the rule matches that alone, the "
        "answer."
    )
    example = "slow: 2s..5s"
    fields = (
        Field("by", Type.DURATION_RANGE, "How long: a duration, or a range from which one is drawn."),
        SEED_FIELD,
    )
    short = "by"
    on = On.HANDSHAKE

    by: tuple[float, float]

    def explain(self) -> str:
        return f"hold the handshake back for {words.span(*self.by)}"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        memory = turn.memory(self)
        if "done" in memory:
            return ""
        memory["done"] = True
        low, high = self.by
        ms = low if low == high else self.random_of(turn).uniform(low, high)
        turn.delay_ms += ms
        return f"slow by {words.duration(ms)}"
