"""`remove`: values of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.turn import Turn


class RemoveValue(Action):
    word = "remove"
    doc = "Take values out of the decoded message: names of objects, elements of lists."
    example = "remove: [$.debug, '$.items[*].secret']"
    fields = (Field("paths", Type.PATHS, "Where, by JSON path."),)
    short = "paths"

    paths: tuple[Path, ...]

    def check(self) -> None:
        if not self.paths:
            raise ValueError("nothing to remove: write a path")
        if any(not path.steps for path in self.paths):
            raise ValueError("$ is the whole message: it cannot be removed; `drop` drops the message")

    def explain(self) -> str:
        return f"remove {words.listed(self.paths)}"

    def apply(self, turn: Turn) -> str:
        if turn.decoded is None:
            return "nothing removed: no decoder knows this payload"
        tree, gone = turn.decoded.tree, []
        for path in self.paths:
            tree, count = path.remove(tree)
            if count:
                gone.append(f"remove {path}" + (f" ({words.plural(count, 'value')})" if count > 1 else ""))
        if not gone:
            return f"nothing removed: no {words.listed(self.paths, 'or')}"
        turn.set_tree(tree)
        return ", ".join(gone)
