"""What a payload says, once a decoder of `decode/` has read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from wsinspect.model.frames import Side


@dataclass(frozen=True, slots=True)
class Decoded:
    """A payload as a tree, with what pairs questions and answers."""

    codec: str
    """`json`, `msgpack`, `json-rpc`, `socket.io`, `graphql-ws` …"""
    tree: Any
    """dict, list, str, int, float, bool, None, bytes: what `$.path` looks into."""
    summary: str = ""
    """One short line; not yet safe for a terminal."""
    kind: str | None = None
    """What sort of message it is in its protocol: an event's name, a method, `subscribe` …"""
    id: str | None = None
    """By which an answer finds its question."""
    answers: bool = False
    """It is the answer to the question of that id."""


class Decoder(Protocol):
    """The decoders of one connection: chosen by its handshake, asked for each message."""

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        """None where no codec knows it. Never raises; depth and size are bounded."""

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        """The payload again, with `tree` in the place of `decoded.tree`: prefixes, lengths and framing right.

        Raises ValueError, with a sentence, for a tree that the codec cannot carry.
        """
