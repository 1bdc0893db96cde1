"""A slow reader of HTTP/2 slows its own sender, whichever protocol that speaks, and nothing else.

Before, all that a server offered to a slow stream lay in the proxy's memory: 114 MiB of 100.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h2.errors
import h2.events
import pytest

from tests.proxy.http2 import H2End, offering, page_headers, speaking
from tests.proxy.raw import RawEnd, RawServer, raw_connect
from tests.proxy.running import RunningProxy, free_port
from tests.proxy.test_backpressure import FLAT, MIB, Counting, resident

OFFERED = 64 * MIB
BODY = random.Random(2).randbytes(MIB) * (OFFERED // MIB)


@dataclass
class Way:
    """A proxy in reverse mode, whose client and server are to speak what a test says."""

    proxy: RunningProxy
    port: int
    tmp: Path

    async def server(self, protocol: str) -> RawServer:
        return await RawServer(speaking(self.tmp, protocol), self.port).start()

    async def client(self, protocol: str) -> RawEnd:
        """In reverse mode the proxy agrees with the client first, so that the two may differ."""
        other = {"h2": "http/1.1", "http/1.1": "h2"}[protocol]
        return await raw_connect(self.proxy.port, offering(protocol, other))

    async def h2_pair(self) -> tuple[H2End, RawServer]:
        return H2End(await self.client("h2"), client=True), await self.server("h2")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, int]]:
    tmp = tmp_path_factory.mktemp("pressure")
    port = free_port()
    mode = f"reverse:https://localhost:{port}"
    with RunningProxy(tmp / "a.wscap", [mode], "-k", "--set", f"confdir={tmp / 'ca'}") as proxy:
        yield proxy, port


@pytest.fixture
async def way(running: tuple[RunningProxy, int], tmp_path: Path) -> Way:
    return Way(*running, tmp_path)


def upload(client: H2End, stream_id: int, way: Way) -> None:
    client.h2.send_headers(stream_id, page_headers(way.port, f"/up/{stream_id}", "PUT"))
    client.flush()


def download(client: H2End, stream_id: int, way: Way) -> None:
    client.h2.send_headers(stream_id, page_headers(way.port, f"/{stream_id}"), end_stream=True)
    client.flush()


def answer(origin: H2End, stream_id: int) -> None:
    origin.h2.send_headers(stream_id, [(":status", "200")])
    origin.flush()


async def request_at(origin: H2End, path: str) -> int:
    """The number that the origin knows a request by."""
    while True:
        for event in await origin.until(h2.events.RequestReceived):
            if dict(event.headers)[":path"] == path:
                return event.stream_id
        await asyncio.sleep(0.002)


async def pour_raw(end: RawEnd) -> None:
    for start in range(0, OFFERED, MIB):
        end.send(BODY[start : start + MIB])
        await end.flushed(60)


async def meanwhile(client: H2End, origin: H2End, way: Way) -> None:
    """Another stream of the same connections passes."""
    download(client, 3, way)
    other = await request_at(origin, "/3")
    answer(origin, other)
    origin.h2.send_data(other, b"meanwhile", end_stream=True)
    origin.flush()
    await client.until_got(3, 9)


async def all_of_it(reader: H2End, stream_id: int, pouring: asyncio.Task[None]) -> None:
    """The reader goes on, and gets what was poured."""
    reader.read_on(stream_id)
    await reader.until_got(stream_id, OFFERED)
    await pouring
    assert b"".join(reader.pieces[stream_id]) == BODY


class Kept:
    """How far the proxy's memory has grown."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._before = resident(way)

    def is_flat(self) -> bool:
        return resident(self._way) - self._before < FLAT


@pytest.mark.slow
async def test_a_slow_stream_holds_its_server_up_and_no_other_stream(way: Way) -> None:
    client, server = await way.h2_pair()
    client.slow.add(1)
    download(client, 1, way)
    origin = H2End(await server.accepted(), client=False)
    stream = await request_at(origin, "/1")
    kept = Kept(way)
    answer(origin, stream)
    pouring = asyncio.create_task(origin.pour(stream, BODY))
    await origin.stands_still(stream)
    assert kept.is_flat()
    client.take()
    assert client.got(1) == 65535, "what the client's own window allows"
    await meanwhile(client, origin, way)
    await all_of_it(client, 1, pouring)
    assert kept.is_flat()


@pytest.mark.slow
async def test_a_slow_stream_holds_a_server_up_that_speaks_http1(way: Way) -> None:
    server = await way.server("http/1.1")
    client = H2End(await way.client("h2"), client=True)
    client.slow.add(1)
    download(client, 1, way)
    origin = await server.accepted()
    await origin.take_head()
    kept = Kept(way)
    origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % OFFERED)
    pouring = asyncio.create_task(pour_raw(origin))
    await origin.blocked()
    assert kept.is_flat()
    await all_of_it(client, 1, pouring)
    assert kept.is_flat()


