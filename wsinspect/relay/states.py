"""How a direction carries its bytes: the state machine, as a table.

    CUT        each read is forwarded as it came, then scanned for frame boundaries
    INSPECT    a rule could match: each data message waits for its verdict
    REENCODE   a rule changed a compressed message, so the deflate windows have parted
    BLIND      frames cannot be parsed: plain bytes pass

A direction starts in CUT, or in BLIND where the 101 leads to another protocol. BLIND is for good.
"""

from __future__ import annotations

import enum


class Carriage(enum.Enum):
    CUT = "cut"
    INSPECT = "inspect"
    REENCODE = "reencode"
    BLIND = "blind"


class Turn(enum.Enum):
    """What can change a direction's carriage: at a message boundary, UNPARSEABLE at once."""

    RULE_COULD_MATCH = "a rule that could match was loaded"
    NO_RULE_LEFT = "no rule can match any more"
    WINDOWS_PARTED = "a compressed message was changed under context takeover"
    WINDOWS_MET = "a window's length of unchanged text has gone out since"
    UNPARSEABLE = "no frame boundary can be believed"


TABLE: dict[tuple[Carriage, Turn], Carriage] = {
    (Carriage.CUT, Turn.RULE_COULD_MATCH): Carriage.INSPECT,
    (Carriage.INSPECT, Turn.NO_RULE_LEFT): Carriage.CUT,
    (Carriage.INSPECT, Turn.WINDOWS_PARTED): Carriage.REENCODE,
    (Carriage.REENCODE, Turn.WINDOWS_MET): Carriage.INSPECT,
    (Carriage.CUT, Turn.UNPARSEABLE): Carriage.BLIND,
    (Carriage.INSPECT, Turn.UNPARSEABLE): Carriage.BLIND,
    (Carriage.REENCODE, Turn.UNPARSEABLE): Carriage.BLIND,
}


def turned(carriage: Carriage, turn: Turn) -> Carriage:
    """The carriage after `turn`; what is not in the table changes nothing."""
    return TABLE.get((carriage, turn), carriage)
