"""`delay`: it arrives later."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.seeded import SEED_FIELD
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Delay(Action):
    word = "delay"
    doc = (
        "Hold it back for a while. What comes behind it in its direction keeps its place, so it waits too; "
        "the other direction does not. Delays of several rules add up."
    )
    example = "delay: 100ms..300ms"
    fields = (
        Field("by", Type.DURATION_RANGE, "How long: a duration, or a range from which one is drawn."),
        Field("jitter", Type.DURATION, "So much more or less, drawn each time.", 0.0, low=0),
        SEED_FIELD,
    )
    short = "by"
    on = On.FRAMES

    by: tuple[float, float]
    jitter: float

    def check(self) -> None:
        low, high = self.by
        if self.jitter and low != high:
            raise ValueError("a range and a jitter cannot both stand here: the range is the jitter")
        if self.jitter > low and self.jitter:
            raise ValueError("the jitter is longer than the delay: nothing can arrive before it came")
        self._low, self._high = (low - self.jitter, high + self.jitter)

    def explain(self) -> str:
        return f"hold it back for {words.span(self._low, self._high)}"

    def apply(self, turn: Turn) -> str:
        ms = self._low
        if self._high > self._low:
            ms = self.random_of(turn).uniform(self._low, self._high)
        turn.delay_ms += ms
        return f"delay {words.duration(ms)}"
