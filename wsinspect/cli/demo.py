"""A small real-time world on this machine, and its traffic on the screen.

A price feed, a chat with heartbeats, a compressed stream, binary telemetry, a connection that dies at its
idle limit, and rarities of the protocol: services and clients run here, and talk through a proxy. The capture
is temporary unless -w names a file. With --headless a summary is printed instead.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsinspect.cli.narration import data_out, say
from wsinspect.cli.options import rule_options, rule_settings
from wsinspect.cli.parser import Parser, seconds
from wsinspect.cli.screen import need_terminal, show

if TYPE_CHECKING:
    from wsinspect.control.launch import Launched
    from wsinspect.demo import DemoThread

HEADLESS_S = 10.0


def arguments(parser: Parser) -> None:
    parser.add_argument("--headless", action="store_true", help="no screen: run, print a summary, end")
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="how long the clients run (headless: 10)"
    )
    parser.add_argument("-w", "--write", type=Path, metavar="FILE", help="keep the capture in this file")
    rule_options(parser)


def run(args: argparse.Namespace) -> int:
    if not args.headless:
        need_terminal("wsinspect demo --headless")
    for number in (signal.SIGTERM, signal.SIGHUP):  # however it ends, it leaves nothing behind
        signal.signal(number, signal.default_int_handler)
    with _folder(args.write) as capture:
        if args.headless:
            return _headless(capture, args.duration or HEADLESS_S, rule_settings(args))
        return _on_screen(capture, args.duration, rule_settings(args))


def _headless(capture: Path, duration_s: float, rules: dict[str, Any]) -> int:
    from wsinspect.cli.summary import summary_lines
    from wsinspect.control.client import ControlClient
    from wsinspect.demo.world import IDLE_LIMIT_S

    with _world(capture, rules) as (world, launched):
        running = world.run_clients(_url(launched), duration_s)
        say(f"the demo runs for {duration_s:g} s through {_url(launched)}")
        _wait(running)
        with ControlClient(launched.hello.pid) as client:
            client.stop(wait_s=10)
        launched.process.wait(10)
    data_out()
    print("\n".join(summary_lines(capture, idle_limit_s=IDLE_LIMIT_S)))
    return 0


def _on_screen(capture: Path, duration_s: float | None, rules: dict[str, Any]) -> int:
    from wsinspect.control.client import ControlClient

    with _world(capture, rules) as (world, launched), ControlClient(launched.hello.pid) as client:
        world.run_clients(_url(launched), duration_s)
        return show(capture, client)


def _wait(running: Future[None]) -> None:
    """Without a lock: Ctrl-C just before waiting on one is noticed only after it, and within it breaks it."""
    finished: list[Future[None]] = []
    running.add_done_callback(finished.append)
    while not finished:
        time.sleep(0.05)
    running.result()


def _url(launched: Launched) -> str:
    return f"ws://127.0.0.1:{launched.hello.listeners[0].port}"


@contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    """The capture's path; a temporary one goes with its folder at the end."""
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="wsinspect-demo-") as folder:
        yield Path(folder) / "demo.wscap"


@contextmanager
def _world(capture: Path, rules: dict[str, Any]) -> Iterator[tuple[DemoThread, Launched]]:
    """The services, and a proxy in front of them; both end with the block."""
    from wsinspect.control.launch import launch_proxy
    from wsinspect.control.settings import ProxySettings
    from wsinspect.demo import DemoThread

    world = DemoThread()
    try:
        mode = f"reverse:http://127.0.0.1:{world.start()}"
        settings = ProxySettings(modes=[mode], listen_port=0, capture=capture, **rules)
        with launch_proxy([*settings.arguments(), "--end-with-parent"]) as launched:
            yield world, launched
            world.stop()  # before the proxy: its connections then end as those of an app do
    finally:
        world.stop()
