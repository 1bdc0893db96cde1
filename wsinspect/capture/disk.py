"""Writing chunks to a file that may fail at any time, so that it always ends in a whole record."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wsinspect.capture.format import HEADER

try:
    IOV_MAX = os.sysconf("SC_IOV_MAX")
except (ValueError, OSError):
    IOV_MAX = 16  # what POSIX promises
if IOV_MAX <= 0:
    IOV_MAX = 1024


class Disk:
    """One file open for appending. What it refuses is held, and tried again at the next `write`."""

    def __init__(self, fd: int, size: int) -> None:
        self.trouble = ""
        """Why the last write failed; empty where it went well."""
        self.held = b""
        """Whole records that the disk has refused so far."""
        self.end = size
        """Bytes of the file up to the end of its last whole record."""
        self._fd = fd
        self._cut_to: int | None = None

    @property
    def unlinked(self) -> bool:
        """The file has no name any more: what is written to it goes when it is closed."""
        try:
            return os.fstat(self._fd).st_nlink == 0
        except OSError:
            return False

    def write(self, chunks: Sequence[bytes]) -> int:
        """Write what is held, then `chunks` (whole records together). Returns how many bytes of whole records
        reached the file: all of them, or fewer with `trouble` saying why. Raises nothing."""
        if self.held:
            chunks = [self.held, *chunks]
        if not chunks:
            return 0
        done = 0
        rest = list(chunks)
        try:
            if self._cut_to is not None:
                self._cut()
            while rest:
                wrote = os.writev(self._fd, rest[:IOV_MAX])
                done += wrote
                if not wrote:
                    raise OSError(0, "the disk takes no more bytes")
                rest = _after(rest, wrote)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return self._hold(b"".join(chunks), done)
        self.trouble = ""
        self.held = b""
        self.end += done
        return done

    def _hold(self, data: bytes, done: int) -> int:
        """Keep what comes after the last whole record in the first `done` bytes; cut the file there."""
        whole = 0
        while whole + HEADER.size <= done:
            size = HEADER.size + int.from_bytes(data[whole + 4 : whole + 8], "little")
            if whole + size > done:
                break
            whole += size
        self.held = data[whole:]
        self.end += whole
        if whole < done:
            self._cut_to = self.end
            try:
                self._cut()
            except OSError:
                pass  # tried again before the next write
        return whole

    def _cut(self) -> None:
        if self._cut_to is not None:
            os.ftruncate(self._fd, self._cut_to)
            self._cut_to = None

    def give_up(self) -> bytes:
        """What is held; it is not tried again."""
        held, self.held = self.held, b""
        return held

    def take_back(self, end: int) -> None:
        """Forget what came after `end`, written or held."""
        self.held = b""
        self._cut_to = self.end = end
        try:
            self._cut()
        except OSError:
            pass  # tried again before the next write

    def close(self) -> None:
        """Cut what is torn, close the file, let go of its lock."""
        try:
            self._cut()
        except OSError:
            pass
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _after(chunks: list[bytes], nbytes: int) -> list[bytes]:
    """What is left of `chunks` once their first `nbytes` are gone."""
    for index, chunk in enumerate(chunks):
        if nbytes < len(chunk):
            return [chunk[nbytes:], *chunks[index + 1 :]] if nbytes else chunks[index:]
        nbytes -= len(chunk)
    return []
