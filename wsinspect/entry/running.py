"""A browser process with a profile that goes when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsinspect.control.will import END_S, remove_folder, send_to
from wsinspect.errors import Unavailable

_LONGEST_TMPDIR = 55
"""Chromium puts a socket 45 characters below it, for whose path macOS has room for 104."""


@dataclass(slots=True)
class RunningBrowser:
    """A browser and all processes that it has started, one process group."""

    process: subprocess.Popen[bytes]
    log: Path
    """What it says on stdout and stderr."""

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code; None where it still runs after the time."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """The last lines that it said."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(line[:300] for line in lines[-5:])

    def end(self) -> None:
        """End it, by force where it does not go in time, and whatever it has left behind."""
        send_to(-self.process.pid, signal.SIGTERM)
        self.wait(END_S)
        send_to(-self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def profile_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for a throw-away profile, its owner's alone, removed at the end. Raises Unavailable."""
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="wsinspect-browser-", dir=parent))
    except OSError as error:
        raise Unavailable(f"no folder for the browser's profile: {error}") from error
    try:
        yield folder
    finally:
        remove_folder(folder)


@contextmanager
def running(
    executable: Path,
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    begin: Callable[[int], None],
) -> Iterator[RunningBrowser]:
    """Start the browser in a session of its own; it ends with the block. Raises Unavailable.

    `begin`: called by the new process with its id, before it is the browser: we may be killed at any time.
    What it puts into the temporary folder goes with its profile: Chromium leaves that there when it is ended.
    """
    if len(os.fsencode(folder)) <= _LONGEST_TMPDIR:
        environment = environment | {"TMPDIR": str(folder)}
    log = folder / "browser.log"
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(executable), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is ours: we end it in good order
                env=environment,
                preexec_fn=lambda: begin(os.getpid()),
            )
    except OSError as error:
        raise Unavailable(f"cannot start {executable}: {error.strerror}") from error
    browser = RunningBrowser(process, log)
    try:
        yield browser
    finally:
        browser.end()
