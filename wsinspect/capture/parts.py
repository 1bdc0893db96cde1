"""The files that a reader has open, as one row of bytes.

A capture is one file, or a folder of segments of which the oldest go while new ones come. A position counts
the bytes of all segments that ever were, as `Segment.base` does, so that it means the same byte for good.
Where the records go on in another place (in memory, while the disk is full), that place's bytes come after
all that was read so far.

Segments that the writer deletes are let go, else a reader would keep them on the disk; but the one that is
being read stays open to its end. Where the whole folder is gone the writer is, too, and all stay.
"""

from __future__ import annotations

import bisect
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from wsinspect.capture import locks, segments
from wsinspect.capture.format import HEADER, MAGIC, Segment, decode, is_intact, is_plausible
from wsinspect.errors import NotACapture, NotFound, Unavailable

LOOK_EVERY_S = 0.25
"""How often a reader that has enough to read looks for segments that are gone."""
_OPENING = 1 << 16
_KEPT = 64
"""Parts that stay open where the records go to and fro between places."""


@dataclass(slots=True)
class Part:
    """One open file."""

    path: Path
    fd: int
    start: int
    """The reader's position of its first byte."""
    number: int = 0
    """Of a segment; 0 for a file."""
    complete: bool = False
    """A later segment exists: nothing comes to this one any more."""

    @property
    def end(self) -> int:
        """The position behind its last byte, now. Raises OSError."""
        return self.start + os.fstat(self.fd).st_size


class Parts:
    """All parts that are open, and the one that is being read."""

    def __init__(self, path: Path) -> None:
        """Raises NotFound, NotACapture, or Unavailable where it may not be read."""
        self.folder: Path | None = None
        """Where the segments are; None for a file."""
        self._lock = threading.Lock()
        self._parts: list[Part] = []
        self._shift = 0
        self._looked = 0.0
        self._lock_fd = -1
        self._open(path)
        self.current = self._parts[0]

    @property
    def shift(self) -> int:
        """Our position of the current place's position 0."""
        return self._shift

    @property
    def last(self) -> Part:
        return self._parts[-1]

    def close(self) -> None:
        with self._lock:
            for part in self._parts:
                os.close(part.fd)
            self._parts.clear()
            self._close_lock()

    def pread(self, nbytes: int, position: int) -> bytes:
        """Up to `nbytes` of the part that `position` is in; b"" where that is gone. Raises OSError."""
        with self._lock:  # a descriptor must not be closed, and another opened, under the call
            at = bisect.bisect_right(self._parts, position, key=_start) - 1
            if at < 0:
                return b""
            part = self._parts[at]
            return os.pread(part.fd, nbytes, position - part.start)

    def is_written(self) -> bool:
        """Whether a process writes the capture now."""
        return locks.is_written(self._lock_fd if self._lock_fd >= 0 else self.current.fd)

    # -------------------------------------------------------------------------------------------- opening

    def go_on(self, path: Path, position: int) -> int:
        """Open the place where the records go on, and stand at its own `position`. Returns ours.

        Raises as the constructor does; nothing has changed then.
        """
        known, shift, folder = len(self._parts), self._shift, self.folder
        self._shift = self._parts[-1].end
        try:
            self._open(path)
        except BaseException:
            self._shift, self.folder = shift, folder
            raise
        new = self._parts[known:]
        at = bisect.bisect_right(new, self._shift + position, key=_start) - 1
        self.current = new[max(0, at)]
        with self._lock:
            while len(self._parts) > _KEPT and self._parts[0] is not self.current:
                os.close(self._parts.pop(0).fd)
        return max(self._shift + position, self.current.start + len(MAGIC))

    def _open(self, path: Path) -> None:
        if path.is_dir():
            self._open_folder(path)
        else:
            part = Part(path, open_file(path), self._shift)
            self._close_lock()
            self.folder = None
            self._add(part)

    def _open_folder(self, folder: Path) -> None:
        found: list[Part] = []
        for _ in range(5):  # the oldest may go between the look and the opening
            try:
                found = self._open_new(folder, 0)
            except OSError as error:
                raise Unavailable(f"{folder}: {error.strerror}") from None
            if found:
                break
        if not found:
            raise NotACapture(f"{folder} is a directory, not a capture")
        self._close_lock()
        self.folder = folder
        try:
            self._lock_fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._lock_fd = -1
        for part in found:
            self._add(part)

    def _open_new(self, folder: Path, after: int) -> list[Part]:
        """The segments with higher numbers. Raises OSError where the folder cannot be listed."""
        found: list[Part] = []
        for number, path in segments.listed(folder):
            if number <= after:
                continue
            try:
                fd = open_file(path)
            except NotFound:
                continue
            opening = opening_of(fd)
            if opening is not None:
                start = self._shift + opening.base
            else:  # damaged: it begins where the one before it ends
                before = found[-1] if found else self._parts[-1] if self._parts and after else None
                start = self._shift if before is None else before.end
            found.append(Part(path, fd, start, number))
        return found

    def _add(self, part: Part) -> None:
        with self._lock:
            if self._parts:
                self._parts[-1].complete = True
            self._parts.append(part)

    def _close_lock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # ----------------------------------------------------------------------------------------- going along

    def look(self) -> None:
        """Open the segments that have come, let go of those that are deleted."""
        self._looked = time.monotonic()
        if self.folder is None:
            return
        try:
            new = self._open_new(self.folder, self._parts[-1].number)
        except OSError:
            return  # the writer's process is gone, and its folder with it
        for part in new:
            self._add(part)
        for part in [each for each in self._parts if each.number and each is not self.current]:
            if os.fstat(part.fd).st_nlink == 0 and part.path.parent.exists():
                with self._lock:
                    self._parts.remove(part)
                    os.close(part.fd)

    def look_now_and_then(self) -> None:
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self.look()

    def next(self) -> Part | None:
        """The part after the current one, in the same place; it is the current one from now on."""
        at = self._parts.index(self.current) + 1
        if at == len(self._parts) or not self.current.complete:
            return None
        self.current = self._parts[at]
        return self.current


