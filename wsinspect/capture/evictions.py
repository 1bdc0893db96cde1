"""What a reader says of segments that were deleted before it came to them."""

from __future__ import annotations

from collections.abc import Collection

from wsinspect.capture.format import Counts, Segment
from wsinspect.model import FactRecord, Notice

CODE = "evicted"
"""Of the notices: of connection 0 with the counts, of others where their end is not known."""


class Evictions:
    """Told of each segment's begin and end; returns the notices that belong there."""

    def __init__(self) -> None:
        self.nbytes = 0
        """Evicted so far, before they were read."""
        self._read_to = 0
        self._counts: Counts | None = Counts(0)
        self._waiting = 0
        self._living: set[int] = set()

    def leave(self, position: int) -> None:
        """All before `position` was read, of this segment or place."""
        self._read_to = position

    def ending(self, counts: Counts) -> None:
        self._counts = counts

    def segment(self, segment: Segment, base: int | None, known: Collection[int]) -> list[FactRecord]:
        """A segment begins at the position `base` (None: it is read as a file of its own). `known`:
        connections that were open when the reading stopped."""
        read_to = 0 if base is None else self._read_to
        missed = (segment.base if base is None else base) - read_to
        counts, self._counts = self._counts, None
        if missed <= 0:
            return []
        self.nbytes += missed
        text = f"{missed:,} bytes{_more(segment.before, counts)} before this "
        text += "are not in this file" if base is None else "were evicted"
        told = [FactRecord(0, segment.mono_ns, Notice(code=CODE, text=text, level="warning"))]
        self._waiting, self._living = segment.checkpoints, set()
        if segment.continues and not self._waiting:
            told += self._ended(known, segment.mono_ns)
        return told

    def checkpoint(self, facts: list[FactRecord], known: Collection[int], t_ns: int) -> list[FactRecord]:
        """After a segment with something evicted before it: those it does not name have ended there."""
        if not self._waiting:
            return []
        self._waiting -= 1
        self._living.update(fact.conn for fact in facts)
        return self._ended(known, t_ns) if not self._waiting else []

    def _ended(self, known: Collection[int], t_ns: int) -> list[FactRecord]:
        notice = Notice(code=CODE, text="how it ended was evicted", level="warning")
        return [FactRecord(conn, t_ns, notice) for conn in known if conn not in self._living]


def _more(now: Counts, then: Counts | None) -> str:
    """The frames and connections between two counts; nothing where they were not counted."""
    if then is None or then.frames is None or now.frames is None or now.frames < then.frames:
        return ""
    over = max(0, now.connections - then.connections)
    return f", {now.frames - then.frames:,} frames, {over:,} whole connections,"
