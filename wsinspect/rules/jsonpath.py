"""A small, strict JSONPath (RFC 9535): the part that names places, none of it that computes.

    $                   the whole tree
    $.a.b  $['x y']     a name; quoted with ' or " where it is not of letters, digits, _ and -
    $[0]  $[-1]         an element, from the end where negative; an int key of a map (MessagePack has them)
    $[*]  $.*           each element of a list, each value of a map
    $..a  $..['x y']    a name at any depth; in `redact` and `remove` alone: it costs a walk of the whole tree

Slices, unions and filters are refused by name. Trees are never changed: `set`,
`remove` and `append` copy what lies along the path, share the rest, and give the same tree where nothing
was there to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_STEPS = 64
"""No tree of a decoder is deeper than what a path can say by hand; it bounds the recursion too."""

_NAME = re.compile(r"[^\W\d][\w-]*")
_INDEX = re.compile(r"-?\d+")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"} | {c: c for c in "/\\'\""}


class PathError(ValueError):
    """What is wrong with a path, and where."""

    def __init__(self, text: str, position: int, sentence: str) -> None:
        self.text = text
        self.position = position
        """Of the first wrong character, from 0."""
        self.sentence = sentence
        super().__init__(f"{sentence} (at character {position + 1} of {_shown(text)})")


@dataclass(frozen=True, slots=True)
class Each:
    """`[*]`"""


@dataclass(frozen=True, slots=True)
class Deep:
    """`..name`: each place of such a name, at any depth."""

    names: frozenset[str]


type Step = str | int | Each | Deep

_GONE: Final = object()
"""What a change gives for a place that is to be removed."""
_KEPT: Final = object()
"""What it gives for a place that it does not concern."""


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path. `str()` gives it as it was written."""

    text: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def is_single(self) -> bool:
        """Whether it names at most one place."""
        return not any(isinstance(step, Each | Deep) for step in self.steps)

    def find(self, tree: Any) -> list[Any]:
        """All values at the path, in the order of the tree."""
        node = tree
        for number, step in enumerate(self.steps):
            if type(step) is not str or not isinstance(node, dict):
                return self._find_each(node, number)
            if step not in node:
                return []
            node = node[step]
        return [node]

    def _find_each(self, node: Any, number: int) -> list[Any]:
        """The rest of the way, from a step that is no name of an object."""
        found = [node]
        for step in self.steps[number:]:
            found = [child for each in found for child in children(each, step)]
        return found

    def exists(self, tree: Any) -> bool:
        return bool(self.find(tree))

    def set(self, tree: Any, value: Any) -> tuple[Any, int]:
        """The tree with `value` at each place of the path, and how many those are.

        A name that its map has not yet is made there. A place whose parent is missing stays missing, and so
        does an element beyond a list's end.
        """
        steps = self.steps
        if len(steps) == 1 and type(steps[0]) is str and isinstance(tree, dict):  # as most are
            name = steps[0]
            return (tree if tree.get(name, _GONE) is value else {**tree, name: value}), 1
        node, parents = tree, []
        for step in steps:
            if type(step) is not str or not isinstance(node, dict):
                return self._change(tree, lambda _: value, create=True)
            parents.append((node, step))
            node = node.get(step, _GONE)
        if node is value:
            return tree, 1
        for parent, name in reversed(parents):  # nothing but names, as in nearly every path
            value = {**parent, name: value}
        return value, 1

    def remove(self, tree: Any) -> tuple[Any, int]:
        """The tree without what is at the path, and how many places that was. Raises ValueError for `$`."""
        if not self.steps:
            raise ValueError("$ is the whole message: it cannot be removed")
        return self._change(tree, lambda _: _GONE)

    def append(self, tree: Any, value: Any) -> tuple[Any, int]:
        """The tree with `value` behind the last element of each list at the path, and how many lists grew."""
        return self._change(tree, lambda node: [*node, value] if isinstance(node, list) else _KEPT)

    def replace(self, tree: Any, change: Callable[[Any], Any]) -> tuple[Any, int]:
        """The tree with `change(value)` for each value at the path, and how many those are."""
        return self._change(tree, change)

    def _change(self, tree: Any, change: Callable[[Any], Any], *, create: bool = False) -> tuple[Any, int]:
        counter = [0]
        return _changed(tree, self.steps, change, create, counter), counter[0]


