"""argparse, with errors that name the nearest valid name and end as UsageError."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from wsinspect.errors import UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser that never exits on an error, and knows no abbreviations."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._above: Parser | None = None

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Raises UsageError; SystemExit after --help."""
        self._adopt()
        return self.parse_known_args(args, namespace)[0]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """argparse calls it of the parser of a word, too: each refuses what it does not know."""
        words = list(sys.argv[1:] if args is None else args)
        self._check_start(words)
        found, unknown = super().parse_known_args(words, namespace)
        if unknown:
            self._refuse(next((each for each in unknown if each.startswith("-")), unknown[0]))
        return found, []

    def error(self, message: str) -> NoReturn:
        name = self.prog.replace("[run]", "run")
        raise UsageError(f"{message}{' See' if message.endswith('?') else '; see'} {name} --help")

    def words(self) -> dict[str, Parser]:
        """The parsers of the words that may stand here, where one must."""
        found = [action.choices for action in self._actions if isinstance(action.choices, dict)]
        return found[0] if found else {}

    def all_parsers(self) -> Iterator[Parser]:
        """It, and those of its words at any depth."""
        yield self
        for each in self.words().values():
            yield from each.all_parsers()

    def _adopt(self) -> None:
        for each in self.words().values():
            each._above = self
            each._adopt()

    def _check_start(self, words: Sequence[str]) -> None:
        """Where a word must come: what stands before it are options of ours, and it is there."""
        if not self.words():
            return
        at = 0
        while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
            option, equals, _ = words[at].partition("=")
            action = self._option_string_actions.get(option)
            if action is None:
                self._refuse(words[at])
            if isinstance(action, argparse._HelpAction):
                return
            at += 1 if equals or action.nargs == 0 else 2
        if at >= len(words):
            name = next(str(each.metavar) for each in self._actions if isinstance(each.choices, dict))
            self.error(f"{name} is missing: {', '.join(self.words())}")

    def _refuse(self, word: str) -> NoReturn:
        if not word.startswith("-"):
            self.error(f"{word!r} is one word too many")
        option, top = word.split("=", 1)[0], self
        while top._above is not None:
            top = top._above
        takers = [each for each in top.all_parsers() if option in each._option_string_actions]
        owners = [each.prog.removeprefix("wsinspect ") for each in takers]
        if owners:
            where = " or ".join(filter(None, [", ".join(owners[:-1]), owners[-1]]))
            self.error(f"there is no option {option} here: it belongs behind {where}")
        known = [name.lstrip("-") for each in self.all_parsers() for name in each._options()]
        near = did_you_mean(option.lstrip("-"), known).replace("did you mean ", "did you mean --")
        self.error(f"there is no option {option}{near}")

    def _options(self) -> list[str]:
        """The long names that its help shows."""
        shown = [each for each in self._actions if each.help != argparse.SUPPRESS]
        return [name for each in shown for name in each.option_strings if name.startswith("--")]

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
