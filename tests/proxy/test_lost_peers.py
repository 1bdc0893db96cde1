"""A peer that falls silent, or cannot be reached any more: ETIMEDOUT and EHOSTUNREACH give RST."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certs import make_cert, server_context
from tests.proxy.namespaces import FAR, NEAR, Cable
from tests.proxy.raw import RawEnd, request, response
from tests.proxy.running import PROGRAM, RunningProxy, facts, trusting
from wsinspect.model import Ended, How, Side
from wsinspect.wire.frames import encode_frame

SCRIPT = Path(__file__).with_name("user_timeout.py")

pytestmark = pytest.mark.slow


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    made = Cable()
    yield made
    made.close()


async def accepted(listening: socket.socket, context: ssl.SSLContext | None) -> RawEnd:
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    sock, _ = await loop.sock_accept(listening)
    _, end = await loop.connect_accepted_socket(lambda: RawEnd(context, server=True), sock)
    return end


@pytest.mark.parametrize("lost", list(Side), ids=["client", "server"])
@pytest.mark.parametrize(
    ("verdict", "how", "errno"),
    [
        ("drop", How.TIMEOUT, "ETIMEDOUT"),
        ("reject with icmp type host-unreachable", How.UNREACHABLE, "EHOSTUNREACH"),
    ],
    ids=["silence", "unreachable"],
)
async def test_a_lost_peer_gives_rst_and_its_errno(
    cable: Cable, tmp_path: Path, lost: Side, verdict: str, how: How, errno: str
) -> None:
    """A connection with plain legs and one with TLS legs, through one proxy, lose their peer together."""
    server_is, host = (cable.far, FAR) if lost is Side.SERVER else (cable.near, NEAR)
    client_is = cable.near if lost is Side.SERVER else cable.far
    contexts = (None, server_context(*make_cert(tmp_path)))
    with ExitStack() as stack:
        listening = [stack.enter_context(cable.listening(server_is, host)) for _ in contexts]
        ports = [each.getsockname()[1] for each in listening]
        modes = [f"reverse:http://{host}:{ports[0]}", f"reverse:https://{host}:{ports[1]}"]
        proxy = stack.enter_context(RunningProxy(
            tmp_path / "a.wscap", modes, "-k", "--listen-host", NEAR, "--set", f"confdir={tmp_path / 'ca'}",
            "-s", str(SCRIPT), program=cable.program(*PROGRAM, "proxy"),
        ))  # fmt: skip
        opened = []
        for tls, context in enumerate(contexts):
            sock = await cable.connected(client_is, (NEAR, proxy.ports[tls]))
            make = partial(RawEnd, trusting() if tls else None)
            _, client = await asyncio.get_running_loop().create_connection(make, sock=sock)
            target = f"/{uuid4().hex}"
            client.send(request(target))
            server = await accepted(listening[tls], context)
            server.send(response(await server.take_head()))
            await client.take_head()
            opened.append((target, *((client, server) if lost is Side.CLIENT else (server, client))))
        cable.filter(verdict)
        for _, _, here in opened:
            here.send(encode_frame(1, b"is anybody there", mask=b"abcd"))
        for tls, (target, there, here) in enumerate(opened):
            await here.ended("rst")
            (ended,) = facts(await proxy.over(target), Ended)
            assert (ended.side, ended.how, ended.errno) == (lost, how, errno)
            assert ended.discarded_bytes > 16 + 6 if tls else ended.discarded_bytes == 16 + 6
            assert ended.tcp_info is not None
            there.transport.abort()
