"""The peers that the suite tests: an echo server and an echo client, both of the `websockets` library.

Compression is offered and taken with whatever parameters the suite asks for (groups 12 and 13).
As a program: `peers.py PORT [CERT KEY]` is the echo server, `peers.py URL AGENT PORT` the client, which
connects to that port.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

OPEN_LIMIT_S = 20
CLOSE_LIMIT_S = 5
CASE_LIMIT_S = 600
"""More than any case of the suite gives its peer (480 s)."""


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def echo_server(port: int, context: ssl.SSLContext | None) -> None:
    """Serve for ever."""
    async with serve(
        echo,
        "127.0.0.1",
        port,
        ssl=context,
        compression=None,
        extensions=[ServerPerMessageDeflateFactory()],
        max_size=None,
        ping_interval=None,
        close_timeout=CLOSE_LIMIT_S,
    ):
        await asyncio.get_running_loop().create_future()


class EchoClient:
    """Runs the cases of a fuzzing server one by one."""

    def __init__(self, url: str, port: int) -> None:
        """`port`: where to connect, whatever the URL says (a relay leaves the Host as it is)."""
        self._base = url
        self._port = port
        self._context = _unverified() if url.startswith("wss:") else None

    async def run(self, agent: str) -> None:
        """All cases, then the report. Raises OSError, TimeoutError or WebSocketException where the suite
        cannot be asked; a case that ends badly is the suite's to judge."""
        async with self._connect("/getCaseCount") as connection:
            count = int(await connection.recv())
        for number in range(1, count + 1):
            try:
                async with asyncio.timeout(CASE_LIMIT_S):
                    await self._echo(f"/runCase?case={number}&agent={agent}")
            except (OSError, TimeoutError, WebSocketException):
                pass
        await self._echo(f"/updateReports?agent={agent}")

    async def _echo(self, path: str) -> None:
        async with self._connect(path) as connection:
            async for message in connection:
                await connection.send(message)

    def _connect(self, path: str) -> connect:
        return connect(
            self._base + path,
            host="127.0.0.1",
            port=self._port,
            ssl=self._context,
            proxy=None,
            compression=None,
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=None,
            ping_interval=None,
            open_timeout=OPEN_LIMIT_S,
            close_timeout=CLOSE_LIMIT_S,
        )


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> None:
    first, *more = sys.argv[1:]
    if "://" in first:
        agent, port = more
        asyncio.run(EchoClient(first, int(port)).run(agent))
        return
    context = None
    if more:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*more)
    asyncio.run(echo_server(int(first), context))


if __name__ == "__main__":
    main()
