"""Groups of options that several commands share, by mitmproxy's names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wsinspect.capture.segments import LEAST_LIMIT
from wsinspect.cli.parser import Parser, number, one_of, size
from wsinspect.control.settings import ProxySettings
from wsinspect.errors import UsageError

ADDRESS_HELP = "a proxy's process id, or its control socket; may be left out where only one proxy runs"


def proxy_options(parser: Parser) -> None:
    """Everything that `settings_from` reads."""
    listen = parser.add_argument_group("where it listens")
    listen.add_argument(
        "-m",
        "--mode",
        action="append",
        metavar="MODE",
        help="regular (the default), reverse:http://HOST:PORT, upstream:http://HOST:PORT, socks5, "
        "transparent; each may end in @[HOST:]PORT; may be given several times",
    )
    listen.add_argument(
        "-p",
        "--listen-port",
        type=number(0, 65535),
        metavar="PORT",
        help="8080 unless given; 0 takes a free one",
    )
    listen.add_argument("--listen-host", default="127.0.0.1", metavar="HOST", help="127.0.0.1 unless given")
    traffic_options(parser)


def traffic_options(parser: Parser) -> None:
    """What a proxy does and says, wherever it listens."""
    capture = parser.add_argument_group("what it does")
    capture.add_argument(
        "-w",
        "--write",
        type=Path,
        metavar="FILE",
        help="the capture; an existing one is appended to; without it a new one in the state folder, "
        "where the last ten are kept (wsinspect captures)",
    )
    capture.add_argument(
        "--capture-limit",
        type=size(LEAST_LIMIT),
        metavar="SIZE",
        help="keep no more than SIZE (such as 500M or 2G; none) of the capture: a folder of segments, of "
        "which the oldest go; without it none for -w, else 2G",
    )
    capture.add_argument(
        "--capture-pressure",
        type=one_of("drop", "throttle"),
        default="drop",
        metavar="WHAT",
        help="where the disk is slower than the traffic: drop leaves gaps in the capture (the default), "
        "throttle slows the traffic down",
    )
    capture.add_argument(
        "--no-save",
        action="store_true",
        help="keep nothing on disk, only the last 64 MiB in memory while the proxy runs",
    )
    capture.add_argument(
        "-k", "--ssl-insecure", action="store_true", help="do not verify the servers' certificates"
    )
    capture.add_argument(
        "-s",
        "--script",
        action="append",
        default=[],
        metavar="FILE",
        help="load a mitmproxy script; may be given several times",
    )
    capture.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="an option of mitmproxy or of a script; may be given several times",
    )
    rule_options(parser)
    talk = parser.add_argument_group("what it says")
    talk.add_argument("-q", "--quiet", action="store_true", help="only where it listens, and errors")
    talk.add_argument(
        "-v", "--verbose", action="count", default=0, help="more on stderr; twice for still more"
    )
    parser.add_argument("--path", type=one_of("auto", "layer"), default="auto", help=argparse.SUPPRESS)


def rule_options(parser: Parser) -> None:
    """What a proxy does to the traffic, and not only with it."""
    rules = parser.add_argument_group("its rules")
    rules.add_argument(
        "--rules",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="a rule file, or a folder of them; may be given several times: they apply in that order",
    )
    rules.add_argument(
        "--allow-python", action="store_true", help="rules may run Python functions in the proxy"
    )
    rules.add_argument(
        "--shadow",
        action="store_true",
        help="record what rules would do, and touch no traffic; redact and no-capture act",
    )
    rules.add_argument(
        "--no-reload", action="store_true", help="do not load rule files anew when they change"
    )


def rule_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of `rule_options` mean for ProxySettings."""
    return {
        "rules": args.rules,
        "allow_python": args.allow_python,
        "shadow": args.shadow,
        "reload": not args.no_reload,
    }


def child_options(parser: Parser) -> None:
    """What `control.launch` hands to the proxy that it starts."""
    parser.add_argument("--ready-fd", type=number(0, 1 << 20), help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=number(0, 1 << 20), help=argparse.SUPPRESS)
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)


def own_client_options(parser: Parser) -> None:
    """For a proxy whose only client we start ourselves: it takes a free port on loopback."""
    traffic_options(parser)
    parser.add_argument_group("where it listens").add_argument(
        "--upstream",
        metavar="URL",
        help="the proxy that one needs here to get out: http://HOST:PORT or https://HOST:PORT",
    )


def own_client_settings(args: argparse.Namespace) -> ProxySettings:
    """The settings that the options of `own_client_options` ask for."""
    args.mode = [f"upstream:{args.upstream}"] if args.upstream else ["regular"]
    args.listen_host, args.listen_port = "127.0.0.1", 0
    return settings_from(args)


def settings_from(args: argparse.Namespace) -> ProxySettings:
    """The settings that the options of `proxy_options` (and `child_options`) ask for. Raises UsageError."""
    if args.no_save and args.write is not None:
        raise UsageError("--no-save keeps nothing on disk, -w names a file there: leave one of them out")
    return ProxySettings(
        modes=args.mode or ["regular"],
        listen_host=args.listen_host,
        listen_port=args.listen_port,
        capture=args.write,
        capture_limit=args.capture_limit,
        capture_pressure=args.capture_pressure,
        save=not args.no_save,
        **rule_settings(args),
        options=dict(args.set),
        scripts=args.script,
        ssl_insecure=args.ssl_insecure,
        quiet=args.quiet,
        verbose=args.verbose,
        ready_fd=getattr(args, "ready_fd", None),
        parent_fd=getattr(args, "parent_fd", None),
        path=args.path,
    )


def confdir_option(parser: Parser) -> None:
    """`--set confdir=FOLDER`, for a command that wants the CA and no proxy."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="confdir=FOLDER: where the CA lies, ~/.mitmproxy unless given",
    )


def _assignment(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form NAME=VALUE")
    return name.strip(), value
