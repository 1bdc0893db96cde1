"""A small real-time world on the loopback interface: services, and the clients that use them."""

from __future__ import annotations

import asyncio
from collections import Counter

from wsinspect.demo.clients import DemoClients
from wsinspect.demo.pace import Pace
from wsinspect.demo.server import DemoServer

IDLE_LIMIT_S = 2.5
"""How long /alerts stands silence before it drops the connection."""


class DemoWorld:
    """Services on a free port, and clients that reach them through a proxy.

    `start`, `run_clients` and `stop` belong to one event loop; `request_stop` may be called from any thread.
    The content depends on `seed` alone. `speed` 2 lets everything happen twice as fast; `idle_limit_s` is how
    long /alerts stands silence (of the world's time).
    """

    def __init__(self, *, seed: int = 7, speed: float = 1.0, idle_limit_s: float = IDLE_LIMIT_S) -> None:
        self.seed = seed
        self.pace = Pace(speed)
        self.frames: Counter[str] = Counter()
        """Frames that arrived at the services and at the clients, by kind."""
        self._server = DemoServer(seed, self.pace, idle_limit_s, self.frames)
        self._clients: DemoClients | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    @property
    def idle_drops(self) -> int:
        """Connections that were dropped at the idle limit."""
        return self._server.idle_drops

    @property
    def refused(self) -> int:
        """Handshakes that did not end in a 101."""
        return self._clients.refused if self._clients else 0

    @property
    def unreachable(self) -> int:
        """Tries of the clients that found nobody: the proxy is not there."""
        return self._clients.unreachable if self._clients else 0

    async def start(self) -> int:
        """Start the services; gives their port on 127.0.0.1. Raises Unavailable."""
        self._loop = asyncio.get_running_loop()
        return await self._server.start()

    async def run_clients(self, proxy_url: str, duration_s: float | None = None) -> None:
        """Run the clients against a base URL (`ws://127.0.0.1:PORT`), for so long or until a stop.

        They close their connections (1001) before it returns, in at most a second or so.
        """
        self._clients = DemoClients(proxy_url, self.seed, self.pace, self.frames)
        running = asyncio.create_task(self._clients.run(), name="demo clients")
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([running, stopping], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            running.cancel()
            await asyncio.wait([running, stopping])
        if not running.cancelled():
            running.result()  # it never ends by itself: this raises what ended it

    def request_stop(self) -> None:
        """Have `run_clients` end. Thread-safe; does nothing where the loop is gone."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:
                pass

    async def stop(self) -> None:
        """End the clients, close the services' connections (1001), and stop listening."""
        self._stopping.set()
        await self._server.close()
