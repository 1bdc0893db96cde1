"""Conditions, read: `when` and all that has the form of it, with the tests of values in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from wsinspect.errors import did_you_mean
from wsinspect.rules import captures, jsonpath, values
from wsinspect.rules.actions import ACTIONS, words
from wsinspect.rules.conditions import CONDITIONS, After, All, Condition, Earlier
from wsinspect.rules.conditions.connection import Static, static_expressions
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.marked import Items, Node, Pairs, Scalar, keys_of, kind_of
from wsinspect.rules.predicates import AllOf, ContainsTemplate, EqualsTemplate, OneOf, Predicate
from wsinspect.rules.reading import Reading, Told, Wrong
from wsinspect.rules.rule import RULE_FIELDS
from wsinspect.rules.template import Expression, Template
from wsinspect.rules.units import duration_ms
from wsinspect.rules.values_tests import (
    ANY_TEXT,
    DURATION,
    NUMBER,
    SIZE,
    Texts,
    bytes_test,
    json_test,
    number_test,
    text_test,
)

_HINTS = {
    **{
        name: f"; it tests a text: write text: {{{name}: …}}"
        for name in ("equals", "contains", "glob", "regex", "in")
    },
    "direction": "; write from: client or from: server",
    "side": "; write from: client or from: server",
    "type": "; write kind, or json: {$.type: …}",
    "opcode": "; write kind: text, binary, ping, pong or close",
    "on": "; write kind",
    "or": "; write any: [{…}, {…}]",
    "and": "; write all: [{…}, {…}]",
    "payload": "; write text, bytes or json",
    "origin": "; write header: {Origin: …}",
    "subprotocols": "; write subprotocol",
    "method": "; write message-kind, or json: {$.method: …}",
}


@functools.cache
def _hints() -> Mapping[str, str]:
    """What to say of keys that are no conditions."""
    beside = {each.name: f"; `{each.name}` stands beside `when`, not in it" for each in RULE_FIELDS}
    actions = {name: f"; it belongs under then: [{name}: …]" for name in ACTIONS}
    return {**actions, **beside, **_HINTS}


def read(reading: Reading, node: Node, field: Field) -> Any:
    """The value of a field of one of the types that conditions have. Raises Wrong or Told."""
    match field.type:
        case Type.CONDITION:
            return condition(reading, node)
        case Type.CONDITIONS:
            return conditions(reading, node)
        case Type.AFTER:
            return _earlier(reading, node)
        case Type.TEXT_TEST:
            return text_test(reading, node, Texts(form=field.form))
        case Type.FOLDED_TEST:
            return text_test(reading, node, Texts(fold=True, form=field.form))
        case Type.NUMBER_TEST:
            return number_test(reading, node, replace(NUMBER, low=field.low, high=field.high))
        case Type.SIZE_TEST:
            return number_test(reading, node, SIZE)
        case Type.DURATION_TEST:
            return number_test(reading, node, DURATION, exact=False)
        case Type.DELAY_TEST:
            return number_test(reading, node, DURATION)
        case Type.BYTES_TEST:
            return bytes_test(reading, node)
        case Type.NAMED_TESTS:
            return values.mapping(reading, node, str, lambda each: text_test(reading, each))
        case Type.HEADER_TESTS:
            return values.mapping(reading, node, _small_header_name, lambda each: text_test(reading, each))
        case Type.QUERY_TEST:
            if isinstance(node, Pairs) and not any(key.text in _QUERY_OPERATORS for key, _ in node.pairs):
                return values.mapping(reading, node, str, lambda each: text_test(reading, each))
            return text_test(reading, node, Texts(form=field.form))
        case Type.JSON_TESTS:
            return values.mapping(reading, node, jsonpath.parse, lambda each: json_test(reading, each))
        case Type.CAPTURED_TESTS:
            reading.captured_asked += keys_of(node)
            return values.mapping(reading, node, str, lambda each: json_test(reading, each))
        case Type.COUNTERS:
            reading.rules_asked += keys_of(node)
            return values.mapping(reading, node, str, lambda each: number_test(reading, each, NUMBER))
        case Type.KINDS:
            kinds = {each: each for each in field.words}
            return values.any_of(reading, node, lambda each: values.word(each, kinds))
        case Type.ADDRESSES:
            return values.any_of(reading, node, values.address)
        case Type.CAPTURES:
            return values.mapping(reading, node, values.name, lambda each: _source(reading, each))
        case _:
            raise AssertionError(f"{field.type} is no type of conditions")


_QUERY_OPERATORS = ("equals", "contains", "glob", "regex")


def _small_header_name(name: str) -> str:
    words.check_header_names([name])
    return name.lower()


# ------------------------------------------------------------------------------------------ conditions


def condition(reading: Reading, node: Node) -> Condition:
    """A mapping all of whose keys must hold."""
    told = len(reading.problems)
    if not isinstance(node, Pairs):
        hint = "; a list stands under any: […] or all: […]" if isinstance(node, Items) else ""
        raise Wrong(node, f"conditions are wanted here, such as {{kind: text}}, not {kind_of(node)}{hint}")
    return _of_entries(reading, reading.entries(node, "`when`", CONDITIONS, _hints()), told)


def _of_entries(reading: Reading, entries: Mapping[str, tuple[Scalar, Node]], told: int) -> Condition:
    """`told`: how many problems there were before the mapping; a mapping with any gives no condition."""
    found: list[Condition] = []
    for name, (key, value) in entries.items():
        try:
            found.append(_one(reading, CONDITIONS[name], key, value))
        except Wrong as error:
            reading.wrong(error)
        except Told:
            pass
    if len(reading.problems) > told or len(found) < len(entries):
        raise Told(All(found))
    return found[0] if len(found) == 1 else All(found)


def _one(reading: Reading, kind: type[Condition], key: Scalar, value: Node) -> Condition:
    if kind is After and not isinstance(value, Pairs):
        hint = ", such as {from: client, within: 5s}"
        if isinstance(value, Scalar) and value.text.isdecimal():
            hint = "; `after: N` skips matches, and stands beside `when`"
        raise Wrong(value, f"`after` here takes conditions{hint}")
    asked = len(reading.asked)
    try:
        made = kind(values.read(reading, value, kind.field))
        if isinstance(made, Static):
            _fold_static(reading, made, value)
    except Wrong as error:
        error.text = f"{key.text}: {error.text}"
        raise
    finally:
        if issubclass(kind, Static):
            del reading.asked[asked:]  # they are filled in already, or it is told that they cannot be
    if reason := made.unlikely():
        reading.warn(value.place, f"{key.text}: {reason}")
    return made


def conditions(reading: Reading, node: Node) -> tuple[Condition, ...]:
    """A list of mappings; it may not be empty."""
    if not isinstance(node, Items):
        raise Wrong(node, f"a list of conditions is wanted ([{{…}}, {{…}}]), not {kind_of(node)}")
    if not node.items:
        raise Wrong(node, "an empty list of conditions")
    return values.each_of(reading, node.items, lambda each: condition(reading, each))


def _earlier(reading: Reading, node: Node) -> Earlier:
    told = len(reading.problems)
    entries = reading.entries(node, "`after`", [*CONDITIONS, "within"], _hints())
    within = entries.pop("within", None)
    limit: float | None = None
    try:
        limit = None if within is None else values.of_text(within[1], duration_ms)
    except Wrong as error:
        reading.say(error.place, f"within: {error.text}")
    if not entries and len(reading.problems) == told:
        raise Wrong(node, "conditions are wanted that an earlier message met")
    made = _of_entries(reading, entries, told)
    if any(isinstance(each, After) for each in made.walk()):
        raise Wrong(
            node, "one `after` within another is not supported: capture something from the first message"
        )
    return Earlier(made, limit)


# --------------------------------------------------------------------------- vars in static conditions


def _fold_static(reading: Reading, made: Static, node: Node) -> None:
    """Fill in what stands in conditions on the connection: `vars` alone are known before it is there."""
    expressions = list(static_expressions(made))
    for each in expressions:
        wrong = each.name in reading.defined.vars or reading.defined.values_unclear
        if each.name and each.name not in reading.vars and wrong:
            raise Told  # of the variable
        if each.name not in reading.vars or each.filters:
            hint = did_you_mean(each.name, reading.vars) if each.name else ""
            raise Wrong(
                node, f"{{{{{each.source}}}}}: only `vars` are known before a connection is there{hint}"
            )
    if not expressions:
        return
    if isinstance(made.value, Predicate):
        texts = Texts(made.field.type is Type.FOLDED_TEST, made.field.form)
        made.value = _folded(made.value, reading.vars, node, texts)
    else:
        made.value = {name: _folded(test, reading.vars, node) for name, test in made.value.items()}


def _folded(test: Predicate, known: Mapping[str, Any], node: Node, texts: Texts = ANY_TEXT) -> Predicate:
    try:
        match test:
            case EqualsTemplate(template=template):
                return texts.exactly(_filled(template, known, node))
            case ContainsTemplate(template=template):
                return texts.containing(_filled(template, known, node))
            case OneOf(predicates=tests):
                return OneOf(_folded(each, known, node, texts) for each in tests)
            case AllOf(predicates=tests):
                return AllOf(_folded(each, known, node, texts) for each in tests)
            case _:
                return test
    except ValueError as error:
        raise Wrong(node, str(error)) from None


def _filled(template: Template, known: Mapping[str, Any], node: Node) -> str:
    from wsinspect.rules.template import as_text

    out: list[str] = []
    for part in template.parts:
        if isinstance(part, Expression):
            found = part.path.find(known[part.name])
            if not found:
                raise Wrong(node, f"{{{{{part.source}}}}}: there is no such place in {part.name}")
            out.append(as_text(found[0]))
        else:
            out.append(part)
    return "".join(out)


# -------------------------------------------------------------------------------------------- captures

_SOURCES: Mapping[str, Callable[[str], captures.Source]] = {
    "json": lambda text: captures.FromTree(jsonpath.parse(text)),
    "regex": captures.FromText,
    "header": lambda text: captures.FromHandshake("header", text),
    "cookie": lambda text: captures.FromHandshake("cookie", text),
    "query": lambda text: captures.FromHandshake("query", text),
}


def _source(reading: Reading, node: Node) -> captures.Source:
    if isinstance(node, Scalar):
        return values.of_text(node, _SOURCES["json"])
    told = len(reading.problems)
    entries = reading.entries(node, "a capture", _SOURCES)
    if len(reading.problems) > told:
        raise Told
    if len(entries) != 1:
        raise Wrong(node, f"a JSON path is wanted, or one of {', '.join(_SOURCES)}")
    ((what, (_, value)),) = entries.items()
    return values.of_text(value, _SOURCES[what])
