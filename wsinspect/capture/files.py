"""Where captures lie, what they are called, which are kept, and how one is opened for writing.

Files are 0600 and their folder 0700: they hold other people's traffic. A capture that the user did not name
lies in the state folder as `2026-11-22T16-05-33-PID.wscap`; of those the last ten are kept.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from wsinspect.capture import locks
from wsinspect.capture.format import MAGIC
from wsinspect.capture.reader import Reader, check_magic
from wsinspect.errors import CaptureLocked, NotACapture, NotFound, Unavailable, UsageError

SUFFIX = ".wscap"
_UNNAMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+(-\d+)?\.wscap")


@dataclass(slots=True)
class OpenedCapture:
    """A capture that this process may append to."""

    fd: int
    """Open for appending, locked, its torn tail cut."""
    highest_conn: int
    """The highest connection number in it so far, 0 in a new one."""
    size: int
    segments: int
    """How many segments it has so far."""


def default_folder() -> Path:
    """The folder of unnamed captures, made with mode 0700. Raises Unavailable where it cannot be."""
    folder = platformdirs.user_state_path("wsinspect") / "captures"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"no folder for captures at {folder}: {error.strerror}; name a file with -w"
        ) from None
    return folder


def new_capture_path(folder: Path | None = None) -> Path:
    """A path for an unnamed capture that does not exist yet, in `folder` or the default one."""
    folder = default_folder() if folder is None else folder
    name = f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}-{os.getpid()}"
    path = folder / f"{name}{SUFFIX}"
    number = 2
    while path.exists():
        path = folder / f"{name}-{number}{SUFFIX}"
        number += 1
    return path


def unnamed_captures(folder: Path | None = None) -> list[Path]:
    """The unnamed captures, oldest first."""
    folder = default_folder() if folder is None else folder
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if _UNNAMED.fullmatch(entry.name))
    except OSError:
        return []
    return [folder / name for name in names]


def keep_last(count: int = 10, folder: Path | None = None) -> list[Path]:
    """Delete the oldest unnamed captures beyond `count`, but none that is written now. Returns what went."""
    captures = unnamed_captures(folder)
    return [path for path in captures[: max(0, len(captures) - count)] if _delete_unless_locked(path)]


def _delete_unless_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not locks.try_lock(fd):
            return False
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def open_for_writing(path: Path) -> OpenedCapture:
    """Open a new capture, or an existing one to append to: locked, checked, cut at its last whole record.

    Raises CaptureLocked where another process writes it, NotACapture where the file is something else,
    NotFound where its folder does not exist, UsageError for a directory, Unavailable for want of permission.
    """
    fd = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotACapture(f"{path} is not a file that a capture could be written to")
        if not locks.try_lock(fd):
            raise CaptureLocked(f"{path}: another process writes this capture")
        return _prepare(fd, path)
    except OSError as error:
        os.close(fd)
        raise Unavailable(f"cannot write {path}: {error.strerror}") from None
    except BaseException:
        os.close(fd)
        raise


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o600)
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory; -w wants a file") from None
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"cannot write {path}: there is no folder {path.parent}") from None
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from None


def _prepare(fd: int, path: Path) -> OpenedCapture:
    """Verify what is there, cut the torn tail, write the magic where it is missing."""
    size = os.fstat(fd).st_size
    check_magic(fd, path)
    if size < len(MAGIC):
        os.ftruncate(fd, 0)
        os.write(fd, MAGIC)
        return OpenedCapture(fd, 0, len(MAGIC), 0)
    with Reader(path, final=True) as reader:
        while reader.read():
            pass
        if reader.position < os.fstat(fd).st_size:
            os.ftruncate(fd, reader.position)
        return OpenedCapture(fd, reader.highest_conn, reader.position, reader.segments)
