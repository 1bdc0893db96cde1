from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import CONTAINERS, json_texts
from tests.tools import need_module
from wsinspect.decode.registry import decoder_for
from wsinspect.model import Decoded, Opcode, Side

theirs = need_module("engineio.packet")

V3 = "ws://host/engine.io/?EIO=3&transport=websocket"
V4 = "ws://host/engine.io/?EIO=4&transport=websocket"


def decode(url: str, payload: bytes, opcode: int = Opcode.TEXT) -> Decoded:
    found = decoder_for(url).decode(Side.SERVER, opcode, payload)
    assert found is not None
    assert found.source is not None
    assert found.source.encode(found.tree) == payload
    return found


OPEN = b'0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}'


@pytest.mark.parametrize("url", [V3, V4])
@pytest.mark.parametrize(
    ("payload", "tree", "summary"),
    [
        (b"1", {"type": "close", "data": ""}, "close"),
        (b"2", {"type": "ping", "data": ""}, "ping"),
        (b"2probe", {"type": "ping", "data": "probe"}, "ping probe"),
        (b"3probe", {"type": "pong", "data": "probe"}, "pong probe"),
        (b"4", {"type": "message", "data": ""}, "message"),
        (b"4hello", {"type": "message", "data": "hello"}, "message hello"),
        ("4€€€".encode(), {"type": "message", "data": "€€€"}, "message €€€"),
        (b'4{"a": [1.0]}', {"type": "message", "data": {"a": [1.0]}}, 'message {"a": [1.0]}'),
        (b"4[1, 2", {"type": "message", "data": "[1, 2"}, "message [1, 2"),
        (b"42", {"type": "message", "data": "2"}, "message 2"),
        (b"5", {"type": "upgrade", "data": ""}, "upgrade"),
        (b"6", {"type": "noop", "data": ""}, "noop"),
    ],
)
def test_text(url: str, payload: bytes, tree: Any, summary: str) -> None:
    found = decode(url, payload)
    assert (found.codec, found.kind, found.id, found.answers) == ("engine.io", tree["type"], None, False)
    assert found.tree == tree
    assert found.summary == summary


def test_open() -> None:
    found = decode(V4, OPEN)
    assert found.kind == "open"
    assert found.tree["data"]["pingInterval"] == 25000
    found.tree["data"]["pingInterval"] = 1
    assert decoder_for(V4).encode(found, found.tree) == OPEN.replace(b"25000", b"1")


@pytest.mark.parametrize(
    ("url", "opcode", "payload", "kind", "data"),
    [
        (V4, Opcode.BINARY, b"\x01\x02\x03", "message", b"\x01\x02\x03"),
        (V4, Opcode.BINARY, b"", "message", b""),
        (V4, Opcode.TEXT, b"bAQIDBA==", "message", b"\x01\x02\x03\x04"),
        (V3, Opcode.BINARY, b"\x04\x01\x02\x03", "message", b"\x01\x02\x03"),
        (V3, Opcode.BINARY, b"\x04", "message", b""),
        (V3, Opcode.BINARY, b"\x03\x01", "pong", b"\x01"),
        (V3, Opcode.TEXT, b"b4AQIDBA==", "message", b"\x01\x02\x03\x04"),
    ],
)
def test_binary(url: str, opcode: int, payload: bytes, kind: str, data: bytes) -> None:
    found = decode(url, payload, opcode)
    assert found.tree == {"type": kind, "data": data}
    assert found.summary == (f"{kind} ‹{len(data)} bytes›" if data else kind)
    changed = decoder_for(url).encode(found, {"type": kind, "data": data + b"\xff"})
    assert decode(url, changed, opcode).tree["data"] == data + b"\xff"


@pytest.mark.parametrize(
    ("url", "opcode", "payload"),
    [
        (V4, Opcode.TEXT, b""), (V4, Opcode.TEXT, b"hello"), (V4, Opcode.TEXT, b"\xff"),
        (V4, Opcode.TEXT, b"4\xff"),
        (V4, Opcode.TEXT, b"bAQIDBA="), (V4, Opcode.TEXT, b"bAQ IDBA=="), (V4, Opcode.TEXT, b"bAQIDBB=="),
        (V3, Opcode.TEXT, b"b"), (V3, Opcode.TEXT, b"b7AQ=="), (V3, Opcode.TEXT, b"bAQIDBA=="),
        (V4, Opcode.TEXT, "٣".encode()),
        (V3, Opcode.BINARY, b""), (V3, Opcode.BINARY, b"\x07"), (V3, Opcode.BINARY, b"4hello"),
    ],
)  # fmt: skip
def test_what_is_no_packet(url: str, opcode: int, payload: bytes) -> None:
    assert decoder_for(url).decode(Side.CLIENT, opcode, payload) is None


