"""The table of commands, and how a word on the command line finds its file."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wsinspect.cli.parser import Parser
from wsinspect.errors import UsageError, did_you_mean

COMMANDS = {
    "run": "a proxy, and the screen that shows its traffic (the default)",
    "proxy": "a proxy without a screen",
    "attach": "the screen for a proxy that is running",
    "open": "the screen for a capture file",
    "tail": "print a capture: for people, or as NDJSON",
    "captures": "list the captures that you did not name, or delete them",
    "ctl": "ask a running proxy for its status, stop it, see to its rules, send or close",
    "browser": "a browser whose traffic goes through a proxy of its own",
    "exec": "a program whose traffic goes through a proxy of its own",
    "ca": "the CA that clients have to trust, and how to make them",
    "rules": "check rule files, explain them, try them on a capture",
    "transparent": "print the firewall rules that lead traffic into a transparent proxy",
    "demo": "a small real-time world, its traffic on the screen",
    "version": "the versions of wsinspect and of what it stands on",
}
"""Each is a module of this package with `arguments(parser)` and `run(args) -> exit code`."""

_OVERVIEW = """\
usage: wsinspect [COMMAND] [OPTIONS]

See every frame of your WebSockets. Point a client or a browser at the proxy:

  wsinspect -p 8080                            an HTTP proxy on port 8080, and the screen
  wsinspect -m reverse:http://127.0.0.1:3000   in front of one server
  wsinspect proxy -w a.wscap                   without a screen
  wsinspect browser https://example.com        a browser that needs no set-up
  wsinspect exec -- python client.py           a program that needs none
  wsinspect tail a.wscap --format json         what was captured, for scripts

commands:
{commands}

wsinspect COMMAND --help says more on each.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command, ready to parse and run."""

    parser: Parser
    run: Callable[[argparse.Namespace], int]


def split(argv: list[str]) -> tuple[str, list[str]]:
    """The command's name (`help` is one) and its arguments. Raises UsageError for a word that is none."""
    if not argv:
        return "run", []
    word, rest = argv[0], argv[1:]
    if word == "help" and rest:
        return split([rest[0], "--help"])
    if word in ("-h", "--help", "help"):
        return "help", []
    if word == "--version":
        return "version", rest
    if word in COMMANDS:
        return word, rest
    if word.startswith("-") and word != "-":
        return "run", argv
    raise UsageError(_unknown(word))


def load(name: str) -> Command:
    """Import the command's file, and nothing of the others."""
    module = importlib.import_module(f"wsinspect.cli.{name}")
    usage = "wsinspect [run]" if name == "run" else f"wsinspect {name}"
    parser = Parser(prog=usage, description=module.__doc__)
    module.arguments(parser)
    for each in parser.all_parsers():
        default = False if each is parser else argparse.SUPPRESS
        each.add_argument(
            "--no-config", action="store_true", default=default, help="without the config file's defaults"
        )
    return Command(parser, module.run)


def overview() -> str:
    """What `wsinspect --help` prints."""
    rows = (f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
    return _OVERVIEW.format(commands="\n".join(rows))


def _unknown(word: str) -> str:
    if Path(word).is_file() or (Path(word).is_dir() and word.rstrip("/").endswith(".wscap")):
        return f"{word!r} is a file, not a command; did you mean wsinspect open {word}?"
    return f"there is no command {word!r}{did_you_mean(word, COMMANDS) or '; wsinspect --help lists them'}"
