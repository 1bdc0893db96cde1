"""`stall`: nothing arrives any more, for a time or for good."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.model.plans import BOTH, Stall
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class StallAction(Action):
    word = "stall"
    doc = (
        "What a side sends is taken, recorded, and does not arrive, as on a line that a firewall forgot. "
        "With `for` it arrives after that time, ends too, all in order, as TCP would send it again. Without"
        " it nothing arrives any more: a black hole still passes an end on; of a half-open connection the "
        "other side hears nothing at all. Once the rule is gone or off, what came meanwhile arrives, where "
        "it was less than 4 MiB and no end has passed."
    )
    example = "stall: {from: server, for: 30s}"
    fields = (
        Field("from", Type.SIDES, "Whose bytes; without it both sides'.", BOTH),
        Field(
            "how",
            Type.WORD,
            "Of a stall for good: whether the end of the connection vanishes too.",
            "black-hole",
            words=("black-hole", "half-open"),
        ),
        Field("for", Type.DURATION, "How long until it arrives; 0 is for good.", 0.0, low=0),
        Field("after", Type.DURATION, "How long after the match.", 0.0, low=0),
    )
    short = "from"
    on = On.TRAFFIC
    once = True

    from_: tuple[Side, ...]
    how: str
    for_: float
    after: float

    def explain(self) -> str:
        if self.for_:
            what = f"keep back{self._how_long}, then deliver,"
        else:
            what = "swallow" if self.how == "black-hole" else "swallow, ends included,"
        return f"{what} all that {_senders(self.from_)}{words.later(self.after)}"

    @property
    def _how_long(self) -> str:
        return f" for {words.duration(self.for_)}" if self.for_ else ""

    def apply(self, turn: Turn) -> str:
        turn.effects += (
            Stall(self.rule, self.from_, self.after, self.for_, ends_pass=self.how == "black-hole"),
        )
        return f"stall {words.sides(self.from_)}{self._how_long}"


def _senders(who: tuple[Side, ...]) -> str:
    return "both sides send" if len(who) == 2 else f"{words.sides(who)} sends"
