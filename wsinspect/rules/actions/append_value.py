"""`append`: elements to lists of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.tree import Step, TreeAction, step_of
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.template import Value


class AppendValue(TreeAction):
    word = "append"
    participle = "appended"
    doc = "Add an element at the end of lists in the decoded message. Where no list is, nothing happens."
    example = "append: {$.items: {id: 99, name: extra}}"
    fields = (Field("values", Type.PATH_VALUES, "What to append, by the JSON path of the list."),)
    short = "values"
    whole = True

    values: dict[Path, Value]

    def check(self) -> None:
        if not self.values:
            raise ValueError("nothing to append: write the path of a list and the new element")
        self.steps = [
            Step(
                step_of(Path.append, path, value),
                f"append {words.shown(value)} to {path}",
                f"no list at {path}",
            )
            for path, value in self.values.items()
        ]

    def explain(self) -> str:
        return words.listed(step.done for step in self.steps)
