"""Connections and totals, counted from the rows of a frame index.

Feeding every frame to a timeline would inflate them all; here a frame costs a few array reads. Only what
decides a connection's state (facts, Close frames, its first frame) and the first violations are fed on.
"""

from __future__ import annotations

import time
from collections import deque

from wsinspect.capture.columns import BITS_SHIFT, FIRST_FACT, FLAGS_SHIFT, GAP, HEAD_SHIFT, KINDS, RAW, SERVER
from wsinspect.capture.index import FrameIndex, RowFlag
from wsinspect.capture.summary import ConnectionSummary, Summary
from wsinspect.capture.timeline import FactEvent, FrameEvent, GapEvent, RawEvent
from wsinspect.errors import DamagedInput
from wsinspect.model import Ended, Side
from wsinspect.tui.source import ConnectionRow
from wsinspect.tui.words import end_words

SPARK_SECONDS = 24
VIOLATIONS_READ = 200
"""Frames of a connection that are read back for the names of their violations; later ones are counted."""
ROWS_AT_ONCE = 20_000


class _Counts:
    """What one connection has seen."""

    def __init__(self) -> None:
        self.frames = [0, 0]
        self.nbytes = [0, 0]
        self.kinds: dict[str, int] = {}
        self.violations = 0
        self.before = (0, 0)
        """`frames` a second ago."""
        self.rate = (0, 0)
        self.spark: deque[int] = deque(maxlen=SPARK_SECONDS)
        self.ends: list[tuple[int, Ended]] = []


