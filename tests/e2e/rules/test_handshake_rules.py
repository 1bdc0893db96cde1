"""Rules at the handshake, from YAML to the wire: who is let in, where to, and with what in the headers."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.e2e.rules.ways import Rig, rig_of, settled, verdicts
from tests.proxy.running import facts, free_port, trusting
from wsinspect.capture.timeline import Event
from wsinspect.model import Altered, Failed, Opened, Outcome, Requested, Side

PORTS = free_port(), free_port()
"""Where redirected requests go: plain, and TLS."""

RULES = f"""\
  - id: reject
    when: {{kind: handshake, from: client, path: /reject/*}}
    then: [{{reject: {{status: 429, body: 'slow down', headers: {{Retry-After: '7'}}}}}}]
  - id: by-origin
    when: {{kind: handshake, from: client, path: /origin/*, not: {{header: {{Origin: 'https://*.example.com'}}}}}}
    then: [{{reject: 403}}]
  - id: by-cookie
    when: {{kind: handshake, from: client, path: /cookie/*, cookie: {{session: {{exists: false}}}}}}
    then: [{{reject: 401}}]
  - id: by-query
    when: {{kind: handshake, from: client, path: /query/*, query: {{token: {{regex: '^x'}}}}}}
    then: [{{reject: 402}}]
  - id: by-offer
    when: {{kind: handshake, from: client, path: /offer/*, extension: permessage-deflate}}
    then: [{{reject: 406}}]
  - id: by-subprotocol
    when: {{kind: handshake, from: client, path: /subprotocol/*, subprotocol: old.v0}}
    then: [{{reject: 405}}]
  - id: by-address
    when: {{kind: handshake, from: client, path: /address/*, client: 127.0.0.1}}
    then: [{{reject: 423}}]
  - id: answer
    when: {{kind: handshake, from: server, path: /answer/*, status: 101}}
    then: [{{reject: {{status: 503, body: closed}}}}]
  - id: by-answer
    when: {{kind: handshake, from: server, path: /headers-of-answer/*, response-header: {{X-Region: eu-*}}}}
    then: [{{set-header: {{X-Seen: 'eu'}}}}, {{remove-header: X-Region}}]
  - id: teapot
    when: {{kind: handshake, from: server, path: /refused/*, status: '>=400'}}
    then: [{{reject: {{status: 418, body: 'short and stout'}}}}]
  - id: headers
    when: {{kind: handshake, from: client, path: /headers/*}}
    then:
      - set-header: {{Origin: 'https://shop.example', X-Conn: 'n {{{{conn}}}}'}}
      - remove-header: [X-Secret]
  - id: strip
    when: {{kind: handshake, from: client, path: /strip/*}}
    then: [{{strip-extension: permessage-deflate}}]
  - id: to-plain
    when: {{kind: handshake, from: client, path: /to-plain/*}}
    then: [{{redirect-to: 'ws://localhost:{PORTS[0]}'}}]
  - id: to-tls
    when: {{kind: handshake, from: client, path: /to-tls/*}}
    then: [{{redirect-to: 'wss://localhost:{PORTS[1]}/elsewhere'}}]
  - id: slow
    when: {{kind: handshake, from: client, path: /slow/*}}
    then: [{{slow: 300ms}}]
  - id: slow-answer
    when: {{kind: handshake, from: server, path: /slow-answer/*}}
    then: [{{slow: 300ms}}]
  - id: slow-seed
    when: {{kind: handshake, from: client, path: /slow-seed/*}}
    then: [{{slow: {{by: 10ms..90ms, seed: 4}}}}]
  - id: hide
    when: {{path: /hide/*}}
    then: [{{redact: {{headers: [authorization], query: token, regex: 'hunter\\d'}}}}]
"""


def rules() -> str:
    return RULES


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("handshake"), RULES) as rig:
        yield rig


tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@dataclass
class Listening:
    """Servers behind the proxy's two modes, and where redirects lead; what each was asked."""

    requests: list[tuple[int, Request]]


def _answered(connection: ServerConnection, request: Request, response: Response) -> Response:
    response.headers["X-Region"] = "eu-1"
    return response


def _chosen(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


@asynccontextmanager
async def listening(rig: Rig, *, refuse: int = 0) -> AsyncIterator[Listening]:
    found = Listening([])

    def on(port: int, context: ssl.SSLContext | None):  # type: ignore[no-untyped-def]
        async def handler(connection: ServerConnection) -> None:
            async for message in connection:
                await connection.send(message)

        def asked(connection: ServerConnection, request: Request) -> Response | None:
            found.requests.append((port, request))
            return connection.respond(refuse, "a long explanation " * 1000) if refuse else None

        return serve(
            handler, "127.0.0.1", port, ssl=context, ping_interval=None, select_subprotocol=_chosen,
            process_request=asked, process_response=_answered,
        )  # type: ignore[call-overload]  # fmt: skip

    context = rig.stage.server_context
    plain, secret = rig.stage.server_ports
    async with on(plain, None), on(secret, context), on(PORTS[0], None), on(PORTS[1], context):
        yield found


def target_of(case: str, query: str = "") -> str:
    return f"/{case}/{uuid4().hex}{query}"


def asking(rig: Rig, target: str, tls: bool, **options: Any) -> Any:
    url = f"{'wss' if tls else 'ws'}://127.0.0.1:{rig.proxy.ports[tls]}{target}"
    return connect(url, ssl=trusting() if tls else None, ping_interval=None, proxy=None, **options)


async def echoes(client: ClientConnection) -> None:
    await client.send("hello " * 20)
    async with asyncio.timeout(20):
        assert await client.recv() == "hello " * 20


async def refused(rig: Rig, target: str, tls: bool, **options: Any) -> Any:
    with pytest.raises(InvalidStatus) as caught:
        async with asking(rig, target, tls, **options):
            pass
    return caught.value.response


async def facts_of(rig: Rig, target: str) -> list[Event]:
    return await rig.proxy.until(lambda events: bool(facts(events, Opened) or facts(events, Failed)), target)


def altered(events: list[Event]) -> dict[str, tuple[str, str]]:
    return {each.what: (each.before, each.after) for each in facts(events, Altered)}


REJECTED: list[tuple[str, str, int, str, dict[str, Any]]] = [
    ("reject", "reject", 429, "", {}),
    ("origin", "by-origin", 403, "", {"origin": "https://evil.example"}),
    ("cookie", "by-cookie", 401, "", {}),
    ("query", "by-query", 402, "?token=xyz", {}),
    ("offer", "by-offer", 406, "", {}),
    ("subprotocol", "by-subprotocol", 405, "", {"subprotocols": ["new.v1", "old.v0"]}),
    ("address", "by-address", 423, "", {}),
]
ADMITTED: list[tuple[str, str, dict[str, Any]]] = [
    ("origin", "", {"origin": "https://shop.example.com"}),
    ("cookie", "", {"additional_headers": {"Cookie": "a=b; session=c"}}),
    ("query", "?token=abc", {}),
    ("offer", "", {"compression": None}),
    ("subprotocol", "", {"subprotocols": ["chat.v1"]}),
]


@tls
@pytest.mark.parametrize(
    ("case", "rule", "status", "query", "options"), REJECTED, ids=lambda each: str(each)[:12]
)
async def test_who_is_rejected(
    rig: Rig, tls: bool, case: str, rule: str, status: int, query: str, options: dict[str, Any]
) -> None:
    async with listening(rig) as there:
        target = target_of(case, query)
        answer = await refused(rig, target, tls, **options)
        assert answer.status_code == status
        if case == "reject":
            assert (answer.body, answer.headers["Retry-After"]) == (b"slow down", "7")
        assert there.requests == []
    events = await facts_of(rig, target)
    [failed] = facts(events, Failed)
    assert failed.status == status
    assert failed.message.startswith(f"rule {rule} answered {status}")
    [judged] = verdicts(events, rule)
    assert (judged.side, judged.outcome) == (Side.CLIENT, Outcome.DROPPED)


@tls
@pytest.mark.parametrize(("case", "query", "options"), ADMITTED, ids=[each[0] for each in ADMITTED])
async def test_who_is_let_in(rig: Rig, tls: bool, case: str, query: str, options: dict[str, Any]) -> None:
    async with listening(rig):
        target = target_of(case, query)
        async with asking(rig, target, tls, **options) as client:
            await echoes(client)
    assert not verdicts(await facts_of(rig, target), f"by-{case}")


@tls
async def test_an_answer_is_rejected(rig: Rig, tls: bool) -> None:
    async with listening(rig) as there:
        target = target_of("answer")
        answer = await refused(rig, target, tls)
        assert (answer.status_code, answer.body) == (503, b"closed")
        assert len(there.requests) == 1
    events = await facts_of(rig, target)
    assert verdicts(events, "answer")[0].side is Side.SERVER
    assert facts(events, Failed)[0].body == b"closed"


@tls
async def test_a_refusal_of_the_server_gets_another_face(rig: Rig, tls: bool) -> None:
    async with listening(rig, refuse=500):
        target = target_of("refused")
        answer = await refused(rig, target, tls)
        assert (answer.status_code, answer.body) == (418, b"short and stout")
    events = await facts_of(rig, target)
    assert facts(events, Failed)[0].status == 418
    [judged] = verdicts(events, "teapot")
    assert (judged.side, judged.outcome) == (Side.SERVER, Outcome.DROPPED)


@tls
async def test_headers_of_the_answer(rig: Rig, tls: bool) -> None:
    async with listening(rig):
        target = target_of("headers-of-answer")
        async with asking(rig, target, tls) as client:
            assert client.response is not None
            assert client.response.headers["X-Seen"] == "eu"
            assert "X-Region" not in client.response.headers
            await echoes(client)
    events = await facts_of(rig, target)
    assert len(verdicts(events, "by-answer")) == 1
    changes = altered(events)
    assert changes["answer header X-Seen"] == ("", "eu")
    assert changes["answer header X-Region"] == ("eu-1", "")


@tls
async def test_headers_of_the_request(rig: Rig, tls: bool) -> None:
    async with listening(rig) as there:
        target = target_of("headers")
        headers = {"X-Secret": "s", "Origin": "https://evil.example"}
        async with asking(rig, target, tls, additional_headers=headers) as client:
            await echoes(client)
        [(_, request)] = there.requests
        assert request.headers["Origin"] == "https://shop.example"
        assert request.headers["X-Conn"].startswith("n ")
        assert "X-Secret" not in request.headers
    changes = altered(await facts_of(rig, target))
    assert changes["request header Origin"] == ("https://evil.example", "https://shop.example")
    assert changes["request header X-Secret"] == ("s", "")


@tls
async def test_compression_is_never_agreed_on(rig: Rig, tls: bool) -> None:
    async with listening(rig) as there:
        target = target_of("strip")
        async with asking(rig, target, tls, compression="deflate") as client:
            assert client.protocol.extensions == []
            await echoes(client)
        assert "Sec-WebSocket-Extensions" not in there.requests[0][1].headers
    assert "request header Sec-WebSocket-Extensions" in altered(await facts_of(rig, target))


@tls
@pytest.mark.parametrize("to_tls", [False, True], ids=["to-plain", "to-tls"])
async def test_another_server_answers(rig: Rig, tls: bool, to_tls: bool) -> None:
    async with listening(rig) as there:
        target = target_of("to-tls" if to_tls else "to-plain")
        async with asking(rig, target, tls) as client:
            await echoes(client)
        [(port, request)] = there.requests
        assert port == PORTS[to_tls]
        assert request.headers["Host"] == f"localhost:{port}"
        assert request.path == ("/elsewhere" if to_tls else target)
    events = await facts_of(rig, target)
    assert altered(events)["upstream"][1].startswith(f"{'wss' if to_tls else 'ws'}://localhost:{port}/")
    assert facts(events, Opened)[0].server == ("127.0.0.1", port)


@tls
@pytest.mark.parametrize("case", ["slow", "slow-answer"])
async def test_a_slow_handshake(rig: Rig, tls: bool, case: str) -> None:
    async with listening(rig):
        target = target_of(case)
        start = time.monotonic()
        async with asking(rig, target, tls) as client:
            assert time.monotonic() - start >= 0.3
            await echoes(client)
    assert verdicts(await facts_of(rig, target), case)[0].delay_ms == 300


async def test_a_random_wait_repeats_with_its_seed(rig: Rig) -> None:
    drawn = []
    async with listening(rig):
        for over_tls in (False, True, False):
            target = target_of("slow-seed")
            async with asking(rig, target, over_tls) as client:
                await echoes(client)
            drawn.append(verdicts(await facts_of(rig, target), "slow-seed")[0].delay_ms)
    assert 10 <= drawn[0] <= 90
    assert drawn == [drawn[0]] * 3


@tls
async def test_secrets_of_the_handshake_are_nowhere_in_the_capture(rig: Rig, tls: bool) -> None:
    token, secret = uuid4().hex, uuid4().hex
    async with listening(rig) as there:
        word = uuid4().hex
        headers = {"Authorization": f"Bearer {secret}", "X-Note": "it is hunter2"}
        target = f"/hide/{word}?token={token}&page=1"
        async with asking(rig, target, tls, additional_headers=headers) as client:
            await echoes(client)
            await client.send("my password is hunter2")
            assert await client.recv() == "my password is hunter2"
        [(_, request)] = there.requests
        assert request.path == target
        assert request.headers["Authorization"] == f"Bearer {secret}"

    def there_is(events: list[Event]) -> bool:
        return any(word in fact.url for fact in facts(events, Requested))

    events = await rig.proxy.until(there_is)
    [asked] = [fact for fact in facts(events, Requested) if word in fact.url]
    assert asked.target.startswith(f"/hide/{word}?token=‹redacted:")
    assert asked.target.endswith("&page=1")
    await asyncio.to_thread(settled, rig)
    data = rig.proxy.capture.read_bytes()
    for each in (token, secret, "hunter2"):
        assert each.encode() not in data
