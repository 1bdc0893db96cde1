"""Fixtures: each test starts the servers that it needs, on free ports, and none of them outlives it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.certs import client_context, make_cert, server_context
from wsinspect.peer import Connection, Server, serve


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of a client that trusts it."""
    certfile, keyfile = make_cert(tmp_path_factory.mktemp("certs"))
    return server_context(certfile, keyfile), client_context(certfile)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Served:
    """A server whose handler hands each connection to the test, and keeps it open until the test is done."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()
        self.done = asyncio.Event()

    async def handler(self, connection: Connection) -> None:
        self.connections.put_nowait(connection)
        await self.done.wait()

    async def next(self) -> Connection:
        async with asyncio.timeout(5):
            return await self.connections.get()


class Serving:
    def __init__(self, served: Served, server: Server) -> None:
        self.served = served
        self.server = server
        self.url = server.url

    async def next(self) -> Connection:
        """The server's side of the next connection."""
        return await self.served.next()


type ServeFixture = Callable[..., Awaitable[Serving]]


@pytest.fixture
async def serving(stack: AsyncExitStack) -> ServeFixture:
    """Start a server whose connections the test drives itself."""

    async def start(**options: Any) -> Serving:
        served = Served()
        server = await serve(served.handler, **options)
        stack.push_async_callback(server.close, timeout_s=0.5)
        stack.callback(served.done.set)
        return Serving(served, server)

    return start


async def echo(connection: Connection) -> None:
    """Send each message back as it came."""
    async for message in connection:
        text = message.text
        await connection.send(message.payload if text is None else text)


async def until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    """Wait for a condition, looking every few milliseconds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)
