"""A peer that falls silent, or cannot be reached any more: ETIMEDOUT and EHOSTUNREACH give RST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.proxy.namespaces import FAR, NEAR, Cable
from tests.proxy.raw import RawEnd, request, response
from tests.proxy.running import PROGRAM, RunningProxy, facts
from wsinspect.model import Ended, How, Side
from wsinspect.wire.frames import encode_frame

SCRIPT = Path(__file__).with_name("user_timeout.py")

pytestmark = pytest.mark.slow


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    made = Cable()
    yield made
    made.close()


async def accepted(listening) -> RawEnd:  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    sock, _ = await loop.sock_accept(listening)
    _, end = await loop.connect_accepted_socket(RawEnd, sock)
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
    server_is, host = (cable.far, FAR) if lost is Side.SERVER else (cable.near, NEAR)
    client_is = cable.near if lost is Side.SERVER else cable.far
    listening = cable.listening(server_is, host)
    mode = f"reverse:http://{host}:{listening.getsockname()[1]}"
    proxy = RunningProxy(
        tmp_path / "a.wscap", [mode], "--listen-host", NEAR, "--set", f"confdir={tmp_path / 'ca'}",
        "-s", str(SCRIPT), program=cable.program(*PROGRAM, "proxy"),
    )  # fmt: skip
    with proxy, listening:
        sock = await cable.connected(client_is, (NEAR, proxy.port))
        _, client = await asyncio.get_running_loop().create_connection(RawEnd, sock=sock)
        target = f"/{uuid4().hex}"
        client.send(request(target))
        server = await accepted(listening)
        server.send(response(await server.take_head()))
        await client.take_head()
        there, here = (client, server) if lost is Side.CLIENT else (server, client)
        cable.filter(verdict)
        here.send(encode_frame(1, b"is anybody there", mask=b"abcd"))
        await here.ended("rst")
        events = await proxy.over(target)
        (ended,) = facts(events, Ended)
        assert (ended.side, ended.how, ended.errno) == (lost, how, errno)
        assert ended.discarded_bytes == 16 + 6
        assert ended.tcp_info is not None
        there.transport.abort()
