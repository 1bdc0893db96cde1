"""Each condition through real sockets, on every way: what it catches does not arrive, all else does.

Those of handshakes and control frames stand in other modules; `test_matrix.py` sees that none is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.rules.ways import (
    WAYS,
    Compression,
    Pair,
    Payload,
    Rig,
    Way,
    for_both,
    messages,
    rig_of,
    verdicts,
)
from wsinspect.model import Outcome

LONG = "long " * 1200
END = "end of the messages"
ORDER = b"\x82\xa4type\xa5order\xa2id\x07"
"""{"type": "order", "id": 7} in MessagePack."""

MESSAGES: tuple[Payload, ...] = (
    '{"type":"ticker","price":150,"id":"a1"}',
    '{"type":"ticker","price":50,"id":"a2"}',
    "a plain heartbeat",
    b"\xde\xad\xbe\xef and more",
    LONG,
    ["in ", "three ", "fragments"],
    ORDER,
    '{"jsonrpc":"2.0","id":9,"method":"subscribe"}',
    "grüße, 世界",
)


def plain(payload: Payload) -> str | bytes:
    return "".join(payload) if isinstance(payload, list) else payload


@dataclass
class Case:
    """A condition that catches these of the messages."""

    name: str
    when: str
    """Of the rule, beside `path` and `from`."""
    caught: set[int]
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sent: tuple[Payload, ...] = MESSAGES
    more: str = ""
    """Other keys of the rule, each on its line."""
    before: str = ""
    """Rules that come before it."""
    pauses: dict[int, float] = field(default_factory=dict)
    """Seconds to wait before the message of that number."""
    only: Callable[[Way], bool] = lambda way: True
    """The ways on which it catches anything at all."""
    back: str = ""
    """What the other side says first."""


FEW = [way for way in WAYS if way.tls and way.compression is Compression.TAKEOVER]
"""For what catches nothing: that its condition is looked at on every way another case has shown."""
EVERY = set(range(len(MESSAGES)))
TEXTS = EVERY - {3, 6}

CASES = [
    Case("from", "from: SIDE", EVERY),
    Case("kind-text", "kind: text", TEXTS),
    Case("kind-binary", "kind: binary", {3, 6}),
    Case("kind-fragment", "kind: fragment", {5}),
    Case("kind-list", "kind: [binary, fragment]", {3, 5, 6}),
    Case("text-contains", "text: {contains: heartbeat}", {2}),
    Case("text-equals", 'text: {equals: "grüße, 世界"}', {8}),
    Case("text-glob", "text: {glob: 'in*fragments'}", {5}),
    Case("text-regex", r"text: {regex: '\bpl[a-z]+n\b'}", {2}),
    Case("bytes-prefix", "bytes: {prefix: 'de ad ?? ef'}", {3}),
    Case("bytes-within", "bytes: '61 6e 64 20 6d'", {3}),
    Case("size", "size: '>4KiB'", {4}),
    Case("json-equals", "json: {$.type: ticker}", {0, 1}),
    Case("json-gt", "json: {$.price: {gt: 100}}", {0}),
    Case("json-in", "json: {$.id: {in: [a2, a3]}}", {1}),
    Case("json-lt", "json: {$.price: {lt: 100}}", {1}),
    Case("json-between", "json: {$.price: {ge: 50, le: 149}}", {1}),
    Case("json-contains", "json: {$.id: {contains: '1'}}", {0}),
    Case("json-glob", "json: {$.id: {glob: '?2'}}", {1}),
    Case("json-exists", "json: {$.method: {exists: true}}", {7}),
    Case("json-regex", "json: {$.id: {regex: '^a'}}", {0, 1}),
    Case("json-in-msgpack", "json: {$.type: order}", {6}),
    Case("codec", "codec: msgpack", {6}),
    Case("message-kind", "message-kind: subscribe", {7}),
    Case("message-id", "message-id: '9'", {7}),
    Case("url", "url: '*/url/*'", EVERY),
    Case("url-other", "url: '*/elsewhere/*'", set()),
    Case("host-other", "host: '*.example.com'", set()),
    Case("port-other", "port: [1, 2]", set()),
    Case("host", "host: 127.0.0.*", EVERY),
    Case("port", "port: '>1'", EVERY),
    Case("path", "path: /path/*/*", EVERY),
    Case("path-other", "path: /elsewhere/*", set()),
    Case("query", "query: {token: '12*'}", EVERY, query="?token=123"),
    Case("query-other", "query: {token: '12*'}", set(), query="?token=312"),
    Case("header", "header: {X-Trace: yes-*}", EVERY, headers={"X-Trace": "yes-1"}),
    Case("header-other", "header: {X-Trace: yes-*}", set(), headers={"X-Trace": "no-1"}),
    Case("cookie", "cookie: {session: {exists: true}}", EVERY, headers={"Cookie": "a=b; session=c"}),
    Case("cookie-other", "cookie: {session: {exists: true}}", set(), headers={"Cookie": "sessions=c"}),
    Case("subprotocol-other", "subprotocol: chat.v2", set()),
    Case(
        "extension",
        "extension: permessage-deflate",
        EVERY,
        only=lambda w: w.compression is not Compression.OFF,
    ),
    Case("extension-other", "extension: x-webkit-deflate-frame", set()),
    Case("tls", "tls: true", EVERY, only=lambda way: way.tls),
    Case("tls-other", "tls: false", EVERY, only=lambda way: not way.tls),
    Case("response-header-other", "response-header: {Server: 'nginx*'}", set()),
    Case("subprotocol", "subprotocol: chat.v1", EVERY),
    Case("client", "client: 127.0.0.0/8", EVERY),
    Case("client-other", "client: 10.0.0.0/8", set()),
    Case("response-header", "response-header: {Server: '*websockets*'}", EVERY),
    Case("index", "index: 2", {1}),
    Case("index-range", "index: '>=8'", {7, 8}),
    Case("counter", "counter: {seen-SIDE: '>=2'}", EVERY - {0}, before="seen"),
    Case("captured", "captured: {id: a1}", EVERY, before="taking"),
    Case("after", "after: {json: {$.price: 50}}", set(range(2, 9))),
    Case("after-answer", "after: {from: OTHER, text: ready}", EVERY, back="ready"),
    Case("after-other", "after: {from: OTHER, text: steady}", set(), back="ready"),
    Case("captured-other", "captured: {id: a2}", set(), before="taking"),
    Case("after-within", "after: {json: {$.price: 50}, within: 10ms}", {2}, pauses={3: 0.3}),
    Case("all", "all: [{text: {contains: a}}, {text: {contains: beat}}]", {2}),
    Case("any", "any: [{kind: binary}, {text: {contains: beat}}]", {2, 3, 6}),
    Case("negated", "kind: [text, binary], not: {kind: text}", {3, 6}),
    Case("age", "age: '>400ms'", {7, 8}, pauses={7: 0.6}),
    Case("idle", "idle: '>400ms'", {4}, pauses={4: 0.6}),
    Case("rate", "rate: '>4'", {4, 5, 6, 7, 8}),
    Case("first", "kind: text", {0, 1}, more="first: 2"),
    Case("every", "kind: text", {2, 7}, more="every: 3"),
    Case("skipped", "kind: text", {5, 7, 8}, more="after: 4"),
    Case("limit", "kind: text", {0, 1, 2}, more="limit: 3"),
    Case("never", "kind: text", set(), more="chance: 0"),
    Case("disabled", "kind: text", set(), more="enabled: false"),
]

EARLIER = {
    "seen": "when: {PATH, from: SIDE, json: {$.type: ticker}}\n    then: []",
    "taking": "when: {PATH, from: SIDE, json: {$.id: {exists: true}}}\n    first: 1\n"
    "    capture: {id: $.id}\n    then: []",
}


def rules() -> str:
    text = ""
    for case in CASES:
        if case.before == "seen":
            text += for_both("counter", EARLIER["seen"]).replace("id: counter-", "id: seen-")
        elif case.before:
            text += for_both(case.name, EARLIER[case.before]).replace("- id: ", "- id: taking-")
        more = f"{case.more}\n    " if case.more else ""
        text += for_both(
            case.name, f"when: {{all: [{{PATH}}, {{from: SIDE}}, {{{case.when}}}]}}\n    then: [drop]", more
        )
    return text


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("conditions"), rules()) as rig:
        yield rig


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_condition(rig: Rig, case: Case) -> None:
    wanted = [plain(each) for each in case.sent]

    async def check(pair: Pair) -> None:
        caught = case.caught if case.only(pair.way) else set()
        if case.back:
            await pair.receiver.send(case.back)
            await pair.comes_back(case.back)
        for number, payload in enumerate(case.sent):
            if number in case.pauses:
                await asyncio.sleep(case.pauses[number])
            await pair.send(payload)
        await pair.sender.send(END)
        last_too = _catches_more(case) and caught
        kept = [each for number, each in enumerate(wanted) if number not in caught]
        await pair.arrives(*kept, *([] if last_too else [END]))
        await pair.receiver.send("from the other side")
        await pair.comes_back("from the other side")
        events = await pair.over()
        sent = messages(events, pair.way.sender)
        shown = [each.message.payload for each in sent]
        assert shown == [each.encode() if isinstance(each, str) else each for each in [*wanted, END]]
        dropped = [number for number, each in enumerate(sent) if "dropped" in each.flags]
        assert dropped == sorted(caught) + ([len(wanted)] if last_too else [])
        judged = verdicts(events, pair.rule)
        assert [each.outcome for each in judged] == [Outcome.DROPPED] * len(dropped)
        assert [each.first_frame for each in judged] == [
            sent[number].message.first_frame for number in dropped
        ]

    ways = WAYS if case.caught else FEW
    await rig.everywhere(case.name, check, ways, query=case.query, headers=case.headers or None)


def _catches_more(case: Case) -> bool:
    """Whether the message after all others is caught too."""
    return len(case.sent) - 1 in case.caught and case.name != "text-equals"