def parse(text: str, *, deep: bool = False) -> Path:
    """The path that a text says; `deep`: it may have names at any depth. Raises PathError."""
    return Path(text, tuple(_steps(text, deep)))


def together(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The same places; those that are no more than a name at any depth in one walk of the tree."""
    names: set[str] = set()
    others: list[Path] = []
    for path in paths:
        match path.steps:
            case (Deep(names=more),):
                names |= more
            case _:
                others.append(path)
    return (*([Path("$..", (Deep(frozenset(names)),))] if names else []), *others)


def _steps(text: str, deep: bool) -> Iterator[Step]:
    if not text.startswith("$"):
        hint = f"a JSON path begins with $: ${'' if text.startswith('[') else '.'}{text}"
        raise PathError(text, 0, hint if text else "an empty JSON path; $ is the whole message")
    at, count = 1, 0
    step: Step
    while at < len(text):
        if text.startswith("..", at):
            step, end = _deep(text, at, deep)
        else:
            step, end = _dotted(text, at) if text[at] == "." else _bracketed(text, at)
        count += 1
        if count > MAX_STEPS:
            raise PathError(text, at, f"more than {MAX_STEPS} steps")
        yield step
        at = end


def _deep(text: str, at: int, allowed: bool) -> tuple[Deep, int]:
    if not allowed:
        raise PathError(text, at, "`..` (any depth) is for redact and remove alone: name each step")
    step, end = _bracketed(text, at + 2) if text.startswith("[", at + 2) else _dotted(text, at + 1)
    if not isinstance(step, str):
        raise PathError(text, at + 2, "a name stands after `..`")
    return Deep(frozenset({step})), end


def _dotted(text: str, at: int) -> tuple[Step, int]:
    start = at + 1
    if text.startswith("*", start):
        return Each(), start + 1
    found = _NAME.match(text, start)
    if found is not None:
        return found[0], found.end()
    digits = re.compile(r"\d[\w-]*").match(text, start)
    if digits is not None and digits[0].isdigit():
        raise PathError(text, start, f"an element is written [{int(digits[0])}], a name ['{digits[0]}']")
    if digits is not None:
        raise PathError(text, start, f"a name that begins with a digit is quoted: ['{digits[0]}']")
    raise PathError(text, start, "a name is missing after the dot")


def _bracketed(text: str, at: int) -> tuple[Step, int]:
    if text[at] != "[":
        raise PathError(text, at, f"`{text[at]}` cannot stand here: a step is .name, ['name'], [0] or [*]")
    start = at + 1
    if start >= len(text):
        raise PathError(text, at, "the bracket is never closed")
    step: Step
    char = text[start]
    if char in "'\"":
        step, end = _quoted(text, start)
    elif char == "*":
        step, end = Each(), start + 1
    elif char == "?":
        raise PathError(text, start, "filters ([?…]) are not supported")
    else:
        step, end = _index(text, start)
    if text.startswith(",", end):
        raise PathError(text, end, "several in one bracket are not supported: write one path for each")
    if text.startswith(":", end):
        raise PathError(text, end, "slices ([1:3]) are not supported: name one element, or all with [*]")
    if not text.startswith("]", end):
        raise PathError(text, end if end < len(text) else at, "the bracket is never closed")
    return step, end + 1


def _index(text: str, start: int) -> tuple[int, int]:
    if text[start] == ":":
        raise PathError(text, start, "slices ([1:3]) are not supported: name one element, or all with [*]")
    found = _INDEX.match(text, start)
    if found is None:
        name = _NAME.match(text, start)
        if name is not None:
            raise PathError(text, start, f"a name in brackets is quoted: ['{name[0]}']")
        raise PathError(text, start, "a bracket holds a number, a quoted name, or *")
    digits = found[0].removeprefix("-")
    if len(digits) > 15:
        raise PathError(text, start, "no list has so many elements")
    if (digits.startswith("0") and digits != "0") or found[0] == "-0":
        raise PathError(text, start, f"write {int(found[0])}, without zeros before it")
    return int(found[0]), found.end()


def _quoted(text: str, start: int) -> tuple[str, int]:
    quote, at = text[start], start + 1
    out: list[str] = []
    while at < len(text):
        char = text[at]
        if char == quote:
            return _paired(text, start, "".join(out)), at + 1
        if char != "\\":
            out.append(char)
            at += 1
            continue
        escaped = text[at + 1 : at + 2]
        if escaped == "u":
            digits = text[at + 2 : at + 6]
            if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                raise PathError(text, at, "\\u wants four hex digits")
            out.append(chr(int(digits, 16)))
            at += 6
        elif escaped in _ESCAPES:
            out.append(_ESCAPES[escaped])
            at += 2
        else:
            raise PathError(text, at, f"\\{escaped} is no escape; a backslash is written \\\\")
    raise PathError(text, start, "the quoted name is never closed")


def _paired(text: str, start: int, name: str) -> str:
    """The name with the halves of each surrogate pair (`\\ud83d\\ude00`) joined, as JSON has them."""
    try:
        return name.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise PathError(text, start, "half a surrogate pair is no character") from None


def children(node: Any, step: Step) -> Sequence[Any]:
    """What a step of a path leads to from a node of a tree. Not to be changed."""
    if isinstance(step, Each):
        return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    if isinstance(step, Deep):
        return list(_below(node, step.names))
    key = _place(node, step)
    return [] if key is None else [node[key]]


def _below(node: Any, names: frozenset[str]) -> Iterator[Any]:
    """The values of these names at any depth, the outer ones first."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in names)
    for child in children(node, Each()):
        yield from _below(child, names)


def _place(node: Any, step: str | int) -> Any:
    """The key or index by which the step's place is found, or None."""
    if isinstance(node, dict):
        return step if step in node else None
    if isinstance(node, list) and isinstance(step, int):
        at = step + len(node) if step < 0 else step
        return at if 0 <= at < len(node) else None
    return None


def _changed(
    node: Any, steps: tuple[Step, ...], change: Callable[[Any], Any], create: bool, counter: list[int]
) -> Any:
    """The node after the change, or itself where nothing below it changed."""
    if not steps:
        new = change(node)
        if new is _KEPT:
            return node
        counter[0] += 1
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(step, Deep):
        return _changed_below(node, step.names, steps, change, counter)
    places: Sequence[Any]
    if isinstance(step, Each):
        places = _places(node)
    else:
        place = _place(node, step)
        if place is None and create and not rest and isinstance(node, dict) and isinstance(step, str):
            counter[0] += 1
            return {**node, step: change(None)}
        places = () if place is None else (place,)
    return _rebuilt(node, places, lambda _, old: _changed(old, rest, change, create, counter))


def _changed_below(
    node: Any,
    names: frozenset[str],
    steps: tuple[Step, ...],
    change: Callable[[Any], Any],
    counter: list[int],
) -> Any:
    """`_changed` where the first step is `..` with these names. What it changed it does not look into."""
    rest, is_map = steps[1:], isinstance(node, dict)

    def child(place: Any, old: Any) -> Any:
        named = is_map and place in names
        new = _changed(old, rest, change, False, counter) if named else old
        return new if named and not rest else _changed_below(new, names, steps, change, counter)

    return _rebuilt(node, _places(node), child)


def _rebuilt(node: Any, places: Sequence[Any], new_of: Callable[[Any, Any], Any]) -> Any:
    """The node with `new_of(place, value)` at these places, copied where one differs."""
    copy: Any = None
    for place in reversed(places):  # from the end, so that removing moves nothing that is still to come
        old = node[place]
        new = new_of(place, old)
        if new is old:
            continue
        if copy is None:
            copy = node.copy()
        if new is _GONE:
            del copy[place]
        else:
            copy[place] = new
    return node if copy is None else copy


def _places(node: Any) -> Sequence[Any]:
    """The keys of a map, the indexes of a list, else nothing."""
    return list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()


def _shown(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
