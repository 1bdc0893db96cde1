"""Network namespaces for tests: a client, a gateway and a server, each with a network stack of its own.

Their names carry the process id of the test run, so that what a killed run has left behind goes at the
next one's start.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.tools import need, unavailable

FOLDER = Path("/run/netns")
CLIENT_NET, SERVER_NET = "10.77.0", "10.78.0"
CLIENT_NET6, SERVER_NET6 = "fd77:", "fd78:"


class Network:
    """client .2 <-> .1 gateway .1 <-> .2 server; the gateway forwards nothing by itself."""

    def __init__(self, prefix: str) -> None:
        self.client, self.gateway, self.server = (f"{prefix}-{role}" for role in "cgs")
        for name in (self.client, self.gateway, self.server):
            ip("netns", "add", name)
        for name in (self.client, self.gateway, self.server):
            run_in(name, "ip", "link", "set", "lo", "up")
        self._join(self.client, "clients", CLIENT_NET, CLIENT_NET6)
        self._join(self.server, "servers", SERVER_NET, SERVER_NET6)

    def _join(self, name: str, gateway_end: str, net: str, net6: str) -> None:
        """A veth pair between a namespace and the gateway, and the default route through it."""
        ip("link", "add", "wire", "netns", name, "type", "veth", "peer", "name", gateway_end,
           "netns", self.gateway)  # fmt: skip
        for where, link, host in ((name, "wire", 2), (self.gateway, gateway_end, 1)):
            run_in(where, "ip", "address", "add", f"{net}.{host}/24", "dev", link)
            run_in(where, "ip", "address", "add", f"{net6}:{host}/64", "dev", link, "nodad")
            run_in(where, "ip", "link", "set", "dev", link, "up")
        run_in(name, "ip", "route", "add", "default", "via", f"{net}.1")
        run_in(name, "ip", "route", "add", "default", "via", f"{net6}:1")


@contextmanager
def network() -> Iterator[Network]:
    """A network that is gone afterwards; skipped where the machine does not allow one."""
    need("ip")
    need("nft")
    if os.geteuid() != 0:
        unavailable("network namespaces need root")
    sweep()
    if not Path("/proc/self/ns/net").exists():
        unavailable("this kernel has no network namespaces")
    prefix = f"wsi{os.getpid()}-{uuid4().hex[:6]}"
    try:
        yield Network(prefix)
    finally:
        remove(prefix)


def remove(prefix: str) -> None:
    for name in names():
        if name.startswith(f"{prefix}-"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def names() -> list[str]:
    return sorted(os.listdir(FOLDER)) if FOLDER.is_dir() else []


def sweep() -> None:
    """Namespaces of test runs that live no more."""
    for name in names():
        found = re.match(r"(wsi(\d+)-[0-9a-f]{6})-[cgs]$", name)
        if found and not Path(f"/proc/{found[2]}").exists():
            remove(found[1])


def ip(*words: str) -> None:
    _run("ip", *words)


def run_in(name: str, *words: str) -> str:
    """A command in a namespace; its stdout. Raises CalledProcessError."""
    return _run("ip", "netns", "exec", name, *words)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout


@contextmanager
def inside(name: str) -> Iterator[None]:
    """What this thread opens in here belongs to the namespace. Nothing in it may await or start a thread."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(FOLDER / name, "rb") as there:
        os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home.fileno(), os.CLONE_NEWNET)


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network() as made:
        yield made
