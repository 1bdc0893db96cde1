"""What arrived and nobody has taken yet: bounded, so that a reader that is slow slows its peer."""

from __future__ import annotations

import asyncio
from collections import deque

from wsinspect.errors import TimedOut
from wsinspect.model import Frame, Message

LIMIT_BYTES = 4 << 20
ITEM_COST_BYTES = 256
"""What an empty message weighs."""


class Inbox:
    """A queue of messages and control frames, with an end. One task puts, any may take."""

    def __init__(self) -> None:
        self.ended = False
        self.dropped = 0
        """Given up to make room while nobody took anything any more."""
        self._items: deque[Message | Frame] = deque()
        self._nbytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put(self, item: Message | Frame) -> None:
        """Append, beyond the limit too: ask `wait_room` before the next read."""
        self._items.append(item)
        self._nbytes += ITEM_COST_BYTES + len(item.payload)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will be put."""
        self.ended = True
        self._changed.set()

    @property
    def full(self) -> bool:
        return self._nbytes >= LIMIT_BYTES

    async def get(self) -> Message | Frame | None:
        """The next item; None at the end. Cancelling loses nothing."""
        while not self._items:
            if self.ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._take()

    def _take(self) -> Message | Frame:
        item = self._items.popleft()
        self._nbytes -= ITEM_COST_BYTES + len(item.payload)
        if not self.full:
            self._room.set()
        return item

    async def wait_room(self) -> None:
        """Wait while it is full."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def make_room(self) -> None:
        """Drop the oldest items until it is no longer full."""
        while self.full:
            self._take()
            self.dropped += 1

    async def wait_ended(self, timeout_s: float | None = None) -> None:
        """Wait for the end, dropping what nobody takes and would not fit. Raises TimedOut."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ended:
                    self.make_room()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimedOut(f"the peer did not end within {timeout_s:g} s") from None
