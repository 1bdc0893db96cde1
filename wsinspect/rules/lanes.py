"""Rules compiled for one connection: a lane for each kind of message of each side, that asks little twice.

    payload ──▶ scan: one pass for byte strings without which no rule of the lane can match
                  │ none there                       │ one is there, or a backslash
                  ▼                                  ▼
            rules without such strings         all rules of the lane
                  └──────────────┬───────────────────┘
                                 ▼
            selector: one walk of the tree, along the places that rules ask for
                                 ▼
            candidates, in order, each tested in full

Both are sound, never exact: they leave out only rules that could not match. What rules ask of the decoded
tree may be scanned for only where the decoder is *verbatim*: the texts and names of its trees stand in the
payload as they are, as in JSON. A backslash in the payload may spell any text, so it makes all rules
candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wsinspect.model import Side
from wsinspect.rules.actions.base import Action
from wsinspect.rules.conditions import After, Condition, Needles
from wsinspect.rules.conditions.conversation import Idle, RateOf
from wsinspect.rules.reach import (
    CONTROL,
    DATA,
    EVERYWHERE,
    FRAMES,
    KIND_OF_OPCODE,
    ON_OF_KIND,
    Kind,
    bit,
    places,
    reach,
)
from wsinspect.rules.regexes import Searcher
from wsinspect.rules.rule import Rule
from wsinspect.rules.scanning import Scan, fits
from wsinspect.rules.selecting import Selector, proves
from wsinspect.rules.view import View


@dataclass(frozen=True, slots=True, eq=False)
class Latch:
    """An `after` condition of a rule, and what it waits for."""

    after: After
    condition: Condition


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """What an action of a rule goes on with until a condition holds."""

    rule: Rule
    action: Action
    condition: Condition


def _usable(needles: Iterable[Needles], verbatim: bool) -> list[Needles]:
    return [each for each in needles if verbatim or not each.in_tree]


def _chosen(options: Sequence[Sequence[Needles]]) -> list[Needles | None]:
    """Of each rule's needles those that the fewest rules have: what many ask for, most messages have. Where
    that would be too much to look for, the names of places, which rules share."""
    usual = Counter(each for one in options for each in set(one))

    def rarity(each: Needles) -> tuple[bool, int, tuple[bool, int, int]]:
        return not each.is_name, -usual[each], each.worth

    rarest = [max(one, key=rarity, default=None) for one in options]
    if fits(rarest):
        return rarest
    return [
        next((each for each in one if each.is_name), best) for one, best in zip(options, rarest, strict=True)
    ]


def _holds(view: View) -> bool:
    """The test of a rule that is found only where it matches."""
    return True


class Lane:
    """The rules that could match one kind from one side, and the conditions that wait for it."""

    def __init__(self, kind: Kind, rules: Sequence[Rule], latches: Sequence[Latch], verbatim: bool) -> None:
        self.on = ON_OF_KIND[kind]
        self.rules = tuple(rules)
        self.acting = tuple(rule.acting[self.on] for rule in rules)
        self.tests = tuple(_holds if proves(rule) else rule.dynamic.test for rule in rules)
        """Of rules that a selector has found."""
        self.latches = tuple(latches)
        needles = _chosen([_usable(rule.all_needles(), verbatim) for rule in rules])
        waiting = _chosen([_usable(latch.condition.all_needles(), verbatim) for latch in latches])
        scan = Scan([*needles, *waiting])
        self.scan = scan.found
        self.all = Selector(rules, range(len(rules)))
        self.open = Selector(rules, [at for at, each in enumerate(needles) if not scan.covers(each)])
        """Of the rules that the scan cannot exclude."""
        self.blind = Selector(rules, [at for at, rule in enumerate(rules) if not rule.reads_payload])
        """Of the rules that need no payload, for one that is lost."""
        self.open_latches = tuple(
            latch for latch, each in zip(latches, waiting, strict=True) if not scan.covers(each)
        )
        self.sieve: Searcher | None = None
        """The scan, where nothing else has to be asked when it finds nothing."""
        if self.open.empty and not self.open_latches:
            self.sieve = self.scan
        self.quiet = not latches
        """No condition waits for what comes here."""


class Lanes:
    """All lanes of one connection."""

    def __init__(self, rules: Sequence[Rule], verbatim: bool) -> None:
        """`verbatim`: text messages are decoded as the decoder's `text_is_json` says."""
        self.rules = rules
        self._verbatim = verbatim
        conditions = [each for rule in rules for each in rule.conditions()]
        self._latches = [Latch(each, each.value.condition) for each in conditions if isinstance(each, After)]
        self.stops = [
            Stop(rule, action, action.stop_condition)
            for rule in rules
            for action in rule.actions
            if action.stop_condition is not None
        ]
        self.asks_idle = any(isinstance(each, Idle) for each in conditions)
        self.asks_rate = any(isinstance(each, RateOf) for each in conditions)
        self.reach = self._reach()
        self._private = 0
        for rule in rules:
            self._private |= rule.reach if rule.private else 0
        self._by_place = {
            bit(side, kind): lane
            for side, kind in places(EVERYWHERE)
            if (lane := self._lane(side, kind)) is not None
        }
        self.by_opcode = tuple(
            tuple(self._by_place.get(bit(side, KIND_OF_OPCODE[opcode])) for opcode in range(16))
            for side in Side
        )
        """For each side, by opcode."""

    def _reach(self) -> int:
        """What must be seen: by rules, and by conditions that wait for other messages."""
        seen = 0
        for rule in self.rules:
            seen |= rule.reach
        for latch in self._latches:
            seen |= latch.condition.reach & FRAMES
        for stop in self.stops:
            seen |= stop.condition.reach & FRAMES
        return seen | FRAMES if self.asks_idle or self.asks_rate else seen

    def _lane(self, side: Side, kind: Kind) -> Lane | None:
        here = bit(side, kind)
        rules = [rule for rule in self.rules if rule.reach & here]
        latches = [latch for latch in self._latches if latch.condition.reach & here & FRAMES]
        if not rules and not latches:
            return None
        return Lane(kind, rules, latches, self._verbatim and kind is Kind.TEXT)

    def at(self, side: Side, kind: Kind) -> Lane | None:
        return self._by_place.get(bit(side, kind))

    def watches(self, side: Side) -> tuple[bool, bool, bool]:
        """Whether data messages and control frames of a side must be seen, and whether something of it could
        be kept out of the capture."""
        whole = reach(Kind, [side])
        return (
            bool(self.reach & DATA & whole),
            bool(self.reach & CONTROL & whole),
            bool(self._private & FRAMES & whole),
        )

    @property
    def extras(self) -> bool:
        """Whether something has to be noted of messages that no rule matches."""
        return self.asks_idle or self.asks_rate or bool(self.stops)
