"""Thousands of connections: ends in the very moment of the takeover, and five thousand that live at once."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.proxy.conftest import Stage, staged
from tests.proxy.raw import response
from tests.proxy.running import facts
from tests.proxy.test_backpressure import resident
from tests.proxy.test_shutdown import LEVERS, nothing_left, pull
from wsinspect.model import Closed, Failed, Notice, Requested
from wsinspect.proxy.takeover import ORPHAN_LIMIT_S
from wsinspect.wire.frames import encode_frame

pytestmark = pytest.mark.slow

FRAME = encode_frame(1, b"at once")
MASKED = encode_frame(1, b"at once", mask=b"abcd")
STUCK_S = ORPHAN_LIMIT_S / 2
"""Where nothing goes for so long, something hangs: a leg that nobody ends would go by itself only later."""
PING, PONG = encode_frame(9, b"?"), encode_frame(10, b"?", mask=b"abcd")


PEERS: list[Peer] = []
"""Of the running test."""


@pytest.fixture(autouse=True)
async def _no_peer_is_left() -> AsyncIterator[None]:
    yield
    for peer in PEERS:
        if hasattr(peer, "transport"):
            peer.transport.abort()
    await asyncio.sleep(0.1)  # the transports close their sockets in the loop
    PEERS.clear()


class Peer(asyncio.Protocol):
    """Answers a request with a 101, or asks for it; then calls `then`, with all that came behind the head."""

    def __init__(self, then: Callable[[Peer], None], greeting: bytes = b"", *, server: bool) -> None:
        self.then = then
        self.greeting = greeting
        self.server = server
        self.received = b""
        self.transport: asyncio.Transport
        self.is_open = False
        self.gone = asyncio.get_running_loop().create_future()
        self.opened = asyncio.get_running_loop().create_future()
        PEERS.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self.server:
            key = base64.b64encode(os.urandom(16)).decode()
            head = "GET /many HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            transport.write(head.encode() + self.greeting)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.is_open:
            self.on_data()
        elif b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            if self.server:
                self.transport.write(response(head) + self.greeting)
            self.is_open = True
            self.then(self)
            self.opened.set_result(None)

    def on_data(self) -> None:
        if PING in self.received:
            self.received = b""
            self.transport.write(PONG)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def reset(self) -> None:
        if self.gone.done() or self.transport.is_closing():
            return
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _end(rng: random.Random) -> Callable[[Peer], None]:
    """What a peer does as soon as it has the 101."""

    def fin(peer: Peer) -> None:
        peer.transport.write_eof()

    def data_and_reset(peer: Peer) -> None:
        peer.transport.write(FRAME * 3)
        peer.reset()

    def data_and_fin(peer: Peer) -> None:
        peer.transport.write(MASKED * 3)
        peer.transport.close()

    return rng.choice([fin, Peer.reset, data_and_reset, data_and_fin, lambda peer: None])


@pytest.fixture(scope="module")
def levered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("many"), "-s", str(LEVERS))


@pytest.mark.timeout(300)
async def test_ends_in_the_moment_of_the_takeover_hang_nothing_and_leak_nothing(levered: Stage) -> None:
    """Each of 3,000 ends within microseconds of its 101, by FIN or RST, from either side or both."""
    rng = random.Random(8)
    loop = asyncio.get_running_loop()
    before = await nothing_left(levered)
    server = await loop.create_server(
        lambda: Peer(_end(rng), FRAME, server=True), "127.0.0.1", levered.server_ports[0]
    )

    async def one() -> None:
        end = _end(rng)
        _, peer = await loop.create_connection(
            lambda: Peer(end, MASKED * rng.randrange(3), server=False), "127.0.0.1", levered.proxy.ports[0]
        )
        if rng.random() < 0.1:  # before the 101
            peer.transport.close() if rng.random() < 0.5 else peer.reset()
        await asyncio.wait([peer.opened, peer.gone], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(rng.choice([0.0, 0.0, 0.02]))
        peer.transport.close() if rng.random() < 0.5 else peer.reset()

    total = 3000
    try:
        for start in range(0, total, 20):
            async with asyncio.timeout(30):
                await asyncio.gather(*(one() for _ in range(start, start + 20)))
    finally:
        server.close()
    after = await nothing_left(levered, before, STUCK_S)
    hooks = after["hooks"]
    assert hooks.get("websocket_start /many", 0) == hooks.get("websocket_end /many", 0) > total / 2
    events = await levered.proxy.until(
        lambda found: len(facts(found, Closed)) + len(facts(found, Failed)) >= len(facts(found, Requested))
    )
    assert len(facts(events, Requested)) > total / 2
    assert not [notice for notice in facts(events, Notice) if notice.code in ("fault", "takeover-failed")]
    print(f"{hooks['websocket_start /many']} of {total} opened; {before['fds']} fds, {before['tasks']} tasks")  # noqa: T201


@pytest.mark.timeout(400)
async def test_five_thousand_live_at_once(levered: Stage) -> None:
    """Heartbeats through each of them for some seconds; all alive, and little memory for each."""
    count = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count + 500:
        pytest.skip(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    accepted: list[Peer] = []
    clients: list[Peer] = []
    await nothing_left(levered)
    memory = resident(levered)
    server = await loop.create_server(
        lambda: Peer(accepted.append, server=True), "127.0.0.1", levered.server_ports[0], backlog=1000
    )
    try:
        started = time.monotonic()
        for start in range(0, count, 50):
            for _ in range(50):
                await loop.create_connection(
                    lambda: Peer(clients.append, server=False), "127.0.0.1", levered.proxy.ports[0]
                )
            async with asyncio.timeout(60):
                while len(clients) < start + 50:
                    await asyncio.sleep(0.01)
        opening = time.monotonic() - started
        each = (resident(levered) - memory) / count
        assert (await pull(levered, "state"))["live"] == count
        rounds = 0
        started = time.monotonic()
        while time.monotonic() - started < 10:
            for peer in accepted:
                peer.received = b""
                peer.transport.write(PING)
            async with asyncio.timeout(60):
                while not all(peer.received == PONG for peer in accepted):
                    await asyncio.sleep(0.02)
            rounds += 1
        assert not any(peer.gone.done() for peer in [*accepted, *clients])
        found = f"{rounds} heartbeats each in 10 s, {each / 1024:.1f} KiB each"
        print(f"{count} opened in {opening:.0f} s, {found}")  # noqa: T201
        assert each < 200 * 1024
    finally:
        server.close()
        for peer in PEERS:
            peer.transport.abort()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await nothing_left(levered, limit_s=STUCK_S)
