from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import json_texts
from tests.tools import need_module
from wsinspect.decode.registry import decoder_for
from wsinspect.model import Decoded, Opcode, Side

theirs = need_module("socketio.packet")

URL = "wss://host/socket.io/?EIO=4&transport=websocket"
URL_V3 = "wss://host/socket.io/?EIO=3&transport=websocket"


def decode(text: str, url: str = URL) -> Decoded:
    """What the message says; an edit of nothing is the identity."""
    found = decoder_for(url).decode(Side.CLIENT, Opcode.TEXT, text.encode())
    assert found is not None
    assert found.source is not None
    assert found.source.encode(found.tree).decode() == text
    return found


def encode(text: str, tree: Any) -> str:
    decoder = decoder_for(URL)
    found = decoder.decode(Side.CLIENT, Opcode.TEXT, text.encode())
    assert found is not None
    return decoder.encode(found, tree).decode()


def packet(kind: str, data: Any = None, namespace: str = "/", id: int | None = None, **more: Any) -> Any:
    return {"type": kind, "namespace": namespace, "id": id, "data": data, **more}


@pytest.mark.parametrize(
    ("text", "tree", "kind", "id_", "summary"),
    [
        ("40", packet("CONNECT"), "CONNECT", None, "CONNECT"),
        ('40{"sid":"abc"}', packet("CONNECT", {"sid": "abc"}), "CONNECT", None, 'CONNECT {"sid":"abc"}'),
        ('40/admin,{"token":"x"}', packet("CONNECT", {"token": "x"}, "/admin"),
         "CONNECT", None, 'CONNECT /admin {"token":"x"}'),
        ("40/admin,", packet("CONNECT", None, "/admin"), "CONNECT", None, "CONNECT /admin"),
        ("40/admin", packet("CONNECT", None, "/admin"), "CONNECT", None, "CONNECT /admin"),
        ("40/admin?token=1234&uid=abcd,", packet("CONNECT", None, "/admin", query="token=1234&uid=abcd"),
         "CONNECT", None, "CONNECT /admin"),
        ("41", packet("DISCONNECT"), "DISCONNECT", None, "DISCONNECT"),
        ("41/admin,", packet("DISCONNECT", None, "/admin"), "DISCONNECT", None, "DISCONNECT /admin"),
        ('42["foo"]', packet("EVENT", ["foo"]), "foo", None, "EVENT foo"),
        ('42["chat","hello"]', packet("EVENT", ["chat", "hello"]), "chat", None, 'EVENT chat "hello"'),
        ('42/admin,["bar",{"a": 1.0}]', packet("EVENT", ["bar", {"a": 1.0}], "/admin"),
         "bar", None, 'EVENT /admin bar {"a":1.0}'),
        ('4212["foo"]', packet("EVENT", ["foo"], id=12), "foo", "12", "EVENT foo #12"),
        ('42/admin,7["foo",1]', packet("EVENT", ["foo", 1], "/admin", 7),
         "foo", "/admin,7", "EVENT /admin foo #7 1"),
        ("42[5,1]", packet("EVENT", [5, 1]), "5", None, "EVENT 5 1"),
        ("4312[]", packet("ACK", [], id=12), "ACK", "12", "ACK #12"),
        ('43/admin,13["bar"]', packet("ACK", ["bar"], "/admin", 13),
         "ACK", "/admin,13", 'ACK /admin #13 "bar"'),
        ('44{"message":"Not authorized"}', packet("CONNECT_ERROR", {"message": "Not authorized"}),
         "CONNECT_ERROR", None, 'CONNECT_ERROR {"message":"Not authorized"}'),
        ('44"Not authorized"', packet("CONNECT_ERROR", "Not authorized"),
         "CONNECT_ERROR", None, 'CONNECT_ERROR "Not authorized"'),
        ('44/admin,"no"', packet("CONNECT_ERROR", "no", "/admin"),
         "CONNECT_ERROR", None, 'CONNECT_ERROR /admin "no"'),
        ('451-["baz",{"_placeholder":true,"num":0}]',
         packet("BINARY_EVENT", ["baz", {"_placeholder": True, "num": 0}], attachments=1),
         "baz", None, 'BINARY_EVENT baz {"_placeholder":true,"num":0}'),
        ('452-/admin,3["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
         packet("BINARY_EVENT", ["baz", {"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}],
                "/admin", 3, attachments=2),
         "baz", "/admin,3",
         'BINARY_EVENT /admin baz #3 {"_placeholder":true,"num":0} {"_placeholder":true,"num":1}'),
        ('461-/admin,456[{"_placeholder":true,"num":0}]',
         packet("BINARY_ACK", [{"_placeholder": True, "num": 0}], "/admin", 456, attachments=1),
         "BINARY_ACK", "/admin,456", 'BINARY_ACK /admin #456 {"_placeholder":true,"num":0}'),
        ("450-007[1]", packet("BINARY_EVENT", [1], id=7, attachments=0), "1", "7", "BINARY_EVENT 1 #7"),
        ("42/,[1]", packet("EVENT", [1]), "1", None, "EVENT 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", [URL, URL_V3])
def test_packets(url: str, text: str, tree: Any, kind: str, id_: str | None, summary: str) -> None:
    found = decode(text, url)
    assert (found.codec, found.kind, found.id) == ("socket.io", kind, id_)
    assert found.answers == (tree["type"] in ("ACK", "BINARY_ACK"))
    assert found.tree == tree
    assert found.summary == summary


@pytest.mark.parametrize(
    "text",
    ["4", "47", "42", "42[]", "42{}", '42"a"', "42[null]", "42[true]", '42["a"', '42["a"]x', "43", "43{}",
     "45[1]", "45-[1]", "451[1]", "41[1]", "40{", "4hello", "421234567890123456[1]", "451234567890-[1]"],
)  # fmt: skip
def test_what_is_no_packet_is_a_message_of_engine_io(text: str) -> None:
    found = decode(text)
    assert (found.codec, found.kind) == ("engine.io", "message")


@pytest.mark.parametrize("text", ["2", "3probe", "6", '0{"sid":"x"}'])
def test_engine_io_below(text: str) -> None:
    assert decode(text).codec == "engine.io"


@pytest.mark.parametrize(
    ("text", "tree", "expected"),
    [
        ('42["price", 1.10, {"q": 2.00}]', packet("EVENT", ["price", 9, {"q": 2.0}]),
         '42["price", 9, {"q": 2.00}]'),
        ('42["a"]', packet("EVENT", ["a", 1], "/admin", 7), '42/admin,7["a",1]'),
        ('42/admin,7["a"]', packet("EVENT", ["a"]), '42["a"]'),
        ('42/,7["a"]', packet("EVENT", ["b"], id=7), '42/,7["b"]'),
        ('42/,7["a"]', packet("EVENT", ["a"], id=8), '428["a"]'),
        ("40/admin", packet("CONNECT", {"a": 1}, "/admin"), '40/admin,{"a":1}'),
        ("40/admin", packet("CONNECT", None, "/b"), "40/b,"),
        ('40{"token":"x"}', packet("CONNECT"), "40"),
        ("40", packet("CONNECT", {"token": "x"}), '40{"token":"x"}'),
        ("40/a?x=1,", packet("CONNECT", None, "/a", query="x=2"), "40/a?x=2,"),
        ("40/a?x=1,", packet("CONNECT", None, "/a"), "40/a,"),
        ("40null", packet("CONNECT"), "40null"),
        ('42["a"]', packet("ACK", ["a"], id=1), '431["a"]'),
        ('42["a"]', {"type": "EVENT", "data": ["b"]}, '42["b"]'),
        ('451-["a",{"_placeholder":true,"num":0}]', packet("BINARY_EVENT", ["a", None], attachments=1),
         '451-["a",null]'),
        ('44"no"', packet("CONNECT_ERROR", {"message": "no"}), '44{"message":"no"}'),
    ],
)  # fmt: skip
def test_edits(text: str, tree: Any, expected: str) -> None:
    assert encode(text, tree) == expected
    assert decode(expected).tree["data"] == tree["data"]


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ([], "an object with type, namespace"),
        (packet("EVENTS", ["a"]), "one of CONNECT, .*, not 'EVENTS'"),
        (packet("EVENT", ["a"], nsp="/"), "has no 'nsp': type, namespace"),
        (packet("EVENT", ["a"], "admin"), "begins with /"),
        (packet("EVENT", ["a"], "/a,b"), "no comma"),
        (packet("EVENT", ["a"], id=-1), "whole number"),
        (packet("EVENT", ["a"], id=True), "whole number"),
        (packet("EVENT", ["a"], id="7"), "whole number"),
        (packet("EVENT", ["a"], query=1), "query"),
        (packet("EVENT", ["a"], attachments=1), "EVENT has no attachments"),
        (packet("BINARY_EVENT", ["a"]), "number of its attachments"),
        (packet("EVENT", []), "begins with the event's name"),
        (packet("EVENT", "a"), "begins with the event's name"),
        (packet("ACK", {}), "is an array"),
        (packet("DISCONNECT", []), "null"),
        (packet("EVENT", ["a", b"b"]), "cannot carry bytes"),
    ],
)
def test_what_no_packet_can_carry(tree: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        encode('42["a"]', tree)


HEADS = st.builds(
    lambda kind, namespace, number: f"{kind}{namespace}{number}",
    st.sampled_from(["0", "1", "2", "3", "4", "51-", "60-", "5", "7", "2 "]),
    st.sampled_from(["", "/,", "/admin,", "/a?b=c,", "/a"]),
    st.sampled_from(["", "0", "7", "007", "-1", "99999999999999999999"]),
)


@pytest.mark.slow
@given(HEADS, json_texts() | st.text(max_size=5) | st.just(""))
def test_an_edit_of_nothing_is_the_identity(head: str, data: str) -> None:
    assert isinstance(decode(f"4{head}{data}").summary, str)


@given(HEADS, json_texts() | st.just(""))
def test_a_head_written_anew_says_the_same(head: str, data: str) -> None:
    found = decode(f"4{head}{data}")
    if found.codec == "socket.io":
        elsewhere = encode(f"4{head}{data}", found.tree | {"namespace": "/elsewhere"})
        back = encode(elsewhere, found.tree)
        assert repr(decode(back).tree) == repr(found.tree)


@given(HEADS, json_texts(), st.booleans())
def test_another_implementation_reads_the_same(head: str, data: str, empty: bool) -> None:
    text = head if empty else head + data
    found = decode(f"4{text}")
    if found.codec != "socket.io" or text[:1] not in "0123456":
        return
    packet = theirs.Packet(encoded_packet=text)
    assert theirs.packet_names[packet.packet_type] == found.tree["type"]
    assert (packet.namespace or "/") == found.tree["namespace"]
    assert packet.id == found.tree["id"]
    assert repr(packet.data) == repr(found.tree["data"])
    assert packet.attachment_count == found.tree.get("attachments", 0)


ARGS = st.recursive(
    st.none() | st.integers(-100, 100) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.text(max_size=8),
    st.lists(ARGS, max_size=3),
    st.sampled_from([None, "/", "/admin"]),
    st.none() | st.integers(0, 99),
)
def test_what_another_implementation_writes(
    name: str, args: list[Any], namespace: str | None, number: int | None
) -> None:
    """Events with bytes become a packet and its attachments, which find back to their placeholders."""
    wire = theirs.Packet(theirs.EVENT, [name, *args], namespace, number).encode()
    text, *attachments = wire if isinstance(wire, list) else [wire]
    decoder = decoder_for(URL)
    found = decoder.decode(Side.SERVER, Opcode.TEXT, b"4" + text.encode())
    assert found is not None
    assert (found.kind, found.tree["id"], found.tree["namespace"]) == (name, number, namespace or "/")
    assert found.tree.get("attachments", 0) == len(attachments)
    for num, data in enumerate(attachments):
        attachment = decoder.decode(Side.SERVER, Opcode.BINARY, data)
        assert attachment is not None
        assert attachment.tree == {"type": "ATTACHMENT", "num": num, "of": name, "data": data}


def test_hostile_packets_take_no_time() -> None:
    texts = [
        "42" + "1" * 10_000_000,
        "42/" + "a" * 10_000_000,
        "45" + "1" * 10_000_000,
        "42[" + "[" * 1_000_000,
        '42["' + "a" * 10_000_000 + '"]',
        "b" + "A" * 10_000_000,
        '42["a",' + "1," * 500_000 + "1]",
    ]
    begin = time.process_time()
    for text in texts:
        assert len(decode(text).summary) <= 200
    assert time.process_time() - begin < 5
