"""What a capture misses while its disk takes nothing and the records go elsewhere.

Its own reads are lost to it, and become one gap for each direction; the facts are kept (they are few, and say
what became of each connection), and written when it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsinspect.capture import facts
from wsinspect.capture.format import HEADER, READ_FIELDS, SPLIT, RecordType, decode, encode
from wsinspect.model import FactRecord, Gap, Notice, Opened, Requested, Side

KEPT = 16 << 20
"""Bytes of facts that are kept."""


class Outage:
    """Feed it each record that goes elsewhere, in order; `bridge` is what the capture goes on with."""

    def __init__(self, reason: str, since_ns: int) -> None:
        self.reason = reason
        self.since_ns = since_ns
        self.nbytes = 0
        """Bytes of facts kept so far."""
        self.missed_bytes = 0
        """Of traffic."""
        self._gaps: dict[tuple[int, int], Gap] = {}
        self._kept: list[bytes] = []
        self._lost = 0

    def note_all(self, records: bytes) -> None:
        """Whole records, one after the other."""
        at = 0
        while at + HEADER.size <= len(records):
            size = HEADER.size + int.from_bytes(records[at + 4 : at + 8], "little")
            self.note(records[at : at + size])
            at += size

    def note(self, record: bytes) -> None:
        """One record; of a Read its head is enough."""
        _, length, kind, side, _, _, conn, t_ns = HEADER.unpack_from(record)
        if kind == RecordType.READ:
            offset, _, _ = READ_FIELDS.unpack_from(record, HEADER.size)
            self._miss(conn, side, t_ns, offset, offset + length - (SPLIT - HEADER.size))
        elif kind == RecordType.GAP:
            gap = decode(record)
            if isinstance(gap, Gap):
                self._miss(conn, side, t_ns, gap.offset, gap.offset + gap.nbytes)
        elif kind in (RecordType.FACT, RecordType.SENT):
            if self.nbytes + len(record) > KEPT:
                self._lost += 1
            else:
                self.nbytes += len(record)
                self._kept.append(record)

    def _miss(self, conn: int, side: int, t_ns: int, offset: int, end: int) -> None:
        gap = self._gaps.get((conn, side))
        if gap is None:
            gap = self._gaps[conn, side] = Gap(conn, Side(side), t_ns, offset, 0, self.reason)
        self.missed_bytes += end - gap.offset - gap.nbytes
        gap.nbytes = end - gap.offset

    def bridge(self, now_ns: int) -> list[bytes]:
        """The records with which the capture goes on: each gap before the facts that came after it."""
        return list(self._bridge(now_ns))

    def _bridge(self, now_ns: int) -> Iterator[bytes]:
        gaps = dict(self._gaps)
        for record in self._kept:
            if record[8] == RecordType.FACT and not _opens(record):
                conn = int.from_bytes(record[12:16], "little")
                for side in Side:
                    if (gap := gaps.pop((conn, side), None)) is not None:
                        yield encode(gap)[0]
            yield record
        for gap in gaps.values():
            yield encode(gap)[0]
        yield encode(FactRecord(0, now_ns, self._notice(now_ns)))[0]

    def _notice(self, now_ns: int) -> Notice:
        seconds = (now_ns - self.since_ns) / 1e9
        text = f"{self.missed_bytes:,} bytes of {seconds:.1f} s are not in this capture: {self.reason}"
        if self._lost:
            text += f"; nor are {self._lost} facts or injected frames"
        return Notice(code="outage", text=text, level="warning")


def _opens(record: bytes) -> bool:
    return isinstance(facts.loads(record[HEADER.size :]), Requested | Opened)
