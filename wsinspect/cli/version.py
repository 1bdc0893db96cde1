"""The versions of wsinspect and of what it stands on, for bug reports."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from wsinspect import __version__
from wsinspect.cli.parser import Parser


def arguments(parser: Parser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    print(f"wsinspect {__version__}")
    print(
        f"Python {platform.python_version()} on {platform.system()} {platform.release()} {platform.machine()}"
    )
    for package in ("mitmproxy", "textual", "websockets"):
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} is not installed")
    return 0
