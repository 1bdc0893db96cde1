"""A draft of a plan as it was before a rule, to go back to where the rule fails half-way."""

from __future__ import annotations

import dataclasses
from operator import attrgetter

from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.turn import Turn

_KEPT = {"talk", "memories"}


def _fields(kind: type[Turn] | type[HandshakeTurn], *, lists: bool) -> tuple[str, ...]:
    found = [each for each in dataclasses.fields(kind) if each.name not in _KEPT]
    return tuple(each.name for each in found if (each.default_factory is list) is lists)


_NAMES = {kind: _fields(kind, lists=False) for kind in (Turn, HandshakeTurn)}
_LISTS = {kind: _fields(kind, lists=True) for kind in (Turn, HandshakeTurn)}
_VALUES_OF = {kind: attrgetter(*names) for kind, names in _NAMES.items()}
_LISTS_OF = {kind: attrgetter(*names) for kind, names in _LISTS.items()}


class Draft:
    """Cheap to take, since most are thrown away: lists are not copied, only measured."""

    __slots__ = ("_lengths", "_lists", "_values")

    def __init__(self, turn: Turn | HandshakeTurn) -> None:
        kind = type(turn)
        self._values = _VALUES_OF[kind](turn)
        self._lists = _LISTS_OF[kind](turn)
        self._lengths = [*map(len, self._lists)]

    def restore(self, turn: Turn | HandshakeTurn) -> None:
        """Undo what was set since, and what was put behind the lists."""
        kind = type(turn)
        for name, value in zip(_NAMES[kind], self._values, strict=True):
            setattr(turn, name, value)
        for name, items, length in zip(_LISTS[kind], self._lists, self._lengths, strict=True):
            del items[length:]
            setattr(turn, name, items)
