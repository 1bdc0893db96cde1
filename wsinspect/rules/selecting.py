"""Which of many rules could match a message, by looking up in its tree what they ask for, each place once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from wsinspect.rules.conditions.base import Lookup
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.predicates import Key, key_of
from wsinspect.rules.rule import Rule
from wsinspect.rules.units import Bounds
from wsinspect.rules.view import View

LEAST_TABLE = 3
"""So many rules must ask for one place before a table is worth its search."""


class Table:
    """Rules by the values that one place must have."""

    def __init__(self, path: Path, members: Iterable[tuple[int, frozenset[Key]]]) -> None:
        self.path = path
        self._numbers: dict[Key, list[int]] = {}
        for number, keys in members:
            for key in keys:
                self._numbers.setdefault(key, []).append(number)

    def numbers(self, value: Any) -> list[int]:
        key = value if type(value) is str else key_of(value)
        return self._numbers.get(key, []) if key is not None else []


class Ranges:
    """Rules by the interval in which one place must have a number."""

    def __init__(self, path: Path, members: Sequence[tuple[int, Bounds]]) -> None:
        self.path = path
        from_low = sorted((each.low, number) for number, each in members if each.low != float("-inf"))
        to_high = sorted((each.high, number) for number, each in members if each.low == float("-inf"))
        self._lows = [low for low, _ in from_low]
        self._by_low = [number for _, number in from_low]
        self._highs = [high for high, _ in to_high]
        self._by_high = [number for _, number in to_high]

    def numbers(self, value: Any) -> list[int]:
        """Those whose low end, or else high end, lets the value in."""
        if type(value) is not float and type(value) is not int:
            return []
        found = self._by_low[: bisect_right(self._lows, value)]
        return found + self._by_high[bisect_left(self._highs, value) :] if self._highs else found


class Selector:
    """Some of a lane's rules, with the tables that find the candidates among them."""

    def __init__(self, rules: Sequence[Rule], numbers: Iterable[int]) -> None:
        members = list(numbers)
        lookups = {number: rules[number].lookup() for number in members}
        usual = Counter(
            (each.path, key) for each in lookups.values() if each is not None for key in each.keys
        )
        by_value: dict[Path, list[tuple[int, frozenset[Key]]]] = {}
        by_range: dict[Path, list[tuple[int, Bounds]]] = {}
        self._plain: list[int] = []
        for number in members:
            lookup, span = lookups[number], rules[number].range()
            if lookup is not None and (span is None or not _common(lookup, usual)):
                by_value.setdefault(lookup.path, []).append((number, lookup.keys))
            elif span is not None:
                by_range.setdefault(span.path, []).append((number, span.bounds))
            else:
                self._plain.append(number)
        self._tables: list[Table | Ranges] = []
        for path, valued in by_value.items():
            if self._worth(valued):
                self._tables.append(Table(path, valued))
        for path, ranged in by_range.items():
            if self._worth(ranged):
                self._tables.append(Ranges(path, ranged))
        self._plain.sort()

    def _worth(self, members: Sequence[tuple[int, object]]) -> bool:
        """Whether a table pays; else its rules are always candidates."""
        if len(members) >= LEAST_TABLE:
            return True
        self._plain += [number for number, _ in members]
        return False

    def numbers(self, view: View) -> list[int]:
        """The candidates for a message, in order. The list is not to be changed."""
        found = self._plain
        for table in self._tables:
            for value in view.found(table.path):
                hit = table.numbers(value)
                if hit:
                    found = found + hit
        return found if found is self._plain else sorted(found)

    @property
    def empty(self) -> bool:
        return not (self._plain or self._tables)


def _common(lookup: Lookup, usual: Counter[tuple[Path, Key]]) -> bool:
    """Whether many rules ask for the same value there, so that it tells little."""
    return any(usual[lookup.path, key] > LEAST_TABLE for key in lookup.keys)
