"""Which of many rules could match a message: its tree is walked once, along the places that they ask for.

    rule                                  found by
    $.type: ticker, $.price: {gt: 5}      "ticker" at $.type
    $.user.name: {regex: ^a}              a text at $.user.name for which that held before, or holds now
    $.price: {lt: 1}                      the interval in which a number at $.price lies

A rule is found by the one or two of its places that tell the most; then all of it is tested.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wsinspect.rules.conditions.base import Sought
from wsinspect.rules.conditions.payload import Json
from wsinspect.rules.jsonpath import Path, Step, children
from wsinspect.rules.predicates import Equals, Key, Predicate, key_of
from wsinspect.rules.rule import Rule
from wsinspect.rules.units import Bounds
from wsinspect.rules.view import View

MAX_KEYS = 1000
"""Values of one test that are looked up; a longer list is tested."""
COMMON = 3
"""A value for which more rules ask at the same place tells little."""
MAX_TEXTS = 256
MAX_TEXT_CHARS = 64
"""Texts whose rules a place remembers: names, types and symbols come again and again."""
RANGES_A_TABLE = 128
"""Each may keep twice its square of numbers."""

type Member = tuple[int, Predicate]
"""A rule's number, and what holds for a value wherever it matches."""

_NOTHING: Any = object()


type Ranges = tuple[list[float], list[list[int]]]
"""Ends of intervals, in order, and the rules for numbers below the first, at it, between it and the next …"""


def ranges_of(members: Sequence[tuple[int, Bounds]]) -> Ranges:
    """Rules by the interval in which they want a number."""
    ends = sorted({end for _, each in members for end in (each.low, each.high) if math.isfinite(end)})
    rules: list[list[int]] = [[] for _ in range(2 * len(ends) + 1)]
    for number, bounds in members:
        first, last = (bisect_left(ends, end) + bisect_right(ends, end) for end in (bounds.low, bounds.high))
        for at in range(first, last + 1):
            rules[at].append(number)
    return ends, rules


