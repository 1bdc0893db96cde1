"""Where captures lie, what they are called, which are kept, and how one is opened for writing.

Files are 0600 and their folder 0700: they hold other people's traffic. A capture that the user did not name
lies in the state folder as `2026-11-22T16-05-33-PID.wscap`; of those the last ten are kept. A capture is one
file, or with a limit a folder of segments.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from wsinspect.capture import locks, segments
from wsinspect.capture.appending import last_counts
from wsinspect.capture.format import MAGIC, Counts
from wsinspect.capture.parts import check_magic
from wsinspect.capture.reader import Reader
from wsinspect.capture.segments import SUFFIX
from wsinspect.capture.store import SegmentStore, Store
from wsinspect.errors import CaptureLocked, NotACapture, NotFound, Unavailable, UsageError

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
    return [path for path in captures[: max(0, len(captures) - count)] if _gone(path)]


def _gone(path: Path) -> bool:
    try:
        return delete_unless_locked(path)
    except OSError:
        return False


def delete_unless_locked(path: Path) -> bool:
    """Delete a capture, file or folder, that no process writes; whether it is gone. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not locks.try_lock(fd):
            return False
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            segments.remove(path)
        else:
            os.unlink(path)
        return True
    finally:
        os.close(fd)


@dataclass(slots=True)
class OpenedStore:
    """A capture that this process may append to, whatever its shape."""

    store: Store
    before: Counts
    """Of what is in it already."""
    segments: int
    """How many segments it has had so far."""


def open_store(path: Path, limit: int = 0) -> OpenedStore:
    """Open a capture to append to: one file, or with a `limit` (in bytes) a folder of segments.

    Raises what `open_for_writing` does, and UsageError where an existing capture has the other shape.
    """
    if limit:
        return _open_folder(path, limit)
    if path.is_dir() and segments.is_segmented(path):
        raise UsageError(f"{path} is a capture with a limit, in segments; go on with it by --capture-limit")
    opened = open_for_writing(path)
    return OpenedStore(
        Store(path, opened.fd, opened.size), Counts(0, 0, opened.highest_conn), opened.segments
    )


def _open_folder(folder: Path, limit: int) -> OpenedStore:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a capture with a limit is a folder of segments: name another")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"cannot write {folder}: there is no folder {folder.parent}") from None
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror}") from None
    try:
        if not locks.try_lock(fd):
            raise CaptureLocked(f"{folder}: another process writes this capture")
        return _prepare_folder(fd, folder, limit)
    except OSError as error:
        os.close(fd)
        raise Unavailable(f"cannot write {folder}: {error.strerror}") from None
    except BaseException:
        os.close(fd)
        raise


def _prepare_folder(fd: int, folder: Path, limit: int) -> OpenedStore:
    """The last segment is cut at its last whole record; a new process begins a new one."""
    found = segments.listed(folder)
    if not found:
        if any(not name.startswith(".") for name in os.listdir(folder)):
            raise UsageError(f"{folder} is a directory with other things in it; -w wants a file or a capture")
        return OpenedStore(SegmentStore(folder, fd, limit), Counts(0), 0)
    number, last = found[-1]
    base, before, end = last_counts(last)
    if end < last.stat().st_size:
        os.truncate(last, end)
    kept = [(each, path.stat().st_size) for each, path in found]
    store = SegmentStore(folder, fd, limit, kept=kept, position=base + end)
    return OpenedStore(store, before, number)


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
