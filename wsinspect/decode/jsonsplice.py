"""The usual edit of a JSON text: other numbers, texts or constants in the place of those at some names.

A name that stands once in a text without backslashes can stand there but in one way, so that it is found by a
search for it, and what is behind it is written anew. Nothing else of the text is looked at.
"""

from __future__ import annotations

import re
from typing import Any

from wsinspect.decode.edits import SCALARS, same
from wsinspect.decode.jsonencoder import encoder

__all__ = ["splice"]

_VALUE = re.compile(r'[ \t\n\r]*:[ \t\n\r]*("[^"]*"|[^"\[{\s,\]}]+)')
"""Behind a name, a scalar in a text without backslashes."""
_MOST = 16
"""Changes: each is a search of the text."""
_NOTHING: Any = object()
_write = encoder()

type _Change = tuple[str, Any]
"""A name, and its new value."""


def splice(text: str, tree: Any, old: Any) -> str | None:
    """`text`, which says `old`, saying `tree`; None where it is not that simple an edit."""
    changes: list[_Change] = []
    if "\\" in text or not _differ_in(tree, old, changes):
        return None
    pieces: list[tuple[int, int, str]] = []
    for name, value in changes:
        place = _place(text, name)
        if place is None:
            return None
        try:
            written = _write(value)
            if not written.isascii():
                written.encode()
        except ValueError:  # infinity, or half a surrogate pair
            return None
        start, end = place
        if len(changes) == 1:
            return f"{text[:start]}{written}{text[end:]}"
        pieces.append((start, end, written))
    pieces.sort(reverse=True)
    for start, end, written in pieces:
        text = text[:start] + written + text[end:]
    return text


def _differ_in(tree: Any, old: Any, changes: list[_Change]) -> bool:
    """Note where both differ. False where that is in more than the scalars at names."""
    if not isinstance(tree, dict) or not isinstance(old, dict) or len(tree) != len(old):
        return False
    find = old.get
    for name in [name for name, value in tree.items() if value is not find(name, _NOTHING)]:
        value, was = tree[name], find(name, _NOTHING)
        if was is _NOTHING:
            return False
        if type(value) in SCALARS and type(was) in SCALARS:
            if not same(was, value):
                changes.append((name, value))
        elif not (_differ_in(value, was, changes) if isinstance(value, dict) else same(was, value)):
            return False
    return len(changes) <= _MOST


def _place(text: str, name: str) -> tuple[int, int] | None:
    """Where the scalar of a name begins and ends; None where the name stands there more than once."""
    quoted = f'"{name}"'
    at = text.find(quoted)
    if at < 0 or text.find(quoted, at + 1) >= 0:
        return None
    value = _VALUE.match(text, at + len(quoted))
    return None if value is None else value.span(1)
