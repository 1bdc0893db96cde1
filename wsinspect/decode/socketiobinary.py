"""What Socket.IO sends in binary: the attachments of a binary packet, or whole packets as MessagePack
(socket.io-msgpack-parser)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsinspect.decode.engineio import MESSAGE, Form, Packet, write_packet
from wsinspect.decode.limits import NotDecoded
from wsinspect.decode.msgpack import unpack
from wsinspect.decode.msgpackedit import edit
from wsinspect.decode.socketio import TYPES, Fields
from wsinspect.model import Decoded

__all__ = ["ATTACHMENT", "Attachment", "Label", "decode_attachment", "decode_msgpack_packet"]

ATTACHMENT = "ATTACHMENT"


@dataclass(frozen=True, slots=True)
class Label:
    """To which placeholder of which packet an attachment belongs."""

    num: int
    of: str
    """The event's name, or BINARY_ACK."""


class Attachment:
    """The source of an attachment."""

    __slots__ = ("form", "label", "size")

    def __init__(self, form: Form, size: int, label: Label | None) -> None:
        self.form = form
        self.size = size
        self.label = label

    def encode(self, tree: Any) -> bytes:
        if not isinstance(tree, dict) or tree.get("type") != ATTACHMENT:
            raise ValueError("an attachment stays an attachment: the packet before it waits for it")
        if not isinstance(tree.get("data"), bytes):
            raise ValueError("the data of an attachment is bytes")
        return write_packet(self.form, MESSAGE, tree["data"])

    def summary(self, tree: Any) -> str:
        of = f" {self.label.num} of {self.label.of}" if self.label else ""
        return f"{ATTACHMENT}{of} ‹{self.size} bytes›"


def decode_attachment(packet: Packet, label: Label | None) -> Decoded:
    """`{"type": "ATTACHMENT", "num": 0, "of": "picture", "data": bytes}`, null where nobody knows."""
    data = packet.data
    tree = {
        "type": ATTACHMENT,
        "num": label.num if label else None,
        "of": label.of if label else None,
        "data": data,
    }
    return Decoded("socket.io", tree, kind=ATTACHMENT, source=Attachment(packet.form, len(data), label))


class MsgpackPacket:
    """The source of a packet that is a MessagePack map: {type, nsp, id, data, …}."""

    __slots__ = ("fields", "form", "map", "payload")

    def __init__(self, packet: Packet, payload: bytes, map: dict[Any, Any], fields: Fields) -> None:
        self.form = packet.form
        self.payload = payload
        self.map = map
        self.fields = fields

    def encode(self, tree: Any) -> bytes:
        new = Fields.of(tree)
        if new.attachments is not None:
            raise ValueError(f"in MessagePack bytes stand in the data: EVENT or ACK, not {new.type}")
        values = {"type": TYPES.index(new.type), "nsp": new.path(), "id": new.id, "data": new.data}
        changed = {name: values.get(name, value) for name, value in self.map.items()}
        changed |= {name: value for name, value in values.items() if value is not None}
        for name in ("id", "data"):  # an id of null is no id, but one that stood there stays
            if values[name] is None and self.map.get(name) is not None:
                del changed[name]
        return write_packet(self.form, MESSAGE, edit(self.payload, changed))

    def summary(self, tree: Any) -> str:
        return self.fields.summary()


def decode_msgpack_packet(packet: Packet) -> Decoded | None:
    """None where it is no such packet."""
    payload = packet.data
    if not isinstance(payload, bytes) or not payload or payload[0] & 0xF0 != 0x80:
        return None
    try:
        found = unpack(payload)
        fields = _fields(found)
    except ValueError:
        return None
    return fields.decoded(MsgpackPacket(packet, payload, found, fields))


def _fields(found: dict[Any, Any]) -> Fields:
    kind, path = found.get("type"), found.get("nsp")
    if type(kind) is not int or not 0 <= kind < 5 or not isinstance(path, str):
        raise NotDecoded
    namespace, mark, query = path.partition("?")
    tree = {
        "type": TYPES[kind],
        "namespace": namespace,
        "query": query if mark else None,
        "id": found.get("id"),
        "data": found.get("data"),
    }
    return Fields.of(tree)
