"""As much of JSON Schema (2020-12) as the schema of rule files uses, to check examples by it."""

from __future__ import annotations

import re
from typing import Any

_TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": int | float,
}  # fmt: skip
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "anyOf", "properties",
    "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties", "items",
    "minItems", "pattern", "minimum", "maximum",
}  # fmt: skip


def keywords(schema: Any) -> set[str]:
    """All keywords that a schema uses."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            found |= {word for each in value.values() for word in keywords(each)}
        elif name == "anyOf":
            found |= {word for each in value for word in keywords(each)}
        else:
            found |= keywords(value)
    return found


def valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        if not valid(value, target, root):
            return False
    if "enum" in schema and not any(value == each and type(value) is type(each) for each in schema["enum"]):
        return False
    if "anyOf" in schema and not any(valid(value, each, root) for each in schema["anyOf"]):
        return False
    types = schema.get("type")
    if types is not None and not any(
        _is(value, each) for each in ([types] if isinstance(types, str) else types)
    ):
        return False
    if isinstance(value, dict):
        return _object(value, schema, root)
    if isinstance(value, list):
        items = schema.get("items")
        return len(value) >= schema.get("minItems", 0) and (
            items is None or all(valid(each, items, root) for each in value)
        )
    if isinstance(value, str):
        return "pattern" not in schema or re.search(schema["pattern"], value) is not None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if any(name not in value for name in schema.get("required", ())):
        return False
    names = schema.get("propertyNames")
    for name, each in value.items():
        if names is not None and not valid(name, names, root):
            return False
        if name in properties:
            if not valid(each, properties[name], root):
                return False
        elif more is False or (isinstance(more, dict) and not valid(each, more, root)):
            return False
    return True
