"""What the commands with a screen share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wsinspect.errors import UsageError

if TYPE_CHECKING:
    from wsinspect.control.client import ControlClient


def need_terminal(instead: str) -> None:
    """Raises UsageError where there is none to draw on; `instead` names a command that needs none."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on stderr
        raise UsageError(f"the screen needs a terminal; without one use {instead}")


def show(capture: Path, client: ControlClient | None = None, *, own_proxy: bool = False) -> int:
    """Show a capture until the user leaves; the exit code. With `own_proxy`, leaving asks about the proxy."""
    from wsinspect.tui.app import run_screen
    from wsinspect.tui.capture_source import CaptureSource
    from wsinspect.tui.source import QuitPolicy

    policy = QuitPolicy.ASK if own_proxy else QuitPolicy.LEAVE
    source = CaptureSource(capture, client, quit_policy=policy)
    try:
        return run_screen(source)
    finally:
        source.close()
