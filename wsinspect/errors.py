"""Every error that a user of wsinspect can meet.

    WsinspectError                  .exit_code, the sentence is str(error)
    ├── UsageError                  2  the command line, or a file that is not what it should be
    │   ├── NotACapture             2  the file has another format
    │   ├── NotFound                2  no such file, no such connection
    │   └── BadRules                2  rule files with mistakes: .problems has each with its place
    ├── DamagedInput                1  the input could be read in part only
    ├── Unavailable                 3  could not connect, listen or lock
    │   ├── CaptureLocked           3  another process writes this capture
    │   └── ProxyUnreachable        3  no proxy answers on the control socket
    └── TimedOut                    4

A peer's protocol violation is never an exception: it is a `model.Violation` on a frame.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class WsinspectError(Exception):
    """Base of all errors that end a command with a sentence instead of a traceback."""

    exit_code = 1


class UsageError(WsinspectError):
    exit_code = 2


class NotACapture(UsageError):
    pass


class NotFound(UsageError):
    pass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong with a file that a user wrote; `str()` is `file:line:column: what`."""

    file: str
    line: int
    """From 1; 0: of the file as a whole."""
    column: int
    """From 1, in characters."""
    text: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.text}"


class BadRules(UsageError):
    """All that is wrong with all the files, a line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, problems)))


class DamagedInput(WsinspectError):
    exit_code = 1


class Unavailable(WsinspectError):
    exit_code = 3


class CaptureLocked(Unavailable):
    pass


class ProxyUnreachable(Unavailable):
    pass


class TimedOut(WsinspectError):
    exit_code = 4


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no name is near."""
    near = difflib.get_close_matches(word, list(names), 1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
