"""JSON read for looking into: at C speed, within limits.

RFC 8259, with one liberty that Python's peers take: NaN and Infinity inside an object or array. Where a name
stands twice in an object the last one counts, as in JavaScript. Integers are exact up to 4,300 digits; beyond
that they are infinite floats, as 1e999 is. Other numbers are doubles. `jsonedit` keeps what was written.
"""

from __future__ import annotations

import json
import re
from typing import Any

from wsinspect.decode.limits import MAX_DEPTH, MAX_VALUES, NotDecoded

__all__ = ["SPACE", "parse", "scan"]

SPACE = re.compile(r"[ \t\n\r]*")
MAX_INT_DIGITS = 4300  # Python's own limit: beyond it the time to convert is quadratic

_CONTAINERS = frozenset((dict, list))
_STARTS = frozenset('{["-0123456789tfn \t\n\r')


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)


_fast = json.JSONDecoder().raw_decode
_lenient = json.JSONDecoder(parse_int=_int).raw_decode


def scan(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends. Raises ValueError and RecursionError."""
    try:
        return _fast(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer beyond MAX_INT_DIGITS
        return _lenient(text, at)


def parse(text: str, start: int = 0) -> Any:
    """The value that the text is from `start` on, with nothing behind it but white space.

    Raises NotDecoded where it is not JSON, or beyond the limits. The caller bounds the text's length.
    """
    size = len(text) - start
    if size <= 0 or text[start] not in _STARTS:
        raise NotDecoded
    deep = False
    if size > 2 * MAX_DEPTH:  # a shorter one is within the limits
        openings = text.count("[", start) + text.count("{", start)
        if size > MAX_VALUES and openings + text.count(",", start) > MAX_VALUES:
            raise NotDecoded
        deep = openings > MAX_DEPTH
    if text[start] <= " ":
        start = SPACE.match(text, start).end()  # type: ignore[union-attr]  # it matches anywhere
    try:
        value, end = scan(text, start)
    except (ValueError, RecursionError):
        raise NotDecoded from None
    if (deep and not _is_shallow(value)) or (end != len(text) and SPACE.fullmatch(text, end) is None):
        raise NotDecoded
    if text[start] == "-" and text[start + 1] == "I":
        raise NotDecoded  # -Infinity, bare
    return value


def _is_shallow(value: Any) -> bool:
    """Whether it is nested no deeper than MAX_DEPTH. Half the time of reading it, in the worst case."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return True
    return False
