"""What happens while files are read: problems are collected, so that all of them can be told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsinspect.errors import Problem
from wsinspect.rules.marked import Items, Node, Pairs, Place, Scalar, keys_of, kind_of, scalars_in
from wsinspect.rules.template import Expression


class Wrong(Exception):
    """What is wrong with a value, and where."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.place = node.place
        self.text = text


class Told(Exception):
    """Something is wrong with a value, and it was said."""

    def __init__(self, partial: Any = None) -> None:
        """`partial`: what of a mapping is right."""
        super().__init__()
        self.partial = partial


@dataclass(slots=True)
class Defined:
    """The names that one file defines, or several do; found by `names.defined_by`."""

    rules: list[Scalar] = field(default_factory=list)
    """Their ids, in order; one may come twice."""
    ids: set[str] = field(default_factory=set)
    captured: set[str] = field(default_factory=set)
    vars: set[str] = field(default_factory=set)
    ids_unclear: bool = False
    """There may be rules of other names: something could not be made out, as is told."""
    values_unclear: bool = False
    """As much of variables and captured values."""

    def add(self, other: Defined) -> None:
        self.rules += other.rules
        self.ids |= other.ids
        self.captured |= other.captured
        self.vars |= other.vars
        self.ids_unclear |= other.ids_unclear
        self.values_unclear |= other.values_unclear


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
    defined: Defined = field(default_factory=Defined)
    """By all files."""
    own: Defined = field(default_factory=Defined)
    """By the file that is read."""
    asked: list[tuple[Place, Expression]] = field(default_factory=list)
    """The `{{…}}` of all rules, those with mistakes in them too."""
    captured_asked: list[Scalar] = field(default_factory=list)
    """The names under `captured`."""
    rules_asked: list[Scalar] = field(default_factory=list)
    """The names under `counter`."""

    def ask(self, node: Node, expressions: Iterable[Expression]) -> None:
        """These stand in the node, or in a file that it names."""
        for each in expressions:
            texts = (one for one in scalars_in(node) if "{{" in one.text and each.source in one.text)
            self.asked.append((next(texts, node).place, each))

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
            hint = "; a list of rules stands under rules:" if what == "a rule file" else ""
            raise Wrong(node, f"{wanted}, not {kind_of(node)}{hint if isinstance(node, Items) else ''}")
        names = None if known is None else list(known)
        there = {key.text for key, _ in node.pairs}
        found: dict[str, tuple[Scalar, Node]] = {}
        for key, value in node.pairs:
            if key.text in found:
                first = found[key.text][0].place
                self.say(key.place, f"{key.text} stands here a second time (first on line {first.line})")
            elif names is not None and key.text not in names:
                hint = (hints or {}).get(key.text) or _unknown_hint(key.text, names, there)
                self.say(key.place, f"{what} has no {key.text!r}{hint}")
            else:
                found[key.text] = (key, value)
        return found


def _unknown_hint(word: str, names: list[str], there: Collection[str]) -> str:
    """`there`: the keys that stand beside it, which it is not likely to mean."""
    name, colon, rest = word.partition(":")
    if colon and name in names and rest:
        return f"; a blank belongs behind the colon: {name}: {rest}"
    if not names:
        return ": it takes nothing"
    longer = next((each for each in names if word in re.split("[-_]", each) and each not in there), None)
    near = longer or _nearest(word, names, there)
    near = f"; did you mean {near}?" if near else ""
    if near or len(names) > 24:
        return near
    return f"; it can have {', '.join(names)}"


def _nearest(word: str, names: Iterable[str], there: Collection[str]) -> str:
    """As `did_you_mean`; of two that are as near, the one that is not there yet."""
    close = difflib.get_close_matches(word, names, 3, cutoff=0.5)
    likely = {each: difflib.SequenceMatcher(None, each, word).ratio() for each in close}
    return max(close, key=lambda each: likely[each] + (0 if each in there else 0.05), default="")


def meanings(node: Node, known: Collection[str], hints: Mapping[str, str] | None = None) -> list[str]:
    """Of each key the known one that it is, or that `Reading.entries` says it should be; empty: none."""
    keys = [key.text for key in keys_of(node)]
    return [key if key in known else _meant(key, known, hints or {}, keys) for key in keys]


def _meant(key: str, known: Collection[str], hints: Mapping[str, str], there: Collection[str]) -> str:
    said = hints.get(key) or _unknown_hint(key, list(known), there)
    name = said.removeprefix("; did you mean ").removeprefix("; write ").removesuffix("?").partition(":")[0]
    return name if name in known else ""
