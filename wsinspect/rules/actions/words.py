"""Words for what actions do: values cut short, durations and sizes with their units.

Words say what the rule says, never what a message holds: they go into the capture even where the message
itself must not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from wsinspect.model import Side
from wsinspect.rules.fields import Field
from wsinspect.rules.template import Template, Value, compact

SHOWN_CHARS = 60
"""Of a value in a sentence: it goes into the capture with each message."""


def shown(value: Any) -> str:
    """A value of a message or of a rule as JSON, cut short."""
    match value:
        case Template():
            text = value.text
            return f'"{_cut(text)}"'
        case Value():
            return shown(value.source)
        case bytes():
            return f"{value[: SHOWN_CHARS // 4].hex()}{'…' if len(value) > SHOWN_CHARS // 4 else ''} (hex)"
        case str():
            return compact(_cut(value))
        case dict() | list() if len(value) > SHOWN_CHARS:
            return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
        case _:
            try:
                return _cut(compact(value))
            except ValueError:
                return "a value that JSON cannot say"


def exactly_one(action: object, *names: str) -> str:
    """Which of these fields is given. Raises ValueError where none or several are."""
    given = [name for name in names if getattr(action, Field.name_in_python(name)) is not None]
    if len(given) == 1:
        return given[0]
    if not given:
        raise ValueError(f"one of {listed(names, 'or')} is missing")
    raise ValueError(f"{listed(given)} cannot {'both' if len(given) == 2 else 'all'} stand here: choose one")


def pattern_text(pattern: Any) -> str:
    """`/token=\\w+/`, of a compiled pattern."""
    source = pattern.pattern
    return f"/{_cut(source.decode(errors='replace') if isinstance(source, bytes) else source)}/"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def number(value: float) -> str:
    """`1,500`, `0.25`: no digits that say nothing."""
    text = f"{value:,.3f}".rstrip("0").rstrip(".")
    return text or "0"


def duration(ms: float) -> str:
    """`200 ms`, `1.5 s`, `2 min`."""
    if ms < 1000:
        return f"{number(ms)} ms"
    if ms < 120_000:
        return f"{number(ms / 1000)} s"
    return f"{number(ms / 60_000)} min"


def span(low_ms: float, high_ms: float) -> str:
    """`200 ms`, or `100 to 300 ms`."""
    if low_ms == high_ms:
        return duration(low_ms)
    low, high = duration(low_ms), duration(high_ms)
    unit = high.rsplit(" ", 1)[1]
    return f"{low.removesuffix(' ' + unit)} to {high}"


def later(after_ms: float) -> str:
    """` after 2 s`, or nothing."""
    return f" after {duration(after_ms)}" if after_ms else ""


def size(nbytes: int) -> str:
    """`1 byte`, `64 KiB`, `1,500 bytes`."""
    if nbytes and nbytes % (1 << 20) == 0:
        return f"{nbytes >> 20:,} MiB"
    if nbytes and nbytes % 1024 == 0:
        return f"{nbytes >> 10:,} KiB"
    return plural(nbytes, "byte")


def rate(bytes_per_s: float) -> str:
    return f"{number(bytes_per_s / 1000)} KB/s"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def times(count: int) -> str:
    """`once`, `twice`, `5 times`."""
    return {1: "once", 2: "twice"}.get(count) or f"{count:,} times"


def listed(items: Iterable[object], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = [str(item) for item in items]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def sides(who: Sequence[Side]) -> str:
    """`the client`, `both sides`."""
    return f"the {who[0].word}" if len(who) == 1 else "both sides"


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def condition(compiled: Any) -> str:
    """A compiled condition as the end of a sentence."""
    return str(compiled.explain())


def check_header_names(names: Iterable[str]) -> None:
    """Raise ValueError for what is no field name (RFC 9110 5.6.2)."""
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no header name")
