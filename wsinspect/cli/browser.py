"""A browser with a throw-away profile whose traffic goes through a proxy of its own; the screen shows it.

  wsinspect browser https://example.com
  wsinspect browser --browser firefox -w a.wscap localhost:3000
  wsinspect browser --headless --duration 10 https://example.com

The proxy's CA is trusted in that profile alone, and loopback goes through the proxy too. Leaving the screen
ends the browser, its profile and the proxy; the capture stays. With --headless neither the browser nor
wsinspect has a screen: it runs until the browser ends, the time is up, or Ctrl-C, and prints a summary.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from wsinspect.cli.narration import data_out, say
from wsinspect.cli.options import own_client_options, own_client_settings
from wsinspect.cli.own_proxy import own_proxy
from wsinspect.cli.parser import Parser, one_of, seconds
from wsinspect.cli.screen import need_terminal, show
from wsinspect.errors import ProxyUnreachable, Unavailable, UsageError

if TYPE_CHECKING:
    from wsinspect.control.launch import Launched
    from wsinspect.control.settings import ProxySettings
    from wsinspect.entry.browsers import Found
    from wsinspect.entry.running import RunningBrowser

BLANK = "about:blank"
SIGNALLED = 128
_NO_HOST = ("about:", "chrome:", "data:", "file:", "view-source:")
STILL_THERE_S = 0.7
"""A browser that cannot start (no display, no sandbox) ends sooner: no screen is drawn over its words."""

ENDING_S = 2.0
"""How long the connections of a browser that has ended may take to end as well, before they are counted."""


def arguments(parser: Parser) -> None:
    parser.add_argument("url", nargs="?", default=BLANK, metavar="URL", help="the page to open")
    parser.add_argument(
        "--browser",
        type=one_of("chromium", "chrome", "firefox"),
        metavar="NAME",
        help="chromium, chrome or firefox; the first of them that is installed unless given",
    )
    parser.add_argument(
        "--headless", action="store_true", help="no screen, neither the browser's nor ours; a summary"
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="with --headless: end after this time"
    )
    parser.add_argument(
        "--browser-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="one more argument for the browser (--browser-arg=--no-sandbox); may be given several times",
    )
    own_client_options(parser)


def run(args: argparse.Namespace) -> int:
    from wsinspect.entry.browsers import Browser, find
    from wsinspect.entry.signals import Signals, Stopped

    page = page_url(args.url)
    if not args.headless:
        need_terminal("wsinspect browser --headless")
        if args.duration:
            raise UsageError("--duration is for --headless; with the screen, leave it when you like")
    found = find(Browser(args.browser) if args.browser else None)
    settings = own_client_settings(args)
    trouble, summary = "", []
    with Signals(always_int=True) as signals:
        try:
            with own_proxy(settings) as launched:
                try:
                    trouble = _browse(args, found, page, settings, launched)
                except Stopped:
                    pass  # the common way to end it
                signals.hold_off()
                if args.headless:
                    summary = _summary(launched)
        except Stopped as stopped:  # before it began
            return SIGNALLED + stopped.number
    if summary:
        data_out()
        print("\n".join(summary))
    if trouble:
        raise Unavailable(trouble)
    return 0


def _browse(
    args: argparse.Namespace, found: Found, page: str, settings: ProxySettings, launched: Launched
) -> str:
    """Run the browser to its end or the user's; what went wrong with it, or nothing."""
    from wsinspect.control.will import Will
    from wsinspect.entry import firefox
    from wsinspect.entry.browsers import profile_parent
    from wsinspect.entry.running import profile_folder, running

    with profile_folder(profile_parent(found)) as folder:
        launched.bequeath(Will(str(folder)))
        words = _prepared(args, found, settings, launched, folder)
        words += [*args.browser_arg, page]

        def begin(group: int) -> None:
            launched.bequeath(Will(str(folder), -group, force=True))

        with running(found.executable, words, folder, os.environ | firefox.ENVIRONMENT, begin) as browser:
            if args.headless:
                say(f"{found.browser} runs through {_listening(launched)}")
                code = browser.wait(args.duration)
            else:
                code = browser.wait(STILL_THERE_S)
                if not code:
                    _screen(launched)
                    code = browser.wait(0)
            return _ended_badly(found, browser, code) if code else ""


def _prepared(
    args: argparse.Namespace, found: Found, settings: ProxySettings, launched: Launched, folder: Path
) -> list[str]:
    """The browser's arguments, its profile being made. Raises Unavailable."""
    from wsinspect.entry import chromium, firefox
    from wsinspect.entry.browsers import Browser
    from wsinspect.proxy.authority import CONFDIR, authority

    ca = authority(settings.options.get("confdir", CONFDIR))
    listener = launched.hello.listeners[0]
    profile = folder / "profile"
    profile.mkdir()
    if found.browser is Browser.FIREFOX:
        firefox.prepare_profile(profile, listener.host, listener.port, ca.path)
        return firefox.arguments(profile, headless=args.headless)
    return chromium.arguments(profile, listener.host, listener.port, ca.spki_sha256, headless=args.headless)


def _screen(launched: Launched) -> None:
    from wsinspect.cli.inputs import capture_of
    from wsinspect.control.client import ControlClient

    with ControlClient(launched.hello.pid) as client:
        show(capture_of(client), client)


def _summary(launched: Launched) -> list[str]:
    """Taken while the proxy still runs: what is not saved goes with it."""
    from wsinspect.cli.summary import summary_lines
    from wsinspect.control.client import ControlClient

    deadline = time.monotonic() + ENDING_S
    try:
        with ControlClient(launched.hello.pid) as client:
            status = client.status()
            while (status.live or status.queue_bytes) and time.monotonic() < deadline:
                time.sleep(0.02)
                status = client.status()
    except ProxyUnreachable:
        return []  # it is said that the proxy ended by itself
    return summary_lines(Path(status.info.capture)) if status.info.capture is not None else []


def _ended_badly(found: Found, browser: RunningBrowser, code: int) -> str:
    words = browser.last_words()
    said = f"; it said:\n{words}" if words else ""
    return f"{found.executable} ended with exit code {code}{said}"


def _listening(launched: Launched) -> str:
    listener = launched.hello.listeners[0]
    return f"{listener.host}:{listener.port}"


def page_url(word: str) -> str:
    """What a user means by `localhost:3000`, `page.html` or a URL. Raises UsageError for a WebSocket's."""
    if word.startswith(_NO_HOST):
        return word
    if "://" not in word:
        if Path(word).is_file():
            return Path(word).absolute().as_uri()
        host = urllib.parse.urlsplit(f"//{word}").hostname or ""
        return f"{'http' if _is_loopback(host) else 'https'}://{word}"
    if word.lower().startswith(("ws://", "wss://")):
        raise UsageError(f"{word} is a WebSocket, not a page; give the page that opens it")
    return word


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
