"""`throttle`: a slow line."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.model.plans import BOTH, Throttle
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class ThrottleAction(Action):
    word = "throttle"
    doc = (
        "From here on the line carries at most that many bytes a second, in each direction that is named. "
        "`off: true` lifts it again."
    )
    example = "throttle: {rate: 64KB/s, from: server}"
    fields = (
        Field("rate", Type.RATE, "How fast.", None),
        Field(
            "from", Type.SIDES, "Whose bytes; without it the message's sender's, at the opening both.", None
        ),
        Field("off", Type.BOOL, "Lifts it: the line is as fast as it is.", default=False),
    )
    short = "rate"
    on = On.TRAFFIC
    once = True

    rate: float | None
    from_: tuple[Side, ...] | None
    off: bool

    def check(self) -> None:
        if self.off == (self.rate is not None):
            raise ValueError("give a rate, or off: true")
        if self.rate is not None and self.rate <= 0:
            raise ValueError("a rate of 0 lets nothing through: `stall` is made for that")

    def explain(self) -> str:
        return self.explain_on(self.on)

    def explain_on(self, on: On) -> str:
        match self.from_:
            case None if on == On.OPEN:
                whose = "both sides send"
            case None:
                whose = f"its sender{' (at the opening both sides)' if On.OPEN in on else ''} sends"
            case (_, _):
                whose = "both sides send"
            case (side,):
                whose = f"the {side.word} sends"
            case _:
                raise AssertionError(self.from_)
        if self.rate is None:
            return f"let what {whose} through freely again"
        return f"let through at most {words.rate(self.rate)} of what {whose}"

    def apply(self, turn: Turn) -> str:
        at_opening = turn.message is None and turn.frame is None
        senders = self.from_ or (BOTH if at_opening else (turn.side,))
        turn.effects += tuple(Throttle(self.rule, sender, self.rate) for sender in senders)
        return "throttle off" if self.rate is None else f"throttle to {words.rate(self.rate)}"
