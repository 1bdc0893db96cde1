"""Start a proxy as a child that outlives its parent where the user wants that."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from platformdirs import user_log_path

from wsinspect.control.paths import private_folder
from wsinspect.control.protocol import ProxyInfo, parse_line
from wsinspect.control.will import Will
from wsinspect.errors import TimedOut, WsinspectError

_KEPT_LOGS = 10
LAST_WORDS = 200
"""Lines of the child's stderr that are repeated where it did not start: rule files may have many mistakes."""


class LaunchError(WsinspectError):
    """The child ended before it listened; the sentence is its own last words, the exit code its own too."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


@dataclass(slots=True)
class Launched:
    """A running proxy child. `stop` ends it; `release` lets it live on."""

    process: subprocess.Popen[bytes]
    hello: ProxyInfo
    keepalive_fd: int
    """While this end is open, the child knows that somebody is there; -1 once it is closed."""
    log: Path
    """Its stderr."""
    _left: bool = field(default=False, repr=False)

    def release(self) -> None:
        """Let the proxy live on without us. It notices that, and says so once."""
        self._close_keepalive()
        self._left = True

    def bequeath(self, will: Will) -> None:
        """What a proxy with --end-with-parent does where we are killed, in place of what was said before."""
        try:
            os.write(self.keepalive_fd, will.line())
        except BrokenPipeError:
            pass  # it has ended by itself

    def last_words(self) -> str:
        """What the proxy said last on stderr."""
        return _stderr(self.log)

    def stop(self, timeout_s: float = 5.0) -> int:
        """End the proxy, by force where it does not go in time; the exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._close_keepalive()
        return code

    def _close_keepalive(self) -> None:
        if self.keepalive_fd >= 0:
            os.close(self.keepalive_fd)
            self.keepalive_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._left:
            self.stop()


def launch_proxy(argv: list[str], *, timeout_s: float = 30.0) -> Launched:
    """Start `wsinspect proxy ARGV...` in a session of its own, and return when it listens.

    Raises LaunchError where it ends before that, TimedOut where it takes too long (it is killed then).
    """
    ready_read, ready_write = os.pipe()
    parent_read, parent_write = os.pipe()
    log = _new_log()
    process: subprocess.Popen[bytes] | None = None
    try:
        with log.open("wb") as stderr:
            words = [*argv, f"--ready-fd={ready_write}", f"--parent-fd={parent_read}"]
            process = _start(words, (ready_write, parent_read), stderr)
        os.close(ready_write)
        ready_write = -1
        hello = _wait_for_hello(process, ready_read, log, timeout_s)
    except BaseException:
        if process is not None and process.poll() is None:
            _end(process)
        os.close(parent_write)
        raise
    finally:
        for fd in (ready_read, ready_write, parent_read):
            if fd >= 0:
                os.close(fd)
    return Launched(process, hello, parent_write, log)


def _start(words: list[str], inherited: tuple[int, ...], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P keeps modules of the working folder out of the child's imports, unless we live there ourselves.
    flags = [] if Path.cwd() == Path(__file__).parents[2] else ["-P"]
    return subprocess.Popen(
        [sys.executable, *flags, "-m", "wsinspect", "proxy", "--no-config", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=inherited,
        start_new_session=True,
    )


def _wait_for_hello(process: subprocess.Popen[bytes], fd: int, log: Path, timeout_s: float) -> ProxyInfo:
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([fd], [], [], remaining)[0]:
            raise TimedOut(f"the proxy did not listen within {timeout_s:g} s{_last_words(log)}")
        chunk = os.read(fd, 65536)
        if not chunk:
            raise _died(process, log)
        line += chunk
    return ProxyInfo.parse(parse_line(line))


def _died(process: subprocess.Popen[bytes], log: Path) -> LaunchError:
    try:
        code = process.wait(5.0)
    except subprocess.TimeoutExpired:
        return LaunchError(f"the proxy closed its ready pipe without a hello{_last_words(log)}", 3)
    words = _stderr(log)
    if code < 0:
        name = signal.Signals(-code).name
        return LaunchError(f"the proxy was ended by {name} before it listened{_last_words(log)}", 3)
    return LaunchError(words or "the proxy ended before it listened", code or 3)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _stderr(log: Path) -> str:
    """The child's last lines, without the prefix that our own error message will have again."""
    lines = log.read_text(errors="replace").strip().splitlines()[-LAST_WORDS:]
    return "\n".join(line.removeprefix("wsinspect: ") for line in lines)


def _last_words(log: Path) -> str:
    words = _stderr(log)
    return f"; it said:\n{words}" if words else ""


def _new_log() -> Path:
    """A new file for stderr; of the older ones the last few are kept."""
    folder = private_folder(user_log_path("wsinspect"))
    logs = sorted(folder.glob("proxy-*.log"), key=lambda path: path.name)
    for path in logs[: -_KEPT_LOGS + 1]:
        path.unlink(missing_ok=True)
    path = folder / f"proxy-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**9:09}.log"
    path.touch(mode=0o600)
    return path
