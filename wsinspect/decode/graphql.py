"""GraphQL over WebSocket, by its two subprotocols, which share their messages' shape: {type, id, payload}.

    graphql-transport-ws    subscribe ──▶ next … complete | error    PROTOCOL.md of the library graphql-ws
    graphql-ws              start ──▶ data … complete | error        of subscriptions-transport-ws, the older

Each has connection_init and connection_ack before that, and pings: ping and pong, or ka.
"""

from __future__ import annotations

import enum
from typing import Any

from wsinspect.decode.base import BaseDecoder
from wsinspect.decode.brief import brief, shorten
from wsinspect.decode.jsonpayload import JsonText, decode_json, read_json
from wsinspect.decode.limits import NotDecoded
from wsinspect.model import Decoded, Side

__all__ = ["GraphqlDecoder", "Subprotocol"]


class Subprotocol(enum.StrEnum):
    TRANSPORT_WS = "graphql-transport-ws"
    LEGACY = "graphql-ws"


TYPES = {
    Subprotocol.TRANSPORT_WS: {
        "connection_init", "connection_ack", "ping", "pong", "subscribe", "next", "error", "complete",
    },
    Subprotocol.LEGACY: {
        "connection_init", "connection_ack", "connection_error", "connection_terminate", "ka",
        "start", "stop", "data", "error", "complete",
    },
}  # fmt: skip
_ANSWERS = frozenset({"next", "data", "error", "complete"})
"""What a server sends to a subscription. A client's complete ends it, and answers nothing."""


class GraphqlText(JsonText):
    """The source of a message in GraphQL."""

    __slots__ = ()

    def summary(self, tree: Any) -> str:
        """`subscribe 3 subscription { prices { … } }`, `next 3 {"data":{…}}`"""
        words = [str(tree.get("type"))]
        if isinstance(tree.get("id"), str):
            words.append(shorten(tree["id"], 40))
        payload = tree.get("payload")
        if isinstance(payload, dict) and isinstance(payload.get("query"), str):
            words.append(shorten(payload["query"], 100))
            if payload.get("variables"):
                words.append(brief(payload["variables"], 60))
        elif payload is not None:
            words.append(brief(payload, 120))
        return shorten(" ".join(words))


class GraphqlDecoder(BaseDecoder):
    text_is_json = True

    def __init__(self, subprotocol: Subprotocol) -> None:
        self._subprotocol = subprotocol
        self._types = TYPES[subprotocol]

    def text(self, side: Side, payload: bytes) -> Decoded | None:
        try:
            tree, text = read_json(payload)
        except NotDecoded:
            return None
        kind = tree.get("type") if isinstance(tree, dict) else None
        if not isinstance(kind, str) or kind not in self._types:
            return decode_json(payload)
        number = tree.get("id")
        return Decoded(
            self._subprotocol.value,
            tree,
            None,
            kind,
            number if isinstance(number, str) else None,
            side is Side.SERVER and kind in _ANSWERS,
            GraphqlText(text, tree),
        )

    def binary(self, side: Side, payload: bytes) -> Decoded | None:
        return None
