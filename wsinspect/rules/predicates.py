"""Tests of one value: what stands behind a condition's name in a rule file.

    equals contains glob regex in exists        of texts
    equals in gt ge lt le                       of numbers, sizes, durations
    all of them                                 of values in a decoded message

A predicate also tells what the compiler of rules can use: texts one of which must occur (`literals`), the
values that alone can do (`exactly`), and the interval of its numbers (`bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wsinspect.rules import regexes
from wsinspect.rules.template import Expression, Template, as_text, compact
from wsinspect.rules.units import Bounds

if TYPE_CHECKING:
    from wsinspect.rules.view import View

type Key = str | int | float | tuple[str, Any]
"""A value as a key of a dict, such that True is not 1."""


def key_of(value: Any) -> Key | None:
    """The key of a text, number, bool or null; None for a list, an object or bytes."""
    match value:
        case bool() | None:
            return ("constant", value)
        case str() | int() | float():
            return value
        case _:
            return None


def same(value: Any, other: Any) -> bool:
    """Equality of JSON: 1 is 1.0, and true is not 1, at any depth."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    return bool(value == other)


class Predicate:
    """A test of one value."""

    absent = False
    """Whether it holds where there is no value."""

    def holds(self, value: Any, view: View) -> bool:
        """Of a value of a decoded message, a header, a number."""
        raise NotImplementedError

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        """Of a text message's payload."""
        raise NotImplementedError

    def explain(self) -> str:
        """The verb and the rest: `is "x"`."""
        raise NotImplementedError

    def literals(self) -> tuple[str, ...] | None:
        """Texts one of which occurs in every text that it holds for; None where nothing is known."""
        return None

    def starts(self) -> tuple[str, ...]:
        """Every text that it holds for begins with one of these; with "" where nothing is known."""
        return ("",)

    def exactly(self) -> tuple[Any, ...] | None:
        """All values that it can hold for, where they are few and known at load."""
        return None

    def bounds(self) -> Bounds | None:
        """All numbers that it can hold for lie within, and nothing but a number does; None: no such limit."""
        return None

    def expressions(self) -> Iterator[Expression]:
        """The `{{…}}` in it."""
        return iter(())

    def any_of(self, values: Sequence[Any], view: View) -> bool:
        """Whether it holds for one of them, or for their absence."""
        if len(values) == 1:
            return self.holds(values[0], view)
        if not values:
            return self.absent
        holds = self.holds
        return any(holds(value, view) for value in values)


class Equals(Predicate):
    """One value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._raw = value.encode(errors="replace") if isinstance(value, str) else b""

    def holds(self, value: Any, view: View) -> bool:
        if type(value) is str:
            return bool(value == self.value)
        return same(value, self.value)

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return payload == self._raw

    def explain(self) -> str:
        return f"is {compact(self.value)}"

    def literals(self) -> tuple[str, ...] | None:
        return (self.value,) if isinstance(self.value, str) else None

    def starts(self) -> tuple[str, ...]:
        return self.literals() or ("",)

    def exactly(self) -> tuple[Any, ...] | None:
        return (self.value,)


class EqualsTemplate(Predicate):
    """What a template gives at the time of the message, compared as text."""

    def __init__(self, template: Template) -> None:
        self.template = template

    def holds(self, value: Any, view: View) -> bool:
        wanted = rendered(self.template, view)
        if wanted is None or isinstance(value, bytes | list | dict):
            return False
        return as_text(value) == wanted

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        wanted = rendered(self.template, view)
        return wanted is not None and payload == wanted.encode(errors="replace")

    def explain(self) -> str:
        return f'is "{self.template.text}"'

    def expressions(self) -> Iterator[Expression]:
        return iter(self.template.expressions)


def rendered(template: Template, view: View) -> str | None:
    """The text, or None where a value is not there yet."""
    try:
        return template.render(view.as_turn())
    except ValueError:
        return None


class Contains(Predicate):
    """A text within a text, or a value within a list."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._raw = value.encode(errors="replace") if isinstance(value, str) else b""

    def holds(self, value: Any, view: View) -> bool:
        match value:
            case str():
                return isinstance(self.value, str) and self.value in value
            case list():
                return any(same(each, self.value) for each in value)
            case _:
                return False

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return self._raw in payload

    def explain(self) -> str:
        return f"contains {compact(self.value)}"

    def literals(self) -> tuple[str, ...] | None:
        return (self.value,) if isinstance(self.value, str) and self.value else None


class ContainsTemplate(Predicate):
    def __init__(self, template: Template) -> None:
        self.template = template

    def holds(self, value: Any, view: View) -> bool:
        wanted = rendered(self.template, view)
        return wanted is not None and isinstance(value, str) and wanted in value

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        wanted = rendered(self.template, view)
        return wanted is not None and wanted.encode(errors="replace") in payload

    def explain(self) -> str:
        return f'contains "{self.template.text}"'

    def expressions(self) -> Iterator[Expression]:
        return iter(self.template.expressions)


