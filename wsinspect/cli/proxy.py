"""A proxy without a screen. It captures every frame until SIGINT, SIGTERM or `wsinspect ctl stop`.

On stderr it says where it listens and, at the end, what it saw. `wsinspect attach` shows the traffic of a
proxy that runs, `wsinspect tail FILE` prints it.
"""

from __future__ import annotations

import argparse

from wsinspect.cli.options import child_options, proxy_options, settings_from
from wsinspect.cli.parser import Parser


def arguments(parser: Parser) -> None:
    proxy_options(parser)
    child_options(parser)


def run(args: argparse.Namespace) -> int:
    from wsinspect.proxy.main import run_proxy

    return run_proxy(settings_from(args))
