"""The screen for a capture file, finished or still growing."""

from __future__ import annotations

import argparse
from pathlib import Path

from wsinspect.cli.parser import Parser
from wsinspect.cli.screen import need_terminal, show


def arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a capture")


def run(args: argparse.Namespace) -> int:
    from wsinspect.capture.reader import Reader

    Reader(args.file).close()  # a file that is no capture is told before the screen is drawn
    need_terminal(f"wsinspect tail {args.file}")
    return show(args.file)
