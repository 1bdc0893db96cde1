"""The reference of the language as Markdown, from the same declarations that loading goes by.

`docs/rules.md` ends with it; `python -m wsinspect.rules.reference docs/rules.md` renews it there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsinspect.rules.actions import ACTIONS, Action, On
from wsinspect.rules.conditions import GROUPS, Condition
from wsinspect.rules.fields import REQUIRED, Field, Type
from wsinspect.rules.inner_fields import (
    ANSWER_FIELDS,
    CLOSE_FIELDS,
    EXPECT_FIELDS,
    HANDSHAKE_FIELDS,
    MESSAGE_FIELDS,
    SENT_FIELDS,
    TEST_FIELDS,
)
from wsinspect.rules.rule import RULE_FIELDS
from wsinspect.rules.rule_reading import FILE_FIELDS
from wsinspect.rules.template import BUILTINS, FILTERS
from wsinspect.rules.values_tests import (
    JSON_OPERATORS,
    NUMBER_OPERATORS,
    OPERATOR_DOCS,
    TEXT_OPERATORS,
)

MARKER = "<!-- generated from the declarations in wsinspect/rules/ by wsinspect/rules/reference.py -->"

_TYPE_NOTES = {
    Type.DURATION: "`200ms`, `1.5s`, `2m`, `1m30s`, or a number of milliseconds",
    Type.DURATION_RANGE: "`200ms`, or a range `100ms..300ms`",
    Type.SIZE: "`64`, `4KiB` (1,024), `1MB` (1,000,000)",
    Type.SIZES: "a size, or a list of sizes",
    Type.RATE: "`64KB/s`, `1Mbit/s`, or a number of KB/s",
    Type.CHANCE: "`0.5` or `50%`",
    Type.REGEX: "an RE2 pattern",
    Type.REGEXES: "an RE2 pattern, or a list",
    Type.TEMPLATE: "text with `{{…}}`",
    Type.TEMPLATES: "text with `{{…}}`, or a list",
    Type.JSON: "any value, its texts with `{{…}}`",
    Type.PATH_VALUES: "`{$.path: value, …}`",
    Type.HEADERS: "`{Name: text, …}`",
    Type.TEXT_TEST: "[test of a text](#tests-of-values)",
    Type.FOLDED_TEST: "[test of a text](#tests-of-values), whatever its case",
    Type.NUMBER_TEST: "[test of a number](#tests-of-values)",
    Type.SIZE_TEST: "[test of a size](#tests-of-values)",
    Type.DURATION_TEST: "[test of a duration](#tests-of-values)",
    Type.DELAY_TEST: "a duration, or a [test](#tests-of-values) of one",
    Type.JSON_TESTS: "`{$.path: test, …}`",
    Type.NAMED_TESTS: "`{name: test, …}`",
    Type.HEADER_TESTS: "`{Name: test, …}`",
    Type.CAPTURED_TESTS: "`{name: test, …}`",
    Type.QUERY_TEST: "`{parameter: test, …}`, or a test",
    Type.COUNTERS: "`{rule: test, …}`",
    Type.CAPTURES: "`{name: $.path}`, or `{name: {header: …}}` with json, regex, header, cookie or query",
    Type.VARS: "`{name: value, …}`",
    Type.TEXT_VALUES: "`{name: text, …}`",
    Type.ACTIONS: "[actions](#actions)",
    Type.CONDITION: "[conditions](#conditions)",
    Type.CONDITIONS: "a list of [conditions](#conditions)",
    Type.RULES: "[rules](#a-rule)",
    Type.TESTS: "[tests](#tests)",
}

_ON_WORDS = (
    (On.DATA, "messages"),
    (On.CONTROL, "control frames"),
    (On.OPEN, "the opening"),
    (On.REQUEST, "the handshake's request"),
    (On.RESPONSE, "its answer"),
)


def reference() -> str:
    """The whole of it, from `## Reference` on."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield from ("## Reference", "", MARKER, "")
    yield from ("### A file", "", *_table(FILE_FIELDS), "")
    yield from ("### A rule", "", *_table(RULE_FIELDS), "")
    yield from _conditions()
    yield from _tests_of_values()
    yield from _actions()
    yield from _templates()
    yield from _inner_tests()


def _conditions() -> Iterator[str]:
    yield from (
        "### Conditions",
        "",
        "Every key of `when` must hold. What looks at the connection is answered once, before its first "
        "message.",
        "",
    )
    for title, kinds in GROUPS.items():
        yield from (f"#### {title}", "", "| condition | value | | example |", "|---|---|---|---|")
        yield from (_condition(kind) for kind in kinds)
        yield ""


