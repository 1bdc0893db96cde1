"""Blocking calls of the event loop's, each in a thread that nobody waits for when the process ends.

`asyncio.to_thread` will not do: the end of `asyncio.run` waits for its threads, up to five minutes, and a
disk that hangs would keep the proxy from stopping.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


async def in_background[T](function: Callable[[], T], name: str) -> T:
    """What the function returns or raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return  # it was cancelled meanwhile
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = function()
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(finish, value, error)
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know any more

    threading.Thread(target=run, name=name, daemon=True).start()
    return await result
