"""What somebody outside asks of a live connection."""

from __future__ import annotations

from dataclasses import dataclass

from wsinspect.model import Side


@dataclass(slots=True, frozen=True)
class Inject:
    """Put one frame into a direction, as if `side` had sent it; never inside a frame or a message."""

    side: Side
    opcode: int
    payload: bytes = b""
    mask: bytes | None = None
    """The masking key (4 bytes): given by the caller where `side` is the client (RFC 6455 5.3), else None."""
    why: str = "injected"


@dataclass(slots=True, frozen=True)
class Answer:
    """What became of a command."""

    ok: bool
    text: str
    """`sent`, `waiting for a boundary`, or why it was refused."""
