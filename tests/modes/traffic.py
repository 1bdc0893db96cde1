"""A server that hands its connections to the test, and a conversation in which every byte is compared."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from tests.proxy.running import TIMEOUT_S, RunningProxy, facts
from wsinspect.capture.timeline import Event, FrameEvent, MessageEvent
from wsinspect.model import Closed, Ended, How, Opened, Side
from wsinspect.peer.connection import Connection
from wsinspect.peer.server import Server, serve
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.frames import encode_frame

MASK = b"\x01\x02\x03\x04"
UP = (
    encode_frame(1, "grüß dich".encode(), mask=MASK)
    + encode_frame(9, b"beat", mask=MASK)
    + encode_frame(2, bytes(range(256)) * 300, mask=MASK)
    + encode_frame(8, encode_close(4999, "enough"), mask=MASK)
)
DOWN = (
    encode_frame(1, b"first,", fin=False)
    + encode_frame(10, b"beat")
    + encode_frame(0, b" last")
    + encode_frame(2, b"\r\n" * 40000)
    + encode_frame(8, encode_close(4999, "enough"))
)


@dataclass
class Peers:
    """A WebSocket server and the connections that it has accepted."""

    server: Server
    accepted: asyncio.Queue[Connection] = field(default_factory=asyncio.Queue)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> Connection:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.accepted.get()


@asynccontextmanager
async def listening(
    port: int = 0,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    *,
    place: AbstractContextManager[None] | None = None,
    strict: bool = False,
) -> AsyncIterator[Peers]:
    """Connections are left to the test until the block ends. `place`: entered where the socket is made."""
    peers: Peers

    async def handler(connection: Connection) -> None:
        await peers.accepted.put(connection)
        await peers.over.wait()

    options = {"auto_pong": False, "auto_close": False, "keep_raw": True}
    with place or nullcontext():  # `serve` does not wait for anything
        peers = Peers(await serve(handler, host, port, ssl=context, strict=strict, **options))  # type: ignore[arg-type]
    try:
        yield peers
    finally:
        peers.over.set()
        await peers.server.close(timeout_s=0.1)


async def received(connection: Connection, data: bytes) -> None:
    """Wait until as much has come, and compare it."""
    async with asyncio.timeout(TIMEOUT_S):
        while len(connection.raw_received) < len(data):
            await asyncio.sleep(0.002)
    assert bytes(connection.raw_received) == data


async def converse(client: Connection, server: Connection) -> None:
    """Messages, fragments, control frames and the Close both ways; every byte as it was sent."""
    await asyncio.gather(client.write_raw(UP), server.write_raw(DOWN))
    await received(server, UP)
    await received(client, DOWN)


async def end(client: Connection, server: Connection) -> None:
    """The server ends TCP first; the client sees it and ends too."""
    server.write_eof()
    assert await client.wait_ended(TIMEOUT_S) in (How.FIN, How.CLOSE_NOTIFY)
    client.write_eof()
    assert await server.wait_ended(TIMEOUT_S) in (How.FIN, How.CLOSE_NOTIFY)
    client.stream.close()


async def captured(proxy: RunningProxy, target: str, path: str) -> list[Event]:
    """The capture tells the same story; the events, for more."""
    events = await proxy.over(target)
    assert [each.path for each in facts(events, Opened)] == [path]
    frames = [event.frame for event in events if isinstance(event, FrameEvent)]
    assert [frame.opcode for frame in frames if frame.side is Side.CLIENT] == [1, 9, 2, 8]
    assert [frame.opcode for frame in frames if frame.side is Side.SERVER] == [1, 10, 0, 2, 8]
    messages = [event.message for event in events if isinstance(event, MessageEvent)]
    assert [each.text for each in messages if each.text] in (
        ["grüß dich", "first, last"],
        ["first, last", "grüß dich"],
    )
    (closed,) = facts(events, Closed)
    assert closed.wire_bytes == (len(UP), len(DOWN))
    assert facts(events, Ended)[0].side is Side.SERVER
    return events
