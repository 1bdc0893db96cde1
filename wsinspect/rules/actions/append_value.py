"""`append`: elements to lists of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.template import Value
from wsinspect.rules.turn import Turn


class AppendValue(Action):
    word = "append"
    doc = "Add an element at the end of lists in the decoded message. Where no list is, nothing happens."
    example = "append: {$.items: {id: 99, name: extra}}"
    fields = (Field("values", Type.PATH_VALUES, "What to append, by the JSON path of the list."),)
    short = "values"
    whole = True

    values: dict[Path, Value]

    def check(self) -> None:
        if not self.values:
            raise ValueError("nothing to append: write the path of a list and the new element")

    def explain(self) -> str:
        return words.listed(f"append {words.shown(value)} to {path}" for path, value in self.values.items())

    def apply(self, turn: Turn) -> str:
        if turn.decoded is None:
            return "nothing appended: no decoder knows this payload"
        tree, did = turn.decoded.tree, []
        for path, value in self.values.items():
            tree, count = path.append(tree, value.render(turn))
            did.append(f"append {words.shown(value)} to {path}" if count else f"no list at {path}")
        if tree is not turn.decoded.tree:
            turn.set_tree(tree)
        return ", ".join(did)
