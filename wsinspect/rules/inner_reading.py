"""`tests:` of a rule file, read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsinspect.model import Opcode, Side
from wsinspect.rules import values
from wsinspect.rules.fields import REQUIRED, Field, Type
from wsinspect.rules.inner_fields import (
    ANSWER_FIELDS,
    CLOSE_FIELDS,
    EFFECT_WORDS,
    EXPECT_FIELDS,
    HANDSHAKE_FIELDS,
    MESSAGE_FIELDS,
    SENT_FIELDS,
    TEST_FIELDS,
    WORDS,
)
from wsinspect.rules.marked import Items, Node, Place, Scalar, kind_of
from wsinspect.rules.reading import Reading, Told, Wrong, meanings
from wsinspect.wire.close_codes import encode_close

MAX_TESTS = 1000


@dataclass(frozen=True, slots=True)
class Expected:
    """What must hold of an outcome: the fields that were given, converted."""

    place: Place
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InnerMessage:
    """A message or control frame that a test puts in."""

    place: Place
    side: Side
    opcode: int
    payload: bytes
    at_ms: float | None = None
    frames: int = 1
    times: int = 1
    expect: Expected | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """What goes out, or is sent: a kind and bytes, or a JSON value whatever its spaces."""

    opcode: int
    data: bytes = b""
    tree: Any = None
    is_tree: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedSend:
    to: Side
    payload: Payload
    after: Any = None
    """A predicate of milliseconds, or None."""


@dataclass(frozen=True, slots=True)
class ExpectedClose:
    code: int
    reason: str = ""
    to: tuple[Side, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 101
    headers: Mapping[str, str] = field(default_factory=dict)
    expect: Expected | None = None


@dataclass(frozen=True, slots=True)
class InnerTest:
    """One test of a file; it runs against the rules of that file alone."""

    place: Place
    file: int
    name: str
    url: str = "ws://test/"
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str = "127.0.0.1"
    subprotocol: str | None = None
    enable: tuple[str, ...] = ()
    handshake: Expected | None = None
    answer: Answer = field(default_factory=Answer)
    opening: Expected | None = None
    messages: tuple[InnerMessage, ...] = ()


def read_tests(reading: Reading, node: Node, file: int) -> list[InnerTest]:
    """The tests that are right; what is wrong is told."""
    if not isinstance(node, Items):
        reading.say(node.place, f"tests: a list is wanted (- name: …), not {kind_of(node)}")
        return []
    if len(node.items) > MAX_TESTS:
        reading.say(node.place, f"more than {MAX_TESTS:,} tests")
        return []
    found: list[InnerTest] = []
    for item in node.items:
        try:
            given = _object(reading, item, "a test", TEST_FIELDS)
        except Wrong as error:
            reading.wrong(error)
            continue
        except Told:
            continue
        found.append(InnerTest(item.place, file, **{name.replace("-", "_"): given[name] for name in given}))
    return found


def read(reading: Reading, node: Node, field: Field) -> Any:
    """The value of a field of one of the types that tests have. Raises Wrong or Told."""
    match field.type:
        case Type.MESSAGES:
            return _messages(reading, node)
        case Type.EXPECT:
            return _expect(reading, node, EXPECT_FIELDS, WORDS[Type.EXPECT])
        case Type.EXPECT_HANDSHAKE:
            return _expect(reading, node, HANDSHAKE_FIELDS, WORDS[Type.EXPECT_HANDSHAKE])
        case Type.ANSWER:
            return Answer(**_object(reading, node, "an answer", ANSWER_FIELDS))
        case Type.SENT:
            return values.several(reading, node, lambda each: _sent(reading, each))
        case Type.CLOSE:
            return _close(reading, node)
        case _:
            raise AssertionError(f"{field.type} is no type of tests")


def _object(reading: Reading, node: Node, what: str, fields: Sequence[Field]) -> dict[str, Any]:
    """The fields that are given, converted, by name. Raises Wrong or Told."""
    told = len(reading.problems)
    by_name = {each.name: each for each in fields}
    given: dict[str, Any] = {}
    entries = reading.entries(node, what, by_name)
    for name, (key, value) in entries.items():
        try:
            given[name] = values.read(reading, value, by_name[name])
        except Wrong as error:
            reading.say(error.place, f"{key.text}: {error.text}")
        except Told:
            pass
    meant = meanings(node, by_name)
    missing = [f"`{each.name}`" for each in fields if each.default is REQUIRED and each.name not in meant]
    if missing and "" not in meant:
        reading.say(node.place, f"{what} wants {' and '.join(missing)}")
    if len(reading.problems) > told:
        raise Told
    return given


def _expect(reading: Reading, node: Node, fields: Sequence[Field], words: Sequence[str]) -> Expected:
    if isinstance(node, Scalar):
        return Expected(node.place, {values.word(node, {each: each for each in words}): True})
    given = _object(reading, node, "an expectation", fields)
    if not given:
        raise Wrong(node, "an expectation is empty")
    if given.get("passes") and given.get("drops"):
        raise Wrong(node, "it cannot both pass and be dropped")
    for word in given.get("effects", ()):
        if word not in EFFECT_WORDS:
            raise Wrong(node, f"effects: {word!r} is not one of {', '.join(EFFECT_WORDS)}")
    outs = [name for name in ("text", "json", "binary") if name in given]
    if len(outs) > 1:
        raise Wrong(node, f"{' and '.join(outs)} exclude each other")
    return Expected(node.place, given)


def _messages(reading: Reading, node: Node) -> tuple[InnerMessage, ...]:
    if not isinstance(node, Items):
        raise Wrong(node, f"a list of messages is wanted (- from: …), not {kind_of(node)}")
    found = values.each_of(reading, node.items, lambda each: _message(reading, each))
    last = 0.0
    for each in found:
        if each.at_ms is not None:
            if each.at_ms < last:
                reading.say(each.place, "at: it comes before the message above it")
            last = each.at_ms
    return found


def _message(reading: Reading, node: Node) -> InnerMessage:
    given = _object(reading, node, "a message", MESSAGE_FIELDS)
    payload = _payload(node, given, close=True)
    if payload is None:
        raise Wrong(node, "a message wants text, json, binary, ping, pong or close")
    return InnerMessage(
        node.place,
        given["from"],
        payload.opcode,
        payload.data,
        given.get("at"),
        given.get("frames", 1),
        given.get("times", 1),
        given.get("expect"),
    )


def _payload(node: Node, given: Mapping[str, Any], *, close: bool = False) -> Payload | None:
    names = ("text", "json", "binary", "ping", "pong", *(("close",) if close else ()))
    found = [name for name in names if name in given]
    if not found:
        return None
    if len(found) > 1:
        raise Wrong(node, f"{' and '.join(found)} exclude each other")
    value = given[found[0]]
    match found[0]:
        case "text":
            return Payload(Opcode.TEXT, value.encode())
        case "json":
            data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            return Payload(Opcode.TEXT, data, value, is_tree=True)
        case "binary":
            return Payload(Opcode.BINARY, value)
        case "ping":
            return Payload(Opcode.PING, value.encode())
        case "pong":
            return Payload(Opcode.PONG, value.encode())
        case _:
            return Payload(Opcode.CLOSE, encode_close(value.code, value.reason))


def _sent(reading: Reading, node: Node) -> ExpectedSend:
    given = _object(reading, node, "what is sent", SENT_FIELDS)
    payload = _payload(node, given)
    if payload is None:
        raise Wrong(node, "what is sent wants text, json, binary, ping or pong")
    return ExpectedSend(given["to"], payload, given.get("after"))


def _close(reading: Reading, node: Node) -> ExpectedClose:
    if isinstance(node, Scalar):
        return ExpectedClose(values.read(reading, node, CLOSE_FIELDS[0]))
    return ExpectedClose(**_object(reading, node, "a close", CLOSE_FIELDS))
