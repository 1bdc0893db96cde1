"""WireGuard mode: a client configured as the proxy prints it, and its whole conversation with a server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.modes.conftest import words
from tests.modes.netns import CLIENT_NET, SERVER_NET, Network, inside, net, run_in
from tests.modes.test_streams import said
from tests.modes.test_transparent import legs, relayed
from tests.modes.wireguard import Tunnel
from tests.proxy.running import PROGRAM, RunningProxy
from tests.tools import unavailable

__all__ = ["net"]

GATEWAY = f"{CLIENT_NET}.1"


@pytest.fixture
async def proxy(net: Network, confdir: Path, tmp_path: Path) -> AsyncIterator[RunningProxy]:
    """On the gateway; from the client's namespace the server is reached through the tunnel alone."""
    if not Path("/dev/net/tun").exists():
        unavailable("no /dev/net/tun")
    program = ["ip", "netns", "exec", net.gateway, *PROGRAM, "proxy"]
    mode = f"wireguard:{tmp_path / 'keys.conf'}"
    with RunningProxy(
        tmp_path / "layer.wscap", [mode], "--listen-host", GATEWAY, *words(confdir), program=program
    ) as running:
        await said(running, "Endpoint = ")
        with inside(net.client):
            tunnel = Tunnel(running.stderr, (GATEWAY, running.port), "wsi-wg")
        try:
            run_in(net.client, "ip", "address", "add", "10.0.0.1/32", "dev", "wsi-wg")
            run_in(net.client, "ip", "link", "set", "dev", "wsi-wg", "mtu", "1420", "up")
            run_in(net.client, "ip", "route", "add", f"{SERVER_NET}.0/24", "dev", "wsi-wg")
            await tunnel.start()
            yield running
        finally:
            tunnel.close()


@legs
async def test_every_byte_passes(
    net: Network, proxy: RunningProxy, context: ssl.SSLContext, tls: bool
) -> None:
    mode = f"wireguard:{proxy.capture.parent / 'keys.conf'}"
    await relayed(net, proxy, f"{SERVER_NET}.2", context if tls else None, mode=mode)
