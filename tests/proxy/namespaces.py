"""Network namespaces joined by a cable, for what loopback cannot do: silence, and ICMP errors."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import need

NEAR, FAR = "10.213.0.1", "10.213.0.2"


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


class Cable:
    """Two namespaces of this test's own: the proxy and one peer are near, the other peer is far."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        self.ip, self.nft = need("ip"), need("nft")
        self.near, self.far = (f"wsi-{os.getpid()}-{word}" for word in ("near", "far"))
        for name in (self.near, self.far):
            run(self.ip, "netns", "add", name)
            run(self.ip, "-n", name, "link", "set", "lo", "up")
        run(
            self.ip, "link", "add", "wsi0", "netns", self.near, "type", "veth",
            "peer", "name", "wsi0", "netns", self.far,
        )  # fmt: skip
        for name, address in ((self.near, NEAR), (self.far, FAR)):
            run(self.ip, "-n", name, "address", "add", f"{address}/24", "dev", "wsi0")
            run(self.ip, "-n", name, "link", "set", "wsi0", "up")
        limit = "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"  # several connections want their errors at once
        run(self.ip, "netns", "exec", self.far, "sh", "-c", limit)

    def close(self) -> None:
        for name in (self.near, self.far):
            subprocess.run([self.ip, "netns", "del", name], check=False, capture_output=True)

    def program(self, *words: str) -> list[str]:
        """A command line that runs near."""
        return [self.ip, "netns", "exec", self.near, *words]

    def filter(self, verdict: str) -> None:
        """What the far end does with each packet from the near one from now on: `drop`, `reject with …`."""
        for words in (
            ["add", "table", "inet", "t"],
            ["add", "chain", "inet", "t", "c", "{ type filter hook input priority 0; }"],
            [
                "add",
                "rule",
                "inet",
                "t",
                "c",
                "ip",
                "saddr",
                NEAR,
                "tcp",
                "dport",
                "1-65535",
                *verdict.split(),
            ],
        ):
            run(self.ip, "netns", "exec", self.far, self.nft, *words)

    def inside[T](self, name: str, make: Callable[[], T]) -> T:
        """Call `make` in a namespace; a socket made there stays there."""
        made: list[T] = []

        def work() -> None:
            with Path(f"/var/run/netns/{name}").open() as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)
            made.append(make())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return made[0]

    def listening(self, name: str, host: str) -> socket.socket:
        return self.inside(name, lambda: socket.create_server((host, 0)))

    async def connected(self, name: str, address: tuple[str, int]) -> socket.socket:
        sock = self.inside(name, lambda: socket.create_connection(address, 10))
        sock.setblocking(False)
        await asyncio.sleep(0)
        return sock
