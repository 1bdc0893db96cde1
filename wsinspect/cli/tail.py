"""Print a capture: for people, or as NDJSON (--format json) for scripts.

SOURCE is a capture file, - for one that comes on stdin, or a running proxy (its process id or socket).
With --follow it goes on with what is appended, until Ctrl-C or, for a running proxy, until that stops.

Messages and control frames are printed, with --frames each frame too. Where the capture is damaged, what can
be read is printed, the damage is said on stderr, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

from wsinspect.cli.narration import colour_wanted, data_out
from wsinspect.cli.parser import Parser, one_of
from wsinspect.errors import DamagedInput

if TYPE_CHECKING:
    from wsinspect.capture.reader import Reader
    from wsinspect.cli.inputs import Input
    from wsinspect.formats.lines import TextLines
    from wsinspect.formats.ndjson import NdjsonLines
    from wsinspect.model import Record

POLL_S = 0.03


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="a capture file, -, a process id or a control socket"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is appended")
    parser.add_argument(
        "--format", type=one_of("text", "json"), default="text", help="text (the default) or json"
    )
    parser.add_argument(
        "--frames", action="store_true", help="each frame, not only messages and control frames"
    )


def run(args: argparse.Namespace) -> int:
    from wsinspect.cli.inputs import open_input

    data_out()
    with open_input(args.source, follow=args.follow) as source:
        try:
            _print_all(source, _Printer(source.reader, args.format, args.frames))
        finally:
            damaged = source.damaged()
    if damaged:
        raise DamagedInput("the capture is damaged; what could be read of it was printed")
    return 0


def _print_all(source: Input, printer: _Printer) -> None:
    while True:
        # Asked before reading: what was there when it turned true is still printed.
        over = source.over()
        batch = source.read()
        printer.feed(batch)
        source.say_damage()
        if not batch:
            if over:
                break
            time.sleep(POLL_S)
    printer.finish()


class _Printer:
    """Records in, lines on stdout."""

    def __init__(self, reader: Reader, style: str, frames: bool) -> None:
        from wsinspect.capture.timeline import Timeline

        self._reader = reader
        self._timeline = Timeline()
        self._position = 0
        self._lines = self._json(frames) if style == "json" else self._text(frames)

    def _json(self, frames: bool) -> NdjsonLines:
        from wsinspect.formats.ndjson import NdjsonLines

        return NdjsonLines(self._wall_ns, frames=frames)

    def _text(self, frames: bool) -> TextLines:
        from wsinspect.formats.lines import TextLines

        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return TextLines(self._wall_ns, frames=frames, width=width, colour=colour_wanted())

    def _wall_ns(self, t_ns: int) -> int:
        return self._reader.wall_ns(t_ns, self._position)

    def feed(self, batch: list[tuple[int, Record]]) -> None:
        """Print a batch with one write, so that whoever follows sees it at once."""
        out: list[str] = []
        for self._position, record in batch:
            for event in self._timeline.feed(record):
                out += self._lines.feed(event)
        self._print(out)

    def finish(self) -> None:
        """Print what can only be said at the end."""
        late = [line for event in self._timeline.finish() for line in self._lines.feed(event)]
        self._print(late + self._lines.finish())

    def _print(self, lines: list[str]) -> None:
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
