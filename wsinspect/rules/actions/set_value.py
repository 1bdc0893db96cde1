"""`set`: values of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.template import Value
from wsinspect.rules.turn import Turn


class SetValue(Action):
    word = "set"
    doc = (
        "Set values of the decoded message: JSON, MessagePack, Socket.IO or whatever else a decoder reads. "
        "It is encoded again as it came. The last name of a path is made where it is not there yet."
    )
    example = "set: {$.price: 1, $.user.name: 'x-{{n}}'}"
    fields = (
        Field(
            "values",
            Type.PATH_VALUES,
            "What to set, by JSON path. A string that is one {{…}} and nothing else keeps its type.",
        ),
    )
    short = "values"
    whole = True

    values: dict[Path, Value]

    def check(self) -> None:
        if not self.values:
            raise ValueError("nothing to set: write a path and its value")

    def explain(self) -> str:
        return "set " + words.listed(f"{path} to {words.shown(value)}" for path, value in self.values.items())

    def apply(self, turn: Turn) -> str:
        if turn.decoded is None:
            return "nothing set: no decoder knows this payload"
        tree, did = turn.decoded.tree, []
        for path, value in self.values.items():
            tree, count = path.set(tree, value.render(turn))
            did.append(f"set {path} to {words.shown(value)}" if count else f"no place for {path}")
        if tree is not turn.decoded.tree:
            turn.set_tree(tree)
        return ", ".join(did)