class Tally:
    """Follows an index: `take` what came, then look at `rows`, `frames`, `nbytes`."""

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._done = 0
        self._counts: dict[int, _Counts] = {}
        self._rows: dict[int, ConnectionRow] = {}
        self._stale: set[int] = set()
        self._second = time.monotonic()
        self._frames_before = 0
        self.summary = Summary()
        self.frames = 0
        self.nbytes = [0, 0]
        self.violations = 0
        self.frames_per_s = 0
        self.last_ns = 0

    def take(self, seconds: float) -> bool:
        """Count rows for a while. True if there were any."""
        until, count, start = time.perf_counter() + seconds, len(self._index), self._done
        while self._done < count and time.perf_counter() < until:
            stop = min(count, self._done + ROWS_AT_ONCE)
            self._count(self._done, stop)
            self._done = stop
        return self._done > start

    @property
    def behind(self) -> int:
        """Rows of the index that are not counted yet."""
        return len(self._index) - self._done

    def _count(self, start: int, stop: int) -> None:
        columns = self._index.columns
        special = (RowFlag.INJECTED | RowFlag.VIOLATION) << FLAGS_SHIFT
        server = SERVER << BITS_SHIFT
        tallies: dict[tuple[int, int], int] = {}
        heads: dict[tuple[int, int], int] = {}
        conns, shapes = columns.conn[start:stop], columns.shape[start:stop]
        lengths = columns.length[start:stop]
        counts = self._counts
        for place, (conn, shape, length) in enumerate(zip(conns, shapes, lengths, strict=True)):
            kind = shape & 0xFF
            unusual = kind == 8 or kind >= FIRST_FACT or shape & special or conn not in counts
            if unusual and not self._special(start + place, conn, kind, shape, length):
                continue
            key = (conn, shape & 0xFF | (256 if shape & server else 0))
            tallies[key] = tallies.get(key, 0) + 1
            # A length with its top bit set announces bytes that never come.
            heads[key] = heads.get(key, 0) + (shape >> HEAD_SHIFT) + (0 if length >> 63 else length)
        for (conn, code), number in tallies.items():
            side, word = code >> 8, KINDS[code & 0xFF]
            of = counts[conn]
            of.frames[side] += number
            of.nbytes[side] += heads[conn, code]
            of.kinds[word] = of.kinds.get(word, 0) + number
            self.frames += number
            self.nbytes[side] += heads[conn, code]
        self._stale.update(conns)
        self.last_ns = max(self.last_ns, columns.t_ns[stop - 1])

    def _special(self, row: int, conn: int, kind: int, shape: int, length: int) -> bool:
        """Rows that say more than that a frame went by. True if it is a frame to count."""
        index, t_ns = self._index, self._index.columns.t_ns[row]
        of = self._counts.get(conn)
        first = of is None
        if of is None:
            of = self._counts[conn] = _Counts()
        side = Side.SERVER if shape & SERVER << BITS_SHIFT else Side.CLIENT
        flags = shape >> FLAGS_SHIFT & 0xFF
        if FIRST_FACT <= kind < GAP:
            fact = index.fact(row)
            if fact is not None:
                self.summary.feed(FactEvent(conn, t_ns, fact))
                if isinstance(fact, Ended) and len(of.ends) < 100:
                    of.ends.append((t_ns, fact))
            return False
        if kind == GAP:
            self.summary.feed(GapEvent(conn, side, t_ns, length, ""))
            return False
        if kind == RAW:
            of.nbytes[side] += length
            self.nbytes[side] += length
            self.summary.feed(RawEvent(conn, side, t_ns, b""))
            return False
        injected = bool(flags & RowFlag.INJECTED)
        violation = bool(flags & RowFlag.VIOLATION)
        of.violations += violation
        self.violations += violation
        if first or kind == 8 or (violation and of.violations <= VIOLATIONS_READ):
            try:
                frame = index.frame(row)
            except DamagedInput:
                return not injected
            if kind == 8 and not violation and frame.violations:
                of.violations += 1
                self.violations += 1
            why = ("injected",) if injected else ()
            self.summary.feed(FrameEvent(conn, side, t_ns, frame, flags=why, ours=injected))
        return not injected

    # ----------------------------------------------------------------------------------------- results

    def second(self, now: float) -> None:
        """Once a second: rates of the second that has passed."""
        if now - self._second < 1.0:
            return
        passed, self._second = now - self._second, now
        self.frames_per_s = round((self.frames - self._frames_before) / passed)
        self._frames_before = self.frames
        for conn, of in self._counts.items():
            client, server = of.frames[0] - of.before[0], of.frames[1] - of.before[1]
            rate = (round(client / passed), round(server / passed))
            quiet = rate == of.rate == (0, 0) and not any(of.spark)
            if quiet and not (conn in self.summary.connections and self.summary.connections[conn].is_live):
                continue
            of.before, of.rate = (of.frames[0], of.frames[1]), rate
            of.spark.append(client + server)
            self._stale.add(conn)

    def rows(self) -> tuple[ConnectionRow, ...]:
        """The connections, in order of appearance."""
        for conn in self._stale:
            summary = self.summary.connections.get(conn)
            if summary is not None:
                self._rows[conn] = self._row(summary, self._counts[conn])
        self._stale.clear()
        return tuple(self._rows.values())

    def _row(self, summary: ConnectionSummary, of: _Counts) -> ConnectionRow:
        notices = sum(notice.level != "info" for notice in summary.notices)
        findings = sum(finding.problem.severity != "info" for finding in summary.findings)
        return ConnectionRow(
            conn=summary.conn,
            state=summary.state,
            url=summary.url,
            mode=summary.requested.mode.partition(":")[0] if summary.requested else "",
            frames=(of.frames[0], of.frames[1]),
            wire_bytes=(of.nbytes[0], of.nbytes[1]),
            rate=of.rate,
            spark=tuple(of.spark),
            started_ns=summary.first_ns,
            ended_ns=summary.closed_ns,
            end=end_words(summary),
            problems=of.violations + notices + findings,
            hits=self._index.judged.hits_of(summary.conn),
        )

    def row_of(self, conn: int) -> ConnectionRow | None:
        """One connection as it is now."""
        summary = self.summary.connections.get(conn)
        return self._row(summary, self._counts[conn]) if summary is not None else None

    def ends_of(self, conn: int) -> list[tuple[int, Ended]]:
        """How its sides ended, with the times."""
        return list(self._counts[conn].ends) if conn in self._counts else []

    def rules_of(self, conn: int) -> dict[str, str]:
        """What each rule did about it, in words."""
        tally = self._index.judged.of_conn.get(conn)
        return {rule: counts.words() for rule, counts in tally.rules.items()} if tally is not None else {}

    def kinds_of(self, conn: int) -> dict[str, int]:
        """Its frames by kind, the most frequent first."""
        kinds = self._counts[conn].kinds if conn in self._counts else {}
        return dict(sorted(kinds.items(), key=lambda item: -item[1]))
