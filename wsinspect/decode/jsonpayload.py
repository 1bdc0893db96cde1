"""A payload that is JSON, and what the codecs on top of JSON share."""

from __future__ import annotations

from typing import Any

from wsinspect.decode import jsonrpc
from wsinspect.decode.brief import shorten
from wsinspect.decode.jsonedit import edit
from wsinspect.decode.jsonvalue import parse
from wsinspect.decode.limits import NotDecoded
from wsinspect.model import Decoded

__all__ = ["JsonText", "decode_json", "read_json"]


class JsonText:
    """The source of a message that is one JSON text."""

    __slots__ = ("text", "tree")

    def __init__(self, text: str, tree: Any) -> None:
        self.text = text
        self.tree = tree

    def encode(self, tree: Any) -> bytes:
        if tree is self.tree:  # it may have been changed in place
            return edit(self.text, tree).encode()
        return edit(self.text, tree, self.tree).encode()

    def summary(self, tree: Any) -> str:
        return shorten(self.text)


class CallText(JsonText):
    """The source of a message in JSON-RPC."""

    __slots__ = ()

    def summary(self, tree: Any) -> str:
        return jsonrpc.summary(tree)


def read_json(payload: bytes) -> tuple[Any, str]:
    """The tree and the text. Raises NotDecoded."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise NotDecoded from None
    return parse(text), text


def decode_json(payload: bytes) -> Decoded | None:
    """A message that is JSON, or JSON-RPC 2.0 by its members."""
    try:
        tree, text = read_json(payload)
    except NotDecoded:
        return None
    call = jsonrpc.classify(tree)
    if call is None:
        return Decoded("json", tree, None, None, None, False, JsonText(text, tree))
    return Decoded("json-rpc", tree, None, call.kind, call.id, call.answers, CallText(text, tree))
