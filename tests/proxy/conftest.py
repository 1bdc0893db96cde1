"""One proxy process for most tests: two reverse modes, to a plain and to a TLS server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certs import make_cert
from tests.proxy.raw import RawEnd, RawServer, close_all, raw_connect, request, response
from tests.proxy.running import RunningProxy, free_port, trusting


@dataclass
class Stage:
    """A proxy, the ports its reverse modes lead to, and the certificate for the TLS one."""

    proxy: RunningProxy
    server_ports: tuple[int, int]
    server_context: ssl.SSLContext

    def server(self, tls: bool) -> RawServer:
        return RawServer(self.server_context if tls else None, self.server_ports[tls])

    async def client(self, tls: bool, *, server_tls: bool) -> RawEnd:
        return await raw_connect(self.proxy.ports[server_tls], trusting() if tls else None)


def staged(tmp: Path, *arguments: str) -> Iterator[Stage]:
    """A stage of its own for a test module, with more arguments for the proxy."""
    certfile, keyfile = make_cert(tmp)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    ports = free_port(), free_port()
    modes = [f"reverse:http://127.0.0.1:{ports[0]}", f"reverse:https://127.0.0.1:{ports[1]}"]
    with RunningProxy(
        tmp / "stage.wscap", modes, "-k", "--set", f"confdir={tmp / 'ca'}", *arguments
    ) as proxy:
        yield Stage(proxy, ports, context)


@pytest.fixture(autouse=True)
async def _nothing_stays_open() -> AsyncIterator[None]:
    yield
    await close_all()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def layer_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same with the layer-driven path."""
    yield from staged(tmp_path_factory.mktemp("layer"), "--path", "layer")


@dataclass
class Opened:
    """Both ends of a connection through the proxy, from the 101 on."""

    client: RawEnd
    server: RawEnd
    target: str
    request_head: bytes = b""
    """As the server got it."""
    answer_head: bytes = b""
    """As the client got it."""


async def open_through(
    stage: Stage,
    *,
    client_tls: bool,
    server_tls: bool,
    glued_request: bytes = b"",
    glued_answer: bytes = b"",
    listening: RawServer | None = None,
    under: str = "",
    ask: dict[str, str] | None = None,
    **headers: str,
) -> Opened:
    """A WebSocket through the proxy; `headers` are the answer's.

    `listening`: the server, where the test has it open already; `under`: how the path begins; `ask`: more
    headers of the request.
    """
    server = listening or await stage.server(server_tls).start()
    target = f"{under}/{uuid4().hex}"
    client = await stage.client(client_tls, server_tls=server_tls)
    client.send(request(target, **(ask or {})) + glued_request)
    end = await server.accepted()
    head = await end.take_head()
    end.send(response(head, **headers) + glued_answer)
    answer = await client.take_head()
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return Opened(client, end, target, head, answer)
