"""The examples of the JSON-RPC 2.0 specification, section 7, and what servers do beside it."""

from __future__ import annotations

import json
import time

import pytest

from wsinspect.decode.jsonpayload import decode_json


@pytest.mark.parametrize(
    ("text", "kind", "id_", "answers", "summary"),
    [
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
         "subtract", "1", False, "subtract 1 [42,23]"),
        ('{"jsonrpc": "2.0", "result": 19, "id": 1}', "result", "1", True, "result 1 19"),
        ('{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
         "subtract", "3", False, 'subtract 3 {"subtrahend":23,"minuend":42}'),
        ('{"jsonrpc": "2.0", "method": "update", "params": [1,2]}', "update", None, False, "update [1,2]"),
        ('{"jsonrpc": "2.0", "method": "foobar"}', "foobar", None, False, "foobar"),
        ('{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
         "error", "1", True, "error 1 -32601 Method not found"),
        ('{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
         "error", None, True, "error -32700 Parse error"),
        ('{"jsonrpc":"2.0","result":null,"error":null,"id":9}', "result", "9", True, "result 9 null"),
        ('{"jsonrpc":"2.0","result":null,"error":"no","id":9}', "error", "9", True, 'error 9 "no"'),
        ('{"jsonrpc":"2.0","result":{},"id":"x-1"}', "result", "x-1", True, "result x-1 {}"),
        ('{"jsonrpc":"2.0","result":1,"id":1.5}', "result", "1.5", True, "result 1.5 1"),
        ('{"jsonrpc":"2.0","result":1,"id":true}', "result", None, True, "result 1"),
        ('[{"jsonrpc":"2.0","method":"sum","params":[1],"id":"2"},{"jsonrpc":"2.0","method":"ping"},'
         '{"jsonrpc":"2.0","method":"get","id":"1"}]', "batch", "1,2", False, "batch of 3: sum, ping, get"),
        ('[{"jsonrpc":"2.0","result":7,"id":"1"},{"jsonrpc":"2.0","error":{"code":1,"message":"m"},"id":"2"}]',
         "batch", "1,2", True, "batch of 2: result, error"),
        ('[{"jsonrpc":"2.0","method":"a"}, 1]', "batch", None, False, "batch of 2: a"),
    ],
)  # fmt: skip
def test_examples(text: str, kind: str, id_: str | None, answers: bool, summary: str) -> None:
    found = decode_json(text.encode())
    assert found is not None
    assert (found.codec, found.kind, found.id, found.answers) == ("json-rpc", kind, id_, answers)
    assert found.summary == summary
    assert found.tree == json.loads(text)
    assert found.source is not None
    assert found.source.encode(found.tree) == text.encode()


@pytest.mark.parametrize(
    "text",
    ['{"jsonrpc":"1.0","method":"x"}', '{"jsonrpc":2.0,"method":"x"}', '{"jsonrpc":"2.0"}',
     '{"jsonrpc":"2.0","method":1}', '{"method":"x","id":1}', "[]", "[1]",
     '[1,{"jsonrpc":"2.0","method":"x"}]', '"2.0"', "null"],
)  # fmt: skip
def test_what_is_plain_json(text: str) -> None:
    found = decode_json(text.encode())
    assert found is not None
    assert (found.codec, found.kind, found.id, found.answers) == ("json", None, None, False)
    assert found.summary == text


def test_an_edit_keeps_the_rest() -> None:
    found = decode_json(b'{"jsonrpc":"2.0", "id":1, "result":{"price":1.10, "n":[1.0, 2]}}')
    assert found is not None
    assert found.source is not None
    found.tree["result"]["n"] = []
    assert found.source.encode(found.tree) == b'{"jsonrpc":"2.0", "id":1, "result":{"price":1.10, "n":[]}}'


def test_a_large_batch_has_no_id_and_takes_no_time() -> None:
    one = b'{"jsonrpc":"2.0","method":"' + b"m" * 1000 + b'","id":"' + b"9" * 1000 + b'"}'
    begin = time.process_time()
    found = decode_json(b"[" + b",".join([one] * 2000) + b"]")
    assert found is not None
    assert (found.kind, found.id) == ("batch", None)
    assert len(found.summary) <= 200
    assert time.process_time() - begin < 1


def test_not_utf8() -> None:
    assert decode_json(b'"\xff"') is None
