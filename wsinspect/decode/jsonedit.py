"""A JSON text changed to say another tree, with every byte kept that need not change.

A few scalars are put in where they belong (`jsonsplice`). For other edits, most texts are as a library writes
them: then the new tree is simply written by its rules. Any other is walked beside the new tree, and what says
the same is copied: spelling of numbers, escapes, white space, the order of names, doubled names. What differs
is written in the text's own style.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wsinspect.decode.edits import SCALARS, align, check_depth, same
from wsinspect.decode.jsonencoder import encoder
from wsinspect.decode.jsonsplice import splice
from wsinspect.decode.jsonvalue import SPACE, scan
from wsinspect.decode.limits import MAX_DEPTH

__all__ = ["COMPACT", "Style", "edit", "write"]

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_AFTER_COMMA = re.compile(r",([ \t\n\r]*)")
_AFTER_COLON = re.compile(r":([ \t\n\r]*)")
_ESCAPE_BEYOND_ASCII = re.compile(r"\\u(?!00[0-7])")
_STYLE_SAMPLE = 4096  # characters that show how a text is spaced

_NOT_READ: Any = object()


@dataclass(frozen=True, slots=True)
class Style:
    """How new values are written."""

    comma: str = ","
    colon: str = ":"
    ascii: bool = False
    """All else is escaped (`\\u00e9`)."""


COMPACT = Style()
"""As JavaScript's JSON.stringify."""


def edit(text: str, tree: Any, old: Any = _NOT_READ) -> str:
    """`text`, which `jsonvalue.parse` has read, changed as little as makes it say `tree`.

    `old`: what was read, where that is at hand; `tree` may share parts with it. A name that stands twice and
    whose value changes stands once afterwards, so that no peer finds the old value. Raises ValueError, with
    a sentence, for what JSON cannot carry.
    """
    if old is not _NOT_READ and (spliced := splice(text, tree, old)) is not None:
        return spliced
    _check(tree, old)
    written = _rewrite(text, tree, old)
    if written is not None:
        return written
    at = SPACE.match(text).end()  # type: ignore[union-attr]  # it matches anywhere
    editor = _Editor(text)
    edited, end = editor.value(at, tree)
    return text[:at] + edited + text[end:]


def write(tree: Any, style: Style = COMPACT) -> str:
    """A value as JSON. Raises ValueError, with a sentence, for what JSON cannot carry."""
    _check(tree, _NOT_READ)
    return _write(tree, style)


def _rewrite(text: str, tree: Any, old: Any) -> str | None:
    """The tree as a library writes it, where it would have written the text so too: a third of the time."""
    style = Style(", ", ": ", _is_ascii(text)) if '": ' in text else Style(ascii=_is_ascii(text))
    try:
        if _dumps(scan(text, 0)[0] if old is _NOT_READ else old, style, style.ascii) != text:
            return None
        written = _dumps(tree, style, style.ascii)
        written.encode()
    except ValueError:  # it begins with white space, or holds what JSON does not
        return None
    return written


def _is_ascii(text: str) -> bool:
    return text.isascii() and "\\u" in text and _ESCAPE_BEYOND_ASCII.search(text) is not None


def _write(tree: Any, style: Style) -> str:
    """The caller has checked the tree."""
    try:
        text = _dumps(tree, style, style.ascii)
        if not style.ascii and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # a lone surrogate can only be escaped
                text = _dumps(tree, style, True)
    except ValueError as exc:
        what = "a number of so many digits" if "digits" in str(exc) else "infinity or NaN"
        raise ValueError(f"JSON cannot carry {what}") from None
    return text


def _dumps(tree: Any, style: Style, ascii_only: bool) -> str:
    return _encoder(style.comma, style.colon, ascii_only)(tree)


@functools.cache
def _encoder(comma: str, colon: str, ascii_only: bool) -> Callable[[Any], str]:
    return encoder(comma=comma, colon=colon, ascii_only=ascii_only)


def _check(tree: Any, old: Any, depth: int = 0) -> None:
    """Raise ValueError for what JSON cannot carry. What stands where it stood in `old` is not looked at."""
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(tree, dict) and isinstance(old, dict):
        _check_names(tree)
        pairs = [(value, old.get(name)) for name, value in tree.items() if type(value) not in SCALARS]
    elif isinstance(tree, list) and isinstance(old, list) and len(tree) == len(old):
        pairs = zip(tree, old, strict=True)
    else:
        if isinstance(tree, dict | list | tuple):
            check_depth(tree, MAX_DEPTH - depth)
        _check_all(tree)
        return
    for value, was in pairs:
        if value is not was:
            _check(value, was, depth + 1)