class Table:
    """Rules by what they want of the value at one place."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.texts: dict[str, list[int]] = {}
        """What `numbers` has found for texts that came before."""
        self._by_key: dict[Key, list[int]] = {}
        self._rest: list[Member] = []
        ranged: list[tuple[int, Bounds]] = []
        for number, test in members:
            keys, bounds = keys_of(test), test.bounds()
            if keys is not None:
                for key in keys:
                    self._by_key.setdefault(key, []).append(number)
            elif bounds is not None:
                ranged.append((number, bounds))
            else:
                self._rest.append((number, test))
        ranged.sort(key=lambda member: member[1].low)
        chunks = range(0, len(ranged), RANGES_A_TABLE)
        self._ranges = [ranges_of(ranged[at : at + RANGES_A_TABLE]) for at in chunks]

    def numbers(self, value: Any) -> list[int]:
        """The rules whose test the value could pass. The list is not to be changed."""
        kind = type(value)
        if kind is int or kind is float:
            found = self._by_key.get(value, _NONE) if self._by_key else _NONE
            for ends, rules in self._ranges:
                if inside := rules[bisect_left(ends, value) + bisect_right(ends, value)]:
                    found = found + inside
            return found + self._tested(value) if self._rest else found
        if kind is not str:
            key = key_of(value)
            return (self._by_key.get(key, _NONE) if key is not None else _NONE) + self._tested(value)
        known = self.texts.get(value)
        return self._text(value) if known is None else known

    def _text(self, text: str) -> list[int]:
        found = self._by_key.get(text, _NONE) + self._tested(text)
        if len(text) <= MAX_TEXT_CHARS:
            if len(self.texts) >= MAX_TEXTS:
                self.texts.clear()
            self.texts[text] = found
        return found

    def _tested(self, value: Any) -> list[int]:
        nobody: Any = None  # none of them looks at the message
        return [number for number, test in self._rest if test.holds(value, nobody)]


_NONE: list[int] = []


def keys_of(test: Predicate) -> frozenset[Key] | None:
    """The values that alone can pass it, where they can be looked up."""
    exact = test.exactly()
    if exact is None or len(exact) > MAX_KEYS:
        return None
    keys = [key_of(value) for value in exact]
    return None if None in keys else frozenset(key for key in keys if key is not None)


class Node:
    """A place of the tree, and those below it that rules ask for."""

    __slots__ = ("_below", "_members", "_names", "_steps", "_table")

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._below: dict[Step, Node] = {}
        self._table = Table(())
        self._names: list[tuple[str, Table, Node | None]] = []
        """Of `_below` the names; None where nothing but a table is there."""
        self._steps: list[tuple[Step, Table, Node | None]] = []
        """And the other steps."""

    def add(self, path: Path, member: Member) -> None:
        node = self
        for step in path.steps:
            node = node._below.setdefault(step, Node())
        node._members.append(member)

    def compile(self) -> None:
        """No more will be added."""
        self._table = Table(self._members)
        for step, child in self._below.items():
            child.compile()
            inner = child if child._below else None
            if isinstance(step, str):
                self._names.append((step, child._table, inner))
            else:
                self._steps.append((step, child._table, inner))

    def find(self, value: Any, found: list[int]) -> None:
        """Add the rules that could match a tree with this value here; some of them twice."""
        if self._members:
            found += self._table.numbers(value)
        if self._names and isinstance(value, dict):
            for name, table, child in self._names:
                inner = value.get(name, _NOTHING)
                if inner is _NOTHING:
                    continue
                known = table.texts.get(inner) if type(inner) is str else None
                if known is not None:  # nearly every text
                    found += known
                elif child is None:
                    found += table.numbers(inner)
                else:
                    child.find(inner, found)
        for step, table, child in self._steps:
            for inner in children(value, step):
                if child is None:
                    found += table.numbers(inner)
                else:
                    child.find(inner, found)


class Selector:
    """Some of a lane's rules, and how the candidates among them are found."""

    def __init__(self, rules: Sequence[Rule], numbers: Iterable[int]) -> None:
        sought = {number: rules[number].sought() for number in numbers}
        usual = Counter(key for each in sought.values() for key in _keys(each))
        self._plain = [number for number, each in sought.items() if not each]
        """Those that ask for no place."""
        self._twice: set[int] = set()
        """Those that must be found at two places."""
        self._root = Node()
        self._places = 0
        for number, each in sought.items():
            for one in self._best(number, each, usual):
                self._root.add(one.path, (number, one.test))
                self._places += 1
        self._root.compile()

    def _best(self, number: int, sought: Sequence[Sought], usual: Counter[tuple[Path, Key]]) -> list[Sought]:
        """The places that tell the most: two, where each is but one value."""
        ranked = sorted(sought, key=lambda one: _commonness(one, usual))
        single = {one.path: one for one in reversed(ranked) if one.path.is_single}
        if len(single) < 2:
            return ranked[:1]
        self._twice.add(number)
        return [one for one in ranked if single.get(one.path) is one][:2]

    def numbers(self, view: View) -> list[int]:
        """The candidates for a message, in order. The list is not to be changed."""
        if not self._places or (decoded := view.decoded) is None:
            return self._plain
        found: list[int] = []
        self._root.find(decoded.tree, found)
        if not found:
            return self._plain
        if len(found) == 1 and not self._plain:
            return [] if found[0] in self._twice else found
        seen: set[int] = set()
        candidates = {*self._plain}
        for number in found:
            if number in seen or number not in self._twice:
                candidates.add(number)
            seen.add(number)
        return sorted(candidates)

    @property
    def empty(self) -> bool:
        return not (self._plain or self._places)


def proves(rule: Rule) -> bool:
    """Whether the rule matches wherever a Selector finds it: it asks for one value at each of its places, and
    for nothing else."""
    condition = rule.dynamic
    if not isinstance(condition, Json) or not 1 <= len(condition.value) <= 2:
        return False
    exact = all(type(test) is Equals and keys_of(test) is not None for test in condition.value.values())
    return exact and (len(condition.value) == 1 or all(path.is_single for path in condition.value))


def _keys(sought: Iterable[Sought]) -> Iterator[tuple[Path, Key]]:
    for each in sought:
        for key in keys_of(each.test) or ():
            yield each.path, key


def _commonness(sought: Sought, usual: Counter[tuple[Path, Key]]) -> tuple[int, int]:
    """The less, the fewer messages have it: one value before an interval, and that before any other test."""
    keys = keys_of(sought.test)
    if keys is None:
        return 1 if sought.test.bounds() is not None else 2, 0
    most = max((usual[sought.path, key] for key in keys), default=0)
    return 3 if most > COMMON else 0, most * MAX_KEYS + len(keys)
