"""The config file: defaults for options, by their long names.

    listen-port: 8081            for every command that has the option
    set: {confdir: ~/my-ca}
    tail: {format: json}         for one command

It lies at ~/.config/wsinspect/config.yaml (on macOS ~/Library/Application Support/wsinspect), or where
WSINSPECT_CONFIG says; an empty WSINSPECT_CONFIG or --no-config means none. What the command line says wins;
only `set` adds up, by name. All mistakes are told at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsinspect.cli.narration import say
from wsinspect.errors import NotFound, UsageError

if TYPE_CHECKING:
    from wsinspect.cli.parser import Parser

VARIABLE = "WSINSPECT_CONFIG"
_RIVALS = {"write": "no_save", "no_save": "write"}
"""By destination: what the command line says takes the other one's default away."""


def config_path() -> Path | None:
    """The config file, None where there is none. Raises NotFound where WSINSPECT_CONFIG names one in vain."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        path = Path(named).expanduser()
        if named and not path.exists():
            raise NotFound(f"{path}: no such file; {VARIABLE} names it")
        return path if named else None
    from platformdirs import user_config_path

    path = user_config_path("wsinspect") / "config.yaml"
    return path if path.exists() else None


def parse(command: str, parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The command line, with the config file's defaults behind it. Raises UsageError."""
    args = parser.parse_args(words)  # its own mistakes first; and --no-config, --help stand there
    path = None if args.no_config else config_path()
    if path is None:
        return args
    from wsinspect.cli.config_file import read_config

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        named = f"; {VARIABLE} names it" if VARIABLE in os.environ else ""
        raise UsageError(f"cannot read the config file {path}: {error.strerror}{named}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    defaults = read_config(str(path), text).for_command(command)
    for given, rival in _RIVALS.items():
        if getattr(args, given, None):
            defaults.pop(rival, None)
    _spare_a_single_file(args, defaults, path)
    return _parse_again(parser, words, defaults)


def _spare_a_single_file(args: argparse.Namespace, defaults: dict[str, Any], config: Path) -> None:
    """A limit of the config file is a wish: a capture that is one file goes on as one, and it is said."""
    write = getattr(args, "write", None) or defaults.get("write")
    if write is None or getattr(args, "capture_limit", None) is not None:
        return
    if defaults.get("capture_limit") and write.is_file():
        del defaults["capture_limit"]
        say(f"{write} is one file and grows without a limit; capture-limit in {config} is for new captures")


def _parse_again(parser: Parser, words: Sequence[str], defaults: dict[str, Any]) -> argparse.Namespace:
    """With defaults by destination. A list is no default of argparse's: that would only ever grow."""
    lists = {dest: value for dest, value in defaults.items() if isinstance(value, list)}
    for each in options_of(parser):
        if each.dest in defaults and each.dest not in lists and each.default != argparse.SUPPRESS:
            each.default = defaults[each.dest]
    args = parser.parse_args(words)
    for dest, values in lists.items():
        given = getattr(args, dest, None) or []
        adds_up = bool(values) and isinstance(values[0], tuple)
        if hasattr(args, dest) and (adds_up or not given):
            setattr(args, dest, [*values, *given])
    return args


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All options that the help shows, also those of subcommands."""
    found = []
    for action in parser._actions:
        if isinstance(action.choices, dict):
            found += [each for sub in action.choices.values() for each in options_of(sub)]
        elif action.option_strings and action.help != argparse.SUPPRESS:
            found.append(action)
    return found