def _start(part: Part) -> int:
    return part.start


def opening_of(fd: int) -> Segment | None:
    """The first record of a segment; None where it is damaged."""
    try:
        block = os.pread(fd, _OPENING, len(MAGIC))
    except OSError:
        return None
    if len(block) < HEADER.size:
        return None
    _, length, kind, side, carry, _, _, _ = HEADER.unpack_from(block)
    record = block[: HEADER.size + length]
    if not is_plausible(length, kind, side, carry) or len(record) < HEADER.size + length:
        return None
    found = decode(record) if is_intact(record) else None
    return found if isinstance(found, Segment) else None


def open_file(path: Path) -> int:
    """Open a capture file for reading, its magic checked. An empty one is one whose writer has just begun.

    Raises NotFound, NotACapture, Unavailable.
    """
    try:
        # Not blocking: a FIFO must not hang us. It is refused below.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None
    try:
        check_magic(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_magic(fd: int, path: Path) -> None:
    """Raises NotACapture, with a sentence that says what the file is instead, where that can be known."""
    try:
        start = os.pread(fd, len(MAGIC), 0)
    except IsADirectoryError:
        raise NotACapture(f"{path} is a directory, not a capture") from None
    except OSError as error:
        raise NotACapture(f"{path} is not a capture: {error.strerror}") from None
    if MAGIC.startswith(start):
        return
    if start[:5] == MAGIC[:5] and start[6:] == MAGIC[6:]:
        raise NotACapture(f"{path} is a capture of format {start[5]}; this wsinspect reads format {MAGIC[5]}")
    if start[:5] == MAGIC[:5]:
        raise NotACapture(f"{path} was a capture, but its line ends were changed (copied as text?)")
    raise NotACapture(f"{path} is not a wsinspect capture")
