"""What stands in a config file, checked against the options of all commands, each mistake with its place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wsinspect.cli.commands import COMMANDS, load
from wsinspect.cli.config import options_of
from wsinspect.errors import UsageError, did_you_mean

_NOT_FOR_FILES = {"help", "no-config"}
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"

type Options = dict[str, list[argparse.Action]]
"""By long name without dashes. Several commands may know one name, each in its own way."""


class _Wrong(Exception):
    """What is wrong with a value, as the rest of a sentence, and where."""

    def __init__(self, what: str, node: yaml.Node) -> None:
        super().__init__(what)
        self.node = node


@dataclass(slots=True)
class Config:
    """Defaults by destination: of each command, what stands at the top and what stands under its name."""

    general: dict[str, dict[str, Any]] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)

    def for_command(self, command: str) -> dict[str, Any]:
        return self.general.get(command, {}) | self.own.get(command, {})


def read_config(name: str, text: str) -> Config:
    """Raises UsageError, a line `name:line:col: what` for each mistake."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{name}{place}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: {str(error).splitlines()[0]}") from None
    reading = _Reading(name)
    if root is not None and root.tag != _NULL:
        reading.top(root)
    if reading.mistakes:
        raise UsageError("\n".join(what for *_, what in sorted(reading.mistakes)))
    return reading.config


class _Reading:
    """One pass over a file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = Config()
        self.mistakes: list[tuple[int, int, str]] = []
        """Line, column, and the sentence with both."""
        self._options = {command: _options(command) for command in COMMANDS}

    def top(self, root: yaml.Node) -> None:
        known = {option for options in self._options.values() for option in options}
        for key, value in self._pairs(root, "the file"):
            if key.value in COMMANDS and (isinstance(value, yaml.MappingNode) or key.value not in known):
                self._section(key.value, value)
            elif key.value in known:
                self._option(key, value)
            else:
                self._unknown(key, [*known, *COMMANDS])

    def _section(self, command: str, node: yaml.Node) -> None:
        options = self._options[command]
        for key, value in self._pairs(node, command):
            if key.value in options:
                self._try({command: options[key.value]}, key, value, self.config.own)
            else:
                self._unknown(key, list(options), f"wsinspect {command} has no option")

    def _option(self, key: yaml.ScalarNode, value: yaml.Node) -> None:
        takers = {command: found[key.value] for command, found in self._options.items() if key.value in found}
        self._try(takers, key, value, self.config.general)

    def _try(
        self, takers: Options, key: yaml.ScalarNode, node: yaml.Node, into: dict[str, dict[str, Any]]
    ) -> None:
        """Give the value to each command that can take it; one at least must."""
        wrong: _Wrong | None = None
        taken = False
        for command, actions in takers.items():
            for action in actions:
                try:
                    into.setdefault(command, {})[action.dest] = _value(action, node)
                    taken = True
                except _Wrong as error:
                    wrong = wrong or error
        if wrong is not None and not taken:
            self._say(wrong.node, f"{key.value}: {wrong}")

    def _pairs(self, node: yaml.Node, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """A mapping's entries; mistakes are told on the way."""
        if not isinstance(node, yaml.MappingNode):
            self._say(node, f"{what} must hold NAME: VALUE, not {_kind(node)}")
            return []
        pairs: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._say(key, f"a name is wanted here, not {_kind(key)}")
            elif key.value in pairs:
                line = pairs[key.value][0].start_mark.line + 1
                self._say(key, f"{key.value} stands here a second time (first on line {line})")
            else:
                pairs[key.value] = (key, value)
        return list(pairs.values())

    def _unknown(self, key: yaml.ScalarNode, names: list[str], what: str = "there is no option") -> None:
        self._say(key, f"{what} {key.value}{did_you_mean(key.value.lstrip('-'), names)}")

    def _say(self, node: yaml.Node, what: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.mistakes.append((line, column, f"{self.name}:{line}:{column}: {what}"))


def _options(command: str) -> Options:
    found: Options = {}
    for action in options_of(load(command).parser):
        for word in action.option_strings:
            name = word.removeprefix("--")
            if word.startswith("--") and name not in _NOT_FOR_FILES:
                found.setdefault(name, []).append(action)
    return found


def _value(action: argparse.Action, node: yaml.Node) -> Any:
    """What the option holds after such a value on the command line. Raises _Wrong."""
    if isinstance(action, argparse._StoreTrueAction):
        if node.tag != _BOOL:
            raise _Wrong(f"wants true or false, not {_kind(node)}", node)
        return yaml.SafeLoader.bool_values[node.value.lower()]
    if isinstance(action, argparse._CountAction):
        if not (isinstance(node, yaml.ScalarNode) and node.value.isdecimal()):
            raise _Wrong(f"wants a number, not {_kind(node)}", node)
        return int(node.value)
    if isinstance(action, argparse._AppendAction):
        return [_converted(action, text, place) for text, place in _items(action, node)]
    return _converted(action, _scalar(node), node)


def _items(action: argparse.Action, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    """One value or a list of them; a mapping too where NAME=VALUE is wanted."""
    if isinstance(node, yaml.SequenceNode):
        return [(_scalar(each), each) for each in node.value]
    if isinstance(node, yaml.MappingNode) and action.metavar == "NAME=VALUE":
        return [(f"{_scalar(key)}={_scalar(value, flag=True)}", value) for key, value in node.value]
    return [(_scalar(node), node)]


def _scalar(node: yaml.Node, *, flag: bool = False) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL or (node.tag == _BOOL and not flag):
        raise _Wrong(f"wants a value, not {_kind(node)}", node)
    return str(node.value)


def _converted(action: argparse.Action, text: str, node: yaml.Node) -> Any:
    if action.type is None:
        return text
    if action.type is Path:
        return Path(text).expanduser()
    assert callable(action.type)
    try:
        return action.type(text)
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise _Wrong(str(error), node) from None


def _kind(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case _:
            return "nothing" if node.tag == _NULL else repr(node.value)
