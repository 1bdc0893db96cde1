"""What rules did, by row of a FrameIndex: arrays of what is rare, no object for a row that no rule matched.

A verdict is kept as the position of its fact (12 bytes); the row with its message's last byte has it. Counts,
and the messages that are held now, are kept as they come, so that nobody has to read the facts again.
"""

from __future__ import annotations

import bisect
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsinspect.capture.columns import FIRST_FACT, FLAGS_SHIFT, RAW, RowFlag
from wsinspect.capture.verdicts import RuleTally, Verdicts, Waiting
from wsinspect.errors import DamagedInput
from wsinspect.model import FactRecord, Judged, Outcome, Released, Ruled, Sent, Side

if TYPE_CHECKING:
    from wsinspect.capture.index import FrameIndex
    from wsinspect.capture.reassembly import Reassembly

SENT_LOOKED_AT = 1 << 14
"""Sent rows that are looked through for those that stand for a message: delays lie between."""
MAX_HELD = 4096
"""Messages held at a time that are remembered: each blocks a direction, so there are few."""

type Key = tuple[int, Side]


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that waits for somebody's word."""

    row: int
    """Of its last frame."""
    conn: int
    side: Side
    hold: int
    """Its number in the connection."""
    t_ns: int
    limit_ms: int
    rule: str


