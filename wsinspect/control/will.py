"""What a proxy does for a parent that was killed: end the program that it ran, and remove its folder.

The parent writes it into the pipe by which the proxy knows that somebody is there, and writes it anew when it
changes; the last one counts. It works wherever there are pipes, and needs no process beside the two.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

END_S = 5.0
"""How long a program may take to end after SIGTERM."""

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Will:
    """Of a parent with a temporary folder, and later with a program too."""

    folder: str = ""
    """Removed in the end; empty for none."""
    program: int = 0
    """The process that gets SIGTERM; negative for a process group, 0 for none."""
    force: bool = False
    """What has not gone in time is killed. Not for a user's own program: it may have work to finish."""

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    def execute(self) -> None:
        """Return when the program has gone and the folder with it, or the time for each is up."""
        if self.program:
            send_to(self.program, signal.SIGTERM)
            _until(lambda: not send_to(self.program, 0))
            if self.force:
                send_to(self.program, signal.SIGKILL)
        if self.folder:
            remove_folder(Path(self.folder))


def read_will(fd: int) -> Will:
    """Wait for the parent's end; its will, an empty one where it has left none."""
    will, rest = Will(), b""
    while chunk := os.read(fd, 4096):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            will = Will(**json.loads(lines[-1]))
    return will


def remove_folder(folder: Path) -> None:
    """Quietly; a process on its way out may still write: try for a while."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    _until(gone)


def send_to(program: int, number: int) -> bool:
    """Whether the process, or the group of that negative number, is still there; the signal 0 only asks."""
    try:
        os.kill(program, number)
    except (ProcessLookupError, PermissionError):  # macOS says the second of zombies
        return False
    return True


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + END_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
