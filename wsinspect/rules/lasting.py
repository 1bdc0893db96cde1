"""What rules leave behind in a connection, so that it is over when they are gone."""

from __future__ import annotations

from collections.abc import Iterable

from wsinspect.model.plans import (
    Close,
    Cut,
    Effect,
    Lift,
    LimitData,
    Reset,
    Send,
    Slice,
    SlowClose,
    Stall,
    StopSending,
    Throttle,
)
from wsinspect.rules.rule import Rule


class Lasting:
    """Of one connection."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}
        """The rules that could act at the opening, or at the last reload: their text by their id."""
        self._left: set[str] = set()
        """Ids of rules that left something behind."""

    def begin(self, rules: Iterable[Rule]) -> None:
        """These rules judge the opening."""
        self._begun = {rule.id: rule.written for rule in rules}

    def change(self, rules: Iterable[Rule]) -> tuple[list[str], set[str]]:
        """These rules judge from now on.

        Returns ids of those that are gone and left something, and of those that came; one with another text
        is both.
        """
        before = self._begun
        self.begin(rules)
        changed = {each for each in (*before, *self._begun) if before.get(each) != self._begun.get(each)}
        gone = sorted(self._left & changed)
        self._left -= changed
        return gone, changed & self._begun.keys()

    def note(self, effects: Iterable[Effect]) -> None:
        """The relay is asked for these."""
        self._left.update(rule for effect in effects if (rule := _left_by(effect)))


def _left_by(effect: Effect) -> str:
    """The rule whose going would matter to it; empty where it is over at once."""
    match effect:
        case Send():
            return effect.rule if effect.times != 1 or effect.after_ms else ""
        case Close() | Reset():
            return effect.rule if effect.after_ms else ""
        case Stall() | Throttle() | Slice() | LimitData() | SlowClose():
            return effect.rule
        case Cut() | StopSending() | Lift():
            return ""
