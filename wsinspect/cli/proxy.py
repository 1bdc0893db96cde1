"""A proxy without a screen. It captures every frame until SIGINT, SIGTERM or `wsinspect ctl stop`.

On stderr it says where it listens and, at the end, what it saw. `wsinspect attach` shows the traffic of a
proxy that runs, `wsinspect tail FILE` prints it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import NoReturn

from wsinspect.cli.narration import say
from wsinspect.cli.options import child_options, proxy_options, settings_from
from wsinspect.cli.parser import Parser
from wsinspect.control.will import read_will
from wsinspect.errors import WsinspectError


def arguments(parser: Parser) -> None:
    proxy_options(parser)
    child_options(parser)


def run(args: argparse.Namespace) -> int:
    from wsinspect.proxy.main import run_proxy

    settings = settings_from(args)
    if args.end_with_parent and settings.parent_fd is not None:
        name = "end with parent"
        threading.Thread(target=_end_with, args=(settings.parent_fd,), name=name, daemon=True).start()
        settings.parent_fd = None
    try:
        code = run_proxy(settings)
    except WsinspectError as error:
        say(str(error))
        code = error.exit_code
    _leave(code)


def _end_with(parent_fd: int) -> None:
    """For a proxy that is of no use to anybody once its parent is gone, however it went.

    What the parent leaves behind goes first, so that the ends of its connections are in the capture.
    """
    read_will(parent_fd).execute()
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(code: int) -> NoReturn:
    """End the process without Python's finalisation: everything is written by now.

    mitmproxy_rs' threads (UDP of reverse:https) touch Python in it: one end in six was a segfault [measured
    under load].
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass  # whoever read it is gone
    os._exit(code)
