"""Where a rule can reach: a set of (side, kind), as a bit mask, so that sets meet and join in one step.

A condition's reach is every place where it could hold. A rule whose reach is empty can never match; a
direction that no rule reaches is not watched.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from wsinspect.model import Opcode, Side
from wsinspect.rules.actions.base import On


class Kind(enum.IntEnum):
    """What may come before the rules."""

    REQUEST = 0
    RESPONSE = 1
    OPEN = 2
    TEXT = 3
    BINARY = 4
    OTHER_DATA = 5
    """A reserved opcode of 3 to 7."""
    PING = 6
    PONG = 7
    CLOSE = 8
    OTHER_CONTROL = 9
    """A reserved opcode of 11 to 15."""


_SIDE_SHIFT = 16


def bit(side: Side, kind: Kind) -> int:
    return 1 << (kind + _SIDE_SHIFT * side)


def reach(kinds: Iterable[Kind], sides: Iterable[Side] = tuple(Side)) -> int:
    """All of these kinds from all of these sides, where there is such a thing."""
    wanted = list(kinds)
    return sum(bit(side, kind) for side in sides for kind in wanted) & EVERYWHERE


DATA_KINDS = (Kind.TEXT, Kind.BINARY, Kind.OTHER_DATA)
CONTROL_KINDS = (Kind.PING, Kind.PONG, Kind.CLOSE, Kind.OTHER_CONTROL)

EVERYWHERE = sum(
    bit(side, kind)
    for side in Side
    for kind in Kind
    if (side, kind)
    not in ((Side.SERVER, Kind.REQUEST), (Side.CLIENT, Kind.RESPONSE), (Side.CLIENT, Kind.OPEN))
)
DATA = reach(DATA_KINDS)
CONTROL = reach(CONTROL_KINDS)
FRAMES = DATA | CONTROL
OPEN = reach([Kind.OPEN])
REQUEST = reach([Kind.REQUEST])
RESPONSE = reach([Kind.RESPONSE])

_BY_OPCODE = {
    Opcode.TEXT: Kind.TEXT,
    Opcode.BINARY: Kind.BINARY,
    Opcode.PING: Kind.PING,
    Opcode.PONG: Kind.PONG,
    Opcode.CLOSE: Kind.CLOSE,
}
KIND_OF_OPCODE = tuple(
    _BY_OPCODE.get(Opcode(opcode) if opcode in (1, 2, 8, 9, 10) else Opcode.CONTINUATION)
    or (Kind.OTHER_DATA if opcode < 8 else Kind.OTHER_CONTROL)
    for opcode in range(16)
)

ON_OF_KIND = {
    Kind.REQUEST: On.REQUEST,
    Kind.RESPONSE: On.RESPONSE,
    Kind.OPEN: On.OPEN,
    **dict.fromkeys(DATA_KINDS, On.DATA),
    **dict.fromkeys(CONTROL_KINDS, On.CONTROL),
}

PLACES_OF_ON = {
    On.DATA: DATA,
    On.CONTROL: CONTROL,
    On.OPEN: OPEN,
    On.REQUEST: REQUEST,
    On.RESPONSE: RESPONSE,
}


def reach_of(on: On) -> int:
    """Where an action that acts on this can act."""
    return sum(places for each, places in PLACES_OF_ON.items() if each in on)


def places(mask: int) -> Iterator[tuple[Side, Kind]]:
    """What is in a reach."""
    for side in Side:
        for kind in Kind:
            if mask & bit(side, kind):
                yield side, kind


def sides_in(mask: int) -> list[Side]:
    return [side for side in Side if mask >> (_SIDE_SHIFT * side) & 0xFFFF]


KIND_WORDS = {
    "handshake": REQUEST | RESPONSE,
    "open": OPEN,
    "text": reach([Kind.TEXT]),
    "binary": reach([Kind.BINARY]),
    "ping": reach([Kind.PING]),
    "pong": reach([Kind.PONG]),
    "close": reach([Kind.CLOSE]),
    "fragment": DATA,
    "any": FRAMES,
}
"""The words of `kind`; `fragment` is also asked of each message."""


def words(mask: int) -> str:
    """A reach in words, without its sides: `a text or binary message`."""
    if not mask:
        return "nothing"
    kinds = {kind for _, kind in places(mask)}
    if set(DATA_KINDS + CONTROL_KINDS) <= kinds:
        found, kinds = ["any message or control frame"], kinds - set(DATA_KINDS + CONTROL_KINDS)
    elif set(DATA_KINDS) <= kinds or {Kind.TEXT, Kind.BINARY} <= kinds:
        found, kinds = ["a message"], kinds - set(DATA_KINDS)
    else:
        found = []
    names = {
        Kind.REQUEST: "the handshake's request",
        Kind.RESPONSE: "the handshake's answer",
        Kind.OPEN: "the opening",
        Kind.TEXT: "a text message",
        Kind.BINARY: "a binary message",
        Kind.PING: "a ping",
        Kind.PONG: "a pong",
        Kind.CLOSE: "a Close frame",
        Kind.OTHER_DATA: "a message of a reserved kind",
        Kind.OTHER_CONTROL: "a reserved control frame",
    }
    found += [names[kind] for kind in Kind if kind in kinds]
    return " or ".join(found)
