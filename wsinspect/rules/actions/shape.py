"""What the actions on a message's frames have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

from wsinspect.model.plans import Shape
from wsinspect.rules.turn import Turn


def reshape(turn: Turn, **changes: Any) -> None:
    """Change what is said, and leave the rest of the shape as earlier actions made it."""
    turn.shape = dataclasses.replace(turn.shape or Shape(), **changes)
