"""What all decoders are: they read, and what they read knows how to be written again."""

from __future__ import annotations

from typing import Any

from wsinspect.decode.limits import MAX_BYTES
from wsinspect.model import Decoded, Opcode, Side

__all__ = ["BaseDecoder"]


class BaseDecoder:
    """The bounds, and encoding; a subclass reads a data message that is within them."""

    text_is_json = False
    """The names and texts in a text message's tree stand in the payload as JSON writes them: what is not in
    the payload need not be looked for in the tree."""

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        """What the message says; None where no codec knows it. Never raises."""
        if len(payload) > MAX_BYTES:
            return None
        if opcode == Opcode.TEXT:
            return self.text(side, payload)
        if opcode == Opcode.BINARY:
            return self.binary(side, payload)
        return None

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        """The payload again, saying `tree`. Raises ValueError for what the codec cannot carry."""
        if decoded.source is None:
            raise ValueError(f"this {decoded.codec} message was not decoded from a payload")
        return decoded.source.encode(tree)

    def text(self, side: Side, payload: bytes) -> Decoded | None:
        raise NotImplementedError

    def binary(self, side: Side, payload: bytes) -> Decoded | None:
        raise NotImplementedError
