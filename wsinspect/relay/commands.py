"""What somebody outside asks of a live connection."""

from __future__ import annotations

from dataclasses import dataclass

from wsinspect.model import Opcode, Side


@dataclass(slots=True, frozen=True)
class Inject:
    """Put one frame into a direction, as if `side` had sent it; never inside a frame or a message."""

    side: Side
    opcode: int
    payload: bytes = b""
    mask: bytes | None = None
    """The masking key (4 bytes): given by the caller where `side` is the client (RFC 6455 5.3), else None."""
    why: str = "injected"
    rule: str | None = None
    """Which wanted it, where none but a rule did."""
    captured: bytes | None = None
    """The capture has this payload in its place."""

    @property
    def last(self) -> bool:
        """What `side` sends after it goes nowhere, but for its end: a Close must be the last (5.5.1)."""
        return self.opcode == Opcode.CLOSE


@dataclass(slots=True, frozen=True)
class Release:
    """Let a held message go on as it is."""

    hold: int


@dataclass(slots=True, frozen=True)
class Edit:
    """Let a held message go on with another payload (inflated)."""

    hold: int
    payload: bytes


@dataclass(slots=True, frozen=True)
class DropHeld:
    """Let a held message go nowhere."""

    hold: int


@dataclass(slots=True, frozen=True)
class Wait:
    """Begin a held message's limit anew: somebody is at it."""

    hold: int


type Word = Release | Edit | DropHeld | Wait
"""About a held message: the first that is no `Wait` counts."""

type Command = Inject | Word


@dataclass(slots=True, frozen=True)
class Answer:
    """What became of a command."""

    ok: bool
    text: str
    """`sent`, `waiting for a boundary`, `released` …, or why it was refused."""
