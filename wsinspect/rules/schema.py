"""The JSON Schema (2020-12) of rule files, from the same declarations that loading goes by.

It is for editors: what it accepts may still be refused by `rules check`, which knows units, patterns and what
goes together; what it refuses, `rules check` refuses too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from wsinspect.rules.actions import ACTIONS, Action
from wsinspect.rules.conditions import CONDITIONS, BytesTest
from wsinspect.rules.fields import REQUIRED, Field, Type
from wsinspect.rules.inner_fields import TEST_FIELDS, shape_of
from wsinspect.rules.rule import RULE_FIELDS
from wsinspect.rules.rule_reading import FILE_FIELDS
from wsinspect.rules.values_tests import JSON_OPERATORS, NUMBER_OPERATORS, OPERATOR_DOCS, TEXT_OPERATORS

URL = "https://json-schema.org/draft/2020-12/schema"

type Schema = dict[str, Any]

_ANY: Schema = {}
_BOOL: Schema = {"type": "boolean"}
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
"""A text is taken as it is written, so that editors may see a number or a bool."""
_AMOUNT: Schema = {"type": ["string", "number"]}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_PATH: Schema = {"type": "string", "pattern": r"^\$"}
_NAMES: Schema = {"pattern": r"^[A-Za-z_][A-Za-z0-9_-]*$"}


def json_schema() -> Schema:
    """The schema of a rule file."""
    return {
        "$schema": URL,
        "title": "wsinspect rules",
        "description": "Rules that look at WebSocket traffic and change it.",
        **_object(FILE_FIELDS, required=("version",)),
        "$defs": _definitions(),
    }


def schema_text() -> str:
    """As `wsinspect rules schema` prints it, and as `rules/schema/wsinspect-rules.schema.json` holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _definitions() -> Schema:
    return {
        "rule": _object(RULE_FIELDS, required=("id",)),
        "condition": {
            "type": "object",
            "description": "All of its keys must hold.",
            "properties": {name: _described(kind.field) for name, kind in CONDITIONS.items()},
            "additionalProperties": False,
        },
        "after": {
            "type": "object",
            "properties": {
                **{name: _described(kind.field) for name, kind in CONDITIONS.items()},
                "within": {**_AMOUNT, "description": "At most so long ago."},
            },
            "additionalProperties": False,
        },
        "text-test": _test("text-test", _TEXT, TEXT_OPERATORS, _TEXT),
        "number-test": _test("number-test", _AMOUNT, NUMBER_OPERATORS, _AMOUNT),
        "json-test": _test("json-test", _SCALAR, JSON_OPERATORS, _ANY),
        "action": _action(),
        "test": _object(TEST_FIELDS, required=("name",)),
    }


def _object(fields: Iterable[Field], required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": {each.name: _described(each) for each in fields},
        "required": list(required),
        "additionalProperties": False,
    }


def _described(field: Field) -> Schema:
    found = {"description": field.doc, **_of(field)}
    if field.default is not REQUIRED and isinstance(field.default, bool | int | float | str):
        found["default"] = field.default
    return found


def _test(itself: str, bare: Schema, operators: Iterable[str], value: Schema) -> Schema:
    """A bare value, a list of tests, or operators."""
    properties: Schema = {}
    for name in operators:
        each = value
        if name == "in":
            each = _several(value)
        elif name == "exists":
            each = _BOOL
        elif name in ("glob", "regex"):
            each = _TEXT
        elif name in ("gt", "ge", "lt", "le"):
            each = _AMOUNT
        properties[name] = {
            "description": f"{OPERATOR_DOCS[name][0].upper()}{OPERATOR_DOCS[name][1:]}.",
            **each,
        }
    mapping = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [bare, {"type": "array", "items": _ref(itself)}, mapping]}


def _several(one: Schema) -> Schema:
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _mapping(values: Schema, names: Schema | None = None) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": values}
    return found if names is None else {**found, "propertyNames": names}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _numeric(field: Field, kind: str) -> Schema:
    found: Schema = {"type": kind}
    if field.low is not None:
        found["minimum"] = field.low
    if field.high is not None:
        found["maximum"] = field.high
    return found


