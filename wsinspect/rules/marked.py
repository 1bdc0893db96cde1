"""YAML as it was written: each value with its place, no scalar resolved. `loader.py` makes it.

What a scalar means depends on the field that it stands in (`scalars.py`): a header value `no` is a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    place: Place
    text: str
    style: str = ""
    """`'`, `"`, `|` or `>`; empty where it stands plain."""

    @property
    def plain(self) -> bool:
        return not self.style

    @property
    def empty(self) -> bool:
        """Nothing was written."""
        return self.plain and not self.text


@dataclass(frozen=True, slots=True)
class Items:
    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    place: Place
    pairs: tuple[tuple[Scalar, Node], ...]
    """In the order of the file; a key may come twice."""


type Node = Scalar | Items | Pairs


def kind_of(node: Node) -> str:
    """The node in a few words, for the end of a sentence."""
    match node:
        case Scalar() if node.empty:
            return "nothing"
        case Scalar():
            shown = node.text if len(node.text) <= 40 else node.text[:39] + "…"
            return f"the text {shown!r}" if node.style else f"{shown!r}"
        case Items():
            return "a list"
        case Pairs():
            return "a mapping"


def keys_of(node: Node) -> tuple[Scalar, ...]:
    """The names of a mapping; none of anything else."""
    return tuple(key for key, _ in node.pairs) if isinstance(node, Pairs) else ()


def scalars_in(node: Node, *, names: bool = True) -> Iterator[Scalar]:
    """All texts of the node, with the names of its mappings or without, in the order of the file."""
    match node:
        case Scalar():
            yield node
        case Items(items=items):
            for item in items:
                yield from scalars_in(item, names=names)
        case Pairs(pairs=pairs):
            for key, value in pairs:
                if names:
                    yield key
                yield from scalars_in(value, names=names)


def written(node: Node) -> str:
    """The same text for what means the same, whatever its place, comments and anchors: a fingerprint."""
    match node:
        case Scalar(text=text):
            return f"{'t' if node.style else 'p'}{len(text)}:{text}"
        case Items(items=items):
            return f"[{' '.join(map(written, items))}]"
        case Pairs(pairs=pairs):
            return f"{{{' '.join(written(key) + written(value) for key, value in pairs)}}}"
