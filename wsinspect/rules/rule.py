"""One rule, read and checked: when it matches, which of its matches act, and what it does then."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wsinspect.model import Side
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.captures import Source
from wsinspect.rules.conditions import After, All, Condition, From, KindIs, Needles, Sought
from wsinspect.rules.connection_facts import ConnectionFacts
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.marked import Place
from wsinspect.rules.reach import EVERYWHERE, Kind, reach_of, sides_in
from wsinspect.rules.reach import words as reach_words
from wsinspect.rules.template import Expression

RULE_FIELDS: tuple[Field, ...] = (
    Field(
        "id", Type.TEXT, "What the rule is called: letters, digits, `_`, `.` and `-`; unique in all files."
    ),
    Field("description", Type.TEXT, "For people.", default=""),
    Field("enabled", Type.BOOL, "Whether it starts switched on.", default=True),
    Field("when", Type.CONDITION, "What must hold; every key of it.", default=None),
    Field("chance", Type.CHANCE, "How likely a match acts, by the seeded random numbers.", default=1.0),
    Field(
        "after",
        Type.INT,
        "In each connection the first N matches do not act.",
        default=0,
        low=0,
    ),
    Field(
        "first",
        Type.INT,
        "In each connection only the first N matches act (behind those that `after` skips).",
        default=None,
        low=1,
    ),
    Field(
        "every",
        Type.INT,
        "Only each Nth match acts (behind those that `after` skips): with 3 the third, the sixth …",
        default=1,
        low=1,
    ),
    Field("limit", Type.INT, "It acts at most N times in each connection.", default=None, low=1),
    Field("stop", Type.BOOL, "Where it acts, no later rule sees the message.", default=False),
    Field(
        "capture", Type.CAPTURES, "Values to keep when it acts, for `{{name}}` from then on.", default=None
    ),
    Field("then", Type.ACTIONS, "What it does, in order. An empty list only counts.", default=()),
)
"""The keys of a rule, in the order of the docs."""


@dataclass(frozen=True, slots=True)
class Often:
    """Which of the matches in one connection act."""

    chance: float = 1.0
    after: int = 0
    first: int | None = None
    every: int = 1
    limit: int | None = None

    def over(self, matched: int, acted: int) -> bool:
        """Whether no further match can act."""
        return (self.limit is not None and acted >= self.limit) or (
            self.first is not None and matched >= self.after + self.first
        )

    def wants(self, matched: int) -> bool:
        """Whether the match of that number (from 1) acts, chance aside."""
        return matched > self.after and (matched - self.after) % self.every == 0

    def explain(self) -> str:
        """`half of the matches`, `the first 3`; empty where all act."""
        parts: list[str] = []
        if self.chance < 1:
            parts.append(f"with a chance of {self.chance:.4g}" if self.chance else "never")
        if self.first is not None:
            parts.append(f"only the first {'time' if self.first == 1 else f'{self.first} times'}")
        if self.after:
            parts.append(f"not the first {'time' if self.after == 1 else f'{self.after} times'}")
        if self.every > 1:
            parts.append(f"every {ordinal(self.every)} time")
        if self.limit is not None:
            parts.append(f"at most {words.times(self.limit)}")
        return ", ".join(parts)


def ordinal(number: int) -> str:
    special = {11: "th", 12: "th", 13: "th"}.get(number % 100)
    return f"{number}{special or {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Immutable, and shared by all connections; its state in one of them is a `conversation.RuleState`."""

    id: str
    place: Place
    condition: Condition
    """All of `when`, and where its actions can act."""
    reach: int
    """Where it could match at all; never empty."""
    narrow: int | None = None
    """Where those of its actions act that need not act everywhere; None: in all of its reach."""
    actions: tuple[Action, ...] = ()
    captures: Mapping[str, Source] = field(default_factory=dict)
    often: Often = field(default_factory=Often)
    stop: bool = False
    enabled: bool = True
    description: str = ""
    file: int = 0
    """Which of the loaded files it stands in, by number."""
    written: str = ""
    """A fingerprint of its text: a reload keeps the state of a rule that did not change."""
    dynamic: Condition = field(init=False)
    """The condition without what is known of the connection, the side and the kind beforehand."""
    acting: Mapping[On, tuple[Action, ...]] = field(init=False)
    """Its actions, by what comes."""
    always: bool = field(init=False)
    """It acts on each of its matches."""
    spares: bool = field(init=False)
    """Where none of its actions says that it did something, it has not acted."""

    def __post_init__(self) -> None:
        parts = self.condition.value if isinstance(self.condition, All) else (self.condition,)
        rest = [each for each in parts if not each.static and not each.exact]
        object.__setattr__(self, "dynamic", rest[0] if len(rest) == 1 else All(rest))
        acting = {on: tuple(each for each in self.actions if self._acts(each, on)) for on in _ONS}
        object.__setattr__(self, "acting", acting)
        object.__setattr__(self, "always", self.often == Often())
        spares = bool(self.actions) and not self.captures and all(each.spares for each in self.actions)
        object.__setattr__(self, "spares", spares)

    def _acts(self, action: Action, on: On) -> bool:
        narrowed = self.narrow is not None and not action.everywhere
        return on in action.acts_on() and not (narrowed and not reach_of(on) & (self.narrow or 0))

    def could_match(self, facts: ConnectionFacts) -> bool:
        return self.enabled and self.condition.known(facts) is not False

    @property
    def reads_payload(self) -> bool:
        return self.dynamic.reads_payload

    @property
    def private(self) -> bool:
        return any(each.is_private() for each in self.actions)

    @property
    def standing(self) -> bool:
        """It is about the connection as such, and not the moment of its opening: where a reload brings it to
        an open one, it acts at once."""
        asks_kind = any(isinstance(each, KindIs) for each in self.condition.walk())
        return bool(self.actions) and not asks_kind and all(each.once for each in self.actions)

    def all_needles(self) -> tuple[Needles, ...]:
        return self.dynamic.all_needles()

    def sought(self) -> tuple[Sought, ...]:
        return self.dynamic.sought()

    def afters(self) -> list[After]:
        """Its `after` conditions, in a fixed order."""
        return [each for each in self.condition.walk() if isinstance(each, After)]

    def conditions(self) -> Iterator[Condition]:
        """All of its conditions, those of other messages too: in `after` and of its actions."""
        roots = [self.condition, *(each.stop_condition for each in self.actions if each.stop_condition)]
        for root in roots:
            for each in root.walk():
                yield each
                if isinstance(each, After):
                    yield from each.value.condition.walk()

    def expressions(self) -> Iterator[Expression]:
        for each in self.conditions():
            yield from each.expressions()
        for action in self.actions:
            yield from action.expressions()

    def explain(self) -> str:
        """The rule in a sentence."""
        often = self.often.explain()
        then = (
            words.listed([*(each.explain_on(self._on(each)) for each in self.actions), *self._rest()])
            or "only count it"
        )
        return f"{self._head()}{f' ({often})' if often else ''}: {then}."

    def _on(self, action: Action) -> On:
        """On what of its reach the action acts."""
        found = [on for on in _ONS if action in self.acting[on] and reach_of(on) & self.reach]
        return functools.reduce(operator.or_, found, On(0))

    def _rest(self) -> list[str]:
        kept = [f"keep {source.explain()} as {name}" for name, source in self.captures.items()]
        return [*kept, *(["let no later rule see it"] if self.stop else [])]

    def _head(self) -> str:
        """`When a text message from the server comes and its URL is like "*/ws"`."""
        parts = self.condition.value if isinstance(self.condition, All) else (self.condition,)
        shown = [
            each.explain()
            for each in parts
            if not isinstance(each, From) and not (isinstance(each, KindIs) and each.exact)
        ]
        sides = sides_in(self.reach)
        kinds = reach_words(self.reach)
        who = f" from the {sides[0].word}" if len(sides) == 1 and not self._has_one_side() else ""
        whose = f" and {' and '.join(shown)}" if shown else ""
        return f"When {kinds}{who} comes{whose}"

    def _has_one_side(self) -> bool:
        """Handshakes and openings come from one side anyway."""
        return not self.reach & _TWO_SIDED


_ONS = (On.DATA, On.CONTROL, On.OPEN, On.REQUEST, On.RESPONSE)
_TWO_SIDED = EVERYWHERE & ~sum(
    1 << (kind + 16 * side) for side in Side for kind in (Kind.REQUEST, Kind.RESPONSE, Kind.OPEN)
)
