"""What every action is.

    class Delay(Action):
        word = "delay"
        doc = "Hold the message back for a while."
        fields = (Field("by", Type.DURATION_RANGE, "How long."), …)
        short = "by"                    # `delay: 200ms` means `delay: {by: 200ms}`

        def explain(self) -> str: …     # "hold it back for 200 ms"
        def apply(self, turn: Turn) -> str: …   # change the draft; return what was done, in words

An instance belongs to one rule of one loaded set and is shared by all connections: what it must remember
goes into `turn.memory(self)`, what is random comes from `turn.rng`.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from wsinspect.model import Side
from wsinspect.rules.fields import Field
from wsinspect.rules.template import Expression, Template, Value

if TYPE_CHECKING:
    from wsinspect.rules.handshake_turn import HandshakeTurn
    from wsinspect.rules.turn import Turn


class On(enum.Flag):
    """On what an action can act."""

    DATA = enum.auto()
    """Text and binary messages."""
    CONTROL = enum.auto()
    """Ping, pong and close frames."""
    OPEN = enum.auto()
    """The moment after the 101."""
    REQUEST = enum.auto()
    """The client's handshake, before the server sees it."""
    RESPONSE = enum.auto()
    """The server's answer, before the client sees it."""

    FRAMES = DATA | CONTROL
    TRAFFIC = DATA | CONTROL | OPEN
    HANDSHAKE = REQUEST | RESPONSE


class Action:
    """Base of all actions. A subclass gets its fields as attributes (`Field.attribute`), converted."""

    word: ClassVar[str]
    doc: ClassVar[str]
    """A sentence or two, for the docs."""
    example: ClassVar[str] = ""
    """YAML of the action alone; it must load."""
    fields: ClassVar[tuple[Field, ...]] = ()
    short: ClassVar[str] = ""
    """The field that a bare value stands for; empty where only a mapping will do."""
    whole: ClassVar[bool] = False
    """What is given is the `short` field as a whole, even a mapping: `set: {$.price: 1}`."""
    on: ClassVar[On] = On.DATA
    """All that it can act on; `acts_on()` says what this one does with its fields."""
    once: ClassVar[bool] = False
    """It does something to the connection: where the conditions are known at the opening, it acts there,
    once, and the rule need not look at messages."""
    everywhere: ClassVar[bool] = False
    """Where `when` names no kind, the rule reaches all that it acts on, and not data messages alone: a secret
    must not slip out in a ping or a header."""
    terminal: ClassVar[bool] = False
    """Nothing may follow it in `then`."""
    spares: ClassVar[bool] = False
    """It leaves many matches alone by design, and those are no hits of a rule that does nothing else."""
    private: ClassVar[bool] = False
    """It can keep a message, or part of one, out of the capture: see `is_private()`."""
    needs_python: ClassVar[bool] = False
    """Only with --allow-python."""

    def __init__(self, rule: str, **values: Any) -> None:
        """`rule`: the id of the rule that it belongs to. Raises ValueError where fields contradict."""
        self.rule = rule
        for each in self.fields:
            setattr(self, each.attribute, values.get(each.attribute, each.default))
        self.check()

    def check(self) -> None:
        """Raise ValueError, with a sentence, where the fields do not go together."""

    def acts_on(self) -> On:
        """What this action, with its fields, acts on."""
        return self.on

    def acts_on_sides(self) -> tuple[Side, ...]:
        """Whose messages this action, with its fields, acts on."""
        return tuple(Side)

    @property
    def other_side(self) -> str:
        """What is written where it is to act on the other side's messages; empty where it acts on both."""
        return ""

    def is_private(self) -> bool:
        """Whether this action, with its fields, keeps something of messages out of the capture."""
        return self.private

    def expressions(self) -> tuple[Expression, ...]:
        """All `{{…}}` of its fields, for the check of their names at load."""
        return tuple(_expressions(getattr(self, each.attribute) for each in self.fields))

    @property
    def stop_condition(self) -> Any:
        """The compiled condition of an `until`, or None.

        The engine tries it on each message of either side while `is_running(turn)`, and calls `stop(turn)`
        where it holds.
        """
        return None

    def is_running(self, turn: Turn) -> bool:
        """Whether something that `stop_condition` would end goes on in this connection."""
        return False

    def stop(self, turn: Turn) -> str:
        """End it. Returns what was done, in words."""
        return ""

    def random_of(self, turn: Turn | HandshakeTurn) -> random.Random:
        """Where its random numbers come from: its own `seed`, or the connection's. Both repeat."""
        seed = getattr(self, "seed", None)
        if seed is None:
            return turn.rng
        memory = turn.memory(self)
        if "random" not in memory:
            memory["random"] = random.Random(seed)
        rng: random.Random = memory["random"]
        return rng

    def explain(self) -> str:
        """What it does, as the end of a sentence: `set $.price to 1`."""
        raise NotImplementedError

    def explain_on(self, on: On) -> str:
        """The same in a rule that lets it act on this alone."""
        return self.explain()

    def apply(self, turn: Turn) -> str:
        """Act on a message, a control frame or an opening.

        Returns what was done, in words, or "". The words hold nothing of the message (`words`). Raises
        ValueError, with a sentence, where it cannot be done: the rule is then disabled for the connection.
        """
        raise NotImplementedError

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        """Act on a request or an answer."""
        raise NotImplementedError


def _expressions(values: Iterable[Any]) -> Iterator[Expression]:
    for value in values:
        match value:
            case Template() | Value():
                yield from value.expressions
            case tuple():
                yield from _expressions(value)
            case dict():
                yield from _expressions(value.values())
            case _:
                pass
