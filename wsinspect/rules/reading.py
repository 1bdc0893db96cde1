"""What happens while files are read: problems are collected, so that all of them can be told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsinspect.errors import Problem, did_you_mean
from wsinspect.rules.marked import Node, Pairs, Place, Scalar, kind_of


class Wrong(Exception):
    """What is wrong with a value, and where."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.place = node.place
        self.text = text


class Told(Exception):
    """Something is wrong with a value, and it was said."""


@dataclass(slots=True)
class Reading:
    """One load of one or more files."""

    allow_python: bool = False
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    vars: dict[str, Any] = field(default_factory=dict)
    """Of all files, the later ones first; known before the first rule is read."""
    folder: Path = field(default_factory=Path)
    """Of the file that is read."""
    ids: set[str] = field(default_factory=set)
    """Of all rules, those with mistakes in them too."""
    captured: set[str] = field(default_factory=set)
    """What any rule captures, those with mistakes in them too."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """Rules as they were written, by id."""

    def say(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place.file, place.line, place.column, text))

    def warn(self, place: Place, text: str) -> None:
        self.warnings.append(Problem(place.file, place.line, place.column, text))

    def wrong(self, error: Wrong) -> None:
        self.say(error.place, error.text)

    def entries(
        self,
        node: Node,
        what: str,
        known: Iterable[str] | None = None,
        hints: Mapping[str, str] | None = None,
    ) -> dict[str, tuple[Scalar, Node]]:
        """A mapping's keys and values; double and unknown keys are told, and left out.

        `known`: the only keys that may stand here. `hints`: what to say of some that may not.
        Raises Wrong where the node is no mapping.
        """
        if not isinstance(node, Pairs):
            wanted = f"{what} is a mapping (name: value)" if what else "a mapping (name: value) is wanted"
            raise Wrong(node, f"{wanted}, not {kind_of(node)}")
        names = None if known is None else list(known)
        found: dict[str, tuple[Scalar, Node]] = {}
        for key, value in node.pairs:
            if key.text in found:
                first = found[key.text][0].place
                self.say(key.place, f"{key.text} stands here a second time (first on line {first.line})")
            elif names is not None and key.text not in names:
                hint = (hints or {}).get(key.text) or _unknown_hint(key.text, names)
                self.say(key.place, f"{what} has no {key.text!r}{hint}")
            else:
                found[key.text] = (key, value)
        return found


def _unknown_hint(word: str, names: list[str]) -> str:
    name, colon, rest = word.partition(":")
    if colon and name in names and rest:
        return f"; a blank belongs behind the colon: {name}: {rest}"
    near = did_you_mean(word, names)
    if near or len(names) > 24:
        return near
    return f"; it can have {', '.join(names)}"
