"""The index's memory: numbers in arrays, no Python object per row (46 bytes a row, 24 a read)."""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass

from wsinspect.capture.facts import FACT_TYPES
from wsinspect.model import Side, opcode_word

FACT_KINDS = (*FACT_TYPES, "unknown")

KINDS = (*(opcode_word(opcode) for opcode in range(16)), *FACT_KINDS, "gap", "raw")
"""A row's kind by its code: below 16 the code is the frame's opcode."""
GAP = KINDS.index("gap")
RAW = KINDS.index("raw")
FIRST_FACT = 16

# A row's shape is one number: kind, then bits, then flags, then the header's size, a byte each.
FIN, RSV_SHIFT, MASKED, SERVER = 0x01, 1, 0x10, 0x20
BITS_SHIFT, FLAGS_SHIFT, HEAD_SHIFT = 8, 16, 24


class RowFlag(enum.IntFlag):
    """What is special about a row."""

    NONE = 0
    INJECTED = 1
    """wsinspect sent this frame itself."""
    VIOLATION = 2
    """Its header breaks a rule. What only shows in the payload or the message is not known here."""
    TRUNCATED = 4
    """Some of its bytes are not in the capture."""
    NO_SIDE = 8
    """A fact that is not of one side."""
    JUDGED = 16
    """The last frame of what rules decided about."""


@dataclass(slots=True)
class Row:
    """One row, made when it is asked for."""

    index: int
    conn: int
    side: Side | None
    t_ns: int
    kind: str
    """`text`, `ping`, `continuation`, `reserved-11` … for frames; a fact's kind; `gap`; `raw`."""
    number: int
    """The frame's number in its direction; 0 for what is not a frame of the side's own."""
    fin: bool
    rsv: int
    masked: bool
    length: int
    """Payload bytes of a frame; bytes missing in a gap; bytes of a raw read."""
    wire_bytes: int
    flags: RowFlag
    opcode: int | None
    """None for what is not a frame."""


# Plain ints: the operators of an IntFlag take a microsecond.
_NOT_OWN = 0xF0 | int(RowFlag.INJECTED) << FLAGS_SHIFT


class Columns:
    """The rows. `where` is a frame's (or raw read's, or gap's) offset in its direction; for a fact and an
    injected frame it is the record's position in the file."""

    def __init__(self) -> None:
        self.conn = array("I")
        self.shape = array("I")
        self.t_ns = array("Q")
        self.number = array("Q")
        self.length = array("Q")
        self.where = array("Q")
        self.read = array("I")
        """1 + the index of the read in which the frame begins; 0 for none."""

    def __len__(self) -> int:
        return len(self.t_ns)

    def add(
        self, conn: int, shape: int, t_ns: int, number: int, length: int, where: int, read: int = 0
    ) -> None:
        self.conn.append(conn)
        self.shape.append(shape)
        self.number.append(number)
        self.length.append(length)
        self.where.append(where)
        self.read.append(read)
        self.t_ns.append(t_ns)

    def kind(self, row: int) -> int:
        return self.shape[row] & 0xFF

    def flags(self, row: int) -> int:
        return self.shape[row] >> FLAGS_SHIFT & 0xFF

    def head(self, row: int) -> int:
        """Header bytes of a frame."""
        return self.shape[row] >> HEAD_SHIFT

    def side(self, row: int) -> Side:
        return Side.SERVER if self.shape[row] >> BITS_SHIFT & SERVER else Side.CLIENT

    def is_own_frame(self, row: int) -> bool:
        """Whether it is a frame of the side itself, not an injected one."""
        return not self.shape[row] & _NOT_OWN

    def row(self, index: int) -> Row:
        shape = self.shape[index]
        kind, bits, flags = shape & 0xFF, shape >> BITS_SHIFT & 0xFF, RowFlag(shape >> FLAGS_SHIFT & 0xFF)
        length = self.length[index]
        is_frame = kind < 16
        return Row(
            index,
            self.conn[index],
            None if flags & RowFlag.NO_SIDE else self.side(index),
            self.t_ns[index],
            KINDS[kind],
            self.number[index] if is_frame and not flags & RowFlag.INJECTED else 0,
            bool(bits & FIN),
            bits >> RSV_SHIFT & 7,
            bool(bits & MASKED),
            length,
            (shape >> HEAD_SHIFT) + length if is_frame else length,
            flags & ~RowFlag.NO_SIDE,
            kind if is_frame else None,
        )


class Reads:
    """Where each read's data lies in the file, and which read of its direction continues it."""

    def __init__(self) -> None:
        self.offset = array("Q")
        self.position = array("Q")
        self.size = array("I")
        self.next = array("I")
        """1 + the index of the read that continues this one; 0 for none (yet)."""
        self.ordinal = array("I")
        """Which read of its direction this is, from 1."""

    def add(self, offset: int, position: int, size: int, ordinal: int) -> int:
        """Returns 1 + the new read's index."""
        self.ordinal.append(ordinal)
        self.offset.append(offset)
        self.position.append(position)
        self.size.append(size)
        self.next.append(0)
        return len(self.offset)


def make_shape(kind: int, *, bits: int = 0, flags: int = 0, head: int = 0) -> int:
    return kind | bits << BITS_SHIFT | flags << FLAGS_SHIFT | head << HEAD_SHIFT
