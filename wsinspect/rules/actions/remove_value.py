"""`remove`: values of a decoded message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.tree import Step, TreeAction
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Path


class RemoveValue(TreeAction):
    word = "remove"
    participle = "removed"
    doc = "Take values out of the decoded message: names of objects, elements of lists."
    example = "remove: [$.debug, '$.items[*].secret']"
    fields = (Field("paths", Type.PATHS, "Where, by JSON path; `$..debug` is each `debug`, at any depth."),)
    short = "paths"

    paths: tuple[Path, ...]

    def check(self) -> None:
        if not self.paths:
            raise ValueError("nothing to remove: write a path")
        if any(not path.steps for path in self.paths):
            raise ValueError("$ is the whole message: it cannot be removed; `drop` drops the message")
        self.steps = [
            Step(lambda tree, _, path=path: path.remove(tree), f"remove {path}", f"no {path}")  # type: ignore[misc]
            for path in self.paths
        ]

    def explain(self) -> str:
        return f"remove {words.listed(self.paths)}"
