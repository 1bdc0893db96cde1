"""Time and company for the demo's coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pace:
    """How fast the world runs; a test may want it faster."""

    speed: float = 1.0

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of the world's time."""
        await asyncio.sleep(seconds / self.speed)


async def until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all side by side until the first ends; cancel the others, and raise what ended it."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
