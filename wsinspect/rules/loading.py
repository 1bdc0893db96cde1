"""Files to a `RuleSet`: read, checked together, all mistakes of all of them told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsinspect.errors import BadRules, Problem
from wsinspect.rules import checks, values
from wsinspect.rules.inner_reading import InnerTest, read_tests
from wsinspect.rules.loader import compose, files_of, load_file
from wsinspect.rules.marked import Items, Node, Place, Scalar, kind_of, scalars_in
from wsinspect.rules.names import defined_by, unclear
from wsinspect.rules.reading import Reading, Told, Wrong
from wsinspect.rules.rule import Rule
from wsinspect.rules.rule_reading import FILE_FIELDS, MAX_RULES, read_rule
from wsinspect.rules.ruleset import RuleFile, RuleSet

MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """One file, as it was composed."""

    name: str
    folder: Path
    root: Node | None
    problems: Sequence[Problem]


def load_rules(paths: Iterable[Path], *, allow_python: bool = False) -> RuleSet:
    """The rules of files and folders (`*.yaml`, `*.yml`, sorted), merged in order.

    Raises BadRules with every mistake in any of them, each with its place.
    """
    wanted = tuple(paths)
    files, problems = files_of(wanted)
    sources = [Source(str(file), file.parent, *load_file(file)) for file in files]
    return _set(sources, problems, allow_python, wanted)


def load_text(
    text: str, *, name: str = "rules.yaml", folder: Path | None = None, allow_python: bool = False
) -> RuleSet:
    """The rules of one text, as if a file of that name in that folder held it. Raises BadRules."""
    return _set([Source(name, folder or Path(), *compose(name, text))], [], allow_python, ())


def _set(
    sources: Sequence[Source], problems: Sequence[Problem], allow_python: bool, paths: tuple[Path, ...]
) -> RuleSet:
    reading = Reading(allow_python, list(problems))
    defined = [unclear() if source.problems else defined_by(source.root) for source in sources]
    for each in [*defined, *([unclear()] if problems else [])]:
        reading.defined.add(each)
    entries = [_entries(reading, source) for source in sources]
    seeds = [
        _head(reading, source, found) for source, found in zip(sources, entries, strict=True)
    ]  # vars first: rules of any file may use them
    rules: list[Rule] = []
    tests: list[InnerTest] = []
    for number, (source, found) in enumerate(zip(sources, entries, strict=True)):
        reading.folder, reading.own = source.folder, defined[number]
        rules += _rules(reading, found, number)
        if "tests" in found:
            tests += read_tests(reading, found["tests"][1], number)
    checks.check(reading, rules)
    if reading.problems:
        raise BadRules(_in_order(reading.problems, sources))
    return RuleSet(
        rules=tuple(rules),
        files=tuple(RuleFile(source.name, seed) for source, seed in zip(sources, seeds, strict=True)),
        vars=reading.vars,
        seed=next((seed for seed in reversed(seeds) if seed is not None), None),
        paths=paths,
        tests=tuple(tests),
        warnings=tuple(_in_order(reading.warnings, sources)),
    )


def _in_order(problems: Sequence[Problem], sources: Sequence[Source]) -> list[Problem]:
    """By file, as they were named, then by place; none twice (an alias repeats its mistakes)."""
    rank = {source.name: number for number, source in enumerate(sources)}
    found = sorted(
        dict.fromkeys(problems), key=lambda each: (rank.get(each.file, -1), each.line, each.column)
    )
    return found[:MAX_PROBLEMS]


type Entries = Mapping[str, tuple[Scalar, Node]]


def _entries(reading: Reading, source: Source) -> Entries:
    reading.problems += source.problems
    if source.root is None:
        if not source.problems:
            reading.say(Place(source.name, 1, 1), "holds nothing: it begins with version: 1")
        return {}
    try:
        names = [each.name for each in FILE_FIELDS]
        found = reading.entries(source.root, "a rule file", names)
    except Wrong as error:
        reading.wrong(error)
        return {}
    if "version" not in found:
        reading.say(source.root.place, "version: 1 is missing")
    return found


def _head(reading: Reading, source: Source, found: Entries) -> int | None:
    """All but rules and tests; the seed."""
    seed: Any = None
    reading.folder = source.folder
    for field in FILE_FIELDS:
        if field.name not in found or field.name in ("rules", "tests"):
            continue
        try:
            value = values.read(reading, found[field.name][1], field)
        except Wrong as error:
            quoted = isinstance(node := found[field.name][1], Scalar) and node.style
            text = error.text
            if field.name == "version" and not quoted:
                text = "this wsinspect knows version 1"
            reading.say(error.place, f"{field.name}: {text}")
            continue
        except Told as error:
            value = error.partial
        if field.name == "vars":
            reading.vars |= value
            _warn_of_templates(reading, found[field.name][1])
        elif field.name == "seed":
            seed = value
    return seed if isinstance(seed, int) else None


def _warn_of_templates(reading: Reading, node: Node) -> None:
    """`{{…}}` in a variable stays as it is, since a variable is known before any message comes."""
    for scalar in scalars_in(node):
        if "{{" in scalar.text:
            reading.warn(scalar.place, "{{…}} is not filled in here: `vars` holds plain values")


def _rules(reading: Reading, found: Entries, number: int) -> list[Rule]:
    if "rules" not in found:
        return []
    node = found["rules"][1]
    if isinstance(node, Scalar) and node.empty:
        return []
    if not isinstance(node, Items):
        reading.say(node.place, f"rules: a list is wanted (- id: …), not {kind_of(node)}")
        return []
    if len(node.items) > MAX_RULES:
        reading.say(node.place, f"more than {MAX_RULES:,} rules")
        return []
    made = (read_rule(reading, each, number) for each in node.items)
    return [rule for rule in made if rule is not None]
