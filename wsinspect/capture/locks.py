"""Who writes a capture: an exclusive flock that lives exactly as long as the writing process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_TRIES = 5
_TRY_AGAIN_S = 0.02


def try_lock(fd: int) -> bool:
    """Take the writer's lock without waiting for another writer.

    It tries for a tenth of a second: a reader that asks `is_written` holds a shared lock for an instant.
    """
    for attempt in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if attempt + 1 < _TRIES:
                time.sleep(_TRY_AGAIN_S)
    return False


def is_written(fd: int) -> bool:
    """Whether some process holds the writer's lock of the open file `fd`."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def is_being_written(path: Path) -> bool:
    """Whether some process writes the capture at `path` now; False where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_written(fd)
    finally:
        os.close(fd)
