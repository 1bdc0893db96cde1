"""The command line: one command a file, each importing the rest lazily.

stdout is data, stderr is narration. Exit codes: 0 well; 1 a difference, or damaged input read in
part; 2 usage, or a file that is not what it should be; 3 could not connect, listen or lock; 4 timed out; 130
interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wsinspect.cli.commands import load, overview, split
from wsinspect.cli.config import parse
from wsinspect.cli.narration import say
from wsinspect.errors import WsinspectError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors of ours become a sentence on stderr, never a traceback."""
    if sys.platform == "win32":
        say("Windows is not supported; under WSL 2 wsinspect runs as it does on Linux")
        return 3
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except WsinspectError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 0


def _run(argv: list[str]) -> int:
    name, rest = split(argv)
    if name == "help":
        print(overview(), end="")
        return 0
    command = load(name)
    try:
        args = parse(name, command.parser, rest)
    except SystemExit as end:  # after --help
        return end.code if isinstance(end.code, int) else 0
    return command.run(args)


def _forget_stdout() -> None:
    """Its reader has seen enough; what is still buffered must not complain when Python exits."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
