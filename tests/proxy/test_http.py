"""All other HTTP passes our own proxy, streamed: pages, downloads, uploads, event streams, HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import h2.errors
import h2.events
import h2.settings
import pytest

from tests.proxy.conftest import Stage
from tests.proxy.http2 import H2End, h2_through, page_headers
from tests.proxy.raw import RawEnd
from tests.proxy.running import RunningProxy, facts
from tests.proxy.test_backpressure import FLAT, MIB, Counting, resident
from wsinspect.model import Failed, Requested

SIZE = 300 * MIB
both_kinds = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


async def exchange(stage: Stage, request: bytes, *, tls: bool = False) -> tuple[RawEnd, RawEnd, bytes]:
    """Both ends of a request, whose head the server has read."""
    server = await stage.server(tls).start()
    client = await stage.client(tls, server_tls=tls)
    client.send(request)
    end = await server.accepted()
    return client, end, await end.take_head()


@both_kinds
async def test_pages_on_a_kept_connection(stage: Stage, tls: bool) -> None:
    page = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    client, end, head = await exchange(stage, page % 0, tls=tls)
    for number in range(3):
        assert head.startswith(b"GET /%d HTTP/1.1\r\n" % number)
        end.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Number: %d\r\n\r\npage" % number)
        answer = await client.take_head()
        assert b"X-Number: %d\r\n" % number in answer
        assert await client.got(4) == b"page"
        client.received.clear()
        if number < 2:
            client.send(page % (number + 1))
            head = await end.take_head()


async def test_head_has_a_length_and_no_body(stage: Stage) -> None:
    client, end, head = await exchange(stage, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HEAD / ")
    end.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
    answer = await client.take_head()
    assert b"Content-Length: 12345" in answer
    client.send(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")  # nobody waits for a body
    assert (await end.take_head()).startswith(b"GET /next ")


async def test_a_chunked_answer_arrives_piece_by_piece(stage: Stage) -> None:
    client, end, _ = await exchange(stage, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    end.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"chunked" in await client.take_head()
    for word in (b"one", b"two", b"three"):
        end.send(b"%x\r\n%s\r\n" % (len(word), word))
        await client.until(lambda each, word=word: word in each.received)  # before the next is sent
    end.send(b"0\r\n\r\n")
    await client.until(lambda each: each.received.endswith(b"0\r\n\r\n"))


@both_kinds
async def test_server_sent_events_arrive_at_once(stage: Stage, tls: bool) -> None:
    client, end, _ = await exchange(stage, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n", tls=tls)
    end.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    await client.take_head()
    for number in range(5):
        end.send(b"data: %d\n\n" % number)
        await client.until(lambda each, number=number: b"data: %d\n\n" % number in each.received)


async def test_100_continue(stage: Stage) -> None:
    """The proxy itself says Continue (docs/transparency.md), and the body goes up."""
    server = await stage.server(False).start()
    client = await stage.client(False, server_tls=False)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert (await client.take_head()).startswith(b"HTTP/1.1 100 ")
    client.send(b"body")
    end = await server.accepted()
    assert (await end.take_head()).startswith(b"POST / ")
    assert await end.got(4) == b"body"
    end.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await client.take_head()).startswith(b"HTTP/1.1 204 ")


async def _pour(end: RawEnd, total: int) -> None:
    for _ in range(total // MIB):
        end.send(bytes(MIB))
        await end.flushed(100)


@pytest.mark.slow
@both_kinds
@pytest.mark.parametrize("way", ["download", "upload"])
async def test_hundreds_of_megabytes_pass_in_flat_memory(stage: Stage, way: str, tls: bool) -> None:
    """The reader stalls in the middle: the sender waits, and the proxy holds little."""
    length = b"Content-Length: %d\r\n\r\n" % SIZE
    if way == "upload":
        request = b"PUT /large HTTP/1.1\r\nHost: x\r\n" + length
        client, end, _ = await exchange(stage, request, tls=tls)
        sender, reader = client, end
    else:
        client, end, _ = await exchange(stage, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", tls=tls)
        end.send(b"HTTP/1.1 200 OK\r\n" + length)
        await client.take_head()
        sender, reader = end, client
    before = resident(stage)
    reader.transport.pause_reading()
    pouring = asyncio.create_task(_pour(sender, SIZE))
    await sender.blocked()
    assert resident(stage) - before < FLAT
    reader.transport.resume_reading()
    counting = Counting(reader)
    await counting.until(SIZE)
    await pouring
    assert counting.count == SIZE
    assert resident(stage) - before < FLAT


# ---------------------------------------------------------------------------------------------- HTTP/2


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    tmp = tmp_path_factory.mktemp("http2")
    with RunningProxy(tmp / "a.wscap", ["regular"], "-k", "--set", f"confdir={tmp / 'ca'}") as proxy:
        yield proxy


async def test_pages_over_http2_arrive_as_they_come(regular: RunningProxy, tmp_path: Path) -> None:
    client, server, port = await h2_through(regular, tmp_path)
    for number in (1, 3):
        client.h2.send_headers(number, page_headers(port, f"/{number}"), end_stream=True)
    client.flush()
    origin = H2End(await server.accepted(), client=False)
    requests = await origin.until(h2.events.RequestReceived, 2)
    assert {dict(each.headers)[":path"] for each in requests} == {"/1", "/3"}
    for each in requests:
        origin.h2.send_headers(each.stream_id, [(":status", "200"), ("content-type", "text/plain")])
        origin.h2.send_data(each.stream_id, b"first")
    origin.flush()
    for number in (1, 3):  # before the rest is sent
        await client.until_got(number, 5)
    assert client.pieces == {1: [b"first"], 3: [b"first"]}
    for each in requests:
        origin.h2.send_data(each.stream_id, b" and last", end_stream=True)
    origin.flush()
    await client.until(h2.events.StreamEnded, 2)


async def test_a_websocket_over_http2_is_noted_and_pages_go_on(regular: RunningProxy, tmp_path: Path) -> None:
    """RFC 8441: the proxy never offers it; who asks even so is told to use HTTP/1.1."""
    client, server, port = await h2_through(regular, tmp_path)
    settings = await client.until(h2.events.RemoteSettingsChanged)
    offered = settings[0].changed_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
    assert offered is None or offered.new_value == 0
    headers = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
        (":authority", f"localhost:{port}"), (":path", "/over-h2"), ("sec-websocket-version", "13"),
    ]  # fmt: skip
    client.h2.send_headers(1, headers)
    client.flush()
    (reset,) = await client.until(h2.events.StreamReset)
    assert (reset.stream_id, reset.error_code) == (1, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)
    client.h2.send_headers(3, page_headers(port, "/page"), end_stream=True)
    client.flush()
    origin = H2End(await server.accepted(), client=False)
    (request,) = await origin.until(h2.events.RequestReceived)
    origin.h2.send_headers(request.stream_id, [(":status", "204")], end_stream=True)
    origin.flush()
    await client.until(h2.events.StreamEnded)
    events = await regular.over("/over-h2")
    (requested,) = facts(events, Requested)
    assert requested.url == f"wss://localhost:{port}/over-h2"
    assert (requested.method, requested.http_version) == ("CONNECT", "HTTP/2.0")
    assert (":protocol", "websocket") in requested.headers
    assert "RFC 8441" in facts(events, Failed)[0].message
