"""The timer of one session that waits for time, set anew only where it wants another one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Alarm:
    """Calls back once at the time that was set last."""

    __slots__ = ("_callback", "_due_ns", "_timer")

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._due_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_ns: int | None) -> None:
        """`due_ns`: on the monotonic clock; None: never."""
        if due_ns == self._due_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due_ns = due_ns
        if due_ns is not None:
            delay_s = max(0, due_ns - time.monotonic_ns()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = self._due_ns = None
        self._callback()
