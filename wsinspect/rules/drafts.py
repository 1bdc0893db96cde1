"""A draft of a plan as it was before a rule, to go back to where the rule fails half-way."""

from __future__ import annotations

import dataclasses
from operator import attrgetter

from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.turn import Turn

_KEPT = {"talk", "memories"}
_NAMES = {
    kind: tuple(each.name for each in dataclasses.fields(kind) if each.name not in _KEPT)
    for kind in (Turn, HandshakeTurn)
}
_GETTERS = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


class Draft:
    """Cheap to take, since most are thrown away: lists are not copied, only measured."""

    __slots__ = ("_lengths", "_turn", "_values")

    def __init__(self, turn: Turn | HandshakeTurn) -> None:
        self._turn = turn
        self._values = _GETTERS[type(turn)](turn)
        self._lengths = [len(each) for each in self._values if type(each) is list]

    def restore(self) -> None:
        """Undo what was set since, and what was put behind the lists."""
        lengths = iter(self._lengths)
        for name, value in zip(_NAMES[type(self._turn)], self._values, strict=True):
            if type(value) is list:
                del value[next(lengths) :]
            setattr(self._turn, name, value)
