"""Signals while another program runs for us: they end us in good order, or go to that program."""

from __future__ import annotations

import os
import signal
import subprocess
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSED_ON = (*ENDING, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Stopped(BaseException):
    """A signal asked us to end; not an Exception, so that nothing on the way takes it for a fault."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Within this block a signal that ends us raises Stopped, once; after `pass_to(child)` it goes there.

    What was ignored before us (SIGHUP under nohup, SIGINT after `&` in a script) does not end us; a child has
    inherited that by the time of `pass_to`, and then gets the signal nevertheless: whether it listens is its
    own matter, as it is without us. With `always_int` SIGINT ends us in any case, as it does tcpdump and our
    proxies: who starts us in a script ends us by `kill -INT`, and Ctrl-C on the script leaves nothing behind.
    Main thread only.
    """

    def __init__(self, *, always_int: bool = False) -> None:
        self._always = {signal.SIGINT} if always_int else set()
        self._before: dict[int, Any] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._deaf = False

    def pass_to(self, child: subprocess.Popen[bytes]) -> None:
        """From now on signals are the child's."""
        self._child = child
        self._always.update(PASSED_ON)
        for number in PASSED_ON:
            self._take(number)

    def hold_off(self) -> None:
        """From now on, to the end of the block, none is heard: what was begun is put away in peace."""
        self._deaf = True

    def __enter__(self) -> Self:
        for number in ENDING:
            self._take(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int) -> None:
        before = signal.getsignal(number)
        ours = number in self._always or before is not signal.SIG_IGN
        if number not in self._before and before is not None and ours:
            self._before[number] = before
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._deaf:
            return
        if self._child is None:
            self._deaf = True
            raise Stopped(number)
        if not (number in _FROM_TERMINAL and _in_foreground()):  # the terminal has told the child itself
            self._child.send_signal(number)


def _in_foreground() -> bool:
    """Whether a key such as Ctrl-C goes to our process group, and so to our children too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