def _check_all(tree: Any) -> None:
    """The caller has checked the depth."""
    if isinstance(tree, dict):
        _check_names(tree)
        for value in tree.values():
            _check_all(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            _check_all(value)
    elif not (tree is None or isinstance(tree, str | int | float)):
        raise ValueError(f"JSON cannot carry {_kind(tree)}")


def _check_names(node: dict[Any, Any]) -> None:
    for name in node:
        if type(name) is not str and not isinstance(name, str):
            raise ValueError(f"a name in a JSON object is text, not {name!r:.40}")


def _kind(value: Any) -> str:
    return "bytes" if isinstance(value, bytes | bytearray) else f"a {type(value).__name__}"


@dataclass(slots=True)
class _Item:
    """An item of an array, or a member of an object, as it stands: lead, head, value, trail."""

    lead: str
    """White space behind the bracket or comma."""
    name: str
    head: str
    """`"name" : `; empty in an array."""
    start: int
    """Where its value begins."""
    end: int
    value: Any
    trail: str
    """White space before the comma or bracket."""


@dataclass(slots=True)
class _Piece:
    """What becomes an item of the new text."""

    body: str
    item: _Item | None = None
    """From which it was made; None: it is new."""


class _Editor:
    def __init__(self, text: str) -> None:
        self.text = text

    @functools.cached_property
    def style(self) -> Style:
        text = self.text
        bare = _STRING.sub("", text[:_STYLE_SAMPLE])
        comma, colon = _AFTER_COMMA.search(bare), _AFTER_COLON.search(bare)
        spaced = [bool(found and found[1]) for found in (comma or colon, colon or comma)]
        return Style(
            ", " if spaced[0] else ",",
            ": " if spaced[1] else ":",
            _is_ascii(text),
        )

    def value(self, at: int, new: Any) -> tuple[str, int]:
        """The value that begins at `at` as it is to stand, and where it ended."""
        old, end = scan(self.text, at)
        if same(old, new):
            return self.text[at:end], end
        if isinstance(old, dict) and isinstance(new, dict):
            return self._object(at, old, new), end
        if isinstance(old, list) and isinstance(new, list | tuple):
            return self._array(at, old, list(new)), end
        return _write(new, self.style), end

    def _object(self, at: int, old: dict[str, Any], new: dict[str, Any]) -> str:
        items = self._items(at, self._head)
        last = {item.name: item for item in items}
        kept = {name for name in old if name in new and same(old[name], new[name])}
        pieces = []
        for item in items:
            if item.name in kept:
                pieces.append(_Piece(item.head + self.text[item.start : item.end], item))
            elif item.name in new and item is last[item.name]:
                pieces.append(_Piece(item.head + self.value(item.start, new[item.name])[0], item))
        for name, value in new.items():
            if name not in old:
                pieces.append(_Piece(_write({name: value}, self.style)[1:-1]))
        return "{" + self._join(items, pieces) + "}"

    def _array(self, at: int, old: list[Any], new: list[Any]) -> str:
        items = self._items(at, lambda at: ("", at))
        pieces = []
        for value, index in zip(new, align(old, new), strict=True):
            if index is None:
                pieces.append(_Piece(_write(value, self.style)))
            else:
                pieces.append(_Piece(self.value(items[index].start, value)[0], items[index]))
        return "[" + self._join(items, pieces) + "]"

    def _join(self, items: list[_Item], pieces: list[_Piece]) -> str:
        """The pieces with commas; the first and the last take the white space of the old first and last."""
        if not items:
            return self.style.comma.join(piece.body for piece in pieces)
        first, last = items[0], items[-1]
        lead = items[1].lead if len(items) > 1 else first.lead if "\n" in first.lead else self.style.comma[1:]
        out = []
        for number, piece in enumerate(pieces):
            item = piece.item
            if number == 0:
                before = first.lead
            else:
                before = lead if item is None or item is first else item.lead
            if number == len(pieces) - 1:
                after = last.trail
            else:
                after = "" if item is None or item is last else item.trail
            out.append(before + piece.body + after)
        return ",".join(out)

    def _head(self, at: int) -> tuple[str, int]:
        name, end = scan(self.text, at)
        colon = self._skip(end)
        return name, self._skip(colon + 1)

    def _items(self, at: int, head: Callable[[int], tuple[str, int]]) -> list[_Item]:
        """The items of the array or object that begins at `at`."""
        items: list[_Item] = []
        text = self.text
        while True:
            before = at + 1
            begin = self._skip(before)
            if text[begin] in "]}":
                return items  # it has none
            name, start = head(begin)
            value, end = scan(text, start)
            at = self._skip(end)
            items.append(_Item(text[before:begin], name, text[begin:start], start, end, value, text[end:at]))
            if text[at] in "]}":
                return items

    def _skip(self, at: int) -> int:
        if self.text[at : at + 1] > " ":
            return at
        return SPACE.match(self.text, at).end()  # type: ignore[union-attr]  # it matches anywhere