class Regex(Predicate):
    """An RE2 pattern found anywhere."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pattern = regexes.compile_regex(text)
        self._found = regexes.searcher(self.pattern)

    def holds(self, value: Any, view: View) -> bool:
        return isinstance(value, str) and self._found(value.encode(errors="replace"))

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return self._found(payload)

    def explain(self) -> str:
        return f"matches /{self.text}/"

    def starts(self) -> tuple[str, ...]:
        return (regexes.regex_start(self.text),)


class Glob(Predicate):
    """The whole text, with `*` and `?`."""

    def __init__(self, text: str, *, fold: bool = False) -> None:
        self.text = text
        self._fold = fold
        self._found = regexes.searcher(regexes.glob_regex(text, fold=fold))

    def holds(self, value: Any, view: View) -> bool:
        return isinstance(value, str) and self._found(value.encode(errors="replace"))

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return self._found(payload)

    def explain(self) -> str:
        return f"is like {compact(self.text)}"

    def literals(self) -> tuple[str, ...] | None:
        found = max(regexes.glob_literals(self.text), key=len, default="")
        return (found,) if found and not self._fold else None

    def starts(self) -> tuple[str, ...]:
        return ("" if self._fold else regexes.glob_start(self.text),)


class OneOf(Predicate):
    """Any of several tests: `in`, or a bare list."""

    def __init__(self, predicates: Iterable[Predicate]) -> None:
        self.predicates = tuple(predicates)
        keys = [key_of(each) for each in self.exactly() or ()]
        self._keys = frozenset(keys) if keys and None not in keys else None
        """All that it holds for, where that can be looked up."""

    def holds(self, value: Any, view: View) -> bool:
        if self._keys is not None:
            key = key_of(value)
            return key is not None and key in self._keys
        return any(each.holds(value, view) for each in self.predicates)

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return any(each.holds_bytes(payload, view) for each in self.predicates)

    def explain(self) -> str:
        explained = [each.explain() for each in self.predicates]
        if all(each.startswith("is ") and not each.startswith("is like ") for each in explained):
            return "is " + " or ".join(each.removeprefix("is ") for each in explained)
        return " or ".join(explained)

    def literals(self) -> tuple[str, ...] | None:
        return _joined(each.literals() for each in self.predicates)

    def starts(self) -> tuple[str, ...]:
        return tuple(text for each in self.predicates for text in each.starts())

    def exactly(self) -> tuple[Any, ...] | None:
        return _joined(each.exactly() for each in self.predicates)

    def expressions(self) -> Iterator[Expression]:
        for each in self.predicates:
            yield from each.expressions()


def _joined(parts: Iterable[tuple[Any, ...] | None]) -> tuple[Any, ...] | None:
    found: list[Any] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return tuple(found)


class AllOf(Predicate):
    """Several tests of the same value: a mapping of operators."""

    def __init__(self, predicates: Iterable[Predicate]) -> None:
        self.predicates = tuple(predicates)
        self.absent = all(each.absent for each in self.predicates)

    def holds(self, value: Any, view: View) -> bool:
        return all(each.holds(value, view) for each in self.predicates)

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return all(each.holds_bytes(payload, view) for each in self.predicates)

    def explain(self) -> str:
        return " and ".join(each.explain() for each in self.predicates)

    def literals(self) -> tuple[str, ...] | None:
        found = [each for each in (one.literals() for one in self.predicates) if each]
        return max(found, key=lambda texts: min(map(len, texts)), default=None)

    def starts(self) -> tuple[str, ...]:
        found = (each.starts() for each in self.predicates)
        return max(found, key=lambda texts: min(map(len, texts), default=0), default=("",))

    def exactly(self) -> tuple[Any, ...] | None:
        found = [each for each in (one.exactly() for one in self.predicates) if each is not None]
        return min(found, key=len, default=None)

    def bounds(self) -> Bounds | None:
        found = [each for each in (one.bounds() for one in self.predicates) if each is not None]
        if not found:
            return None
        whole = Bounds()
        for each in found:
            whole = whole.intersection(each)
        return whole

    def expressions(self) -> Iterator[Expression]:
        for each in self.predicates:
            yield from each.expressions()


class Exists(Predicate):
    """Whether there is a value at all."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.absent = not wanted

    def holds(self, value: Any, view: View) -> bool:
        return self.wanted

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return self.wanted

    def explain(self) -> str:
        return "is there" if self.wanted else "is not there"


_NUMBERS = (float, int)


class Within(Predicate):
    """A number in an interval."""

    def __init__(self, interval: Bounds, unit: Callable[[float], str]) -> None:
        """`unit`: how a number is said."""
        self.interval = interval
        self._said = unit

    def holds(self, value: Any, view: View) -> bool:
        return type(value) in _NUMBERS and value in self.interval

    def holds_bytes(self, payload: bytes, view: View) -> bool:
        return False

    def explain(self) -> str:
        interval, say = self.interval, self._said
        if interval.low == interval.high:
            return f"is {say(interval.low)}"
        ends: list[str] = []
        if interval.low != float("-inf"):
            ends.append(f"{'over' if interval.low_open else 'at least'} {say(interval.low)}")
        if interval.high != float("inf"):
            ends.append(f"{'under' if interval.high_open else 'at most'} {say(interval.high)}")
        if len(ends) == 2 and not interval.low_open and not interval.high_open:
            return f"is {say(interval.low)} to {say(interval.high)}"
        return f"is {' and '.join(ends)}"

    def exactly(self) -> tuple[Any, ...] | None:
        return (self.interval.low,) if self.interval.low == self.interval.high else None

    def bounds(self) -> Bounds | None:
        return self.interval


def contradiction(predicates: Sequence[Predicate], *, whole: bool = False) -> bool:
    """Whether no one value, and no absence of one, satisfies them all. `whole`: numbers are whole ones."""
    absents = {each.absent for each in predicates}
    if absents == {True}:
        return False
    interval = AllOf(predicates).bounds()
    if len(absents) == 2 or (interval is not None and (interval.empty or (whole and interval.no_whole))):
        return True
    candidates = AllOf(predicates).exactly()
    return candidates is not None and not any(
        all(_may_hold(each, value) for each in predicates) for value in candidates
    )


def _may_hold(predicate: Predicate, value: Any) -> bool:
    nobody: Any = None  # only templates look at the message
    return any(predicate.expressions()) or predicate.holds(value, nobody)
