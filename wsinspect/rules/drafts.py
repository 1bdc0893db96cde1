"""A draft of a plan, which can be put back where a rule fails half-way."""

from __future__ import annotations

from typing import Any


class Draft:
    """Defaults stand on the class, so that a draft costs what differs from them. Values are replaced, never
    changed in place."""

    def state(self) -> dict[str, Any]:
        """As it is, for `restore`."""
        return vars(self).copy()

    def restore(self, state: dict[str, Any]) -> None:
        """Undo what was set since."""
        vars(self).clear()
        vars(self).update(state)
