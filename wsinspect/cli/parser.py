"""argparse, with errors that name the nearest valid name and end as UsageError."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from wsinspect.errors import UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser that never exits on an error, and knows no abbreviations."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Raises UsageError; SystemExit after --help."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = next((each for each in unknown if each.startswith("-")), unknown[0])
            self._refuse(word)
        return found

    def error(self, message: str) -> NoReturn:
        name = self.prog.replace("[run]", "run")
        raise UsageError(f"{message}{' See' if message.endswith('?') else '; see'} {name} --help")

    def _refuse(self, word: str) -> NoReturn:
        if not word.startswith("-"):
            self.error(f"{word!r} is one word too many")
        option = word.split("=", 1)[0]
        self.error(f"there is no option {option}{did_you_mean(option, self._known_options())}")

    def _known_options(self) -> list[str]:
        options: list[str] = []
        for action in self._actions:
            if action.help != argparse.SUPPRESS:
                options += action.option_strings
            if isinstance(action.choices, dict):  # subcommands
                for parser in action.choices.values():
                    options += parser._known_options()
        return options

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = list(action.choices)
            nearest = did_you_mean(str(value), names)
            raise argparse.ArgumentError(action, f"{value!r} is not one of {', '.join(names)}{nearest}")


def one_of(*names: str) -> Callable[[str], str]:
    """A type for arguments with a few valid words."""

    def check(word: str) -> str:
        if word not in names:
            raise argparse.ArgumentTypeError(
                f"{word!r} is not one of {', '.join(names)}{did_you_mean(word, names)}"
            )
        return word

    return check


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """A type for integers within limits."""

    def check(word: str) -> int:
        if not word.isdecimal() or not lowest <= int(word) <= highest:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number from {lowest} to {highest}")
        return int(word)

    return check


def seconds(word: str) -> float:
    """A type for durations: a positive number of seconds."""
    try:
        value = float(word)
    except ValueError:
        value = -1
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds")
    return value


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(?:i?B)?")
_UNITS = {"": 1, "k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(least: int) -> Callable[[str], int]:
    """A type for numbers of bytes with k, M, G or T behind them, at least `least`; `none` is 0."""

    def check(word: str) -> int:
        if word == "none":
            return 0
        match = _SIZE.fullmatch(word)
        if match is None:
            raise argparse.ArgumentTypeError(f"{word!r} is not a size such as 500M or 2G, nor none")
        value = int(float(match[1]) * _UNITS[match[2]])
        if not least <= value < 1 << 60:
            raise argparse.ArgumentTypeError(f"{word} is too small: at least {least >> 20}M, or none")
        return value

    return check
