"""A TLS server with a page that opens WebSockets to it, and answers what they say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.certs import make_cert, server_context
from tests.proxy.running import TIMEOUT_S

PAGE = """<!doctype html><title>page</title><script>
for (let i = 0; i < 3; i++) {
  const socket = new WebSocket(`wss://${location.host}/socket-${i}`);
  socket.onopen = () => socket.send(`hello ${i}`);
  socket.onmessage = (event) => socket.send(`got ${event.data}`);
}
</script>"""


@dataclass
class Page:
    """What the server heard."""

    port: int
    certfile: Path
    heard: list[str] = field(default_factory=list)
    """Messages, as `PATH TEXT`."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/"

    @property
    def socket_url(self) -> str:
        return f"wss://localhost:{self.port}/socket"

    async def until_heard(self, *messages: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S * 2):
                while not set(messages) <= set(self.heard):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(self.heard) from None


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Page]:
    """Each message is answered with `re: ` and itself, but answers are not."""
    certfile, keyfile = make_cert(folder)
    context: ssl.SSLContext = server_context(certfile, keyfile)
    page = Page(0, certfile)

    async def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        async for message in connection:
            page.heard.append(f"{connection.request.path} {message!s}")
            if str(message).startswith("hello"):
                await connection.send(f"re: {message!s}")

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.startswith("/socket"):
            return None
        body = PAGE.encode()
        headers = Headers(
            {"Content-Type": "text/html", "Content-Length": str(len(body)), "Connection": "close"}
        )
        return Response(200, "OK", headers, body)

    async with serve(talk, "127.0.0.1", 0, ssl=context, process_request=answer) as server:
        page.port = next(iter(server.sockets)).getsockname()[1]
        yield page
