"""The state of one connection that conditions ask for: counts, clocks, rates, what came before. Bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wsinspect.model import Side
from wsinspect.rules.reach import DATA_KINDS, Kind

RATE_WINDOW_NS = 1_000_000_000
_SLOTS = 64
_SLOT_NS = RATE_WINDOW_NS // _SLOTS


class Rate:
    """Messages in the last second, exact to a 64th of one, in fixed space."""

    __slots__ = ("_counts", "_newest", "_total")

    def __init__(self) -> None:
        self._counts: list[int] = []
        """A slot each; made with the first message, since most rules ask for no rate."""
        self._newest = 0
        self._total = 0

    def add(self, now_ns: int) -> None:
        if not self._counts:
            self._counts = [0] * _SLOTS
            self._newest = now_ns // _SLOT_NS
        self._move(now_ns // _SLOT_NS)
        self._counts[self._newest % _SLOTS] += 1
        self._total += 1

    def per_second(self, now_ns: int) -> int:
        self._move(now_ns // _SLOT_NS)
        return self._total

    def _move(self, slot: int) -> None:
        """Forget the slots that have left the window."""
        if not self._counts:
            return
        steps = min(slot - self._newest, _SLOTS)
        for passed in range(self._newest + 1, self._newest + 1 + steps):
            self._total -= self._counts[passed % _SLOTS]
            self._counts[passed % _SLOTS] = 0
        self._newest = max(self._newest, slot)


@dataclass(slots=True)
class RuleState:
    """What one rule has done in one connection."""

    matched: int = 0
    acted: int = 0
    failed: bool = False
    """It raised, and is off for this connection."""
    told: bool = False
    """That it raised was said."""


@dataclass(slots=True)
class Conversation:
    """Of one connection. Sizes follow from the rules, not from the traffic."""

    opened_ns: int | None = None
    previous_ns: int | None = None
    """When the message before this one came, from either side, or the opening; None: not known."""
    data_counts: list[int] = field(default_factory=lambda: [0, 0])
    """Data messages, by side."""
    control_counts: dict[tuple[Side, Kind], int] = field(default_factory=dict)
    rates: tuple[Rate, Rate] = field(default_factory=lambda: (Rate(), Rate()))
    """Of all messages and control frames that the rules see, by side."""
    states: dict[str, RuleState] = field(default_factory=dict)
    """By the rule's id."""
    earlier: dict[int, int] = field(default_factory=dict)
    """When an `after` condition last held, by `id` of the condition."""
    values: dict[str, Any] = field(default_factory=dict)
    """`vars`, then what was captured."""

    def state(self, rule: str) -> RuleState:
        state = self.states.get(rule)
        if state is None:
            state = self.states[rule] = RuleState()
        return state

    def index(self, side: Side, kind: Kind) -> int:
        """The number of the one that is looked at, from 1: data messages count together, each kind of control
        frame on its own."""
        return self.data_counts[side] if kind in DATA_KINDS else self.control_counts.get((side, kind), 0)

    def idle_ms(self, now_ns: int) -> float:
        """Since the message before, or the opening; 0 where that went unseen."""
        return 0.0 if self.previous_ns is None else (now_ns - self.previous_ns) / 1e6

    def age_ms(self, now_ns: int) -> float:
        return 0.0 if self.opened_ns is None else (now_ns - self.opened_ns) / 1e6
