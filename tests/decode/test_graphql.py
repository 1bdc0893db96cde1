"""The messages of graphql-transport-ws' PROTOCOL.md and of subscriptions-transport-ws."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.decode.wild import json_texts
from wsinspect.decode.registry import decoder_for
from wsinspect.model import Opcode, Side

NEW = "graphql-transport-ws"
OLD = "graphql-ws"
CLIENT, SERVER = Side


@pytest.mark.parametrize(
    ("subprotocol", "side", "text", "kind", "id_", "answers", "summary"),
    [
        (NEW, CLIENT, '{"type":"connection_init","payload":{"token":"x"}}',
         "connection_init", None, False, 'connection_init {"token":"x"}'),
        (NEW, SERVER, '{"type":"connection_ack"}', "connection_ack", None, False, "connection_ack"),
        (NEW, CLIENT, '{"type":"ping"}', "ping", None, False, "ping"),
        (NEW, SERVER, '{"type":"pong","payload":{"at":1}}', "pong", None, False, 'pong {"at":1}'),
        (NEW, CLIENT, '{"id":"3","type":"subscribe","payload":{"query":"subscription {\\n  prices {\\n x }}",'
         '"variables":{"s":"A"}}}', "subscribe", "3", False,
         'subscribe 3 subscription { prices { x }} {"s":"A"}'),
        (NEW, SERVER, '{"id":"3","type":"next","payload":{"data":{"x":1}}}',
         "next", "3", True, 'next 3 {"data":{"x":1}}'),
        (NEW, SERVER, '{"id":"3","type":"error","payload":[{"message":"m"}]}',
         "error", "3", True, 'error 3 [{"message":"m"}]'),
        (NEW, SERVER, '{"id":"3","type":"complete"}', "complete", "3", True, "complete 3"),
        (NEW, CLIENT, '{"id":"3","type":"complete"}', "complete", "3", False, "complete 3"),
        (OLD, CLIENT, '{"id":"1","type":"start","payload":{"query":"{ a }"}}',
         "start", "1", False, "start 1 { a }"),
        (OLD, SERVER, '{"id":"1","type":"data","payload":{"data":{}}}',
         "data", "1", True, 'data 1 {"data":{}}'),
        (OLD, SERVER, '{"type":"ka"}', "ka", None, False, "ka"),
        (OLD, CLIENT, '{"id":"1","type":"stop"}', "stop", "1", False, "stop 1"),
        (OLD, SERVER, '{"id":"1","type":"complete"}', "complete", "1", True, "complete 1"),
        (OLD, CLIENT, '{"type":"connection_terminate"}',
         "connection_terminate", None, False, "connection_terminate"),
    ],
)  # fmt: skip
def test_messages(
    subprotocol: str, side: Side, text: str, kind: str, id_: str | None, answers: bool, summary: str
) -> None:
    decoder = decoder_for("wss://host/graphql", subprotocol)
    found = decoder.decode(side, Opcode.TEXT, text.encode())
    assert found is not None
    assert (found.codec, found.kind, found.id, found.answers) == (subprotocol, kind, id_, answers)
    assert found.summary == summary
    assert found.tree == json.loads(text)
    assert decoder.encode(found, found.tree) == text.encode()


@pytest.mark.parametrize(
    ("subprotocol", "text"),
    [(NEW, '{"type":"start","id":"1"}'), (OLD, '{"type":"subscribe","id":"1"}'), (NEW, '{"type":["next"]}'),
     (NEW, "[1]"), (NEW, '"next"')],
)  # fmt: skip
def test_what_the_protocol_does_not_know_is_plain_json(subprotocol: str, text: str) -> None:
    found = decoder_for("wss://host/", subprotocol).decode(Side.SERVER, Opcode.TEXT, text.encode())
    assert found is not None
    assert (found.codec, found.kind) == ("json", None)


def test_an_id_that_is_no_text_pairs_nothing() -> None:
    found = decoder_for("wss://host/", NEW).decode(Side.SERVER, Opcode.TEXT, b'{"type":"next","id":7}')
    assert found is not None
    assert (found.kind, found.id) == ("next", None)


def test_an_edit() -> None:
    text = b'{"id":"3","type":"next","payload":{"data":{"price":1.10,"n":1e2}}}'
    decoder = decoder_for("wss://host/", NEW)
    found = decoder.decode(Side.SERVER, Opcode.TEXT, text)
    assert found is not None
    found.tree["payload"]["data"]["price"] = 9.5
    assert decoder.encode(found, found.tree) == text.replace(b"1.10", b"9.5")


def test_no_graphql() -> None:
    decoder = decoder_for("wss://host/", NEW)
    assert decoder.decode(Side.CLIENT, Opcode.TEXT, b"hello") is None
    assert decoder.decode(Side.CLIENT, Opcode.BINARY, b"\x81\x01\x02") is None


@given(json_texts())
def test_an_edit_of_nothing_is_the_identity(text: str) -> None:
    decoder = decoder_for("wss://host/", NEW)
    payload = '{"id":"1", "type":"next" ,"payload":' + text + "}"
    found = decoder.decode(Side.SERVER, Opcode.TEXT, payload.encode())
    assert found is not None
    assert found.kind == "next"
    assert isinstance(found.summary, str)
    assert decoder.encode(found, found.tree) == payload.encode()
