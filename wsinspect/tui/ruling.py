"""Rules and held messages as the screen shows them, and what it can ask about them.

`LiveRules` gets them from a running proxy's control socket; of a file the capture says which rules held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from wsinspect.model import Side

type HoldWord = Literal["release", "edit", "drop", "wait"]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule."""

    id: str
    enabled: bool | None = None
    """None: not known, as nobody runs it now."""
    hits: int = 0
    """As far as the capture goes."""
    counts: str = ""
    """What it did, in words: `3 hits, 2 changed`."""
    explain: str = ""
    """What it is to do, in a sentence."""
    place: str = ""
    """`file:line`"""
    failed: int = 0
    """Connections in which it is disabled, because it failed there."""


@dataclass(frozen=True, slots=True)
class RulesView:
    """Which rules hold, at one moment."""

    rules: tuple[RuleRow, ...] = ()
    """In the order in which they apply."""
    files: tuple[str, ...] = ()
    shadow: bool = False
    """They only record what they would do."""
    error: str = ""
    """Why the files as they are now could not be loaded; a line for each mistake."""
    left_out: int = 0
    """Rules beyond those listed."""
    live: bool = False
    """They can be switched and loaded anew."""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A message that waits for somebody's word."""

    conn: int
    hold: int
    side: Side
    """Who sent it."""
    rule: str
    opcode: int
    size: int
    """Bytes of its payload."""
    preview: str
    """The beginning of its payload, not cleaned."""
    since_ns: int
    """Monotonic, on this machine."""
    limit_ms: int
    """Since then, in all: it grows where the limit began anew."""
    default: Literal["release", "drop"] = "release"
    """What happens when its time is over."""

    @property
    def name(self) -> str:
        """As `wsinspect ctl hold` takes it."""
        return f"{self.conn}.{self.hold}"

    def left_ns(self, now_ns: int) -> int:
        """How much of its time is left."""
        return max(0, self.since_ns + self.limit_ms * 1_000_000 - now_ns)


class RulesSource(Protocol):
    """What can be asked; all of it may take time, and raises WsinspectError with a sentence for the user."""

    def switch_rule(self, rule: str, on: bool) -> None: ...

    def reload_rules(self) -> None: ...

    def held_payload(self, held: HeldRow) -> bytes | None:
        """All of a held message's payload; None where it cannot be had."""

    def hold_end(self, held: HeldRow) -> str:
        """What became of one that is not held any more, in words; empty where that is not known. At once."""

    def resolve_hold(self, held: HeldRow, how: HoldWord, payload: bytes = b"") -> None:
        """It goes on, with another payload or not, or does not; or its time limit begins anew."""
