"""How often rules should have acted: `rule=3`, `rule>=1`, or a YAML file `{rule: 3, other: ">=1"}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsinspect.errors import BadRules, UsageError, did_you_mean
from wsinspect.rules import units, values_tests
from wsinspect.rules.actions import words
from wsinspect.rules.loader import load_file
from wsinspect.rules.predicates import Predicate, Within
from wsinspect.rules.reading import Reading, Told, Wrong

_WORD = re.compile(r"([A-Za-z0-9_][\w.-]*)\s*(>=|<=|==|=|>|<)\s*(.+)", re.ASCII)


def read_expectations(given: Iterable[str], ids: Sequence[str]) -> dict[str, Predicate]:
    """The expectations by rule; each word is one, or a file of them. Raises UsageError, BadRules."""
    found: dict[str, Predicate] = {}
    for each in given:
        match = _WORD.fullmatch(each)
        if match is not None and not Path(each).exists():
            if match[1] not in ids:
                raise UsageError(f"--expect {each}: {_unknown(match[1], ids)}")
            found |= {match[1]: _of_word(each, match[2], match[3])}
        else:
            found |= _of_file(Path(each), ids)
    return found


def _of_word(word: str, sign: str, count: str) -> Predicate:
    try:
        text = count if sign in ("=", "==") else f"{sign}{count}"
        return Within(units.bounds(text, units.whole), words.number)
    except ValueError as error:
        raise UsageError(f"--expect {word}: {error}") from None


def _unknown(rule: str, ids: Sequence[str]) -> str:
    return f"there is no rule {rule!r}{did_you_mean(rule, ids)}"


def _of_file(path: Path, ids: Sequence[str]) -> dict[str, Predicate]:
    if not path.exists():
        raise UsageError(f"--expect {path}: neither a file nor an expectation such as rule=3")
    node, problems = load_file(path)
    reading = Reading(problems=list(problems))
    found: dict[str, Predicate] = {}
    try:
        entries = {} if node is None else reading.entries(node, "a file of expectations")
    except Wrong as error:
        reading.wrong(error)
        entries = {}
    for rule, (key, value) in entries.items():
        if rule not in ids:
            reading.say(key.place, _unknown(rule, ids))
        try:
            found[rule] = values_tests.number_test(reading, value, values_tests.NUMBER)
        except Wrong as error:
            reading.wrong(error)
        except Told:
            pass
    if reading.problems:
        raise BadRules(sorted(reading.problems))
    return found


def missed(expected: Mapping[str, Predicate], counts: Mapping[str, int]) -> list[str]:
    """A sentence for each rule that acted more or less often than expected."""
    nobody: object = None
    return [
        f"{rule} acted {words.times(counts.get(rule, 0)) if counts.get(rule) else 'never'}, "
        f"{test.explain().removeprefix('is ')} was expected"
        for rule, test in expected.items()
        if not test.holds(counts.get(rule, 0), nobody)  # type: ignore[arg-type]
    ]
