"""Every error that a user of wsinspect can meet.

    WsinspectError                  .exit_code, the sentence is str(error)
    ├── UsageError                  2  the command line, or a file that is not what it should be
    │   ├── NotACapture             2  the file has another format
    │   └── NotFound                2  no such file, no such connection
    ├── DamagedInput                1  the input could be read in part only
    ├── Unavailable                 3  could not connect, listen or lock
    │   ├── CaptureLocked           3  another process writes this capture
    │   └── ProxyUnreachable        3  no proxy answers on the control socket
    └── TimedOut                    4

A peer's protocol violation is never an exception: it is a `model.Violation` on a frame.
"""

from __future__ import annotations


class WsinspectError(Exception):
    """Base of all errors that end a command with a sentence instead of a traceback."""

    exit_code = 1


class UsageError(WsinspectError):
    exit_code = 2


class NotACapture(UsageError):
    pass


class NotFound(UsageError):
    pass


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
