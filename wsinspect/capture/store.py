"""Where a writer's records go: one file, or a folder of segments under a limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from wsinspect.capture import segments
from wsinspect.capture.disk import Disk

ROOM = 16 << 20
"""Bytes that a file system must have free before a capture that left it goes back; less on a small one."""

type Opening = Callable[[int, int], list[bytes]]
"""The records that open a segment, from its base (see `Segment.base`) and its number."""


class Store:
    """One file that grows."""

    segment_bytes = 0
    """Bytes after which a segment is full; 0: there are none."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        """`fd` is open for appending, locked, and ends in a whole record at `size`."""
        self.path = path
        self._disk = Disk(fd, size)
        self._base = 0

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty where it went well."""
        return self._disk.trouble

    @property
    def held(self) -> bool:
        """Records that were refused wait to be written."""
        return bool(self._disk.held)

    @property
    def deleted(self) -> bool:
        """Somebody has deleted what is written."""
        return self._disk.unlinked

    @property
    def position(self) -> int:
        """Bytes of the capture so far, those of earlier segments included."""
        return self._base + self._disk.end

    def write(self, chunks: Sequence[bytes]) -> int:
        """As `Disk.write`: what is refused is held, and comes first in the next write."""
        return self._disk.write(chunks)

    def write_all(self, chunks: Sequence[bytes]) -> bool:
        """Write all of `chunks` or nothing. Only where nothing is held."""
        end = self._disk.end
        self._disk.write(chunks)
        if not self._disk.held:
            return True
        self._disk.take_back(end)
        return False

    def give_up(self) -> bytes:
        """What is held; it is not tried again here."""
        return self._disk.give_up()

    def hold(self, records: bytes) -> None:
        """Take back what `give_up` gave."""
        self._disk.held = records

    def rotate(self, ending: bytes, opening: Opening) -> None:
        """Close the segment with the record `ending`, begin the next. Raises OSError, and changes nothing."""
        raise NotImplementedError

    def has_room(self, nbytes: int) -> bool:
        """Whether a capture that left for want of room, and wants to write `nbytes` now, may come back."""
        try:
            found = os.statvfs(self.path)
        except OSError:
            return False
        free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        return free >= nbytes + min(ROOM, total // 10)

    def close(self) -> None:
        """Let go of files and locks."""
        self._disk.close()


class SegmentStore(Store):
    """A folder of segments. `rotate` must begin the first one before anything is written."""

    def __init__(
        self,
        folder: Path,
        lock_fd: int,
        limit: int,
        *,
        kept: list[tuple[int, int]] | None = None,
        position: int = 0,
    ) -> None:
        """`lock_fd` holds the lock of the folder; `kept`: the segments in it, number and size; `position`:
        where the next one begins."""
        self.path = folder
        self.segment_bytes = segments.segment_bytes(limit)
        self._limit = limit
        self._lock_fd = lock_fd
        self._kept = list(kept or [])
        self._number = self._kept[-1][0] if self._kept else 0
        self._disk = Disk(-1, 0)
        self._base = position

    def rotate(self, ending: bytes, opening: Opening) -> None:
        started = self._disk.end > 0
        if started and ending and not self.held and not self.write_all([ending]):
            raise OSError(0, self.trouble)
        fd, size = segments.begin(self.path, self._number + 1, opening(self.position, self._number + 1))
        held = self._disk.give_up()
        if started:
            self._kept.append((self._number, self._disk.end))
        self._base = self.position
        self._disk.close()
        self._disk = Disk(fd, size)
        self._disk.held = held
        self._number += 1
        self._evict()

    def _evict(self) -> None:
        """Delete the oldest until the one just begun has room."""
        total = sum(size for _, size in self._kept) + self.segment_bytes
        while self._kept and total > self._limit:
            number, size = self._kept.pop(0)
            total -= size
            try:
                segments.segment_path(self.path, number).unlink(missing_ok=True)
            except OSError:
                pass  # the next writer of this folder tries again

    def close(self) -> None:
        super().close()
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)
