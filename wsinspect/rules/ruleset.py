"""A set of rules, ready to judge connections: immutable, shared by all of them.

`RuleSet.lanes(alive, verbatim)` compiles what the rules left for a connection need, once for all connections
with the same ones left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsinspect.errors import NotFound, Problem, did_you_mean
from wsinspect.rules.connection_facts import ConnectionFacts
from wsinspect.rules.lanes import Lanes
from wsinspect.rules.rule import Rule

if TYPE_CHECKING:
    from wsinspect.rules.inner_reading import InnerTest

MAX_LANES = 256
"""Compiled sets that are kept: one for each mix of rules that connections were left with."""


class Hits:
    """How often each rule has acted, and in how many connections it failed, over all connections."""

    def __init__(self) -> None:
        self.acted: dict[str, int] = {}
        self.failed: dict[str, int] = {}

    def hit(self, rule: str) -> None:
        self.acted[rule] = self.acted.get(rule, 0) + 1

    def fail(self, rule: str) -> None:
        self.failed[rule] = self.failed.get(rule, 0) + 1

    def keep(self, rules: Iterable[str]) -> None:
        """Forget those of all other rules."""
        kept = set(rules)
        for counts in (self.acted, self.failed):
            for gone in counts.keys() - kept:
                del counts[gone]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One of the files, as the set needs it."""

    name: str
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class RuleSet:
    """The rules of some files, in order."""

    rules: tuple[Rule, ...] = ()
    files: tuple[RuleFile, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    """Of the last file that has one; None: each connection has random numbers of its own."""
    paths: tuple[Path, ...] = ()
    """What it was loaded from: files and folders, for a reload."""
    tests: tuple[InnerTest, ...] = ()
    warnings: tuple[Problem, ...] = ()
    hits: Hits = field(default_factory=Hits)
    """Shared with the sets made of this one by `with_enabled` and `after`."""
    _lanes: dict[tuple[tuple[int, ...], bool], Lanes] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(rule.id for rule in self.rules)

    def rule(self, rule: str) -> Rule:
        """Raises NotFound, with the nearest id."""
        for each in self.rules:
            if each.id == rule:
                return each
        raise NotFound(f"there is no rule {rule!r}{did_you_mean(rule, self.ids)}")

    def with_enabled(self, ids: Collection[str], enabled: bool) -> RuleSet:
        """The set with these rules switched on or off; for `ConnectionRules.replace`. Raises NotFound."""
        wanted, known = set(ids), set(self.ids)
        for missing in (each for each in ids if each not in known):
            self.rule(missing)
        rules = tuple(
            dataclasses.replace(each, enabled=enabled) if each.id in wanted else each for each in self.rules
        )
        return dataclasses.replace(self, rules=rules, _lanes={})

    def after(self, old: RuleSet) -> RuleSet:
        """This set as the one that follows another: counts go on for rules whose text is the same, and what
        was switched by hand stays switched."""
        before = {rule.id: rule for rule in old.rules}
        same = {
            rule.id for rule in self.rules if rule.id in before and rule.written == before[rule.id].written
        }
        old.hits.keep(same)
        rules = tuple(
            dataclasses.replace(rule, enabled=before[rule.id].enabled) if rule.id in same else rule
            for rule in self.rules
        )
        return dataclasses.replace(self, rules=rules, hits=old.hits, _lanes={})

    def alive(self, facts: ConnectionFacts) -> tuple[int, ...]:
        """The numbers of the rules that could match something of this connection."""
        return tuple(number for number, rule in enumerate(self.rules) if rule.could_match(facts))

    def lanes(self, alive: tuple[int, ...], verbatim: bool) -> Lanes:
        """What is compiled for them. `verbatim`: see `Lanes`."""
        key = (alive, verbatim)
        found = self._lanes.get(key)
        if found is None:
            if len(self._lanes) >= MAX_LANES:
                self._lanes.pop(next(iter(self._lanes)))
            found = self._lanes[key] = Lanes([self.rules[number] for number in alive], verbatim)
        return found

    def explain(self) -> list[str]:
        """Each rule in a sentence, its id before it."""
        return [explained(rule) for rule in self.rules]


def explained(rule: Rule) -> str:
    off = "" if rule.enabled else " (off)"
    return f"{rule.id}{off}: {rule.explain()}"


def places(rules: Sequence[Rule]) -> dict[str, str]:
    """`file:line` of each rule, by its id."""
    return {rule.id: f"{rule.place.file}:{rule.place.line}" for rule in rules}
