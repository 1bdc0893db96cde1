"""Tests of values, read: a bare value, a list, or a mapping of operators."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wsinspect.rules import regexes, text_forms, units, values
from wsinspect.rules.actions import words
from wsinspect.rules.conditions import BytesTest
from wsinspect.rules.marked import Items, Node, Pairs, Scalar, kind_of
from wsinspect.rules.predicates import (
    AllOf,
    Contains,
    ContainsTemplate,
    Equals,
    EqualsTemplate,
    Exists,
    Glob,
    OneOf,
    Predicate,
    Regex,
    Within,
)
from wsinspect.rules.reading import Reading, Told, Wrong
from wsinspect.rules.scalars import bool_value, json_value, text_value
from wsinspect.rules.template import Template
from wsinspect.rules.text_forms import Form

TEXT_OPERATORS = ("equals", "contains", "glob", "regex", "in", "exists")
NUMBER_OPERATORS = ("equals", "in", "gt", "ge", "lt", "le")
JSON_OPERATORS = ("equals", "in", "contains", "glob", "regex", "exists", "gt", "ge", "lt", "le")

OPERATOR_DOCS = {
    "equals": "exactly this value",
    "contains": "this text is part of it; of a list, this value is one of its elements",
    "glob": "the whole of it, `*` being any run of characters and `?` any one",
    "regex": "an RE2 pattern is found anywhere in it",
    "in": "one of a list",
    "exists": "whether there is such a value at all",
    "gt": "greater than",
    "ge": "greater or equal",
    "lt": "less than",
    "le": "less or equal",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """A sort of number: how it is read and how it is said."""

    read: Callable[[str], float]
    say: Callable[[float], str]
    low: float | None = None
    high: float | None = None
    """Among what values it lies."""

    def within(self, bounds: units.Bounds, text: str) -> Within:
        """The test of an interval, written so. Raises ValueError where no such number lies in it."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if bounds.intersection(units.Bounds(low, high)).empty:
            raise ValueError(f"{text!r} is outside of {low:g} to {high:g}")
        return Within(bounds, self.say)


NUMBER = Amount(units.number, words.number)
SIZE = Amount(units.size_bytes, lambda value: words.size(int(value)))
DURATION = Amount(units.duration_ms, words.duration)

_SLIPS = {"=": "equals", "==": "equals", "eq": "equals", ">": "gt", ">=": "ge", "<": "lt", "<=": "le"} | {
    "gte": "ge",
    "lte": "le",
    "min": "ge",
    "max": "le",
    "matches": "regex",
    "like": "glob",
    "starts-with": "glob: 'text*'",
    "ends-with": "glob: '*text'",
}
_SLIPS |= {
    **dict.fromkeys(("startswith", "starts_with", "prefix"), _SLIPS["starts-with"]),
    **dict.fromkeys(("endswith", "ends_with", "suffix"), _SLIPS["ends-with"]),
    **dict.fromkeys(("regexp", "re", "pattern"), "regex"),
    **dict.fromkeys(("includes", "has"), "contains"),
}


def _operators(
    reading: Reading, node: Pairs, names: tuple[str, ...], read_one: Callable[[str, Node], Predicate]
) -> Predicate:
    hints = {slip: f"; write {name}" for slip, name in _SLIPS.items()}
    told = len(reading.problems)
    entries = reading.entries(node, "a test", names, hints)
    if len(reading.problems) > told:
        raise Told
    if not entries:
        raise Wrong(node, f"a test is wanted: {', '.join(names)}")
    tests = values.each_of(
        reading, [key for key, _ in entries.values()], lambda key: _one(entries, key, read_one)
    )
    return tests[0] if len(tests) == 1 else AllOf(tests)


def _one(
    entries: Mapping[str, tuple[Scalar, Node]], key: Node, read_one: Callable[[str, Node], Predicate]
) -> Predicate:
    assert isinstance(key, Scalar)
    return read_one(key.text, entries[key.text][1])


# ---------------------------------------------------------------------------------------------- texts


