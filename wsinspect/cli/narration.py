"""What a command tells its user beside its data: on stderr, safe for a terminal."""

from __future__ import annotations

import io
import os
import sys

from wsinspect.decode.printable import clean


def say(text: str) -> None:
    """One remark, prefixed as the program's."""
    print(f"wsinspect: {clean(text, newline=chr(10))}", file=sys.stderr, flush=True)


def data_out() -> None:
    """Let stdout carry any text in UTF-8, whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def colour_wanted() -> bool:
    """Colours only where a terminal shows them and nobody asked for none (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()