@pytest.mark.parametrize(
    ("payload", "tree", "expected"),
    [
        (b"4hello", {"type": "message", "data": {"a": 1}}, b'4{"a":1}'),
        (b'4{"a": 1.0}', {"type": "message", "data": {"a": 1.0, "b": 2}}, b'4{"a": 1.0, "b": 2}'),
        (b'4{"a": 1.0}', {"type": "message", "data": "bare"}, b"4bare"),
        (b"2probe", {"type": "pong", "data": "probe"}, b"3probe"),
        (b"2probe", {"type": "ping"}, b"2"),
    ],
)
def test_edits(payload: bytes, tree: Any, expected: bytes) -> None:
    assert decoder_for(V4).encode(decode(V4, payload), tree) == expected


@pytest.mark.parametrize(
    ("url", "opcode", "payload", "tree", "sentence"),
    [
        (V4, Opcode.TEXT, b"4a", "b", "has type and data"),
        (V4, Opcode.TEXT, b"4a", {"type": "message", "data": "b", "id": 1}, "has type and data"),
        (V4, Opcode.TEXT, b"4a", {"type": "massage", "data": "b"}, "one of open, .* not 'massage'"),
        (V4, Opcode.TEXT, b"4a", {"data": "b"}, "one of open, .* not None"),
        (V4, Opcode.TEXT, b"4a", {"type": ["message"], "data": "b"}, "one of open"),
        (V4, Opcode.TEXT, b"4a", {"type": "message", "data": b"b"}, "not bytes"),
        (V4, Opcode.TEXT, b"4a", {"type": "message", "data": "\ud800"}, "surrogate"),
        (V4, Opcode.TEXT, b"4a", {"type": "message", "data": {"a": b"b"}}, "cannot carry bytes"),
        (V4, Opcode.BINARY, b"a", {"type": "message", "data": "b"}, "carries bytes"),
        (V4, Opcode.BINARY, b"a", {"type": "ping", "data": b"b"}, "always a message"),
    ],
)
def test_what_no_packet_can_carry(url: str, opcode: int, payload: bytes, tree: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        decoder_for(url).encode(decode(url, payload, opcode), tree)


@given(st.sampled_from([V3, V4]), st.sampled_from("0123456"), json_texts(CONTAINERS) | st.text(max_size=10))
def test_an_edit_of_nothing_is_the_identity(url: str, digit: str, data: str) -> None:
    decode(url, (digit + data).encode())


@given(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.binary(max_size=20), st.sampled_from([V3, V4]))
def test_noise(opcode: int, payload: bytes, url: str) -> None:
    found = decoder_for(url).decode(Side.CLIENT, opcode, payload)
    if found is not None:
        assert found.source is not None
        assert found.source.encode(found.tree) == payload
        assert isinstance(found.summary, str)


@given(st.sampled_from("123456"), st.text(max_size=12))
def test_another_implementation_reads_the_same(digit: str, data: str) -> None:
    packet = theirs.Packet(encoded_packet=digit + data)
    found = decode(V4, (digit + data).encode())
    assert found.kind == theirs.packet_names[packet.packet_type].lower()
    ours = found.tree["data"]
    if type(ours) is type(packet.data) or isinstance(ours, dict | list):  # theirs parses bare numbers too
        assert ours == packet.data


@given(st.binary(max_size=20))
def test_another_implementation_writes_what_we_read(data: bytes) -> None:
    binary = theirs.Packet(theirs.MESSAGE, data).encode()
    text = theirs.Packet(theirs.MESSAGE, data).encode(b64=True).encode()
    assert decode(V4, binary, Opcode.BINARY).tree["data"] == data
    assert decode(V4, text, Opcode.TEXT).tree["data"] == data
