"""What a payload says, once a decoder of `decode/` has read it."""

from __future__ import annotations

from typing import Any, Protocol

from wsinspect.model.frames import Side

CODECS = ("json", "json-rpc", "msgpack", "engine.io", "socket.io", "graphql-transport-ws", "graphql-ws")
"""By what names decoders call what they read."""


class Source(Protocol):
    """A payload as it came, kept by its codec: what an edit need not touch stays byte for byte."""

    def encode(self, tree: Any) -> bytes:
        """The payload again, saying `tree`. Raises ValueError for a tree that the codec cannot carry."""

    def summary(self, tree: Any) -> str:
        """One short line for a log; `tree` is what was decoded."""


class Decoded:
    """A payload as a tree, with what pairs questions and answers.

    One is made for each message that rules look into: a frozen dataclass took 0.7 µs longer, and a summary
    that nobody may want up to 6 µs.
    """

    __slots__ = ("_summary", "answers", "codec", "id", "kind", "source", "tree")

    def __init__(
        self,
        codec: str,
        tree: Any,
        summary: str | None = None,
        kind: str | None = None,
        id: str | None = None,
        answers: bool = False,
        source: Source | None = None,
    ) -> None:
        self.codec = codec
        """One of `CODECS`."""
        self.tree = tree
        """dict, list, str, int, float, bool, None, bytes: what `$.path` looks into. Not to be changed: an
        edit is another tree, which may share parts with this one."""
        self.kind = kind
        """What sort of message it is in its protocol: an event's name, a method, `subscribe` …"""
        self.id = id
        """By which an answer finds its question."""
        self.answers = answers
        """It is the answer to the question of that id."""
        self.source = source
        """None where it was not made by a codec of `decode/`."""
        self._summary = summary

    @property
    def summary(self) -> str:
        """One short line; not yet safe for a terminal."""
        if self._summary is None:
            self._summary = self.source.summary(self.tree) if self.source is not None else ""
        return self._summary

    def __repr__(self) -> str:
        pairing = f"kind={self.kind!r}, id={self.id!r}, answers={self.answers}"
        return f"Decoded({self.codec!r}, {self.tree!r}, {pairing})"


class Decoder(Protocol):
    """The decoders of one connection: chosen by its handshake, asked for each message."""

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        """None where no codec knows it. Never raises; depth and size are bounded."""

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        """The payload again, with `tree` in the place of `decoded.tree`: prefixes, lengths and framing right.

        Raises ValueError, with a sentence, for a tree that the codec cannot carry.
        """
