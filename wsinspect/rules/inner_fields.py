"""The form of `tests:` in a rule file: messages in, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsinspect.rules.fields import Field, Type

EFFECT_WORDS = ("reset", "stall", "cut", "throttle", "slice", "limit-data", "slow-close", "stop-sending")
"""Of `effects`: what has no expectation of its own."""

TEST_FIELDS: tuple[Field, ...] = (
    Field("name", Type.TEXT, "What is shown where the test fails."),
    Field("url", Type.URL, "The URL that the client asks for.", default="ws://test/"),
    Field("headers", Type.TEXT_VALUES, "Headers of its request.", default=None),
    Field("client", Type.TEXT, "The client's IP address.", default="127.0.0.1"),
    Field("subprotocol", Type.TEXT, "The subprotocol that client and server agree on.", default=None),
    Field(
        "enable",
        Type.RULE_IDS,
        "Rules that the file has switched off, and the test wants on.",
        default=(),
    ),
    Field("handshake", Type.EXPECT_HANDSHAKE, "What comes of the request.", default=None),
    Field("answer", Type.ANSWER, "The server's answer, where it is not a plain 101.", default=None),
    Field("opening", Type.EXPECT, "What comes of the opening.", default=None),
    Field("messages", Type.MESSAGES, "Messages and control frames, in order.", default=()),
)

MESSAGE_FIELDS: tuple[Field, ...] = (
    Field("from", Type.SIDE, "Who sends it."),
    Field("at", Type.DURATION, "When, since the connection opened; without it at once.", default=None),
    Field("text", Type.TEXT, "A text message.", default=None),
    Field("json", Type.VALUE, "A text message, as JSON.", default=None),
    Field("binary", Type.BYTES, "A binary message, in hex.", default=None),
    Field("ping", Type.TEXT, "A ping with that payload.", default=None),
    Field("pong", Type.TEXT, "A pong with that payload.", default=None),
    Field("close", Type.CLOSE, "A Close frame.", default=None),
    Field("frames", Type.INT, "In how many frames a message comes.", default=1, low=1, high=1000),
    Field("times", Type.INT, "How often it comes, with the same expectation.", default=1, low=1, high=10_000),
    Field("expect", Type.EXPECT, "What comes of it; what is not named may be anything.", default=None),
)

EXPECT_FIELDS: tuple[Field, ...] = (
    Field("passes", Type.BOOL, "It goes out as it came, at once.", default=None),
    Field("drops", Type.BOOL, "It does not go out.", default=None),
    Field("text", Type.TEXT, "It goes out with this text.", default=None),
    Field("json", Type.VALUE, "It goes out, and is this JSON.", default=None),
    Field("binary", Type.BYTES, "It goes out with these bytes.", default=None),
    Field("delay", Type.DELAY_TEST, "How long it is held back: `200ms`, `>100ms`, a range.", default=None),
    Field("held", Type.BOOL, "It waits for somebody's word.", default=None),
    Field("copies", Type.INT, "How often it goes out.", default=None, low=0),
    Field("sent", Type.SENT, "What is sent beside it, in order; all of it.", default=None),
    Field("closes", Type.CLOSE, "A Close frame is sent.", default=None),
    Field("effects", Type.TEXTS, f"What else happens, in order: {', '.join(EFFECT_WORDS)}.", default=None),
    Field("hits", Type.RULE_IDS, "The rules that act on it, in order; all of them.", default=None),
    Field("tags", Type.TEXTS, "The tags that it gets.", default=None),
    Field("notes", Type.TEXTS, "The notes that it gets.", default=None),
    Field(
        "captured",
        Type.TEXT,
        "The text that the capture has in its place. `‹redacted›` stands for any pseudonym.",
        default=None,
    ),
    Field("uncaptured", Type.BOOL, "It is kept out of the capture.", default=None),
    Field("values", Type.VARS, "Captured values, as they are afterwards.", default=None),
)

HANDSHAKE_FIELDS: tuple[Field, ...] = (
    Field("passes", Type.BOOL, "It goes on as it came.", default=None),
    Field("rejects", Type.STATUS, "The client gets this status instead.", default=None),
    Field("redirects", Type.URL, "It goes to this upstream.", default=None),
    Field("sets", Type.TEXT_VALUES, "Headers that are set.", default=None),
    Field("removes", Type.TEXTS, "Headers that are taken out.", default=None),
    Field("strips", Type.TEXTS, "Extensions that are taken out.", default=None),
    Field("delay", Type.DELAY_TEST, "How long it is held back.", default=None),
    Field(
        "captured-url",
        Type.TEXT,
        "The URL that the capture has. `‹redacted›` stands for any pseudonym, here and below.",
        default=None,
    ),
    Field(
        "captured-headers", Type.TEXT_VALUES, "What the capture has of these headers, by name.", default=None
    ),
    Field("hits", Type.RULE_IDS, "The rules that act on it, in order; all of them.", default=None),
)

ANSWER_FIELDS: tuple[Field, ...] = (
    Field("status", Type.STATUS, "Its HTTP status.", default=101),
    Field("headers", Type.TEXT_VALUES, "Its headers.", default=None),
    Field("expect", Type.EXPECT_HANDSHAKE, "What comes of it.", default=None),
)

SENT_FIELDS: tuple[Field, ...] = (
    Field("to", Type.SIDE, "To whom."),
    Field("text", Type.TEXT, "A text message.", default=None),
    Field("json", Type.VALUE, "A text message that is this JSON.", default=None),
    Field("binary", Type.BYTES, "A binary message, in hex.", default=None),
    Field("ping", Type.TEXT, "A ping with that payload.", default=None),
    Field("pong", Type.TEXT, "A pong with that payload.", default=None),
    Field("after", Type.DELAY_TEST, "How much later.", default=None),
)

CLOSE_FIELDS: tuple[Field, ...] = (
    Field("code", Type.CLOSE_CODE, "Its code."),
    Field("reason", Type.TEXT, "Its reason.", default=""),
    Field("to", Type.SIDES, "Of `closes`: who gets it.", default=None),
)

_OBJECTS = {
    Type.EXPECT: EXPECT_FIELDS,
    Type.EXPECT_HANDSHAKE: HANDSHAKE_FIELDS,
    Type.ANSWER: ANSWER_FIELDS,
    Type.SENT: SENT_FIELDS,
    Type.MESSAGES: MESSAGE_FIELDS,
    Type.CLOSE: CLOSE_FIELDS,
}
WORDS = {Type.EXPECT: ("passes", "drops"), Type.EXPECT_HANDSHAKE: ("passes",)}
"""Expectations that one word says."""


def shape_of(field: Field, of: Callable[[Field], dict[str, Any]]) -> dict[str, Any] | None:
    """The JSON Schema of a field of one of these types; `of` gives those of its parts. None: another type."""
    if field.type is Type.VALUE:
        return {}
    if field.type is Type.TEXT_VALUES:
        return {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
    fields = _OBJECTS.get(field.type)
    if fields is None:
        return None
    one: dict[str, Any] = {
        "type": "object",
        "properties": {each.name: {"description": each.doc, **of(each)} for each in fields},
        "additionalProperties": False,
    }
    if field.type in (Type.MESSAGES, Type.SENT):
        return {"type": "array", "items": one}
    if field.type is Type.CLOSE:
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, one]}
    words = WORDS.get(field.type)
    return {"anyOf": [{"enum": list(words)}, one]} if words else one
