"""`set`: values of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.tree import Step, TreeAction, step_of
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.template import Value


class SetValue(TreeAction):
    word = "set"
    participle = "set"
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
        self.steps = [
            Step(
                step_of(Path.set, path, value), f"set {path} to {words.shown(value)}", f"no place for {path}"
            )
            for path, value in self.values.items()
        ]

    def explain(self) -> str:
        return "set " + words.listed(f"{path} to {words.shown(value)}" for path, value in self.values.items())
