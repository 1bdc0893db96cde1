"""The decoder of an Engine.IO connection, with or without Socket.IO in its messages.

binary packet of n attachments ──▶ n binary messages, numbered ──▶ the next packet
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsinspect.decode.base import BaseDecoder
from wsinspect.decode.engineio import MESSAGE, Packet, decode_packet, read_binary, read_text
from wsinspect.decode.jsonpayload import decode_json
from wsinspect.decode.limits import NotDecoded
from wsinspect.decode.socketio import decode_text
from wsinspect.decode.socketiobinary import Attachment, Label, decode_attachment, decode_msgpack_packet
from wsinspect.model import Decoded, Side

__all__ = ["EngineIoDecoder"]


@dataclass(slots=True)
class _Expected:
    """The attachments of the last binary packet of one side that have not come."""

    of: str = ""
    total: int = 0
    came: int = 0

    def next(self) -> Label | None:
        if self.came == self.total:
            return None
        self.came += 1
        return Label(self.came - 1, self.of)


class EngineIoDecoder(BaseDecoder):
    """Asked for each message in order, it numbers attachments. Where messages are left out a number may be
    missing or wrong; what an attachment carries is right all the same.
    """

    def __init__(self, revision: int, *, socket_io: bool) -> None:
        """`revision` of Engine.IO: 3, or 4 and later."""
        self._revision = revision
        self._socket_io = socket_io
        self._expected = [_Expected(), _Expected()]
        self._edit: tuple[bytes, Label | None] | None = None

    def text(self, side: Side, payload: bytes) -> Decoded | None:
        try:
            packet = read_text(payload, self._revision)
        except NotDecoded:
            return decode_json(payload)
        return self._packet(side, packet, payload)

    def binary(self, side: Side, payload: bytes) -> Decoded | None:
        try:
            packet = read_binary(payload, self._revision)
        except NotDecoded:
            return None
        return self._packet(side, packet, payload)

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        payload = super().encode(decoded, tree)
        if isinstance(decoded.source, Attachment):
            self._edit = (payload, decoded.source.label)  # asked about again, it is still the same attachment
        return payload

    def _packet(self, side: Side, packet: Packet, payload: bytes) -> Decoded:
        if packet.type != MESSAGE or not self._socket_io:
            return decode_packet(packet)
        if isinstance(packet.data, bytes):
            return self._binary_message(side, packet, payload)
        try:
            decoded = decode_text(packet.data)
        except NotDecoded:
            decoded = decode_packet(packet)
        self._expected[side] = _Expected(decoded.kind or "", _attachments(decoded))
        return decoded

    def _binary_message(self, side: Side, packet: Packet, payload: bytes) -> Decoded:
        edited, self._edit = self._edit, None
        if edited is not None and edited[0] is payload:
            self._edit = edited
            return decode_attachment(packet, edited[1])
        label = self._expected[side].next()
        whole = decode_msgpack_packet(packet) if label is None else None
        return whole or decode_attachment(packet, label)


def _attachments(decoded: Decoded) -> int:
    count = decoded.tree.get("attachments", 0)
    return count if isinstance(count, int) else 0
