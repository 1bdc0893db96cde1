"""A handshake's way through the rules: the request or the answer, and the draft that actions change."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from wsinspect.model import Decoded, Header, RuleHit, Side
from wsinspect.model.plans import HandshakePlan, Redactor, Reject
from wsinspect.rules.drafts import Draft
from wsinspect.rules.turn import Talk

if TYPE_CHECKING:
    from wsinspect.rules.actions.base import Action


class HandshakeTurn(Draft):
    """Of the request, or of the answer."""

    hits: tuple[RuleHit, ...] = ()
    reject: Reject | None = None
    redirect_to: str | None = None
    delay_ms: float = 0.0
    set_headers: tuple[Header, ...] = ()
    remove_headers: tuple[str, ...] = ()
    strip_extensions: tuple[str, ...] = ()
    redactors: tuple[Redactor, ...] = ()

    def __init__(self, talk: Talk, answer: bool, memories: dict[int, dict[str, Any]]) -> None:
        """`answer`: the server's, not the client's request. `memories`: the same that `Turn`s have."""
        self.talk = talk
        self.answer = answer
        self.memories = memories

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
            self.hits,
            self.reject,
            self.redirect_to,
            self.delay_ms,
            self.set_headers,
            self.remove_headers,
            self.strip_extensions,
            self.redactors,
        )
