"""Looks in the capture for what compressed messages refer to, where rules came when they were under way.

    session wants a window at a place ──▶ WindowPass, in a thread ──▶ session: found
            ▲                                                           │ too much has come meanwhile
            └──────────────────── a later place ────────────────────────┘

Where the capture has a gap, or has let go of the beginning, rules wait as they would without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from wsinspect.capture.windows import WindowPass, WindowSearch
from wsinspect.errors import WsinspectError
from wsinspect.proxy.background import in_background
from wsinspect.relay.session import Session
from wsinspect.wire.extensions import Negotiated
from wsinspect.wire.messages import MessageAssembler

logger = logging.getLogger(__name__)

LIMIT_S = 30.0
"""Of one pass: a capture of some GiB is read in that time."""
AGAIN_S = 0.02
"""Before a window is looked for that was wanted later."""
AT_ONCE = 200
"""Directions that one pass looks for: each takes some 50 KiB and more."""
MAX_WAITING = 20_000


class _Relay(Protocol):
    """As `relays.Relay`."""

    session: Session

    def flush(self) -> None: ...


class Windows:
    """Of all connections of a proxy."""

    def __init__(
        self,
        place: Callable[[], Path],
        live: Mapping[int, _Relay],
        agreed: Mapping[int, Negotiated],
    ) -> None:
        """`place`: where the capture is now. `live`, `agreed`: by connection number."""
        self._place = place
        self._live = live
        self._agreed = agreed
        self._waiting: list[WindowSearch] = []
        self._task: asyncio.Task[None] | None = None

    def want(self, session: Session) -> None:
        """Take what the session wants."""
        for side, position in session.take_window_wishes():
            agreed = self._agreed.get(session.conn)
            if agreed is not None and len(self._waiting) < MAX_WAITING:
                self._waiting.append(WindowSearch(session.conn, side, agreed, position))
            else:
                session.window_found(side, position, None, time.monotonic_ns())
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._look(), name="wsinspect: windows")

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        await asyncio.sleep(0)  # others of the same reload
        while self._waiting:
            searches, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                await self._pass(searches)
            except (WsinspectError, OSError) as error:
                logger.info("rules wait: the capture cannot be read (%s)", error)
            except Exception:
                logger.exception("rules wait: the capture could not be looked through")
            for search in searches:
                self._give(search, None)

    async def _pass(self, searches: list[WindowSearch]) -> None:
        """Those that were given are not in `searches` any more."""
        until_s = time.monotonic() + LIMIT_S
        through = await in_background(partial(WindowPass, self._place()), "wsinspect: windows")
        try:
            while time.monotonic() < until_s:
                await in_background(partial(through.run, searches, until_s), "wsinspect: windows")
                searches[:] = [each for each in searches if not self._given(each)]
                if not searches:
                    return
                await asyncio.sleep(AGAIN_S)
        finally:
            through.close()

    def _given(self, search: WindowSearch) -> bool:
        """Hand it over, found or not. False where it is wanted at a later place."""
        later = self._give(search, search.assembler if search.found else None)
        if later is None:
            return True
        search.go_on(later)
        return False

    def _give(self, search: WindowSearch, assembler: MessageAssembler | None) -> int | None:
        relay = self._live.get(search.conn)
        if relay is None:
            return None
        later = relay.session.window_found(search.side, search.position, assembler, time.monotonic_ns())
        relay.flush()
        return later
