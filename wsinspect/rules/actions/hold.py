"""`hold`: it waits for somebody's word."""

from __future__ import annotations

from wsinspect.model.plans import Hold, HoldDefault
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class HoldAction(Action):
    word = "hold"
    doc = (
        "The message, and the messages behind it in its direction, wait until somebody releases, edits or "
        "drops it, on the screen or by `wsinspect ctl hold`. Pings and the other direction go on. With "
        "nobody attached the default is taken at once. The limit begins anew while somebody edits the "
        "message on the screen, and by `wsinspect ctl hold wait`."
    )
    example = "hold: {limit: 2m, default: drop}"
    fields = (
        Field("limit", Type.DURATION, "How long it waits at most.", 30_000.0, low=1),
        Field("default", Type.WORD, "What happens then.", "release", words=tuple(HoldDefault)),
    )
    short = "limit"

    limit: float
    default: str

    def explain(self) -> str:
        return f"hold it for a decision, and {self.default} it after {words.duration(self.limit)}"

    def apply(self, turn: Turn) -> str:
        turn.hold = Hold(self.rule, max(1, round(self.limit)), HoldDefault(self.default))
        return f"hold up to {words.duration(self.limit)}"
