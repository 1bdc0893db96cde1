"""Which decoder a connection gets: by its handshake, and where that says nothing, by what its messages are.

subprotocol graphql-transport-ws, graphql-ws      GraphqlDecoder
subprotocol with msgpack in its name              ContentDecoder, any MessagePack in binary messages
EIO=3 or EIO=4 in the query, or /socket.io/       EngineIoDecoder with Socket.IO
/engine.io/ in the path                           EngineIoDecoder
all else                                          ContentDecoder: JSON, JSON-RPC 2.0, plain MessagePack
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from wsinspect.decode.base import BaseDecoder
from wsinspect.decode.brief import shorten
from wsinspect.decode.graphql import GraphqlDecoder, Subprotocol
from wsinspect.decode.jsonpayload import decode_json
from wsinspect.decode.msgpackpayload import decode_msgpack
from wsinspect.decode.socketiodecoder import EngineIoDecoder
from wsinspect.model import Decoded, Opened, Requested, Side

__all__ = ["ContentDecoder", "decoder_for", "decoder_of", "describe"]


class ContentDecoder(BaseDecoder):
    """JSON in text, and in binary where it is an object or array; MessagePack in binary."""

    text_is_json = True

    def __init__(self, *, msgpack: bool = False) -> None:
        """`msgpack`: the handshake says that binary messages are MessagePack."""
        self._msgpack = msgpack

    def text(self, side: Side, payload: bytes) -> Decoded | None:
        return decode_json(payload)

    def binary(self, side: Side, payload: bytes) -> Decoded | None:
        if not self._msgpack and payload[:1] in (b"{", b"["):
            return decode_json(payload)
        return decode_msgpack(payload, agreed=self._msgpack)


def decoder_for(url: str, subprotocol: str | None = None) -> BaseDecoder:
    """A new decoder for one connection, with its own state. `subprotocol` is what the server agreed to."""
    name = (subprotocol or "").strip().lower()
    if name in Subprotocol:
        return GraphqlDecoder(Subprotocol(name))
    if "msgpack" in name:
        return ContentDecoder(msgpack=True)
    path, revision = _place(url)
    if "/engine.io/" in path:
        return EngineIoDecoder(revision or 4, socket_io=False)
    if revision or "/socket.io/" in path:
        return EngineIoDecoder(revision or 4, socket_io=True)
    return ContentDecoder()


def decoder_of(requested: Requested, opened: Opened | None = None) -> BaseDecoder:
    """A new decoder for the connection of these facts."""
    agreed = [value for name, value in opened.headers if name.lower() == _SUBPROTOCOL] if opened else []
    return decoder_for(requested.url, agreed[0] if agreed else None)


_SUBPROTOCOL = "sec-websocket-protocol"


def _place(url: str) -> tuple[str, int | None]:
    """The URL's path with a slash at its end, and Engine.IO's revision where the query says one."""
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, max_num_fields=100)
    except ValueError:
        return "", None
    revision = query.get("EIO", [""])[-1]
    known = int(revision) if revision in ("3", "4") else None
    return parts.path.rstrip("/") + "/", known


def describe(decoded: Decoded, limit: int = 200) -> str:
    """A line of at most `limit` characters for a log: the summary, behind the codec unless that is JSON.

    Not yet safe for a terminal: it has text of the peers.
    """
    if decoded.codec == "json":
        return shorten(decoded.summary, limit)
    return shorten(f"{decoded.codec} {decoded.summary}", limit)