def _of(field: Field) -> Schema:
    """What YAML may stand there."""
    match field.type:
        case Type.TEXT | Type.TEMPLATE | Type.REGEX | Type.BYTES | Type.BASE64:
            return _TEXT
        case Type.TEMPLATES | Type.TEXTS | Type.REGEXES | Type.RULE_IDS:
            return _several(_TEXT)
        case Type.HEADER_NAME | Type.URL | Type.FILE | Type.PYTHON:
            return {"type": "string"}
        case Type.HEADER_NAMES:
            return _several({"type": "string"})
        case Type.BOOL:
            return _BOOL
        case Type.INT:
            return _numeric(field, "integer")
        case Type.NUMBER:
            return _numeric(field, "number")
        case Type.CHANCE | Type.DURATION | Type.DURATION_RANGE | Type.SIZE | Type.RATE:
            return _AMOUNT
        case Type.SIZES:
            return _several(_AMOUNT)
        case Type.JSON:
            return _ANY
        case Type.PATH:
            return _PATH
        case Type.PATHS:
            return _several(_PATH)
        case Type.PATH_VALUES:
            return _mapping(_ANY, _PATH)
        case Type.SIDE:
            return {"enum": ["client", "server"]}
        case Type.SIDES:
            return {"enum": ["client", "server", "both"]}
        case Type.WORD:
            return {"enum": list(field.words)}
        case Type.HEADERS:
            return _mapping(_TEXT)
        case Type.CLOSE_CODE:
            return {"type": "integer", "minimum": 0, "maximum": 65535}
        case Type.STATUS:
            return {"type": "integer", "minimum": 200, "maximum": 599}
        case Type.VARS:
            return _mapping(_ANY, _NAMES)
        case Type.ACTIONS:
            return {"anyOf": [{"type": "array", "items": _ref("action")}, _bare_actions()]}
        case Type.RULES:
            return {"type": ["array", "null"], "items": _ref("rule")}
        case Type.TESTS:
            return {"type": "array", "items": _ref("test")}
        case _:
            shape = shape_of(field, _of)
            return _of_condition(field) if shape is None else shape


def _of_condition(field: Field) -> Schema:
    match field.type:
        case Type.CONDITION:
            return _ref("condition")
        case Type.CONDITIONS:
            return {"type": "array", "items": _ref("condition"), "minItems": 1}
        case Type.AFTER:
            return _ref("after")
        case Type.TEXT_TEST | Type.FOLDED_TEST:
            return _ref("text-test")
        case Type.NUMBER_TEST | Type.SIZE_TEST | Type.DURATION_TEST | Type.DELAY_TEST:
            return _ref("number-test")
        case Type.BYTES_TEST:
            hows = {how: _TEXT for how in BytesTest.HOWS}
            mapping = {"type": "object", "properties": hows, "additionalProperties": False}
            return {"anyOf": [_TEXT, {**mapping, "minProperties": 1, "maxProperties": 1}]}
        case Type.NAMED_TESTS | Type.HEADER_TESTS:
            return _mapping(_ref("text-test"))
        case Type.QUERY_TEST:
            return {"anyOf": [_ref("text-test"), _mapping(_ref("text-test"))]}
        case Type.JSON_TESTS:
            return _mapping(_ref("json-test"), _PATH)
        case Type.CAPTURED_TESTS:
            return _mapping(_ref("json-test"))
        case Type.COUNTERS:
            return _mapping(_ref("number-test"))
        case Type.KINDS:
            return _several({"enum": list(field.words)})
        case Type.ADDRESSES:
            return _several({"type": "string"})
        case Type.CAPTURES:
            whats = {name: {"type": "string"} for name in ("json", "regex", "header", "cookie", "query")}
            mapping = {"type": "object", "properties": whats, "additionalProperties": False}
            one = {"anyOf": [_PATH, {**mapping, "minProperties": 1, "maxProperties": 1}]}
            return _mapping(one, _NAMES)
        case _:
            raise AssertionError(f"{field.type} has no schema")


# ---------------------------------------------------------------------------------------------- actions


def _action() -> Schema:
    mapping = {
        "type": "object",
        "properties": {
            word: {"description": kind.doc, **_action_value(kind)} for word, kind in ACTIONS.items()
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [_bare_actions(), mapping]}


def _bare_actions() -> Schema:
    """A pattern, not an enum: an editor would complete `drop` to `drop: drop` from both of them."""
    words = [word for word, kind in ACTIONS.items() if not _required(kind)]
    return {"type": "string", "pattern": f"^({'|'.join(words)})$"}


def _required(kind: type[Action]) -> list[str]:
    return [each.name for each in kind.fields if each.default is REQUIRED]


def _action_value(kind: type[Action]) -> Schema:
    short = next((each for each in kind.fields if each.name == kind.short), None)
    if kind.whole and short is not None:
        return _of(short)
    choices: list[Schema] = [_object(kind.fields, _required(kind))]
    if short is not None:
        choices.insert(0, _of(short))
    if not _required(kind):
        choices.append({"type": "null"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}
