"""What a capture holds, beside facts: reads, the bytes that wsinspect sent itself, gaps, clocks."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wsinspect.model.facts import Fact
from wsinspect.model.frames import Side


@dataclass(slots=True)
class Read:
    """One receive from TCP, and where the direction's boundary scan stood before it.

    The scan's state makes each read self-synchronising: a reader that lost the one before it still knows
    the number of the frame that this one continues, and where the next frame begins.
    """

    conn: int
    side: Side
    t_ns: int
    data: bytes
    offset: int
    """Position of data[0] in the direction's bytes since the 101."""
    frame: int = 1
    """Number of the frame that data[0] belongs to or begins."""
    left: int = 0
    """Payload bytes of that frame still to come; 0 at a boundary or inside a header."""
    carry: int = 0
    """Header bytes of that frame that came in earlier reads (0 to 13)."""
    state: int = 0
    """`ScanState` bits."""


type ReadFields = tuple[int, Side, int, bytes, int, int, int, int, int]
"""The fields of a `Read`, in order: an object for each read would be a tenth of its cost [measured]."""


class ScanState(enum.IntFlag):
    """What the boundary scan knows beside its position."""

    NONE = 0
    TEXT = 1
    """A fragmented text message is open once the current frame ends."""
    BINARY = 2
    """Likewise binary (or a reserved data opcode)."""
    COMPRESSED = 16
    """The open message's first frame had RSV1."""
    CLOSED = 32
    """A Close frame went by."""
    BLIND = 128
    """Frames cannot be parsed (any more): these are plain bytes."""


@dataclass(slots=True)
class Sent:
    """Bytes that wsinspect put on the wire itself, as if `side` had sent them."""

    conn: int
    side: Side
    t_ns: int
    data: bytes
    """Whole frames, but for `cut`. Of what went out compressed the frames as they would be without (RSV1 0,
    inflated): no reader could follow a window that also holds messages which only passed through it."""
    offset: int
    """They went out before the byte at this position of the side's own stream."""
    why: str = "injected"
    """`injected`; `modified`: in the place of a message that came; `duplicate`: once more; `cut`: the
    first bytes of a message's frames, and nothing after them."""
    rule: str | None = None
    first_frame: int = 0
    """Of the side's own message that it stands for, or doubles; 0: of none."""
    last_frame: int = 0
    wire_bytes: int = 0
    """What went out, where that was compressed; 0: `data` itself."""


@dataclass(slots=True)
class Gap:
    """Bytes that went by and are not in the capture. Reads after it are self-synchronising."""

    conn: int
    side: Side
    t_ns: int
    offset: int
    nbytes: int
    reason: str


@dataclass(slots=True)
class Clock:
    """A pair of clocks: `t_ns` (monotonic) was `wall_ns` (since the epoch). Holds until the next pair."""

    t_ns: int
    wall_ns: int


@dataclass(slots=True)
class FactRecord:
    """A fact with its connection (0: the capture as a whole) and time."""

    conn: int
    t_ns: int
    fact: Fact


type Record = Read | Sent | Gap | Clock | FactRecord
