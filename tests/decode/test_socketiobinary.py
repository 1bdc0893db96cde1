from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.decode.msgpack import pack, unpack
from wsinspect.decode.socketiodecoder import EngineIoDecoder
from wsinspect.model import Decoded, Opcode, Side

HEAD = b'452-/admin,["pic",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


@pytest.fixture(params=[3, 4])
def revision(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def decoder(revision: int) -> EngineIoDecoder:
    return EngineIoDecoder(revision, socket_io=True)


def frame(revision: int, data: bytes) -> bytes:
    return b"\x04" + data if revision == 3 else data


def ask(
    decoder: EngineIoDecoder, payload: bytes, *, side: Side = Side.SERVER, opcode: int = Opcode.BINARY
) -> Decoded:
    found = decoder.decode(side, opcode, payload)
    assert found is not None
    assert found.codec in ("socket.io", "engine.io")
    return found


def label(found: Decoded) -> tuple[int | None, str | None]:
    assert found.kind == found.tree["type"] == "ATTACHMENT"
    return found.tree["num"], found.tree["of"]


def test_attachments_follow_their_packet(decoder: EngineIoDecoder, revision: int) -> None:
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    first = ask(decoder, frame(revision, b"abc"))
    assert first.tree == {"type": "ATTACHMENT", "num": 0, "of": "pic", "data": b"abc"}
    assert first.summary == "ATTACHMENT 0 of pic ‹3 bytes›"
    assert label(ask(decoder, frame(revision, b""))) == (1, "pic")
    assert label(ask(decoder, frame(revision, b"x"))) == (None, None)
    assert ask(decoder, frame(revision, b"x")).summary == "ATTACHMENT ‹1 bytes›"


def test_each_side_has_its_own(decoder: EngineIoDecoder, revision: int) -> None:
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    assert label(ask(decoder, frame(revision, b"x"), side=Side.CLIENT)) == (None, None)
    ask(decoder, b'451-["up",{"_placeholder":true,"num":0}]', side=Side.CLIENT, opcode=Opcode.TEXT)
    assert label(ask(decoder, frame(revision, b"x"), side=Side.CLIENT)) == (0, "up")
    assert label(ask(decoder, frame(revision, b"x"))) == (0, "pic")


def test_a_ping_between_them_changes_nothing_and_a_packet_ends_them(
    decoder: EngineIoDecoder, revision: int
) -> None:
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    ask(decoder, b"2", opcode=Opcode.TEXT)
    assert label(ask(decoder, frame(revision, b"x"))) == (0, "pic")
    ask(decoder, b'42["next"]', opcode=Opcode.TEXT)
    assert label(ask(decoder, frame(revision, b"x"))) == (None, None)


def test_an_edited_attachment_is_asked_about_again(decoder: EngineIoDecoder, revision: int) -> None:
    """A second rule looks at what the first one made: it is still the first attachment."""
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    first = ask(decoder, frame(revision, b"abc"))
    payload = decoder.encode(first, first.tree | {"data": b"ABC"})
    assert payload == frame(revision, b"ABC")
    again = ask(decoder, payload)
    assert again.tree == {"type": "ATTACHMENT", "num": 0, "of": "pic", "data": b"ABC"}
    payload = decoder.encode(again, again.tree | {"data": b""})
    assert label(ask(decoder, payload)) == (0, "pic")
    assert label(ask(decoder, frame(revision, b"x"))) == (1, "pic")


def test_base64(revision: int) -> None:
    decoder = EngineIoDecoder(revision, socket_io=True)
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    payload = b"b4YWJj" if revision == 3 else b"bYWJj"
    found = ask(decoder, payload, opcode=Opcode.TEXT)
    assert found.tree == {"type": "ATTACHMENT", "num": 0, "of": "pic", "data": b"abc"}
    assert decoder.encode(found, found.tree) == payload


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ([], "stays an attachment"),
        ({"type": "EVENT", "data": b""}, "stays an attachment"),
        ({"type": "ATTACHMENT", "data": "x"}, "is bytes"),
        ({"type": "ATTACHMENT"}, "is bytes"),
    ],
)
def test_what_no_attachment_can_carry(
    decoder: EngineIoDecoder, revision: int, tree: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        decoder.encode(ask(decoder, frame(revision, b"x")), tree)


# ---- socket.io-msgpack-parser


def test_packets_in_messagepack(decoder: EngineIoDecoder, revision: int) -> None:
    payload = frame(
        revision, pack({"type": 2, "data": ["chat", b"abc", 1.5], "nsp": "/admin", "id": 7, "options": {}})
    )
    found = ask(decoder, payload)
    assert found.tree == {"type": "EVENT", "namespace": "/admin", "id": 7, "data": ["chat", b"abc", 1.5]}
    assert (found.kind, found.id, found.answers) == ("chat", "/admin,7", False)
    assert found.summary == "EVENT /admin chat #7 ‹3 bytes› 1.5"
    assert decoder.encode(found, found.tree) == payload
    new = decoder.encode(found, found.tree | {"data": ["chat", b""], "id": None, "namespace": "/"})
    assert unpack(new[revision == 3 :]) == {"type": 2, "data": ["chat", b""], "nsp": "/", "options": {}}


def packet(kind: str, data: Any = None, namespace: str = "/", id: int | None = None, **more: Any) -> Any:
    return {"type": kind, "namespace": namespace, "id": id, "data": data, **more}


@pytest.mark.parametrize(
    ("wire", "tree"),
    [
        ({"type": 0, "nsp": "/"}, packet("CONNECT")),
        ({"type": 0, "nsp": "/", "data": None}, packet("CONNECT")),
        ({"type": 1, "nsp": "/a"}, packet("DISCONNECT", None, "/a")),
        ({"type": 3, "nsp": "/", "id": 0, "data": []}, packet("ACK", [], id=0)),
        ({"type": 0, "nsp": "/a?x=1"}, packet("CONNECT", None, "/a", query="x=1")),
    ],
)
def test_more_packets(wire: Any, tree: Any) -> None:
    decoder = EngineIoDecoder(4, socket_io=True)
    found = ask(decoder, pack(wire))
    assert found.tree == tree
    assert decoder.encode(found, found.tree) == pack(wire)


def test_data_where_there_was_none() -> None:
    decoder = EngineIoDecoder(4, socket_io=True)
    found = ask(decoder, pack({"type": 0, "nsp": "/"}))
    assert unpack(decoder.encode(found, found.tree | {"data": {"a": 1}})) == {
        "type": 0,
        "nsp": "/",
        "data": {"a": 1},
    }
    with pytest.raises(ValueError, match="bytes stand in the data"):
        decoder.encode(found, {"type": "BINARY_EVENT", "data": ["a"], "attachments": 0})


@pytest.mark.parametrize(
    "wire",
    [{"type": 2, "nsp": "/"}, {"type": 7, "nsp": "/"}, {"type": True, "nsp": "/"}, {"type": 0},
     {"type": 0, "nsp": "a"}, {"type": 0, "nsp": 1}, {"type": 3, "nsp": "/", "data": [], "id": "x"}, {}, [2]],
)  # fmt: skip
def test_what_is_no_packet_is_an_attachment(wire: Any) -> None:
    assert label(ask(EngineIoDecoder(4, socket_io=True), pack(wire))) == (None, None)


def test_an_attachment_that_looks_like_a_packet_is_one_all_the_same() -> None:
    decoder = EngineIoDecoder(4, socket_io=True)
    ask(decoder, HEAD, opcode=Opcode.TEXT)
    assert label(ask(decoder, pack({"type": 0, "nsp": "/"}))) == (0, "pic")


@given(
    st.lists(
        st.tuples(st.sampled_from(Side), st.sampled_from([1, 2]), st.binary(max_size=12) | st.just(HEAD))
    )
)
def test_noise(messages: list[tuple[Side, int, bytes]]) -> None:
    for revision in (3, 4):
        decoder = EngineIoDecoder(revision, socket_io=True)
        for side, opcode, payload in messages:
            found = decoder.decode(side, opcode, payload)
            if found is not None:
                assert decoder.encode(found, found.tree) == payload
                assert isinstance(found.summary, str)
