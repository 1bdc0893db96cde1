"""Socket.IO packets, protocol revisions 3 to 5, as Socket.IO 1 to 4 speak them
(github.com/socketio/socket.io-protocol):

    type [attachments "-"] [namespace ["?" query] ","] [id] [JSON]
    51-/admin,7["picture",{"_placeholder":true,"num":0}]

A tree is {type, namespace, id, data}, with `attachments` in the binary types and `query` where the namespace
has one. The attachments of a binary packet are the binary messages behind it: {type: ATTACHMENT, …}.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from wsinspect.decode.brief import brief, shorten
from wsinspect.decode.engineio import MESSAGE, Form, write_packet
from wsinspect.decode.jsonedit import edit, write
from wsinspect.decode.jsonvalue import parse
from wsinspect.decode.limits import NotDecoded
from wsinspect.model import Decoded, Source

__all__ = ["TYPES", "Fields", "PacketText", "decode_text"]

TYPES = ("CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK")
"""CONNECT_ERROR is called ERROR before revision 5."""
BINARY = ("BINARY_EVENT", "BINARY_ACK")

_EVENTS = ("EVENT", "BINARY_EVENT")
_ACKS = ("ACK", "BINARY_ACK")
_PACKET = re.compile(r"([0-4]|([56])([0-9]{1,9})-)(/[^,]*,?)?([0-9]{1,15})?(?![0-9])")
_FIELDS = ("type", "namespace", "query", "id", "attachments", "data")


class Fields(NamedTuple):
    """What a tree says, checked."""

    type: str
    namespace: str
    query: str | None
    id: int | None
    attachments: int | None
    data: Any

    @classmethod
    def of(cls, tree: Any) -> Fields:
        """Raises ValueError, with a sentence, for what no packet can be."""
        if not isinstance(tree, dict):
            raise ValueError("a Socket.IO packet is an object with type, namespace, id and data")
        for name in tree:
            if name not in _FIELDS:
                raise ValueError(f"a Socket.IO packet has no {name!r:.40}: {', '.join(_FIELDS)}")
        kind, namespace, query = tree.get("type"), tree.get("namespace", "/"), tree.get("query")
        number, attachments = tree.get("id"), tree.get("attachments")
        if kind not in TYPES:
            raise ValueError(f"a Socket.IO packet's type is one of {', '.join(TYPES)}, not {kind!r:.40}")
        if not isinstance(namespace, str) or not re.fullmatch(r"/[^,?]*", namespace):
            raise ValueError("a namespace begins with / and has no comma and no question mark")
        if query is not None and not (isinstance(query, str) and "," not in query):
            raise ValueError("a query is text without a comma")
        if number is not None and not _is_number(number, 15):
            raise ValueError("an id is a whole number, 0 or more, or null")
        if kind in BINARY and not _is_number(attachments, 9):
            raise ValueError(f"{kind} needs the number of its attachments")
        if kind not in BINARY and attachments is not None:
            raise ValueError(f"{kind} has no attachments")
        data = tree.get("data")
        if not _fits(kind, data):
            raise ValueError(f"the data of {kind} is {_NEEDS[kind]}")
        return cls(kind, namespace, query, number, attachments, data)

    @property
    def event(self) -> str | None:
        """The name of an event; some servers name them by numbers."""
        return str(self.data[0]) if self.type in _EVENTS else None

    def head(self) -> str:
        """All before the JSON, as Socket.IO writes it."""
        parts = [str(TYPES.index(self.type))]
        if self.attachments is not None:
            parts.append(f"{self.attachments}-")
        if self.namespace != "/" or self.query is not None:
            parts += [self.path(), ","]
        if self.id is not None:
            parts.append(str(self.id))
        return "".join(parts)

    def path(self) -> str:
        return self.namespace if self.query is None else f"{self.namespace}?{self.query}"

    def decoded(self, source: Source) -> Decoded:
        tree: dict[str, Any] = {"type": self.type, "namespace": self.namespace}
        if self.query is not None:
            tree["query"] = self.query
        tree["id"] = self.id
        if self.attachments is not None:
            tree["attachments"] = self.attachments
        tree["data"] = self.data
        number = None if self.id is None else str(self.id)
        if number is not None and self.namespace != "/":
            number = f"{self.namespace},{number}"  # each namespace counts for itself
        kind = self.type if self.event is None else self.event
        return Decoded("socket.io", tree, None, kind, number, self.type in _ACKS, source)

    def summary(self) -> str:
        """`EVENT /admin chat #7 "hello"`"""
        words = [self.type]
        args = self.data
        if self.namespace != "/":
            words.append(shorten(self.namespace, 40))
        if self.event is not None:
            words.append(shorten(self.event, 60))
            args = self.data[1:]
        if self.id is not None:
            words.append(f"#{self.id}")
        if isinstance(args, list):
            words += [brief(arg, 100) for arg in args[:4]] + ["…"] * (len(args) > 4)
        elif args is not None:
            words.append(brief(args, 100))
        return shorten(" ".join(words))


_NEEDS = {
    "DISCONNECT": "null: it has none",
    "EVENT": "an array that begins with the event's name",
    "BINARY_EVENT": "an array that begins with the event's name",
    "ACK": "an array",
    "BINARY_ACK": "an array",
}


def _is_number(value: Any, digits: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**digits


def _fits(kind: str, data: Any) -> bool:
    if kind in _EVENTS:
        return isinstance(data, list) and bool(data) and (isinstance(data[0], str) or _is_number(data[0], 15))
    if kind in _ACKS:
        return isinstance(data, list)
    return data is None if kind == "DISCONNECT" else True


class PacketText:
    """The source of a packet as text."""

    __slots__ = ("fields", "head", "is_open", "json")

    def __init__(self, fields: Fields, head: str, json: str) -> None:
        self.fields = fields
        self.head = head
        """All before the JSON."""
        self.json = json
        self.is_open = "/" in head and not json and fields.id is None and not head.endswith(",")
        """It ends in a namespace without its comma: nothing can be put behind it."""

    def encode(self, tree: Any) -> bytes:
        new = Fields.of(tree)
        keeps_head = new.head() == self.fields.head() and not (self.is_open and new.data is not None)
        head = self.head if keeps_head else new.head()
        was_null = bool(self.json) and self.fields.data is None
        if new.data is None and not was_null:
            return write_packet(Form.TEXT, MESSAGE, head)
        body = edit(self.json, new.data) if self.json else write(new.data)
        return write_packet(Form.TEXT, MESSAGE, head + body)

    def summary(self, tree: Any) -> str:
        return self.fields.summary()


def read_fields(text: str) -> PacketText:
    """The packet that an Engine.IO message carries. Raises NotDecoded."""
    found = _PACKET.match(text)
    if found is None:
        raise NotDecoded
    kind, count, space, number = found[1], found[3], found[4], found[5]
    namespace, mark, query = (space or "/").removesuffix(",").partition("?")
    rest = text[found.end() :]
    name = TYPES[int(kind[0])]
    data = parse(rest) if rest else None
    if not _fits(name, data):
        raise NotDecoded
    fields = Fields(
        name,
        namespace,
        query if mark else None,
        int(number) if number else None,
        int(count) if count else None,
        data,
    )
    return PacketText(fields, found[0], rest)


def decode_text(text: str) -> Decoded:
    """A packet as text. Raises NotDecoded."""
    source = read_fields(text)
    return source.fields.decoded(source)