def _condition(kind: type[Condition]) -> str:
    field = kind.field
    return _row(f"`{field.name}`", _value(field), field.doc, f"`{kind.example}`")


def _tests_of_values() -> Iterator[str]:
    yield from (
        "### Tests of values",
        "",
        "A bare value is enough: a text is compared as a whole, or is a glob where it has `*` or `?`; a "
        'number, size or duration is a comparison (`">1000"`, in quotes), a range (`10..20`, both ends '
        "included) or the value itself. A list means any of them. Else a mapping of operators, all of which "
        "must hold:",
        "",
        "| operator | of texts | of numbers | in `json` | |",
        "|---|---|---|---|---|",
    )
    for name, doc in OPERATOR_DOCS.items():
        marks = ("yes" if name in each else "" for each in (TEXT_OPERATORS, NUMBER_OPERATORS, JSON_OPERATORS))
        yield _row(f"`{name}`", *marks, doc)
    yield ""


def _actions() -> Iterator[str]:
    yield from ("### Actions", "")
    for word, kind in ACTIONS.items():
        yield from (f"#### {word}", "", kind.doc, "", *_action_notes(kind), "")
        if kind.example:
            yield from ("```yaml", f"- {kind.example}".replace("\n", "\n  "), "```", "")
        if kind.fields:
            yield from (*_table(kind.fields), "")


def _action_notes(kind: type[Action]) -> Iterator[str]:
    notes = [f"Acts on {_listed(name for on, name in _ON_WORDS if on in kind.on)}."]
    if kind.short and not kind.whole:
        notes.append(f"A value alone is `{kind.short}`.")
    if kind.once:
        notes.append("Where `when` looks at the connection alone, it acts when that opens.")
    if kind.terminal:
        notes.append("Nothing can follow it in `then`.")
    if kind.needs_python:
        notes.append("Only with `--allow-python`.")
    yield " ".join(notes)


def _templates() -> Iterator[str]:
    yield from (
        "### Templates",
        "",
        "`{{name}}` in a text stands for a value of `vars`, one that was captured, or one of these; "
        "`{{name.a[0]}}` for a place in it; `{{$.a.b}}` for a place in the decoded message. Filters follow "
        f"behind a bar, as in `{{{{$.a|json}}}}`: {', '.join(f'`{name}`' for name in FILTERS)}. Two braces "
        "are written `{{'{{'}}`.",
        "",
        "Where a message lacks that place, or a captured value is not there yet, a condition does not hold; "
        "an action fails, and its rule is off for that connection from there on. There is no default, so let "
        "`when` ask for what `then` uses: `json: {$.a.b: {exists: true}}` or "
        "`captured: {name: {exists: true}}`.",
        "",
        "| name | |",
        "|---|---|",
    )
    yield from (_row(f"`{name}`", doc) for name, doc in BUILTINS.items())
    yield ""


def _inner_tests() -> Iterator[str]:
    yield from (
        "### Tests",
        "",
        "Each test is a connection with a clock of its own, and runs against the rules of its file: "
        "`wsinspect rules check --run-tests`.",
        "",
    )
    for title, fields in (
        ("A test", TEST_FIELDS),
        ("A message of a test", MESSAGE_FIELDS),
        ("What is expected of a message", EXPECT_FIELDS),
        ("What is expected of a handshake", HANDSHAKE_FIELDS),
        ("`answer`", ANSWER_FIELDS),
        ("`sent`, each", SENT_FIELDS),
        ("`close` and `closes`, where a code is not enough", CLOSE_FIELDS),
    ):
        yield from (f"#### {title}", "", *_table(fields), "")


# ------------------------------------------------------------------------------------------ Markdown


def _table(fields: Iterable[Field]) -> Iterator[str]:
    yield from ("| key | value | |", "|---|---|---|")
    for field in fields:
        yield _row(f"`{field.name}`", _value(field), f"{field.doc}{_default(field)}")


def _value(field: Field) -> str:
    if field.type is Type.WORD:
        return ", ".join(f"`{word}`" for word in field.words)
    if field.type is Type.KINDS:
        return ", ".join(f"`{word}`" for word in field.words) + "; or a list"
    return _TYPE_NOTES.get(field.type) or str(field.type.value)


def _default(field: Field) -> str:
    match field.default:
        case _ if field.default is REQUIRED:
            return " Required."
        case bool():
            return f" Without it {'true' if field.default else 'false'}."
        case int() | float():
            return f" Without it {field.default:g}."
        case str() if field.default:
            return f" Without it {field.default}."
        case _:
            return ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def renewed(page: str) -> str:
    """The page with its reference as it is now; it stands at the end."""
    return page.partition("## Reference\n")[0] + reference()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text()))
