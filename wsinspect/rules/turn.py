"""One message's way through the rules: what conditions look at, and the draft that actions change."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from wsinspect.model import Decoded, Frame, Message, RuleHit, Side
from wsinspect.model.plans import Effect, Fate, Hold, Plan, Shape
from wsinspect.rules.drafts import Draft
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


class Turn(Draft):
    """A message, a control frame (`message` is None) or an opening (both None), and the plan under way."""

    message: Message | None = None
    frame: Frame | None = None
    opcode: int = 0
    payload: bytes = b""
    """As it stands: what earlier rules and actions made of it."""
    changed: bool = False
    hits: tuple[RuleHit, ...] = ()
    fate: Fate = Fate.FORWARD
    delay_ms: float = 0.0
    behind: int = 0
    behind_ms: float = 1000.0
    copies: int = 1
    hold: Hold | None = None
    shape: Shape | None = None
    effects: tuple[Effect, ...] = ()
    uncaptured: bool = False
    redactions: tuple[Redaction, ...] = ()
    """Applied by `plan()`, to the message as it came, as it leaves, and to what is sent beside it."""
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _decoded: Decoded | None = None
    _decoded_of: bytes | None = None

    def __init__(
        self,
        talk: Talk,
        now_ns: int,
        side: Side,
        memories: dict[int, dict[str, Any]],
        *,
        opcode: int = 0,
        message: Message | None = None,
        frame: Frame | None = None,
        payload: bytes = b"",
    ) -> None:
        """`side`: who sent it; at an opening the server. `memories`: of the connection, by `id(action)`."""
        self.talk = talk
        self.now_ns = now_ns
        self.side = side
        self.memories = memories
        self.message, self.frame = message, frame
        self.opcode, self.payload = opcode, payload

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
        turn = Turn(self.talk, self.now_ns, self.side, self.memories, opcode=self.opcode)
        if payload:
            turn.payload, turn._decoded, turn._decoded_of = self.payload, self._decoded, self._decoded_of
        return turn

    def set_payload(self, payload: bytes) -> None:
        """The message goes on with this payload (inflated)."""
        if payload != self.payload:
            self.payload = payload
            self.changed = True

    def plan(self, *, shadow: bool = False) -> Plan | None:
        """The finished plan; None where no rule matched, or all that matched had nothing to hide.

        `shadow`: nothing of it goes out, so that only the message as it came is to be hidden.
        """
        if not self.hits:
            return None
        plan = Plan(
            self.hits, self.fate, self.payload if self.changed else None,
            self.delay_ms, self.behind, self.behind_ms, self.copies, self.hold, self.shape, self.effects,
            uncaptured=self.uncaptured, tags=self.tags, notes=self.notes, shadow=shadow,
        )  # fmt: skip
        if self.redactions:
            redact(self, plan)
        return plan if plan.hits else None
