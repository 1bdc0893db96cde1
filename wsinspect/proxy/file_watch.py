"""Whether rule files have changed: a look at them each second, by size, times and inode.

No dependency, and it works wherever `stat` does: on network disks, in containers, with editors that write a
new file in the place of the old one. A change counts once the files have looked the same twice, so that no
half of a file is loaded.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from wsinspect.proxy.background import in_background

EVERY_S = 1.0
SETTLE_S = 0.1
SETTLE_TRIES = 20
"""A file that is written all the time is loaded even so."""

MOST_FILES = 10_000

type Look = tuple[tuple[object, ...], ...]
"""How files look; equal while nothing has changed."""


def look_at(paths: Iterable[Path]) -> Look:
    """How the files look, and of folders what lies in them. What cannot be seen looks like itself."""
    found: list[tuple[object, ...]] = []
    for path in paths:
        found.append(_stamp(path))
        if found[-1][-1] is True:
            try:
                inside = sorted(path.iterdir())[:MOST_FILES]
            except OSError:
                continue
            found += [_stamp(each) for each in inside if not each.name.startswith(".")]
    return tuple(found)


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        seen = path.stat()
    except OSError as error:
        return str(path), error.errno, False
    times = seen.st_mtime_ns, seen.st_ctime_ns
    return str(path), seen.st_dev, seen.st_ino, seen.st_size, *times, stat.S_ISDIR(seen.st_mode)


class FileWatch:
    """Calls back, in the event loop, after files have changed."""

    def __init__(self, paths: Callable[[], list[Path]]) -> None:
        """`paths`: what to look at; asked each time, since a change may bring others."""
        self._paths = paths
        self._known: Look = ()

    async def take(self) -> None:
        """What the files look like now is known."""
        self._known = await self._look()

    async def changed(self) -> None:
        """Return when they look otherwise than at the last `take`, and have settled. Looks from a thread."""
        while True:
            await asyncio.sleep(EVERY_S)
            seen = await self._look()
            if seen == self._known:
                continue
            for _ in range(SETTLE_TRIES):
                await asyncio.sleep(SETTLE_S)
                before, seen = seen, await self._look()
                if seen == before:
                    break
            self._known = seen
            return

    async def _look(self) -> Look:
        return await in_background(partial(look_at, self._paths()), "wsinspect: rule files")
