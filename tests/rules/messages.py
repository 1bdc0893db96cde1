"""Messages by themselves."""

from __future__ import annotations

from wsinspect.model import Message, Side


def message(payload: bytes, opcode: int = 1, side: Side = Side.SERVER) -> Message:
    return Message(side, opcode, payload, 1, 1, len(payload) + 2)