@dataclass(frozen=True, slots=True)
class Texts:
    """A sort of text: whose case it may have, and what it always looks like."""

    fold: bool = False
    """The text that a test is given is in small letters."""
    form: Form | None = None

    def equals(self, text: str) -> Predicate:
        """As the others, raises ValueError where no text of the sort is like that."""
        template = Template.parse(text)
        if template.constant is None:
            return EqualsTemplate(template)
        return self.exactly(template.constant)

    def exactly(self, text: str) -> Predicate:
        """Whatever braces are in it."""
        self._check(text_forms.exactly(text))
        return Equals(text.lower() if self.fold else text)

    def contains(self, text: str) -> Predicate:
        template = Template.parse(text)
        if template.constant is None:
            return ContainsTemplate(template)
        return self.containing(template.constant)

    def containing(self, text: str) -> Predicate:
        """Whatever braces are in it."""
        if not text:
            raise ValueError("an empty text is part of every text")
        self._check(text_forms.containing(text))
        return Contains(text.lower() if self.fold else text)

    def glob(self, text: str) -> Predicate:
        if "{{" in text:
            raise ValueError("{{…}} can stand in equals and contains, not in a pattern")
        made = Glob(text, fold=self.fold)
        self._check(text_forms.like(text))
        return made

    def regex(self, text: str) -> Predicate:
        made = Regex(f"(?i:{text})" if self.fold else text)
        self._check(text_forms.matching(text))
        return made

    def bare(self, text: str) -> Predicate:
        """Without an operator."""
        if "{{" in text:
            self._check_template(text)
            return self.equals(text)
        if not regexes.is_glob(text):
            return self.equals(text)
        if self.form is not None and self.form.check_bare is not None:
            self.form.check_bare(text)
        return self.glob(text)

    def _check_template(self, text: str) -> None:
        """A glob's signs beside `{{…}}` would be compared as they are."""
        if any(isinstance(part, str) and regexes.is_glob(part) for part in Template.parse(text).parts):
            hint = "write {contains: …}, or {equals: …} for the very text"
            raise ValueError(f"{text!r}: {{{{…}}}} cannot stand in a glob: {hint}")

    def _check(self, wanted: text_forms.Wanted) -> None:
        if self.form is not None and self.form.check is not None:
            self.form.check(wanted)


ANY_TEXT = Texts()


def text_test(reading: Reading, node: Node, texts: Texts = ANY_TEXT) -> Predicate:
    """A test of a text."""
    match node:
        case Scalar() if node.empty:
            raise Wrong(node, 'a text is wanted, not nothing; an empty one is "", and any is {exists: true}')
        case Scalar():
            return _asking(reading, node, texts.bare)
        case Items():
            return OneOf(values.any_of(reading, node, lambda each: text_test(reading, each, texts)))
        case Pairs():
            return _operators(reading, node, TEXT_OPERATORS, lambda name, at: _text(reading, name, at, texts))


def _text(reading: Reading, name: str, node: Node, texts: Texts) -> Predicate:
    if isinstance(node, Items) and name not in ("in", "exists"):
        raise Wrong(node, f"{name} takes one text: for one of several write [{{{name}: …}}, {{{name}: …}}]")
    match name:
        case "equals":
            return _asking(reading, node, texts.equals)
        case "contains":
            return _asking(reading, node, texts.contains)
        case "glob":
            return values.of_text(node, texts.glob)
        case "regex":
            return values.of_text(node, texts.regex)
        case "in":
            return OneOf(values.any_of(reading, node, lambda each: _asking(reading, each, texts.equals)))
        case _:
            return Exists(values.scalar(node, bool_value))


def _asking(reading: Reading, node: Node, convert: Callable[[str], Predicate]) -> Predicate:
    """A text's test, whose `{{…}}` are to be checked."""
    made = values.of_text(node, convert)
    reading.ask(node, made.expressions())
    return made


# --------------------------------------------------------------------------------------------- numbers


def number_test(reading: Reading, node: Node, amount: Amount, *, exact: bool = True) -> Predicate:
    """A test of a number. `exact`: one bare value makes sense."""
    match node:
        case Scalar():
            return values.scalar(node, lambda each: _bare_number(each, amount, exact))
        case Items():
            return OneOf(
                values.any_of(reading, node, lambda each: number_test(reading, each, amount, exact=exact))
            )
        case Pairs():
            return _operators(
                reading, node, NUMBER_OPERATORS, lambda name, at: _number(reading, name, at, amount)
            )


