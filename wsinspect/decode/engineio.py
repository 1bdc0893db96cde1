"""Engine.IO packets on a WebSocket, protocol revisions 3 and 4 (github.com/socketio/engine.io-protocol).

text      4hello             the type as a digit, then the data            both
base64    b4AQID  bAQID      binary in a text frame, without type in 4     where binary is not to be had
typed     04 01 02 03        the type as a byte, then the data             revision 3
raw       01 02 03           always a message                              revision 4
"""

from __future__ import annotations

import base64
import binascii
import enum
from typing import Any, NamedTuple, assert_never

from wsinspect.decode.brief import brief, shorten
from wsinspect.decode.jsonedit import edit, write
from wsinspect.decode.jsonvalue import parse
from wsinspect.decode.limits import NotDecoded
from wsinspect.model import Decoded

__all__ = ["MESSAGE", "TYPES", "Form", "Packet", "decode_packet", "read_binary", "read_text", "write_packet"]

TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
MESSAGE = "message"


class Form(enum.Enum):
    """How the packet stands on the wire."""

    TEXT = enum.auto()
    BASE64 = enum.auto()
    BASE64_V3 = enum.auto()
    TYPED = enum.auto()
    RAW = enum.auto()


class Packet(NamedTuple):
    form: Form
    type: str
    """One of TYPES."""
    data: str | bytes


def read_text(payload: bytes, revision: int) -> Packet:
    """The packet in a text frame. Raises NotDecoded."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise NotDecoded from None
    if text.startswith("b"):
        if revision == 3:
            return Packet(Form.BASE64_V3, _type(text[1:2]), _from_base64(text[2:]))
        return Packet(Form.BASE64, MESSAGE, _from_base64(text[1:]))
    return Packet(Form.TEXT, _type(text[:1]), text[1:])


def read_binary(payload: bytes, revision: int) -> Packet:
    """The packet in a binary frame. Raises NotDecoded."""
    if revision != 3:
        return Packet(Form.RAW, MESSAGE, payload)
    if not payload or payload[0] >= len(TYPES):
        raise NotDecoded
    return Packet(Form.TYPED, TYPES[payload[0]], payload[1:])


def write_packet(form: Form, type: Any, data: str | bytes) -> bytes:
    """The packet in that form. Raises ValueError, with a sentence, where it has no place for type or data."""
    if type not in TYPES:
        raise ValueError(f"an Engine.IO packet is one of {', '.join(TYPES)}, not {type!r:.40}")
    number = TYPES.index(type)
    if form is Form.TEXT:
        if not isinstance(data, str):
            raise ValueError("an Engine.IO packet in a text message carries text or JSON, not bytes")
        try:
            return f"{number}{data}".encode()
        except UnicodeEncodeError:
            raise ValueError("text cannot carry a lone surrogate") from None
    if not isinstance(data, bytes):
        raise ValueError("a binary Engine.IO packet carries bytes")
    if type != MESSAGE and form in (Form.RAW, Form.BASE64):
        raise ValueError("a binary Engine.IO packet of revision 4 is always a message")
    match form:
        case Form.BASE64:
            return b"b" + base64.b64encode(data)
        case Form.BASE64_V3:
            return b"b%d" % number + base64.b64encode(data)
        case Form.TYPED:
            return bytes((number,)) + data
        case Form.RAW:
            return data
        case _:
            assert_never(form)


class PacketSource:
    """The source of a packet that carries nothing else we know."""

    __slots__ = ("is_json", "packet")

    def __init__(self, packet: Packet, is_json: bool) -> None:
        self.packet = packet
        self.is_json = is_json

    def encode(self, tree: Any) -> bytes:
        if not isinstance(tree, dict) or not tree.keys() <= {"type", "data"}:
            raise ValueError("an Engine.IO packet has type and data, and nothing else")
        old = self.packet.data
        data = tree.get("data", "" if isinstance(old, str) else b"")
        if self.is_json and isinstance(old, str) and isinstance(data, dict | list):
            data = edit(old, data)
        elif self.packet.form is Form.TEXT and not isinstance(data, str | bytes):
            data = write(data)
        return write_packet(self.packet.form, tree.get("type"), data)

    def summary(self, tree: Any) -> str:
        data = self.packet.data
        shown = shorten(data, 160) if isinstance(data, str) else brief(data)
        return f"{self.packet.type} {shown}" if data else self.packet.type


def decode_packet(packet: Packet) -> Decoded:
    """`{"type": "open", "data": {…}}`: data is a tree where it is a JSON object or array, else as it is."""
    data: Any = packet.data
    is_json = False
    if isinstance(data, str) and data.startswith(("{", "[")):
        try:
            data = parse(data)
            is_json = True
        except NotDecoded:
            pass
    tree = {"type": packet.type, "data": data}
    return Decoded("engine.io", tree, kind=packet.type, source=PacketSource(packet, is_json))


def _type(digit: str) -> str:
    if len(digit) != 1 or not "0" <= digit <= "6":
        raise NotDecoded
    return TYPES[int(digit)]


def _from_base64(text: str) -> bytes:
    """Only what base64 would write: then an edit of nothing changes nothing."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotDecoded from None
    if base64.b64encode(data).decode() != text:
        raise NotDecoded
    return data
