"""Modes whose clients are streams of mitmproxy_rs, not sockets: the layers carry them, and it is said.

tun runs wherever a namespace can be made, and stands for them all; local and WireGuard take more.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.netns import SERVER_NET, Network, inside, net, run_in
from tests.modes.test_transparent import legs, relayed
from tests.modes.traffic import listening, received
from tests.proxy.running import PROGRAM, TIMEOUT_S, RunningProxy, facts
from tests.tools import unavailable
from wsinspect.model import Opened

__all__ = ["net"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tun(net: Network, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """A proxy behind an interface, into which the gateway routes what the client sends."""
    if not Path("/dev/net/tun").exists():
        unavailable("no /dev/net/tun")
    capture = tmp_path_factory.mktemp("tun") / "layer.wscap"
    program = ["ip", "netns", "exec", net.gateway, *PROGRAM, "proxy"]
    with RunningProxy(capture, [], "--mode=tun:wsi0", *words(confdir), program=program) as proxy:
        asyncio.run(said(proxy, "intercepting what is routed to wsi0"))
        for line in (
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wsi0.rp_filter=0",
            "ip link set dev wsi0 up",
            "ip route add default dev wsi0 table 77",
            "ip rule add iif clients lookup 77",
        ):
            run_in(net.gateway, *line.split())
        yield proxy


async def said(proxy: RunningProxy, words: str) -> None:
    """Wait until the proxy has said it on stderr."""
    async with asyncio.timeout(TIMEOUT_S):
        while words not in proxy.stderr:
            assert proxy.process.poll() is None, proxy.stderr
            await asyncio.sleep(0.01)


@legs
async def test_every_byte_passes_through_tun(
    net: Network, tun: RunningProxy, context: ssl.SSLContext, tls: bool
) -> None:
    await relayed(net, tun, f"{SERVER_NET}.2", context if tls else None, mode="tun:wsi0")


SUDO = """\
#!/bin/sh
while [ $# -gt 0 ]; do case "$1" in -*) shift;; *) break;; esac; done
[ $# -eq 0 ] || exec "$@"
"""
"""Enough of it for root, where none is installed."""

CLIENT = """\
import base64, os, socket, sys
host, target = sys.argv[1:]
with socket.create_connection((host, 80), 20) as sock:
    head = f"GET {target} HTTP/1.1\\r\\nHost: {host}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    head += "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()
    sock.sendall(head.encode() + b"\\r\\n\\r\\n")
    answer = b""
    while not answer.endswith(b"\\x81\\x05hello"):
        answer += sock.recv(4096) or sys.exit("the connection ended")
    sock.sendall(b"\\x81\\x85\\0\\0\\0\\0world")
    sock.recv(1)
"""


@pytest.mark.extra
async def test_local_mode_takes_the_named_program_and_no_other(
    net: Network, confdir: Path, tmp_path: Path
) -> None:
    """The helper's BPF program sees the whole machine, so the client's name is one that nothing else has."""
    name = f"wsi{os.getpid()}"
    (tmp_path / name).symlink_to(Path(sys.executable).resolve())
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    setup = 'mount -t cgroup2 none /sys/fs/cgroup; exec env PATH=$0:$PATH "$@"'
    there = ["ip", "netns", "exec", net.gateway]
    program = [*there, "sh", "-c", setup, str(tmp_path), *PROGRAM, "proxy"]
    capture = tmp_path / "local.wscap"
    with RunningProxy(capture, [], f"--mode=local:{name}", *words(confdir), program=program) as proxy:
        await said(proxy, f"intercepting {name}")
        async with listening(80, host=f"{SERVER_NET}.2", place=inside(net.server)) as peers:
            for python, path in ((Path(sys.executable), None), (tmp_path / name, "layer")):
                target = f"/{uuid4().hex}"
                client = await asyncio.create_subprocess_exec(
                    *there, str(python), "-Ic", CLIENT, f"{SERVER_NET}.2", target
                )
                server = await peers.next()
                await server.send("hello")
                await received(server, b"\x81\x85\0\0\0\0world")
                server.write_eof()
                assert await asyncio.wait_for(client.wait(), TIMEOUT_S) == 0
                if path is None:
                    assert proxy.events(target) == []
                else:
                    assert [each.path for each in facts(await proxy.over(target), Opened)] == [path]


@pytest.mark.extra
async def test_local_mode_ends_with_its_helper(net: Network, confdir: Path, tmp_path: Path) -> None:
    """In a namespace /sys is mounted anew, without the cgroups that the helper's BPF program is tied to."""
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    path = f"PATH={tmp_path}:{os.environ['PATH']}"
    program = ["ip", "netns", "exec", net.gateway, "env", path, *PROGRAM, "proxy"]
    with RunningProxy(
        tmp_path / "a.wscap", [], "--mode=local:nobody", *words(confdir), program=program
    ) as proxy:
        assert await asyncio.to_thread(proxy.process.wait, TIMEOUT_S) == 3
    assert "--mode local:nobody: its redirector has ended" in proxy.stderr
