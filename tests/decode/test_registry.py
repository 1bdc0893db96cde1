from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import json_texts
from wsinspect.decode.limits import MAX_BYTES
from wsinspect.decode.msgpack import pack
from wsinspect.decode.registry import ContentDecoder, decoder_for, decoder_of, describe
from wsinspect.model import Decoded, Opcode, Opened, Requested, Side
from wsinspect.model.decoded import CODECS

TEXT, BINARY = Opcode.TEXT, Opcode.BINARY


@pytest.mark.parametrize(
    ("url", "subprotocol", "opcode", "payload", "codec"),
    [
        ("wss://h/graphql", "graphql-transport-ws", TEXT, b'{"type":"ping"}', "graphql-transport-ws"),
        ("wss://h/graphql", " GraphQL-WS ", TEXT, b'{"type":"ka"}', "graphql-ws"),
        ("wss://h/graphql", None, TEXT, b'{"type":"ka"}', "json"),
        ("wss://h/", "wamp.2.msgpack", BINARY, b"\x01", "msgpack"),
        ("wss://h/", "msgpack", TEXT, b"[1]", "json"),
        ("wss://h/", None, BINARY, b"\x01", None),
        ("wss://h/", None, BINARY, b"\x91\x01", "msgpack"),
        ("wss://h/", None, TEXT, b"\x91\x01", None),
        ("wss://h/", None, BINARY, b'{"a":1}', "json"),
        ("wss://h/", None, BINARY, b"[1]", "json"),
        ("wss://h/", None, BINARY, b"1", None),
        ("wss://h/", None, BINARY, b'"a"', None),
        ("wss://h/", None, TEXT, b"1", "json"),
        ("wss://h/", "unknown", TEXT, b'{"jsonrpc":"2.0","method":"a"}', "json-rpc"),
        ("wss://h/socket.io/?EIO=4&transport=websocket", None, TEXT, b'42["a"]', "socket.io"),
        ("wss://h/socket.io/?EIO=4", None, BINARY, b"x", "socket.io"),
        ("wss://h/socket.io/?EIO=3", None, BINARY, b"x", None),
        ("wss://h/socket.io/?EIO=3", None, BINARY, b"\x04x", "socket.io"),
        ("wss://h/socket.io", None, TEXT, b'42["a"]', "socket.io"),
        ("wss://h/app/socket.io/", None, TEXT, b"2", "engine.io"),
        ("wss://h/own/path?x=1&EIO=4", None, TEXT, b'42["a"]', "socket.io"),
        ("wss://h/engine.io/?EIO=4", None, TEXT, b'42["a"]', "engine.io"),
        ("wss://h/socket.io/?EIO=4", None, TEXT, b'{"a":1}', "json"),
        ("wss://h/x?EIO=9", None, TEXT, b'42["a"]', None),
        ("wss://h/socket.iox/", None, TEXT, b'42["a"]', None),
        ("wss://[bad/", None, TEXT, b"{}", "json"),
        ("wss://h/?" + "&" * 1000, None, TEXT, b"{}", "json"),
        ("", None, TEXT, b"{}", "json"),
        ("wss://h/", None, TEXT, b"hello", None),
        ("wss://h/", None, TEXT, b"", None),
        ("wss://h/", None, BINARY, b"", None),
        ("wss://h/", None, Opcode.PING, b"{}", None),
        ("wss://h/", None, Opcode.CLOSE, b"{}", None),
        ("wss://h/", None, 3, b"{}", None),
    ],
)
def test_the_choice(
    url: str, subprotocol: str | None, opcode: int, payload: bytes, codec: str | None
) -> None:
    found = decoder_for(url, subprotocol).decode(Side.SERVER, opcode, payload)
    assert (found and found.codec) == codec
    assert codec is None or codec in CODECS


