"""`rules check` and `rules explain`: files in, sentences out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from wsinspect.cli.narration import say
from wsinspect.decode.printable import clean
from wsinspect.decode.registry import decoder_of
from wsinspect.errors import BadRules, Problem
from wsinspect.formats.ndjson import dump
from wsinspect.rules.actions import words
from wsinspect.rules.inner_tests import run_tests
from wsinspect.rules.loading import load_rules
from wsinspect.rules.ruleset import RuleSet


def check(files: Sequence[Path], allow_python: bool, tests: bool, style: str) -> int:
    """Each mistake on stderr as `file:line:column: what`, or as JSON on stdout.

    The exit code: 2 for mistakes, 1 where a test fails.
    """
    try:
        ruleset = load_rules(files, allow_python=allow_python)
    except BadRules as error:
        _tell(error.problems, "error", style)
        if style == "text":
            names = {each.file for each in error.problems}
            say(f"{words.plural(len(error.problems), 'mistake')} in {words.plural(len(names), 'file')}")
        return error.exit_code
    _tell(ruleset.warnings, "warning", style)
    failed = _run(ruleset, style) if tests else 0
    if style == "text":
        rules = words.plural(len(ruleset.rules), "rule")
        print(f"{rules} in {words.plural(len(ruleset.files), 'file')}, and nothing wrong with them")
        if tests:
            count = len(ruleset.tests)
            print(f"{words.plural(count, 'test')}: {count - failed} passed, {failed} failed")
    return 1 if failed else 0


def _run(ruleset: RuleSet, style: str) -> int:
    """How many tests failed."""
    failed = 0
    for ran in run_tests(ruleset, decoder_of):
        failed += bool(ran.problems)
        _tell(ran.problems, "test", style)
    return failed


def _tell(problems: Iterable[Problem], level: str, style: str) -> None:
    for each in problems:
        if style == "json":
            line = {
                "level": level,
                "file": each.file,
                "line": each.line,
                "column": each.column,
                "text": each.text,
            }
            print(dump(line))
        else:
            note = "warning: " if level == "warning" else ""
            place = str(each).removesuffix(each.text)
            print(clean(f"{place}{note}{each.text}"), file=sys.stderr)


def explain(files: Sequence[Path], allow_python: bool, style: str) -> int:
    """Each rule in a sentence. Raises BadRules."""
    ruleset = load_rules(files, allow_python=allow_python)
    for rule in ruleset.rules:
        if style == "json":
            line = {
                "id": rule.id,
                "file": rule.place.file,
                "line": rule.place.line,
                "enabled": rule.enabled,
                "description": rule.description,
                "explain": rule.explain(),
            }
            print(dump(line))
        else:
            print(clean(f"{rule.id}{'' if rule.enabled else ' (off)'}: {rule.explain()}"))
    return 0
