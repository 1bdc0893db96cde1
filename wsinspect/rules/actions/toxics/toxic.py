"""What all toxics have in common: which stream, and whether this connection gets it."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.seeded import SEED_FIELD
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn

COMMON = (
    Field(
        "stream",
        Type.WORD,
        "upstream: what the client sends; downstream: what the server sends.",
        "downstream",
        words=("upstream", "downstream"),
    ),
    Field("toxicity", Type.CHANCE, "How likely a connection gets it; drawn once for each.", 1.0),
    SEED_FIELD,
)


def milliseconds(name: str, doc: str) -> Field:
    return Field(name, Type.INT, f"{doc}, in milliseconds.", 0, low=0, high=2**31)


class Toxic(Action):
    """A subclass says in `attack` what it does, for a connection that gets it."""

    on = On.TRAFFIC
    once = True
    spares = True

    stream: str
    toxicity: float

    @property
    def sender(self) -> Side:
        """Who sends what passes through the stream."""
        return Side.CLIENT if self.stream == "upstream" else Side.SERVER

    @property
    def whose(self) -> str:
        return f"the {self.sender.word} sends"

    def explain(self) -> str:
        odds = "" if self.toxicity >= 1 else f", in {self.toxicity * 100:g} % of the connections"
        return self.effect() + odds

    def apply(self, turn: Turn) -> str:
        memory = turn.memory(self)
        if "toxic" not in memory:
            memory["toxic"] = self.toxicity >= 1 or self.random_of(turn).random() < self.toxicity
        if not memory["toxic"]:
            return ""
        if self.once:
            if "done" in memory:
                return ""
            memory["done"] = True
        return self.attack(turn)

    def effect(self) -> str:
        """As `explain`, without the odds."""
        raise NotImplementedError

    def attack(self, turn: Turn) -> str:
        """Act on the draft. Returns what was done, in words, or ""."""
        raise NotImplementedError
