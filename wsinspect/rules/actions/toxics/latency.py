"""`latency`: each message later."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import On
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic, milliseconds
from wsinspect.rules.turn import Turn


class Latency(Toxic):
    word = "latency"
    doc = "toxiproxy's `latency`: a delay on all that passes through the stream, of latency ± jitter."
    example = "latency: {latency: 100, jitter: 30, stream: upstream}"
    fields = (
        milliseconds("latency", "How long"),
        milliseconds("jitter", "At most so much more or less"),
        *COMMON,
    )
    short = "latency"
    on = On.FRAMES
    once = False
    everywhere = True

    latency: int
    jitter: int

    def check(self) -> None:
        if not self.latency and not self.jitter:
            raise ValueError("neither latency nor jitter: nothing would be delayed")

    def acts_on_sides(self) -> tuple[Side, ...]:
        return (self.sender,)

    @property
    def other_side(self) -> str:
        return f"stream: {'downstream' if self.stream == 'upstream' else 'upstream'}"

    def effect(self) -> str:
        low, high = max(0, self.latency - self.jitter), self.latency + self.jitter
        return f"delay what {self.whose} by {words.span(low, high)}"

    def attack(self, turn: Turn) -> str:
        if turn.side is not self.sender:
            return ""
        ms = float(self.latency)
        if self.jitter:
            ms = max(0.0, ms + self.random_of(turn).uniform(-self.jitter, self.jitter))
        turn.delay_ms += ms
        return f"latency {words.duration(ms)}"
