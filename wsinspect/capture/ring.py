"""The ring: a capture with a small limit in memory, for when there is no disk to write to.

It is a folder as any capture with a limit is, under /dev/shm or else the temporary folder, 0700, and goes
with its process. What a killed process left there is swept away by the next one.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from wsinspect.capture import locks, segments
from wsinspect.capture.store import SegmentStore

RING_BYTES = 64 << 20
PREFIX = "wsinspect-ring-"


def make_ring(limit: int = RING_BYTES) -> SegmentStore:
    """An empty ring; less than `limit` bytes where memory is scarce. Raises OSError."""
    parent, free = _roomiest(limit)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    locks.try_lock(fd)
    return SegmentStore(folder, fd, max(segments.LEAST_LIMIT, min(limit, free // 2)))


def remove_ring(folder: Path) -> None:
    """Delete a ring, quietly."""
    try:
        segments.remove(folder)
    except OSError:
        pass  # swept away by the next process


def sweep() -> None:
    """Delete the rings of this user's processes that are gone."""
    for parent in _parents():
        for folder in parent.glob(f"{PREFIX}*"):
            try:
                if folder.lstat().st_uid != os.getuid() or not stat.S_ISDIR(folder.lstat().st_mode):
                    continue
                if _is_alive(folder.name.removeprefix(PREFIX).partition("-")[0]):
                    continue  # it may not have come to lock the ring that it has just made
                fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                if locks.try_lock(fd):
                    remove_ring(folder)
            finally:
                os.close(fd)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _parents() -> list[Path]:
    folders = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    return [each for each in folders if each.is_dir() and os.access(each, os.W_OK | os.X_OK)]


def _roomiest(limit: int) -> tuple[Path, int]:
    """The first folder with twice the room, else the one with the most, and its free bytes."""
    found: list[tuple[Path, int]] = []
    for parent in _parents():
        try:
            values = os.statvfs(parent)
        except OSError:
            continue
        free = values.f_bavail * values.f_frsize
        if free >= 2 * limit:
            return parent, free
        found.append((parent, free))
    if not found:
        raise OSError(0, "there is no folder in memory")
    return max(found, key=lambda each: each[1])
