"""A handshake's way through the rules: the request or the answer, and the draft that actions change."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsinspect.model import Header
from wsinspect.model.plans import HandshakePlan, Hit, Reject
from wsinspect.rules.turn import Talk


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
        )
