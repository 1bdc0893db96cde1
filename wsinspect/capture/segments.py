"""A capture with a limit: a folder of numbered segments, `0001.wscap` …, of which the oldest goes first.

Each segment is a capture file that opens with SEGMENT, CLOCK and a checkpoint of all living connections. It
gets its name when that opening is in it, so that whoever sees a segment can start to read there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from wsinspect.capture import locks
from wsinspect.capture.format import MAGIC

SUFFIX = ".wscap"
DEFAULT_LIMIT = 2 << 30
"""Bytes that a capture without a name may have."""
LEAST_LIMIT = 2 << 20
LEAST_SEGMENT = 1 << 20
SEGMENTS = 8
"""Into how many segments a limit is divided."""

_NAME = re.compile(r"(\d{4,9})\.wscap")
_UNFINISHED = re.compile(r"\.\d{4,9}\.wscap\.part")


def segment_bytes(limit: int) -> int:
    """How large a segment becomes under a limit (in bytes)."""
    return max(LEAST_SEGMENT, limit // SEGMENTS)


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}{SUFFIX}"


def listed(folder: Path) -> list[tuple[int, Path]]:
    """The segments that are there, by number. Raises OSError."""
    with os.scandir(folder) as entries:
        found = [
            (int(match[1]), folder / entry.name)
            for entry in entries
            if (match := _NAME.fullmatch(entry.name))
        ]
    return sorted(found)


def is_segmented(path: Path) -> bool:
    """Whether `path` is a folder with segments in it."""
    try:
        return bool(listed(path))
    except OSError:
        return False


def begin(folder: Path, number: int, opening: list[bytes]) -> tuple[int, int]:
    """A new segment with these records in it, open for appending and locked: descriptor and size.

    Raises OSError, and leaves nothing behind then.
    """
    path = segment_path(folder, number)
    unfinished = folder / f".{path.name}.part"
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = MAGIC + b"".join(opening)
        size = len(rest)
        while rest:
            rest = rest[os.write(fd, rest) :]
        locks.try_lock(fd)
        os.rename(unfinished, path)
    except BaseException:
        os.close(fd)
        unfinished.unlink(missing_ok=True)
        raise
    return fd, size


def bytes_in(folder: Path) -> int:
    """Bytes in all segments. Raises OSError."""
    return sum(path.stat().st_size for _, path in listed(folder))


def remove(folder: Path) -> None:
    """Delete the segments, then the folder where nothing else is in it. Raises OSError."""
    with os.scandir(folder) as entries:
        names = [
            each.name for each in entries if _NAME.fullmatch(each.name) or _UNFINISHED.fullmatch(each.name)
        ]
    for name in sorted(names):
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
