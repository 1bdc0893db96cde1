"""Durations, sizes, rates and comparisons, as people write them: text in, numbers out.

    200ms  1.5s  2m  1m30s  90 (ms)      duration, in milliseconds
    64  64B  4KiB  1MB                   size, in bytes: KB is 1,000, KiB is 1,024
    64KB/s  1Mbit/s  64 (KB/s)           rate, in bytes a second
    >1000  >=5  <1s  <=4KiB  10..20      comparison: a `Bounds`; a range has both its ends

Each raises ValueError with a sentence that says how it is written right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_DURATION_MS = 366 * 86_400_000.0
MAX_SIZE = 1 << 50

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_DURATION_UNITS = {
    "us": 0.001,
    "µs": 0.001,
    "ms": 1.0,
    "s": 1000.0,
    "m": 60_000.0,
    "min": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_BIT_UNITS = {"bit": 1 / 8, "kbit": 125.0, "mbit": 125e3, "gbit": 125e6}
_PART = re.compile(rf"({_NUMBER})\s*([a-zµ]+)")
_SIZED = re.compile(rf"({_NUMBER})\s*([a-zA-Z]*)")
_COMPARED = re.compile(r"(>=|<=|==|=>|=<|!=|>|<|=)\s*(.*)", re.DOTALL)


def number(text: str) -> float:
    """A decimal number. Octal look-alikes (`010`), `1_000` and `1:30` are refused with a hint."""
    if re.fullmatch(r"[-+]?0\d+(\.\d*)?", text):
        digits = text.lstrip("+-0") or "0"
        raise ValueError(f"{text!r} is octal to some readers of YAML and decimal to others: write {digits}")
    if re.fullmatch(r"[-+]?\d+(_\d+)+", text):
        raise ValueError(f"{text!r}: write {text.replace('_', '')}")
    if not re.fullmatch(rf"[-+]?{_NUMBER}([eE][-+]?\d+)?", text):
        raise ValueError(f"{text!r} is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large")
    return value


def whole(text: str) -> int:
    """A whole number in decimal."""
    value = number(text)
    if not re.fullmatch(r"[-+]?\d+", text):
        hint = f": write {int(value)}" if value.is_integer() and abs(value) < 1e15 else ""
        raise ValueError(f"{text!r} is not a whole number{hint}")
    return int(text)


def duration_ms(text: str) -> float:
    """Milliseconds: `1m30s`, `1.5s`, `200ms`, or a bare number of them."""
    stripped = text.strip()
    if re.fullmatch(r"\d+(:\d+)+", stripped):
        first, *rest = stripped.split(":")
        likely = f"{int(first)}m{int(rest[0])}s" if len(rest) == 1 else f"{int(first)}h{int(rest[0])}m"
        raise ValueError(f"{text!r} is not a duration: write {likely}")
    if stripped[:1].isdigit() or stripped[:1] == ".":
        last = stripped[-1]
        if last.isdigit() or last == ".":
            return _limited(number(stripped), text)
        parts = _PART.findall(stripped)
        if "".join(count + unit for count, unit in parts) == stripped.replace(" ", ""):
            unknown = next((unit for _, unit in parts if unit not in _DURATION_UNITS), None)
            if unknown is None:
                return _limited(sum(float(count) * _DURATION_UNITS[unit] for count, unit in parts), text)
            raise ValueError(f"{text!r}: the unit {unknown!r} is none of ms, s, m, h")
    if stripped.startswith("-"):
        raise ValueError(f"{text!r}: a duration cannot be negative")
    raise ValueError(f"{text!r} is not a duration such as 200ms, 1.5s or 2m")


def _limited(value: float, text: str) -> float:
    if value > MAX_DURATION_MS:
        raise ValueError(f"{text!r} is longer than a year")
    return value


def size_bytes(text: str) -> int:
    """Bytes: `64`, `4KiB`, `1MB`."""
    match = _SIZED.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 64, 4KiB or 1MB")
    count, unit = match[1], match[2].lower()
    if unit in ("k", "m", "g"):
        letter = unit.upper()
        raise ValueError(f"{text!r}: write {count}{letter}B (thousands) or {count}{letter}iB (of 1,024)")
    if unit not in _SIZE_UNITS:
        raise ValueError(f"{text!r}: the unit {match[2]!r} is none of B, KB, MB, GB, KiB, MiB, GiB")
    value = number(count) * _SIZE_UNITS[unit]
    if not value.is_integer():
        raise ValueError(f"{text!r} is not a whole number of bytes")
    if value > MAX_SIZE:
        raise ValueError(f"{text!r} is larger than any message")
    return int(value)


def rate_bytes_per_s(text: str) -> float:
    """Bytes a second: `64KB/s`, `1Mbit/s`; a bare number counts kilobytes, as toxiproxy has it."""
    amount, slash, second = text.strip().partition("/")
    match = _SIZED.fullmatch(amount.strip())
    if match is None or (slash and second.strip() not in ("s", "sec")) or (match[2] and not slash):
        raise ValueError(f"{text!r} is not a rate such as 64KB/s, 1Mbit/s, or 64 for 64KB/s")
    count, unit = match[1], match[2].lower()
    factor = 1000.0 if not unit and not slash else _BIT_UNITS.get(unit) or _SIZE_UNITS.get(unit)
    if factor is None:
        raise ValueError(f"{text!r}: the unit {match[2]!r} is none of B, KB, MB, KiB, MiB, kbit, Mbit")
    value = number(count) * factor
    if not 0 < value <= MAX_SIZE:
        raise ValueError(
            f"{text!r}: a rate must be more than nothing, and less than {MAX_SIZE} bytes a second"
        )
    return value


def chance(text: str) -> float:
    """0 to 1; `50%` is 0.5."""
    stripped = text.strip()
    percent = stripped.endswith("%")
    value = number(stripped.removesuffix("%").strip()) / (100 if percent else 1)
    if not 0 <= value <= 1:
        hint = f": write {stripped}%" if not percent and 1 < value <= 100 else ""
        raise ValueError(f"{text!r} is not a chance of 0 to 1, or 0% to 100%{hint}")
    return value


def split_range(text: str) -> tuple[str, str] | None:
    """`100..300ms` as (`100ms`, `300ms`): the low end takes the unit of the high one where it has none."""
    low, dots, high = (part.strip() for part in text.partition(".."))
    if not dots:
        return None
    if not low or not high or high.startswith("."):
        raise ValueError(f"{text!r}: a range has two ends, such as 10..20; or write >=10")
    unit = re.search(r"[a-zA-Zµ%/]+$", high)
    return low + unit[0] if unit and re.fullmatch(_NUMBER, low) else low, high


def duration_range(text: str) -> tuple[float, float]:
    """`100ms..300ms` in milliseconds; one duration is both ends."""
    parts = split_range(text)
    low, high = map(duration_ms, parts) if parts else (duration_ms(text),) * 2
    if low > high:
        raise ValueError(f"{text!r}: the first end is the greater one")
    return low, high


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of numbers."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    """`low` itself is outside."""
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.low if self.low_open else value >= self.low) and (
            value < self.high if self.high_open else value <= self.high
        )

    def intersection(self, other: Bounds) -> Bounds:
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Bounds(low, high, low_open, not high_closed)

    @property
    def empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    @property
    def no_whole(self) -> bool:
        """Whether no whole number lies within: none does in `>1` and `<2`."""
        if self.empty or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return self.empty
        lowest = math.floor(self.low) + 1 if self.low_open else math.ceil(self.low)
        return lowest not in self


OPERATORS: dict[str, Callable[[float], Bounds]] = {
    "gt": lambda value: Bounds(low=value, low_open=True),
    "ge": lambda value: Bounds(low=value),
    "lt": lambda value: Bounds(high=value, high_open=True),
    "le": lambda value: Bounds(high=value),
}
SIGNS = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
_SLIPS = {"=>": ">=", "=<": "<=", "==": "the value alone", "=": "the value alone", "!=": "not: {…} around it"}


def bounds(text: str, value_of: Callable[[str], float]) -> Bounds:
    """A comparison, a range, or one value. `value_of` reads the values, with their units."""
    stripped = text.strip()
    compared = _COMPARED.fullmatch(stripped)
    if compared is not None:
        sign, rest = compared[1], compared[2]
        if sign in _SLIPS:
            raise ValueError(f"{text!r}: {sign} is written as {_SLIPS[sign]}")
        if not rest:
            raise ValueError(f"{text!r}: a value is missing behind {sign}")
        return OPERATORS[SIGNS[sign]](value_of(rest))
    ends = split_range(stripped)
    if ends is None:
        value = value_of(stripped)
        return Bounds(value, value)
    low, high = map(value_of, ends)
    if low > high:
        raise ValueError(f"{text!r}: the first end is the greater one")
    return Bounds(low, high)
