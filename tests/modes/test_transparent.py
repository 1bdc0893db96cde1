"""Transparent mode on a gateway of its own: packets for a server are redirected, by the printed rules."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.netns import (
    SERVER_NET,
    SERVER_NET6,
    Network,
    inside,
    net,
    run_in,
)
from tests.modes.traffic import captured, converse, end, listening
from tests.modes.ways import secured, upgrade
from tests.proxy.running import PROGRAM, TIMEOUT_S, RunningProxy, facts
from tests.tools import need
from wsinspect.model import Failed, Opened, Requested
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import TcpStream

__all__ = ["net"]

pytestmark = pytest.mark.slow
NOBODY = 65534


async def dial(namespace: str, host: str, port: int, *, user: int = 0) -> TcpStream:
    """A connection that begins in a namespace, on a socket that belongs to `user`."""
    with inside(namespace):
        os.seteuid(user)
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        os.seteuid(0)
    sock.setblocking(False)
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    return TcpStream(sock)


@pytest.fixture(scope="module", params=["takeover", "layer"])
def gateway(
    request: pytest.FixtureRequest, net: Network, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProxy]:
    """A transparent proxy on the gateway, for every address of it."""
    capture = tmp_path_factory.mktemp("transparent") / f"{request.param}.wscap"
    path = ["--path", "layer"] if request.param == "layer" else []
    program = ["ip", "netns", "exec", net.gateway, *PROGRAM, "proxy"]
    with RunningProxy(
        capture, ["transparent"], "--listen-host", "", *words(confdir), *path, program=program
    ) as proxy:
        yield proxy


@contextmanager
def redirected(net: Network, proxy: RunningProxy, *arguments: str) -> Iterator[None]:
    """The rules that the command prints, as long as the block lasts."""
    need("sysctl")
    line = [*PROGRAM, "transparent", "rules", "-p", str(proxy.port), *arguments]
    run_in(net.gateway, "sh", "-ec", subprocess.check_output(line, text=True))
    try:
        yield
    finally:
        run_in(net.gateway, "sh", "-ec", subprocess.check_output([*line, "--undo"], text=True))


hosts = pytest.mark.parametrize("host", [f"{SERVER_NET}.2", f"{SERVER_NET6}:2"], ids=["ipv4", "ipv6"])
legs = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


async def relayed(
    net: Network,
    proxy: RunningProxy,
    host: str,
    context: ssl.SSLContext | None,
    *,
    user: int = 0,
    mode: str = "transparent",
) -> None:
    """A whole conversation from the client's namespace (the gateway's, for a user) to the server's."""
    port, target = (443 if context else 80), f"/{uuid4().hex}"
    shown = f"[{host}]" if ":" in host else host
    url = f"{'wss' if context else 'ws'}://{shown}{target}"
    async with listening(port, context, host, place=inside(net.server)) as peers:
        tcp = await dial(net.gateway if user else net.client, host, port, user=user)
        assert tcp.remote == (host, port), "the client knows nothing of a proxy"
        stream: Stream = await secured(tcp) if context else tcp
        client = await upgrade(stream, url)
        server = await peers.next()
        assert server.remote[0] in (f"{SERVER_NET}.1", f"{SERVER_NET6}:1"), "the proxy's own address"
        await converse(client, server)
        await end(client, server)
    events = await captured(proxy, target, proxy.capture.stem)
    (requested,) = facts(events, Requested)
    assert (requested.url, requested.mode) == (url, mode)
    assert (requested.tls is not None) == (context is not None)
    assert facts(events, Opened)[0].server == (host, port)


@legs
@hosts
async def test_every_byte_passes(
    net: Network, gateway: RunningProxy, context: ssl.SSLContext, host: str, tls: bool
) -> None:
    with redirected(net, gateway, "--interface", "clients"):
        await relayed(net, gateway, host, context if tls else None)


@legs
async def test_by_iptables(net: Network, gateway: RunningProxy, context: ssl.SSLContext, tls: bool) -> None:
    need("iptables")
    with redirected(net, gateway, "--interface", "clients", "--tool", "iptables"):
        await relayed(net, gateway, f"{SERVER_NET}.2", context if tls else None)
    for tool in ("iptables", "ip6tables"):
        assert "wsinspect" not in run_in(net.gateway, tool, "-t", "nat", "-S")


@pytest.mark.parametrize("tool", ["nft", "iptables"])
async def test_the_machines_own_traffic(net: Network, gateway: RunningProxy, tool: str) -> None:
    """Connections of the user who runs the proxy, root here, are left alone: else it would meet itself."""
    need(tool)
    with redirected(net, gateway, "--user", "root", "--tool", tool):
        await relayed(net, gateway, f"{SERVER_NET}.2", None, user=NOBODY)


async def test_the_undo_leaves_nothing(net: Network, gateway: RunningProxy) -> None:
    with redirected(net, gateway, "--interface", "clients"):
        assert f"redirect to :{gateway.port}" in run_in(net.gateway, "nft", "list", "ruleset")
    assert "wsinspect" not in run_in(net.gateway, "nft", "list", "ruleset")


async def test_a_server_that_refuses(net: Network, gateway: RunningProxy) -> None:
    """The client's connection stands already; it ends, and the capture says why."""
    with redirected(net, gateway, "--interface", "clients", "--ports", "81"):
        tcp = await dial(net.client, f"{SERVER_NET}.2", 81)
        assert await asyncio.wait_for(tcp.read(), TIMEOUT_S) == b""
        tcp.close()
    events = await gateway.until(
        lambda events: any(each.url == f"{SERVER_NET}.2:81" for each in facts(events, Requested))
        and bool(facts(events, Failed))
    )
    assert facts(events, Failed)[-1].errno == "ECONNREFUSED"
