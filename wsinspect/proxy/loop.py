"""The proxy's event loop: asyncio's own, whose selector itself calls the readers of taken sockets.

From a socket that has become readable to a protocol's callback, asyncio makes a key and a handle, queues
that, runs it in its context, and goes through three methods of the transport: 1 us for each read where many
sockets are readable at once, 2 us where one is [measured], and each message is at least two reads. A straight
reader is called by the selector as soon as `epoll` has named its socket. Where that was all, and nobody has
asked the loop for anything meanwhile, the selector waits again by itself: a turn of the loop takes 0.7 us, or
1 us and more where a timer waits [measured].

Timers, other sockets, and every event but plain readability go asyncio's way. Nothing is used but what
`asyncio` and `selectors` document. Elsewhere than on Linux, and within mitmdump, the transports read.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import select
import selectors
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

logger = logging.getLogger(__name__)

type Reader = Callable[[], bool]
"""Reads its socket once, and True; or nothing, and False, where the transport shall look at it."""

_EVENTS_A_TURN = 256


class StraightLoop(asyncio.SelectorEventLoop):
    """Linux only. A reader in `straight` is called as long as its socket stays registered for reading."""

    def __init__(self) -> None:
        self.straight: dict[int, Reader] = {}
        """By descriptor."""
        self._selecting = _StraightSelector(self.straight)
        super().__init__(self._selecting)

    def call_soon[*Ts](
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        self._selecting.wanted = True
        return super().call_soon(callback, *args, context=context)

    def call_at[*Ts](
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self._selecting.wanted = True
        return super().call_at(when, callback, *args, context=context)


def new_loop() -> asyncio.AbstractEventLoop:
    """The best that this platform has."""
    return StraightLoop() if sys.platform == "linux" else asyncio.SelectorEventLoop()


def straight_readers() -> dict[int, Reader]:
    """Those of the running loop; one that nobody looks at, where it has none."""
    loop = asyncio.get_running_loop()
    return loop.straight if isinstance(loop, StraightLoop) else {}


class _StraightSelector(selectors.DefaultSelector):
    def __init__(self, straight: dict[int, Reader]) -> None:
        super().__init__()
        self._straight = straight
        self.wanted = False
        """The loop has something to do."""
        self._keys = self.get_map()
        # Another descriptor of the same epoll: it sees all that is registered, and is closed on its own.
        self._epoll = select.epoll.fromfd(os.dup(self.fileno()))

    def close(self) -> None:
        self._epoll.close()
        super().close()

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._straight.pop(key.fd, None)
        return key

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().modify(fileobj, events, data)
        if not events & selectors.EVENT_READ:
            self._straight.pop(key.fd, None)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `EpollSelector.select`, without the events that a straight reader took."""
        wait_s = -1 if timeout is None else max(timeout, 0)
        until = time.monotonic() + wait_s
        self.wanted = False
        while events := self._epoll.poll(wait_s, _EVENTS_A_TURN):
            ready = self._left_of(events)
            if ready or self.wanted:
                return ready
            if timeout is not None and (wait_s := until - time.monotonic()) <= 0:
                break
        return []

    def _left_of(self, events: list[tuple[int, int]]) -> list[tuple[selectors.SelectorKey, int]]:
        """Call the straight readers; returns what is for the transports."""
        straight = self._straight
        ready = []
        for fd, event in events:
            if event == select.EPOLLIN and fd in straight:
                try:
                    if straight[fd]():
                        continue
                except Exception:  # it would end the loop: the transport goes on, whose callbacks may raise
                    logger.exception("fault in a straight reader")
                    del straight[fd]
                    continue
            if (key := self._keys.get(fd)) is None:
                continue
            readable = event & ~select.EPOLLOUT and selectors.EVENT_READ
            writable = event & ~select.EPOLLIN and selectors.EVENT_WRITE
            ready.append((key, (readable | writable) & key.events))
        return ready
