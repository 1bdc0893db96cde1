"""What changed between two payloads: of JSON the values by path, for a line; and line by line, for a page.

Both are bounded: a payload may be megabytes, and hostile. Nothing here is safe for a terminal yet.
"""

from __future__ import annotations

import enum
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from wsinspect.decode.hexdump import hexdump
from wsinspect.decode.jsontext import pretty

JSON_BYTES = 256 << 10
"""A larger payload is not taken apart."""
MOST_LINES = 1000
"""Of one side, that are shown where the two have little in common."""
MOST_EDITS = 300
"""Lines gone or come, between the equal ends, up to which the equal ones among them are looked for."""
_DEPTH = 50
_VALUE_SHOWN = 40
_CONTEXT = 3
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class Mark(enum.StrEnum):
    """What a line of a diff says."""

    SAME = " "
    GONE = "-"
    CAME = "+"
    LEFT_OUT = "…"
    """Lines that are equal, or too many to be compared."""


type DiffLine = tuple[Mark, str]


def json_changes(before: bytes, after: bytes, most: int = 3) -> list[str] | None:
    """`$.price 100 → 1`, `$.user gone`, `$.flag new: true`: at most `most`, then `and more`.

    None where the two are not both JSON, or too large or deep to be compared.
    """
    if max(len(before), len(after)) > JSON_BYTES:
        return None
    try:
        changes = _changes("$", _load(before), _load(after), 0)
        found: list[str] = []
        for change in changes:
            if len(found) == most:
                return [*found, "and more"]
            found.append(change)
    except (ValueError, RecursionError):
        return None
    return found


def _load(payload: bytes) -> Any:
    return json.loads(payload.decode(), parse_int=_Number, parse_float=_Number)


def _changes(path: str, before: Any, after: Any, depth: int) -> Iterator[str]:
    if depth > _DEPTH:
        raise ValueError("too deep")
    if type(before) is type(after) and isinstance(before, dict):
        for name in before:
            there = f"{path}{_step(name)}"
            if name in after:
                yield from _changes(there, before[name], after[name], depth + 1)
            else:
                yield f"{there} gone"
        yield from (f"{path}{_step(name)} new: {_show(after[name])}" for name in after if name not in before)
    elif type(before) is type(after) and isinstance(before, list):
        for place, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _changes(f"{path}[{place}]", old, new, depth + 1)
        if len(before) != len(after):
            yield f"{path} {len(before):,} → {len(after):,} elements"
    elif type(before) is not type(after) or before != after:
        yield f"{path} {_show(before)} → {_show(after)}"


def _step(name: str) -> str:
    return f".{name}" if _NAME.fullmatch(name) else f"[{json.dumps(name[:_VALUE_SHOWN], ensure_ascii=False)}]"


def _show(value: Any) -> str:
    if isinstance(value, _Number):
        text = str(value)
    elif isinstance(value, str):
        text = json.dumps(value[: _VALUE_SHOWN + 1], ensure_ascii=False)
    elif isinstance(value, dict | list):
        return ("{…}" if isinstance(value, dict) else "[…]") if value else ("{}" if value == {} else "[]")
    else:
        text = json.dumps(value)
    return text if len(text) <= _VALUE_SHOWN else text[: _VALUE_SHOWN - 1] + "…"


# ------------------------------------------------------------------------------------------- line by line


def payload_diff(before: bytes, after: bytes) -> list[DiffLine]:
    """Both as pretty JSON where both are JSON, else as text where both are UTF-8, else as hex."""
    return list(line_diff(*_as_lines(before, after)))


def _as_lines(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    texts = _text(before), _text(after)
    if texts[0] is None or texts[1] is None:
        limit = MOST_LINES * 16
        return list(hexdump(before[:limit])), list(hexdump(after[:limit]))
    shaped = pretty(texts[0], max_bytes=JSON_BYTES), pretty(texts[1], max_bytes=JSON_BYTES)
    if shaped[0] is not None and shaped[1] is not None:
        return shaped[0].split("\n"), shaped[1].split("\n")
    return texts[0].splitlines(), texts[1].splitlines()


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def line_diff(before: list[str], after: list[str]) -> Iterator[DiffLine]:
    """The lines that differ, each change with some equal ones around it."""
    same = 0
    shortest = min(len(before), len(after))
    while same < shortest and before[same] == after[same]:
        same += 1
    tail = 0
    while tail < shortest - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    start, stops = max(0, same - _CONTEXT), (len(before) - tail, len(after) - tail)
    if start:
        yield Mark.LEFT_OUT, f"{start:,} equal lines"
    yield from ((Mark.SAME, line) for line in before[start:same])
    yield from _middle(before[same : stops[0]], after[same : stops[1]])
    yield from ((Mark.SAME, line) for line in before[stops[0] : stops[0] + _CONTEXT])
    if tail > _CONTEXT:
        yield Mark.LEFT_OUT, f"{tail - _CONTEXT:,} equal lines"


def _middle(before: list[str], after: list[str]) -> Iterator[DiffLine]:
    """What lies between the equal ends; where little of it is equal, what is gone and then what came, cut."""
    edits = _edits(before, after)
    if edits is None:
        for mark, lines in ((Mark.GONE, before), (Mark.CAME, after)):
            yield from ((mark, line) for line in lines[:MOST_LINES])
            if len(lines) > MOST_LINES:
                yield Mark.LEFT_OUT, f"{len(lines) - MOST_LINES:,} more lines"
        return
    for same, group in itertools.groupby(edits, key=lambda each: each[0] is Mark.SAME):
        if same:
            yield from _equal([line for _, line in group])
        else:
            yield from sorted(group, key=lambda each: each[0] is Mark.CAME)


def _edits(before: list[str], after: list[str]) -> list[DiffLine] | None:
    """The shortest way from one to the other (Myers, An O(ND) Difference Algorithm, 1986); None: too long."""
    reached, history = {1: 0}, list[dict[int, int]]()
    for edits in range(min(MOST_EDITS, len(before) + len(after)) + 1):
        history.append(reached.copy())
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
            x = reached[k + 1] if down else reached[k - 1] + 1
            while x < len(before) and x - k < len(after) and before[x] == after[x - k]:
                x += 1
            reached[k] = x
            if x >= len(before) and x - k >= len(after):
                return _way_back(before, after, history)
    return None


def _way_back(before: list[str], after: list[str], history: list[dict[int, int]]) -> list[DiffLine]:
    x, y = len(before), len(after)
    found: list[DiffLine] = []
    for edits in range(len(history) - 1, -1, -1):
        reached, k = history[edits], x - y
        down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
        previous = k + 1 if down else k - 1
        old_x = reached[previous] if edits else 0
        old_y = old_x - previous if edits else 0
        while x > old_x and y > old_y:
            x, y = x - 1, y - 1
            found.append((Mark.SAME, before[x]))
        if edits:
            found.append((Mark.CAME, after[old_y]) if down else (Mark.GONE, before[old_x]))
            x, y = old_x, old_y
    found.reverse()
    return found


def _equal(lines: list[str]) -> Iterator[DiffLine]:
    if len(lines) <= 2 * _CONTEXT + 1:
        yield from ((Mark.SAME, line) for line in lines)
        return
    yield from ((Mark.SAME, line) for line in lines[:_CONTEXT])
    yield Mark.LEFT_OUT, f"{len(lines) - 2 * _CONTEXT:,} equal lines"
    yield from ((Mark.SAME, line) for line in lines[-_CONTEXT:])
