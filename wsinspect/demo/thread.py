"""The demo's world in a thread of its own, for a command whose main thread has a screen to draw."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from wsinspect.demo.world import DemoWorld
from wsinspect.errors import TimedOut

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0


class DemoThread:
    """Start, run clients, stop: each may be called from any thread."""

    def __init__(self, world: DemoWorld | None = None) -> None:
        self.world = world or DemoWorld()
        self._port: Future[int] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="demo world", daemon=True)

    def start(self) -> int:
        """Start the services; gives their port on 127.0.0.1. Raises Unavailable, TimedOut."""
        self._thread.start()
        try:
            return self._port.result(START_TIMEOUT_S)
        except TimeoutError:
            raise TimedOut("the demo's services did not start") from None

    def run_clients(self, proxy_url: str, duration_s: float | None = None) -> Future[None]:
        """Begin to run the clients; the future is done when `duration_s` is over, or after `stop`."""
        if self._loop is None:
            raise RuntimeError("call start() first")
        return asyncio.run_coroutine_threadsafe(self.world.run_clients(proxy_url, duration_s), self._loop)

    def stop(self) -> None:
        """End clients and services, and the thread with them: in a second or two. May be called twice."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:
                pass  # the loop is gone already
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._port.set_result(await self.world.start())
        except Exception as error:
            self._port.set_exception(error)
            return
        await self._stopping.wait()
        await self.world.stop()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=STOP_TIMEOUT_S / 2)