def test_by_the_facts_of_a_connection() -> None:
    requested = Requested(
        url="wss://h/", headers=[("Sec-WebSocket-Protocol", "graphql-ws, graphql-transport-ws")]
    )
    opened = Opened(headers=[("Upgrade", "websocket"), ("sec-websocket-protocol", "graphql-transport-ws")])
    for facts, codec in (
        ((requested, opened), "graphql-transport-ws"),
        ((requested, Opened()), "json"),
        ((requested,), "json"),
    ):
        found = decoder_of(*facts).decode(Side.CLIENT, TEXT, b'{"type":"ping"}')
        assert found is not None
        assert found.codec == codec


URLS = st.sampled_from(
    [
        "wss://h/",
        "wss://h/socket.io/?EIO=3",
        "wss://h/socket.io/?EIO=4",
        "wss://h/engine.io/?EIO=3",
        "wss://h/engine.io/?EIO=4",
    ]
)
SUBPROTOCOLS = st.sampled_from([None, "graphql-ws", "graphql-transport-ws", "msgpack"])
PIECES = st.sampled_from(
    [b"42", b"[", b"]", b"{", b"}", b'"a"', b":", b",", b"1", b"b", b"-", b"/a,", b"\x81", b"\xa1a", b"\x04"]
)
PAYLOADS = st.binary(max_size=20) | st.lists(PIECES, max_size=12).map(b"".join)


@given(
    URLS, SUBPROTOCOLS, st.lists(st.tuples(st.sampled_from(Side), st.integers(0, 10), PAYLOADS), max_size=4)
)
def test_nothing_raises_and_what_is_read_can_be_written(
    url: str, subprotocol: str | None, messages: list[tuple[Side, int, bytes]]
) -> None:
    decoder = decoder_for(url, subprotocol)
    for side, opcode, payload in messages:
        found = decoder.decode(side, opcode, payload)
        if found is not None and "nan" not in repr(found.tree):
            assert decoder.encode(found, found.tree) == payload
            assert len(describe(found)) <= 200


@pytest.mark.parametrize("url", ["wss://h/", "wss://h/socket.io/?EIO=4", "wss://h/engine.io/?EIO=3"])
def test_beyond_the_size(url: str) -> None:
    begin = time.process_time()
    for payload in (b"[" + b" " * MAX_BYTES + b"]", pack([bytes(MAX_BYTES)]), b"4" + b"a" * MAX_BYTES):
        for opcode in (TEXT, BINARY):
            assert decoder_for(url).decode(Side.CLIENT, opcode, payload) is None
    assert time.process_time() - begin < 1


def test_what_no_codec_made_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="this json message was not decoded from a payload"):
        ContentDecoder().encode(Decoded("json", {}), {})


def test_describe() -> None:
    decoder = decoder_for("wss://h/socket.io/?EIO=4")
    event = decoder.decode(Side.SERVER, TEXT, b'42["chat","hello"]')
    plain = ContentDecoder().decode(Side.SERVER, TEXT, b'{"a":\n 1}')
    assert event is not None
    assert plain is not None
    assert describe(event) == 'socket.io EVENT chat "hello"'
    assert describe(event, 16) == "socket.io EVENT…"
    assert describe(plain) == '{"a": 1}'
    assert describe(Decoded("json", {})) == ""


@given(URLS, SUBPROTOCOLS, json_texts())
def test_text_is_json_where_a_decoder_says_so(url: str, subprotocol: str | None, text: str) -> None:
    """Rules scan the payload for what they look for in the tree, and spare the decoding."""
    decoder = decoder_for(url, subprotocol)
    found = decoder.decode(Side.CLIENT, TEXT, text.encode())
    if decoder.text_is_json and found is not None and "\\" not in text:
        for name_or_text in texts(found.tree):
            assert name_or_text in text
    assert decoder.text_is_json == ("EIO" not in url or subprotocol is not None)


def texts(tree: Any) -> Iterator[str]:
    match tree:
        case str():
            yield tree
        case dict():
            for name, value in tree.items():
                yield name
                yield from texts(value)
        case list():
            for value in tree:
                yield from texts(value)
