"""The screen for a proxy that is running. Leaving it does nothing to the proxy."""

from __future__ import annotations

import argparse

from wsinspect.cli.options import ADDRESS_HELP
from wsinspect.cli.parser import Parser
from wsinspect.cli.screen import need_terminal, show


def arguments(parser: Parser) -> None:
    parser.add_argument("address", nargs="?", metavar="ADDRESS", help=ADDRESS_HELP)


def run(args: argparse.Namespace) -> int:
    from wsinspect.cli.inputs import capture_of
    from wsinspect.control.client import ControlClient

    with ControlClient(args.address) as client:
        capture = capture_of(client)
        need_terminal(f"wsinspect tail --follow {client.info.pid}")
        return show(capture, client)
