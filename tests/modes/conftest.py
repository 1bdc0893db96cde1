"""One proxy with all modes that need no privilege at once, and a second one as its parent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certs import make_cert, server_context
from tests.proxy.running import RunningProxy, free_port
from wsinspect.model import Address


@dataclass
class Rig:
    """The proxies, and the ports at which their reverse modes look for a server."""

    proxy: RunningProxy
    parent: RunningProxy
    plain_port: int
    tls_port: int
    server_context: ssl.SSLContext
    path: str

    def at(self, mode: str) -> Address:
        """Where the proxy listens in this mode."""
        return "127.0.0.1", self.proxy.ports[list(MODES).index(mode)]


MODES = ("regular", "socks5", "reverse:http", "reverse:https", "upstream:http", "upstream:https")


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The servers' certificate, for localhost."""
    return server_context(*make_cert(tmp_path_factory.mktemp("cert")))


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's CA, made once."""
    return tmp_path_factory.mktemp("ca")


def words(confdir: Path) -> tuple[str, ...]:
    return "-k", "--set", f"confdir={confdir}"


@pytest.fixture(scope="session")
def parent(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Speaks to clients in the clear and over TLS, on one port."""
    capture = tmp_path_factory.mktemp("parent") / "parent.wscap"
    with RunningProxy(capture, ["regular"], *words(confdir)) as proxy:
        yield proxy


@pytest.fixture(scope="session", params=["takeover", "layer"])
def rig(
    request: pytest.FixtureRequest,
    parent: RunningProxy,
    confdir: Path,
    context: ssl.SSLContext,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Rig]:
    ports = free_port(), free_port()
    modes = [
        *MODES[:2],
        f"reverse:http://localhost:{ports[0]}",
        f"reverse:https://localhost:{ports[1]}",
        f"upstream:http://127.0.0.1:{parent.port}",
        f"upstream:https://127.0.0.1:{parent.port}",
    ]
    path = ["--path", "layer"] if request.param == "layer" else []
    capture = tmp_path_factory.mktemp("rig") / f"{request.param}.wscap"
    with RunningProxy(capture, modes, *words(confdir), *path) as proxy:
        yield Rig(proxy, parent, *ports, context, request.param)
