"""A proxy, and the screen that shows its traffic.

The proxy is a process of its own. While connections live, leaving the screen asks whether to stop or keep it;
then `wsinspect attach` brings the screen back, and `wsinspect ctl stop` ends it.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from wsinspect.cli.narration import say
from wsinspect.cli.options import proxy_options, settings_from
from wsinspect.cli.parser import Parser
from wsinspect.cli.screen import need_terminal, show
from wsinspect.errors import Unavailable

if TYPE_CHECKING:
    from wsinspect.control.client import ControlClient
    from wsinspect.control.launch import Launched

STOP_LIMIT_S = 5.0


def arguments(parser: Parser) -> None:
    proxy_options(parser)


def run(args: argparse.Namespace) -> int:
    from wsinspect.control.client import ControlClient
    from wsinspect.control.launch import launch_proxy

    need_terminal("wsinspect proxy")
    launched = launch_proxy(settings_from(args).arguments())
    try:
        client = ControlClient(launched.hello.pid)
        capture = _capture(launched)
    except BaseException:
        launched.stop()
        raise
    with client:
        try:
            code = show(capture, client, own_proxy=True)
        finally:
            # Also where the screen broke: its end must not be the end of other people's connections.
            _leave(launched, client)
    return code


def _capture(launched: Launched) -> Path:
    found = launched.hello.saved or launched.hello.capture
    if found is None:
        raise Unavailable("the proxy has no capture")
    return Path(found)


def _leave(launched: Launched, client: ControlClient) -> None:
    """Say what became of the proxy."""
    if client.stop_requested:
        try:
            launched.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            say(f"the proxy {launched.hello.pid} is still stopping")
            launched.release()
            return
    if launched.process.poll() is None:
        launched.release()
        pid = launched.hello.pid
        say(f"the proxy goes on; wsinspect attach {pid} shows it, wsinspect ctl stop {pid} ends it")
        return
    launched.release()
    if words := launched.last_words():
        say(words.splitlines()[-1])
    if launched.process.returncode:
        raise Unavailable(
            f"the proxy ended by itself (exit code {launched.process.returncode}); see {launched.log}"
        )
