"""Many connections at once through one proxy: some idle, some streaming both ways, some over TLS."""

from __future__ import annotations

import asyncio
import ssl

from tests.proxy.conftest import Stage
from tests.proxy.raw import RawEnd, RawServer, raw_connect, request, response
from tests.proxy.running import trusting
from wsinspect.wire.frames import encode_frame

FROM_CLIENT = encode_frame(2, bytes(range(256)) * 4, mask=b"\x0a\x0b\x0c\x0d")
FROM_SERVER = encode_frame(2, bytes(range(256)) * 4)
STREAM_LIMIT = 1 << 18
"""Bytes that a streaming end keeps unsent."""


class Crowd:
    """Open connections, both ends of each in one list."""

    def __init__(self, answering: bool) -> None:
        """`answering`: a FIN is answered by a FIN, as apps do; else the peers never end."""
        self.clients: list[RawEnd] = []
        self.servers: list[RawEnd] = []
        self._answering = answering
        self._tasks: list[asyncio.Task[None]] = []

    async def gather(self, stage: Stage, *, plain: int, tls: int) -> None:
        """Open that many; every other one streams."""
        for over_tls, count in ((False, plain), (True, tls)):
            server = await stage.server(over_tls).start()
            for number in range(count):
                await self._open(stage, server, over_tls, streaming=number % 2 == 1)

    async def _open(self, stage: Stage, server: RawServer, tls: bool, *, streaming: bool) -> None:
        client, end = await open_pair(server, stage.proxy.ports[tls], trusting() if tls else None)
        for each, frame in ((client, FROM_CLIENT), (end, FROM_SERVER)):
            each.send(frame)
            if streaming:
                self._tasks.append(asyncio.create_task(stream(each, frame)))
            if self._answering:
                self._tasks.append(asyncio.create_task(answer(each)))
        self.clients.append(client)
        self.servers.append(end)
        await client.until(lambda side: len(side.received) > 0)

    async def saw_fin(self) -> None:
        """Every end has seen the FIN of the proxy, over TLS with a close_notify before it."""
        for end in [*self.clients, *self.servers]:
            await end.until(lambda each: "fin" in each.ends)
            assert end.ends[: end.ends.index("fin") + 1] in (["fin"], ["close_notify", "fin"])

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def open_pair(
    server: RawServer, port: int, context: ssl.SSLContext | None = None, *, target: str = "/crowd"
) -> tuple[RawEnd, RawEnd]:
    """Both ends of a WebSocket to `server` through the proxy's `port`."""
    client = await raw_connect(port, context)
    client.send(request(target))
    end = await server.accepted()
    end.send(response(await end.take_head()))
    assert (await client.take_head()).startswith(b"HTTP/1.1 101 ")
    return client, end


async def stream(end: RawEnd, frame: bytes) -> None:
    """Frames without end, until the other side has ended."""
    while not end.ends and not end.transport.is_closing():
        if end.transport.get_write_buffer_size() < STREAM_LIMIT:
            end.send(frame * 16)
        await asyncio.sleep(0.002)


async def answer(end: RawEnd) -> None:
    """FIN for FIN."""
    await end.until(lambda each: bool(each.ends), timeout_s=90)
    await end.until(lambda each: each.ends[-1] != "close_notify")
    if not end.transport.is_closing():
        end.fin()
