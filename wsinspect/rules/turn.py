"""One message's way through the rules: what conditions look at, and the draft that actions change."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from wsinspect.model import Decoded, Frame, Message, Side
from wsinspect.model.plans import Effect, Fate, Hit, Hold, Plan, Shape
from wsinspect.rules.redaction import Redaction, redact

if TYPE_CHECKING:
    from wsinspect.rules.actions.base import Action


class Talk(Protocol):
    """The state of one connection, as actions and templates see it (`engine.ConnectionRules` is one)."""

    @property
    def values(self) -> dict[str, Any]:
        """`vars` of the files, then what `capture` took; by name."""

    @property
    def rng(self) -> random.Random:
        """Seeded by the file's seed and the connection's number: it repeats."""

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None: ...
    def encode(self, decoded: Decoded, tree: Any) -> bytes: ...
    def later(self, turn: Turn, rule: str, render: Callable[[], bytes], now_ns: int) -> bytes | None:
        """What a template of `rule` gives at another time than its message's. None: it failed, as is said."""

    def builtin(self, name: str) -> Any:
        """`conn`, `n` (the message's number in its direction), `now` (epoch seconds), `url`, `host`, `path`,
        `client`.

        Raises KeyError for another name. The rest of `template.BUILTINS` needs no connection.
        """


@dataclass(slots=True)
class Turn:
    """A message, a control frame (`message` is None) or an opening (both None), and the plan under way."""

    talk: Talk
    now_ns: int
    side: Side
    """Who sent it; at an opening the server."""
    message: Message | None = None
    frame: Frame | None = None
    opcode: int = 0
    payload: bytes = b""
    """As it stands: what earlier rules and actions made of it."""
    changed: bool = False
    hits: list[Hit] = field(default_factory=list)
    fate: Fate = Fate.FORWARD
    delay_ms: float = 0.0
    behind: int = 0
    behind_ms: float = 1000.0
    copies: int = 1
    hold: Hold | None = None
    shape: Shape | None = None
    effects: list[Effect] = field(default_factory=list)
    uncaptured: bool = False
    redactions: list[Redaction] = field(default_factory=list)
    """Applied by `plan()`, to the message as it came, as it leaves, and to what is sent beside it."""
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    memories: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of the connection, by `id(action)`."""
    _decoded: Decoded | None = None
    _decoded_of: bytes | None = None

    @property
    def rng(self) -> random.Random:
        return self.talk.rng

    def memory(self, action: Action) -> dict[str, Any]:
        """What an action remembers of this connection."""
        return self.memories.setdefault(id(action), {})

    @property
    def decoded(self) -> Decoded | None:
        """The payload as it stands, decoded once; None where no codec knows it."""
        if self._decoded_of is not self.payload:
            self._decoded_of = self.payload
            self._decoded = self.talk.decode(self.side, self.opcode, self.payload)
        return self._decoded

    def kept(self, *, payload: bool) -> Turn:
        """What templates look at, for later. `payload`: with it, and what it says."""
        turn = Turn(self.talk, self.now_ns, self.side, opcode=self.opcode, memories=self.memories)
        if payload:
            turn.payload, turn._decoded, turn._decoded_of = self.payload, self._decoded, self._decoded_of
        return turn

    def set_payload(self, payload: bytes) -> None:
        """The message goes on with this payload (inflated)."""
        if payload != self.payload:
            self.payload = payload
            self.changed = True

    def set_tree(self, tree: Any) -> None:
        """The message goes on with this tree, encoded as it was. Raises ValueError."""
        decoded = self.decoded
        if decoded is None:
            raise ValueError("no decoder knows this payload")
        self.set_payload(self.talk.encode(decoded, tree))

    def plan(self, *, shadow: bool = False) -> Plan | None:
        """The finished plan; None where no rule matched, or all that matched had nothing to hide.

        `shadow`: nothing of it goes out, so that only the message as it came is to be hidden.
        """
        if not self.hits:
            return None
        plan = Plan(
            tuple(self.hits),
            fate=self.fate,
            payload=self.payload if self.changed else None,
            delay_ms=self.delay_ms,
            behind=self.behind,
            behind_ms=self.behind_ms,
            copies=self.copies,
            hold=self.hold,
            shape=self.shape,
            effects=tuple(self.effects),
            uncaptured=self.uncaptured,
            tags=tuple(self.tags),
            notes=tuple(self.notes),
            shadow=shadow,
        )
        if self.redactions:
            redact(self, plan)
        return plan if plan.hits else None
