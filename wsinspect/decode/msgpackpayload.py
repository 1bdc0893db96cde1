"""A payload that is MessagePack: as the handshake says, or as its bytes plainly show."""

from __future__ import annotations

from typing import Any

from wsinspect.decode.brief import brief
from wsinspect.decode.limits import NotDecoded
from wsinspect.decode.msgpack import unpack
from wsinspect.decode.msgpackedit import edit
from wsinspect.model import Decoded

__all__ = ["MsgpackBytes", "decode_msgpack"]


class MsgpackBytes:
    """The source of a message that is one MessagePack value."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def encode(self, tree: Any) -> bytes:
        return edit(self.payload, tree)

    def summary(self, tree: Any) -> str:
        return brief(tree)


def decode_msgpack(payload: bytes, *, agreed: bool) -> Decoded | None:
    """A message that is one MessagePack value; `agreed`: the handshake says that messages are.

    Otherwise it must be a map or an array with something in it, to the last byte, and a map's keys must be
    text or integers: other formats rarely look so.
    """
    if not payload or not (agreed or _may_be(payload[0])):
        return None
    try:
        tree = unpack(payload)
    except NotDecoded:
        return None
    if not agreed and not _is_plain(tree):
        return None
    return Decoded("msgpack", tree, source=MsgpackBytes(payload))


def _may_be(first: int) -> bool:
    return 0x81 <= first <= 0x8F or 0x91 <= first <= 0x9F or 0xDC <= first <= 0xDF


def _is_plain(tree: Any) -> bool:
    if isinstance(tree, dict):
        return bool(tree) and all(type(key) in (str, int) for key in tree)
    return isinstance(tree, list) and bool(tree)
