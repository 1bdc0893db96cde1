"""How the values that pass a test stand in JSON, as RE2 patterns: where none is, nothing need be decoded.

    true                    true
    {gt: 4999}              [1-9][0-9]{3}   four digits or more; and any number with an exponent
    {ge: 0.5, lt: 1}        0[^0-9]
    {regex: ^a}             "[^"]*(?:a)     anywhere in the text

Sound, never exact, and only of JSON without a backslash, in which texts stand as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from wsinspect.rules.predicates import AllOf, OneOf, Predicate, Regex
from wsinspect.rules.units import Bounds

MOST = 64
"""Patterns of one test."""
FARTHEST = 10**15
"""Up to here a double is nearest to what was written on the same side of each power of ten."""

_ANY_NUMBER = ("-?[0-9.]+[eE]", "-?I")
"""With an exponent, and infinity: they may be any."""
_ANCHORS = ("^", "$", r"\A", r"\z", r"\Q")


def spellings(test: Predicate) -> tuple[str, ...] | None:
    """Patterns one of which fits where the value begins, wherever the test holds; None: not known."""
    exact, bounds = test.exactly(), test.bounds()
    if exact is not None:
        return _joined(_value(value) for value in exact[: MOST + 1])
    if bounds is not None:
        return _number(bounds)
    match test:
        case Regex(text=text):
            return _regex(text)
        case OneOf(predicates=parts):
            return _joined(spellings(part) for part in parts)
        case AllOf(predicates=parts):
            return next((found for part in parts if (found := spellings(part)) is not None), None)
        case _:
            return None


def bare(text: str) -> str:
    """The text as it stands in JSON without a backslash; empty where it could stand there otherwise."""
    return text if text.isascii() and text.isprintable() and not set(text) & set('"\\') else ""


def _joined(parts: Iterator[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    found: list[str] = []
    for part in parts:
        if part is None or len(found) + len(part) > MOST:
            return None
        found += part
    return tuple(found)


def _value(value: Any) -> tuple[str, ...] | None:
    match value:
        case bool() | None:
            return ({True: "true", False: "false", None: "null"}[value],)
        case int() | float():
            return _number(Bounds(value, value))
        case str():
            return (f'"{_escaped(value)}"',) if bare(value) or not value else None
        case _:
            return None


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() else f"\\x{{{ord(char):x}}}" for char in text)


def _regex(text: str) -> tuple[str, ...] | None:
    """Without the anchors around it, which lets it fit more; others cannot be understood here."""
    inner = text.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    if any(anchor in inner for anchor in _ANCHORS):
        return None
    return (f'"[^"]*(?:{inner})',)


def _number(bounds: Bounds) -> tuple[str, ...] | None:
    """By sign and digits before the point."""
    low, high = bounds.low, bounds.high
    if any(math.isfinite(end) and abs(end) > FARTHEST for end in (low, high)) or low == math.inf:
        return None
    found = [*_ANY_NUMBER]
    if low <= 0:
        found.append("-")
    if _begins_at(0, bounds) and _reaches(1, bounds):
        found.append("0[^0-9]")
    if _begins_at(1, bounds):
        least = next(digits for digits in range(1, 17) if _reaches(10**digits, bounds))
        if high == math.inf:
            found.append(f"[1-9][0-9]{{{least - 1}}}")
        else:
            most = next(digits for digits in range(16, 0, -1) if _begins_at(10 ** (digits - 1), bounds))
            if most >= least:
                found.append(f"[1-9][0-9]{{{least - 1},{most - 1}}}[^0-9]")
    return tuple(found)


def _begins_at(power: int, bounds: Bounds) -> bool:
    """Whether what is written as the power or more could be low enough."""
    return power < bounds.high or (power == bounds.high and not bounds.high_open)


def _reaches(power: int, bounds: Bounds) -> bool:
    """Whether what is written as less than the power, and may be rounded to it, could be high enough."""
    return power > bounds.low or (power == bounds.low and not bounds.low_open)