def _bare_number(scalar: Scalar, amount: Amount, exact: bool) -> Predicate:
    if scalar.style in (">", "|"):
        raise ValueError('a comparison must stand in quotes: ">1000"')
    text = text_value(scalar)
    bounds = units.bounds(text, amount.read)
    if not exact and bounds.low == bounds.high:
        raise ValueError(f'{text!r} would have to be met to the microsecond: write ">{text}" or a range')
    return amount.within(bounds, text)


def _number(reading: Reading, name: str, node: Node, amount: Amount) -> Predicate:
    match name:
        case "equals":
            return _value(node, amount)
        case "in":
            return OneOf(values.any_of(reading, node, lambda each: _value(each, amount)))
        case _:
            return values.of_text(
                node, lambda text: amount.within(units.OPERATORS[name](amount.read(text)), text)
            )


def _value(node: Node, amount: Amount) -> Predicate:
    def test(text: str) -> Predicate:
        value = amount.read(text)
        return amount.within(units.Bounds(value, value), text)

    return values.of_text(node, test)


# ------------------------------------------------------------------------------------------------ JSON


def json_test(reading: Reading, node: Node) -> Predicate:
    """A test of a value in a decoded message."""
    match node:
        case Scalar():
            test = values.scalar(node, _bare_json)
            reading.ask(node, test.expressions())
            return test
        case Items(items=()):
            raise Wrong(
                node, "nothing is one of an empty list; to compare with such a list write {equals: []}"
            )
        case Items():
            return OneOf(values.any_of(reading, node, lambda each: json_test(reading, each)))
        case Pairs():
            if not any(_means_an_operator(key.text) for key, _ in node.pairs):
                raise Wrong(node, "a test is wanted here; to compare with an object write {equals: {…}}")
            return _operators(reading, node, JSON_OPERATORS, lambda name, at: _json(reading, name, at))


def _means_an_operator(name: str) -> bool:
    """Or is so near to one that it is hardly a name of an object to compare with."""
    return name in _SLIPS or bool(difflib.get_close_matches(name, JSON_OPERATORS, 1, cutoff=0.75))


def _bare_json(scalar: Scalar) -> Predicate:
    value = json_value(scalar)
    if not isinstance(value, str):
        return Equals(value)
    sign = value[:2].rstrip("0123456789. ")
    if sign in units.SIGNS and value[len(sign) :].strip()[:1].isdigit():
        rest = value[len(sign) :].strip()
        raise ValueError(
            f'{value!r}: write {{{units.SIGNS[sign]}: {rest}}}, or {{equals: "{value}"}} for the text'
        )
    return ANY_TEXT.bare(value)


def _json(reading: Reading, name: str, node: Node) -> Predicate:
    match name:
        case "equals":
            return _json_equals(reading, node)
        case "in":
            return OneOf(values.any_of(reading, node, lambda each: _json_equals(reading, each)))
        case "contains":
            value = values.plain_json(reading, node)
            return _text(reading, name, node, ANY_TEXT) if isinstance(value, str) else Contains(value)
        case "glob" | "regex" | "exists":
            return _text(reading, name, node, ANY_TEXT)
        case _:
            value = values.scalar(node, json_value)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Wrong(node, f"{name} compares numbers, not {kind_of(node)}")
            return Within(units.OPERATORS[name](value), words.number)


def _json_equals(reading: Reading, node: Node) -> Predicate:
    value = values.plain_json(reading, node)
    return _asking(reading, node, ANY_TEXT.equals) if isinstance(value, str) else Equals(value)


# ----------------------------------------------------------------------------------------------- bytes


def bytes_test(reading: Reading, node: Node) -> BytesTest:
    if isinstance(node, Scalar):
        return values.of_text(node, BytesTest)
    told = len(reading.problems)
    entries = reading.entries(node, "a test of bytes", BytesTest.HOWS)
    if len(reading.problems) > told:
        raise Told
    if len(entries) != 1:
        raise Wrong(node, f"one of {', '.join(BytesTest.HOWS)} is wanted here")
    ((how, (_, value)),) = entries.items()
    return values.of_text(value, lambda text: BytesTest(text, how))
