"""A handshake's way through the rules: the request or the answer, and the draft that actions change."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wsinspect.model import Decoded, Header, Side
from wsinspect.model.plans import HandshakePlan, Hit, Redactor, Reject
from wsinspect.rules.turn import Talk

if TYPE_CHECKING:
    from wsinspect.rules.actions.base import Action


@dataclass(slots=True)
class HandshakeTurn:
    talk: Talk
    answer: bool
    """The server's answer, not the client's request."""
    hits: list[Hit] = field(default_factory=list)
    reject: Reject | None = None
    redirect_to: str | None = None
    delay_ms: float = 0.0
    set_headers: list[Header] = field(default_factory=list)
    remove_headers: list[str] = field(default_factory=list)
    strip_extensions: list[str] = field(default_factory=list)
    redactors: list[Redactor] = field(default_factory=list)
    memories: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of the connection, by `id(action)`: the same that its `Turn`s have."""

    @property
    def rng(self) -> random.Random:
        return self.talk.rng

    def memory(self, action: Action) -> dict[str, Any]:
        """What an action remembers of this connection."""
        return self.memories.setdefault(id(action), {})

    @property
    def side(self) -> Side:
        """Who sent it."""
        return Side.SERVER if self.answer else Side.CLIENT

    @property
    def payload(self) -> bytes:
        """A handshake has none."""
        return b""

    @property
    def decoded(self) -> Decoded | None:
        """A handshake has no payload to decode."""
        return None

    def plan(self) -> HandshakePlan | None:
        """The finished plan; None where no rule matched."""
        if not self.hits:
            return None
        return HandshakePlan(
            tuple(self.hits),
            self.reject,
            self.redirect_to,
            self.delay_ms,
            tuple(self.set_headers),
            tuple(self.remove_headers),
            tuple(self.strip_extensions),
            tuple(self.redactors),
        )
