"""Print the commands that lead traffic into a proxy in transparent mode, or undo that. Nothing is changed.

  wsinspect proxy --mode transparent --listen-host '' -p 8080    the proxy, for traffic of other machines
  wsinspect transparent rules --interface eth1 | sudo sh         what comes in at eth1 goes through it
  wsinspect transparent rules --interface eth1 --undo | sudo sh

  wsinspect transparent rules --user proxy | sudo sh             this machine's own traffic; the proxy runs
                                                                 as the user `proxy`, who is left alone

The clients must trust the proxy's CA for TLS, and use this machine as their gateway.
"""

from __future__ import annotations

import argparse
import re
import sys

from wsinspect.cli.narration import data_out, say
from wsinspect.cli.parser import Parser, number, one_of
from wsinspect.cli.redirects import Redirect, Tool, commands
from wsinspect.errors import UsageError, WsinspectError

DEFAULT_PORT = 8080


def arguments(parser: Parser) -> None:
    words = parser.add_subparsers(dest="do", metavar="COMMAND", required=True, parser_class=Parser)
    rules = words.add_parser("rules", help="the commands for a root shell")
    rules.add_argument("--undo", action="store_true", help="the commands that take them back")
    which = rules.add_mutually_exclusive_group()
    which.add_argument(
        "-i", "--interface", type=_name, metavar="NAME",
        help="where other machines' traffic comes in; the default route's interface unless given",
    )  # fmt: skip
    which.add_argument(
        "--user", type=_name, metavar="NAME",
        help="this machine's own traffic instead, but for that of the user who runs the proxy",
    )  # fmt: skip
    rules.add_argument(
        "-p", "--listen-port", type=number(1, 65535), metavar="PORT",
        help="the proxy's; that of the transparent proxy that runs, or 8080, unless given",
    )  # fmt: skip
    rules.add_argument(
        "--ports", type=_ports, default=(80, 443), metavar="LIST", help="destination ports (80,443)"
    )
    rules.add_argument(
        "--tool", type=one_of(*Tool), default=Tool.PF if sys.platform == "darwin" else Tool.NFT,
        help="nft (the default on Linux), iptables, or pf (the default on macOS)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    port = args.listen_port or _running_port() or DEFAULT_PORT
    interface = None if args.user else args.interface or _default_interface()
    redirect = Redirect(port=port, ports=args.ports, interface=interface, user=args.user)
    try:
        lines = commands(Tool(args.tool), redirect, undo=args.undo)
    except ValueError as error:
        raise UsageError(str(error)) from None
    data_out()
    print("\n".join(lines))
    if sys.stdout.isatty():
        say("nothing was changed; these commands are for a root shell")
    return 0


def _name(word: str) -> str:
    """Names go into a root shell's commands: only such as need no quoting."""
    if not re.fullmatch(r"[\w.@+][\w.@+-]*", word, re.ASCII):
        raise argparse.ArgumentTypeError(f"{word!r} is not the name of an interface or a user")
    return word


def _ports(word: str) -> tuple[int, ...]:
    check = number(1, 65535)
    return tuple(check(each.strip()) for each in word.split(","))


def _running_port() -> int | None:
    """Where the only transparent proxy that runs listens; None where there is none, or several."""
    from wsinspect.control.client import ControlClient
    from wsinspect.control.paths import live_proxies

    found = []
    try:
        for proxy in live_proxies():
            with ControlClient(proxy.pid) as client:
                found += [each.port for each in client.info.listeners if each.mode == "transparent"]
    except WsinspectError:
        return None
    return found[0] if len(found) == 1 else None


def _default_interface() -> str:
    """The default route's (Linux), by the kernel's table. Raises UsageError where it does not say."""
    try:
        with open("/proc/net/route", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
    except OSError:
        rows = []
    for row in rows:
        if row[1] == "00000000" and row[7] == "00000000":
            return row[0]
    raise UsageError("no default route says which interface is meant: name it with --interface")
