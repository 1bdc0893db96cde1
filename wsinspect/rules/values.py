"""Marked YAML in, values out: what each `Type` of a field takes, and what it becomes.

A mistake raises `Wrong` with its place, or `Told` where several were already said.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import ipaddress
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import urlsplit

from wsinspect.errors import did_you_mean
from wsinspect.model import Side
from wsinspect.rules import jsonpath, regexes, units
from wsinspect.rules.actions import words
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.marked import Items, Node, Pairs, Scalar, kind_of, scalars_in
from wsinspect.rules.reading import Reading, Told, Wrong
from wsinspect.rules.scalars import bool_value, json_value, plain_number_text, text_value
from wsinspect.rules.template import Template, Value

NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
"""What a variable or a captured value may be called."""

_SIDES = {"client": (Side.CLIENT,), "server": (Side.SERVER,), "both": tuple(Side)}


def read(reading: Reading, node: Node, field: Field) -> Any:
    """The value of a field, converted. Raises Wrong or Told."""
    match field.type:
        case Type.TEXT:
            return text(node)
        case Type.TEMPLATE:
            return template(reading, node)
        case Type.TEMPLATES:
            return several(reading, node, lambda each: template(reading, each))
        case Type.TEXTS:
            return several(reading, node, text)
        case Type.BOOL:
            return scalar(node, bool_value, "true or false")
        case Type.INT:
            return limited(node, scalar(node, lambda each: units.whole(plain_number_text(each))), field)
        case Type.NUMBER:
            return limited(node, scalar(node, lambda each: units.number(plain_number_text(each))), field)
        case Type.CHANCE:
            return of_text(node, units.chance)
        case Type.DURATION:
            return limited(node, of_text(node, units.duration_ms), field)
        case Type.DURATION_RANGE:
            return of_text(node, units.duration_range)
        case Type.SIZE:
            return limited(node, of_text(node, units.size_bytes), field)
        case Type.SIZES:
            return several(reading, node, lambda each: of_text(each, units.size_bytes))
        case Type.RATE:
            return of_text(node, units.rate_bytes_per_s)
        case Type.REGEX:
            return of_text(node, regexes.compile_regex)
        case Type.REGEXES:
            return several(reading, node, lambda each: of_text(each, regexes.compile_regex))
        case Type.BYTES:
            return of_text(node, _hex)
        case Type.BASE64:
            return of_text(node, _base64)
        case Type.JSON:
            return templated_json(reading, node)
        case Type.PATH:
            return path(node)
        case Type.PATHS:
            return several(reading, node, lambda each: of_text(each, _deep_path))
        case Type.PATH_VALUES:
            return mapping(reading, node, _path_text, lambda each: templated_json(reading, each))
        case Type.SIDE:
            return word(node, _SIDES, besides="both")[0]
        case Type.SIDES:
            return word(node, _SIDES)
        case Type.WORD:
            return word(node, {each: each for each in field.words})
        case Type.FILE:
            return _file(reading, node)
        case Type.HEADER_NAME:
            return of_text(node, _header_name)
        case Type.HEADER_NAMES:
            return several(reading, node, lambda each: of_text(each, _header_name))
        case Type.HEADERS:
            return mapping(reading, node, _header_name, lambda each: template(reading, each))
        case Type.URL:
            return of_text(node, _url)
        case Type.CLOSE_CODE:
            return _between(node, 0, 65535, "a close code")
        case Type.STATUS:
            return _between(node, 200, 599, "an HTTP status")
        case Type.PYTHON:
            return _python(reading, node)
        case Type.VARS:
            return mapping(reading, node, name, lambda each: plain_json(reading, each))
        case (
            Type.CONDITION | Type.CONDITIONS | Type.AFTER | Type.TEXT_TEST | Type.FOLDED_TEST
            | Type.NUMBER_TEST | Type.SIZE_TEST | Type.DURATION_TEST | Type.DELAY_TEST | Type.BYTES_TEST
            | Type.NAMED_TESTS | Type.HEADER_TESTS | Type.QUERY_TEST | Type.JSON_TESTS
            | Type.CAPTURED_TESTS | Type.COUNTERS | Type.KINDS | Type.ADDRESSES | Type.CAPTURES
        ):  # fmt: skip
            from wsinspect.rules import values_when

            return values_when.read(reading, node, field)
        case Type.RULE_IDS:
            return several(reading, node, lambda each: _own_rule(reading, each))
        case Type.VALUE:
            return plain_json(reading, node)
        case Type.TEXT_VALUES:
            return mapping(reading, node, str, text)
        case (
            Type.MESSAGES | Type.EXPECT | Type.EXPECT_HANDSHAKE | Type.ANSWER | Type.SENT | Type.CLOSE
        ):  # fmt: skip
            from wsinspect.rules import inner_reading

            return inner_reading.read(reading, node, field)
        case Type.ACTIONS | Type.RULES | Type.TESTS:
            raise AssertionError(f"{field.type} is read by its owner")
        case _:
            assert_never(field.type)


# ------------------------------------------------------------------------------------------ scalars


def scalar[T](node: Node, convert: Callable[[Scalar], T], wanted: str = "a value") -> T:
    """One scalar, converted; a ValueError becomes Wrong at its place."""
    if not isinstance(node, Scalar):
        raise Wrong(node, f"{wanted} is wanted here, not {kind_of(node)}")
    try:
        return convert(node)
    except jsonpath.PathError as error:
        raise Wrong(node, f"{error.sentence} (at character {error.position + 1})") from None
    except ValueError as error:
        raise Wrong(node, str(error)) from None


def text(node: Node) -> str:
    return scalar(node, text_value, "a text")


def of_text[T](node: Node, convert: Callable[[str], T]) -> T:
    """A text that says something in a grammar of its own."""
    return scalar(node, lambda each: convert(text_value(each)), "a value")


def template(reading: Reading, node: Node) -> Template:
    made = of_text(node, Template.parse)
    reading.ask(node, made.expressions)
    return made


def path(node: Node) -> jsonpath.Path:
    return of_text(node, jsonpath.parse)


def word[T](node: Node, choices: dict[str, T], besides: str = "") -> T:
    """One of a few words; `besides` is one that is known and may not stand here."""
    names = [each for each in choices if each != besides]
    found = scalar(node, text_value, f"one of {', '.join(names)}")
    if found == besides or found not in choices:
        hint = "; leave it out for both" if found == besides else did_you_mean(found, names)
        raise Wrong(node, f"{found!r} is not one of {', '.join(names)}{hint}")
    return choices[found]


def limited[N: (int, float)](node: Node, value: N, field: Field) -> N:
    if field.low is not None and value < field.low:
        raise Wrong(node, f"at least {field.low:,.15g} is wanted, not {value:,.15g}")
    if field.high is not None and value > field.high:
        raise Wrong(node, f"at most {field.high:,.15g} is wanted, not {value:,.15g}")
    return value


def _between(node: Node, low: int, high: int, what: str) -> int:
    value = scalar(node, lambda each: units.whole(plain_number_text(each)))
    if not low <= value <= high:
        raise Wrong(node, f"{value} is not {what}: {low} to {high}")
    return value


# --------------------------------------------------------------------------------------- collections


def several[T](reading: Reading, node: Node, convert: Callable[[Node], T]) -> tuple[T, ...]:
    """A list, or one value that stands for a list of one; every mistake in it is told."""
    return each_of(reading, node.items if isinstance(node, Items) else (node,), convert)


def any_of[T](reading: Reading, node: Node, convert: Callable[[Node], T]) -> tuple[T, ...]:
    """As `several`, of which one is enough, so that there must be one."""
    if isinstance(node, Items) and not node.items:
        raise Wrong(node, "nothing is one of an empty list")
    return several(reading, node, convert)


def each_of[T](reading: Reading, nodes: Iterable[Node], convert: Callable[[Node], T]) -> tuple[T, ...]:
    found: list[T] = []
    failed = False
    for each in nodes:
        try:
            found.append(convert(each))
        except Wrong as error:
            reading.wrong(error)
            failed = True
        except Told:
            failed = True
    if failed:
        raise Told
    return tuple(found)


def mapping[K, T](
    reading: Reading, node: Node, key_of: Callable[[str], K], convert: Callable[[Node], T]
) -> dict[K, T]:
    """Names of one sort and values of one sort; every mistake in it is told."""
    found: dict[K, T] = {}
    told = len(reading.problems)
    for key, value in reading.entries(node, "").values():
        try:
            found[of_text(key, key_of)] = convert(value)
        except Wrong as error:
            reading.wrong(error)
        except Told:
            pass
    if len(reading.problems) > told:
        raise Told(found)
    return found


def plain_json(reading: Reading, node: Node) -> Any:
    """Any value of YAML, as JSON has it."""
    match node:
        case Scalar():
            return scalar(node, json_value)
        case Items(items=items):
            return list(each_of(reading, items, lambda each: plain_json(reading, each)))
        case Pairs():
            return mapping(reading, node, str, lambda each: plain_json(reading, each))


def templated_json(reading: Reading, node: Node) -> Value:
    value = plain_json(reading, node)
    each_of(
        reading,
        (each for each in scalars_in(node, names=False) if "{{" in each.text),
        lambda each: template(reading, each),
    )
    return Value.parse(value)


# ------------------------------------------------------------------------------------ texts with a grammar


def name(written: str) -> str:
    if not NAME.fullmatch(written):
        raise ValueError(f"{written!r} is no name: letters, digits, _ and -, a letter first")
    return written


def _deep_path(written: str) -> jsonpath.Path:
    return jsonpath.parse(written, deep=True)


def _path_text(written: str) -> jsonpath.Path:
    return jsonpath.parse(written)


def _header_name(name: str) -> str:
    words.check_header_names([name])
    return name


def _hex(written: str) -> bytes:
    exact = regexes.hex_pattern(written)[1] if written.strip() else b""
    if exact is None:
        raise ValueError("?? stands for any byte in conditions; here each byte must be known")
    return exact


def _base64(written: str) -> bytes:
    try:
        return base64.b64decode("".join(written.split()), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _url(written: str) -> str:
    try:
        parts = urlsplit(written)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{written!r} is no URL: {error}") from None
    if parts.scheme not in ("ws", "wss", "http", "https") or not host:
        raise ValueError(f"{written!r} is no URL such as wss://host:port, with ws, wss, http or https")
    return written


def _file(reading: Reading, node: Node) -> Path:
    written = text(node)
    folder = reading.folder.resolve()
    found = (folder / written).resolve()
    if Path(written).is_absolute() or not found.is_relative_to(folder):
        raise Wrong(node, f"{written}: a file must lie under the rule file's folder")
    if not found.is_file():
        try:
            near = did_you_mean(found.name, [each.name for each in found.parent.iterdir()])
        except OSError:
            near = ""
        raise Wrong(node, f"{written}: no such file in {reading.folder or '.'}{near}")
    return found


def _python(reading: Reading, node: Node) -> Any:
    written = text(node)
    if not reading.allow_python:
        return None  # said at the action; nothing is imported
    scripting = importlib.import_module("wsinspect.rules.scripting")
    try:
        return scripting.load(written, reading.folder)
    except ValueError as error:
        raise Wrong(node, str(error)) from None


def _own_rule(reading: Reading, node: Node) -> str:
    found = text(node)
    ids = reading.own.ids
    if found not in ids and not reading.own.ids_unclear:
        raise Wrong(node, f"this file has no rule {found!r}{did_you_mean(found, ids)}")
    return found


def address(node: Node) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return of_text(node, _network)


def _network(written: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(written)
    except ValueError as error:
        try:
            whole = ipaddress.ip_network(written, strict=False)
        except ValueError:
            raise ValueError(f"{written!r} is no IP address and no network such as 10.0.0.0/8") from None
        raise ValueError(f"{error}: did you mean {whole}?") from None
