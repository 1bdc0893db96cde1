"""What the actions on decoded messages have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from wsinspect.rules.actions.base import Action
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.template import Value
from wsinspect.rules.turn import Turn


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the tree, and its words, made once."""

    change: Callable[[Any, Turn], tuple[Any, int]]
    """Gives the new tree, and how many places changed."""
    done: str
    missing: str
    """Where there was no place to change."""


class TreeAction(Action):
    """A subclass makes the steps in `check`."""

    participle: ClassVar[str]
    steps: list[Step]

    def apply(self, turn: Turn) -> str:
        decoded = turn.decoded
        if decoded is None:
            return f"nothing {self.participle}: no decoder knows this payload"
        tree, did = decoded.tree, []
        for step in self.steps:
            tree, count = step.change(tree, turn)
            did.append(
                f"{step.done} ({count:,} places)" if count > 1 else step.done if count else step.missing
            )
        if tree is not decoded.tree:
            turn.set_payload(turn.talk.encode(decoded, tree))
        return ", ".join(did)


def step_of(
    method: Callable[[Path, Any, Any], tuple[Any, int]], path: Path, value: Value
) -> Callable[..., Any]:
    """`Path.set` or `Path.append` with a value that is filled in for each message."""
    render = value.render
    return lambda tree, turn: method(path, tree, render(turn))
