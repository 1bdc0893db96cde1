"""What every action is.

    class Delay(Action):
        word = "delay"
        doc = "Hold the message back for a while."
        fields = (Field("for", Type.DURATION_RANGE, "How long."), …)
        short = "for"                   # `delay: 200ms` means `delay: {for: 200ms}`

        def explain(self) -> str: …     # "hold it back for 200 ms"
        def apply(self, turn: Turn) -> str: …   # change the draft; return what was done, in words

An instance belongs to one rule of one loaded set and is shared by all connections: what it must remember
goes into `turn.memory(self)`, what is random comes from `turn.rng`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, ClassVar

from wsinspect.rules.fields import Field

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
    on: ClassVar[On] = On.DATA
    terminal: ClassVar[bool] = False
    """Nothing may follow it in `then`."""
    private: ClassVar[bool] = False
    """It keeps something out of the capture."""
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

    def explain(self) -> str:
        """What it does, as the end of a sentence: `set $.price to 1`."""
        raise NotImplementedError

    def apply(self, turn: Turn) -> str:
        """Act on a message, a control frame or an opening. Returns what was done, in words, or ""."""
        raise NotImplementedError

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        """Act on a request or an answer."""
        raise NotImplementedError