class JudgedRows:
    """Told of verdicts, of their rows, and of what was sent instead."""

    def __init__(self, index: FrameIndex, reassembly: Reassembly) -> None:
        self._index = index
        self._columns = index.columns
        self._reassembly = reassembly
        self.rules = RuleTally()
        """Counts of the whole capture."""
        self.of_conn: dict[int, RuleTally] = {}
        self.held: dict[tuple[int, int], HeldMessage] = {}
        """By connection and number of the hold, in the order in which they came."""
        self.ruled: Ruled | None = None
        """Which rules hold now; None where none were ever loaded."""
        self.rules_error = ""
        """Why they are not those of the files as they stand."""
        self.waiting: dict[Key, Verdicts] = {}
        """Verdicts whose rows are still to come, by direction: mostly none."""
        self._rows = array("I")
        self._positions = array("Q")
        self._sent_rows = array("I")
        self._sent_last = array("Q")

    # ------------------------------------------------------------------------------------------- coming in

    def wait(self, waiting: Waiting) -> list[Waiting]:
        """A verdict on a message that is still to come. Returns those that have waited in vain."""
        self.count(waiting.record.conn, waiting.fact)
        verdicts = self.waiting.setdefault((waiting.record.conn, waiting.fact.side), Verdicts())
        verdicts.add(waiting.fact, waiting.record, waiting.position)
        return verdicts.missed()

    def count(self, conn: int, fact: Judged) -> None:
        """Count a verdict."""
        self.rules.judged(fact)
        self._tally(conn).judged(fact)

    def take_rows(self, key: Key, before: int) -> list[Waiting]:
        """A read of that direction brought the rows from `before` on. Returns the verdicts without a row."""
        verdicts = self.waiting.get(key)
        if verdicts is None:
            return []
        columns, raw = self._columns, False
        for row in range(before, len(columns)):
            kind = columns.kind(row)
            raw = raw or kind == RAW
            if kind >= FIRST_FACT:
                continue
            number = columns.number[row]
            found = verdicts.of(number, control=kind >= 8)
            if found is not None and found.fact.last_frame == number:
                columns.shape[row] |= RowFlag.JUDGED << FLAGS_SHIFT
                self._found(row, found)
        missed = verdicts.flush() if raw else verdicts.missed()
        if not verdicts:
            del self.waiting[key]
        return missed

    def _found(self, row: int, waiting: Waiting) -> None:
        self._rows.append(row)
        self._positions.append(waiting.position)
        fact = waiting.fact
        if fact.outcome is Outcome.HELD and not fact.shadow:
            conn = waiting.record.conn
            rule = fact.hits[-1].rule if fact.hits else ""
            message = HeldMessage(row, conn, fact.side, fact.hold, waiting.record.t_ns, fact.limit_ms, rule)
            self.held[conn, fact.hold] = message
            if len(self.held) > MAX_HELD:
                del self.held[next(iter(self.held))]

    def kept_out(self, key: Key) -> list[Waiting]:
        """A gap came: the verdicts whose messages are in it."""
        verdicts = self.waiting.get(key)
        return [] if verdicts is None else verdicts.kept_out()

    def give_up(self, key: Key) -> list[Waiting]:
        """No message will come for the verdicts that wait."""
        verdicts = self.waiting.pop(key, None)
        return [] if verdicts is None else verdicts.flush()

    def released(self, conn: int, fact: Released) -> None:
        self.held.pop((conn, fact.hold), None)

    def over(self, conn: int) -> None:
        """The connection is gone, and what was held with it."""
        for key in [key for key in self.held if key[0] == conn]:
            del self.held[key]

    def loaded(self, fact: Ruled) -> None:
        """Rules were loaded, or could not be."""
        self.rules_error = fact.error
        if not fact.error:
            self.ruled = fact

    def unloaded(self) -> None:
        """Another process writes now: it says for itself which rules hold."""
        self.ruled, self.rules_error = None, ""

    def add_sent(self, row: int, sent: Sent) -> None:
        """A row of bytes that wsinspect sent itself."""
        if sent.rule is not None:
            self.rules.sent(sent.rule, sent.why)
            self._tally(sent.conn).sent(sent.rule, sent.why)
        if sent.last_frame:
            self._sent_rows.append(row)
            self._sent_last.append(sent.last_frame)

    def _tally(self, conn: int) -> RuleTally:
        tally = self.of_conn.get(conn)
        if tally is None:
            tally = self.of_conn[conn] = RuleTally()
        return tally

    # ------------------------------------------------------------------------------------------- looking up

    def verdict(self, i: int) -> Judged | None:
        """What rules decided about the message, or control frame, of row `i`; None where none matched."""
        if not self._rows or not self._is_own(i):
            return None
        row = self._last_row(i)
        position = None if row is None else self._position(row)
        try:
            record = None if position is None else self._index.reader.at(position)
        except DamagedInput:
            return None
        fact = record.fact if isinstance(record, FactRecord) else None
        return fact if isinstance(fact, Judged) else None

    def sent(self, i: int) -> Sent | None:
        """The record of a row that wsinspect sent itself; None for others."""
        if not self._columns.flags(i) & RowFlag.INJECTED:
            return None
        record = self._index.record(i)
        return record if isinstance(record, Sent) else None

    def sent_for(self, i: int) -> list[int]:
        """The rows of what went out for the message of row `i`: in its place, or as copies of it."""
        if not self._sent_rows or not self._is_own(i) or (row := self._last_row(i)) is None:
            return []
        columns, last = self._columns, self._columns.number[row]
        start = bisect.bisect_right(self._sent_rows, row)
        lasts = self._sent_last[start : start + SENT_LOOKED_AT]
        found = [self._sent_rows[start + place] for place, each in enumerate(lasts) if each == last]
        conn, side = columns.conn[i], columns.side(i)
        return [each for each in found if columns.conn[each] == conn and columns.side(each) is side]

    def original(self, i: int) -> int | None:
        """The row of the message (its last frame) that the sent row `i` stands for; None where it is none."""
        sent = self.sent(i)
        if sent is None or not sent.last_frame:
            return None
        return self._reassembly.row_of_frame(i, (sent.conn, sent.side), sent.last_frame)

    def hits_of(self, conn: int) -> int:
        """How often rules matched something of a connection."""
        tally = self.of_conn.get(conn)
        return 0 if tally is None else tally.hits

    def _is_own(self, i: int) -> bool:
        return self._columns.kind(i) < FIRST_FACT and self._columns.is_own_frame(i)

    def _last_row(self, i: int) -> int | None:
        """That of the message's last frame, which has the verdict."""
        columns = self._columns
        if columns.kind(i) >= 8 or columns.flags(i) & RowFlag.JUDGED:
            return i
        return self._reassembly.last_row(i)

    def _position(self, row: int) -> int | None:
        at = bisect.bisect_left(self._rows, row)
        return self._positions[at] if at < len(self._rows) and self._rows[at] == row else None