@pytest.mark.slow
async def test_a_client_of_http1_that_does_not_read_holds_up_a_server_of_http2(way: Way) -> None:
    server = await way.server("h2")
    client = await way.client("http/1.1")
    client.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    origin = H2End(await server.accepted(), client=False)
    stream = await request_at(origin, "/slow")
    kept = Kept(way)
    client.transport.pause_reading()
    answer(origin, stream)
    pouring = asyncio.create_task(origin.pour(stream, BODY))
    await origin.stands_still(stream)
    assert kept.is_flat()
    client.transport.resume_reading()
    counting = Counting(client)
    await counting.until(OFFERED)
    await pouring
    assert kept.is_flat()


@pytest.mark.slow
async def test_a_slow_server_holds_an_upload_up_and_no_other_stream(way: Way) -> None:
    client, server = await way.h2_pair()
    upload(client, 1, way)
    kept = Kept(way)
    pouring = asyncio.create_task(client.pour(1, BODY))
    origin = H2End(await server.accepted(), client=False)
    stream = await request_at(origin, "/up/1")
    origin.slow.add(stream)
    origin.take()
    await client.stands_still(1)
    assert kept.is_flat()
    await meanwhile(client, origin, way)
    await all_of_it(origin, stream, pouring)
    assert kept.is_flat()


@pytest.mark.slow
async def test_a_slow_server_holds_an_upload_of_http1_up(way: Way) -> None:
    server = await way.server("h2")
    client = await way.client("http/1.1")
    kept = Kept(way)
    client.send(b"PUT /up/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % OFFERED)
    pouring = asyncio.create_task(pour_raw(client))
    origin = H2End(await server.accepted(), client=False)
    stream = await request_at(origin, "/up/1")
    origin.slow.add(stream)
    await client.blocked()
    assert kept.is_flat()
    origin.take()
    await all_of_it(origin, stream, pouring)
    assert kept.is_flat()


@pytest.mark.slow
async def test_a_server_of_http1_that_does_not_read_holds_an_upload_up(way: Way) -> None:
    server = await way.server("http/1.1")
    client = H2End(await way.client("h2"), client=True)
    upload(client, 1, way)
    kept = Kept(way)
    pouring = asyncio.create_task(client.pour(1, BODY))
    origin = await server.accepted()
    await origin.take_head()
    origin.transport.pause_reading()
    await client.stands_still(1)
    assert kept.is_flat()
    origin.transport.resume_reading()
    counting = Counting(origin)
    await counting.until(OFFERED)
    await pouring
    assert kept.is_flat()


@pytest.mark.parametrize("protocol", [pytest.param("http/1.1", marks=pytest.mark.slow), "h2"])
async def test_an_upload_to_a_server_that_is_not_there_yet_waits(way: Way, protocol: str) -> None:
    """The layer's queue of a stream whose server is being connected to counts too."""
    silent = await RawServer(None, way.port).start()  # accepts, and says nothing to the TLS handshake
    end = await way.client(protocol)
    kept = Kept(way)
    if protocol == "h2":
        client = H2End(end, client=True)
        upload(client, 1, way)
        pouring = asyncio.create_task(client.pour(1, BODY))
        origin = await silent.accepted()
        await client.stands_still(1)
    else:
        end.send(b"PUT /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % OFFERED)
        pouring = asyncio.create_task(pour_raw(end))
        origin = await silent.accepted()
        await end.blocked()
    assert kept.is_flat()
    pouring.cancel()
    origin.reset()


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_a_slow_stream_that_is_reset_frees_its_server(way: Way, protocol: str) -> None:
    """A server of HTTP/2 hears of it and goes on with other streams; one of HTTP/1 loses its connection."""
    server = await way.server(protocol)
    client = H2End(await way.client("h2"), client=True)
    client.slow.add(1)
    download(client, 1, way)
    end = await server.accepted()
    if protocol == "h2":
        origin = H2End(end, client=False)
        stream = await request_at(origin, "/1")
        answer(origin, stream)
        pouring = asyncio.create_task(origin.pour(stream, BODY))
        await origin.stands_still(stream)
    else:
        await end.take_head()
        end.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % OFFERED)
        pouring = asyncio.create_task(pour_raw(end))
        await end.blocked()
    client.h2.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    if protocol == "h2":
        with pytest.raises(ConnectionResetError):
            await pouring
        download(client, 3, way)
        other = await request_at(origin, "/3")
        answer(origin, other)
        await origin.pour(other, BODY[:MIB])
        await client.until_got(3, MIB)
    else:
        await end.until(lambda each: "rst" in each.ends)
        pouring.cancel()


async def test_a_stream_that_ends_while_it_waits_is_whole(way: Way) -> None:
    """Many small pieces, and the end behind them: joined while they wait, in order, nothing lost."""
    client, server = await way.h2_pair()
    client.slow.add(1)
    download(client, 1, way)
    origin = H2End(await server.accepted(), client=False)
    stream = await request_at(origin, "/1")
    answer(origin, stream)
    sent = [number.to_bytes(4) * (number % 50) for number in range(3000)]
    for piece in sent:
        origin.h2.send_data(stream, piece)
    origin.h2.end_stream(stream)
    origin.flush()
    await client.until_got(1, 65535)
    client.read_on(1)
    await client.until(h2.events.StreamEnded)
    assert b"".join(client.pieces[1]) == b"".join(sent)
