"""The connections: state, address, counts, rates, and how each ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from textual.strip import Strip

from wsinspect.formats.verdict_words import RULE
from wsinspect.model import ConnectionState as State
from wsinspect.tui.cells import Span, age, fit, number, size, sparkline, strip_of, width_of
from wsinspect.tui.source import ConnectionRow, Snapshot

from .virtual import VirtualList

STATES: dict[State, tuple[str, str]] = {
    State.CONNECTING: ("◌", "accent"),
    State.OPEN: ("●", "ok"),
    State.CLOSING: ("◐", "accent"),
    State.CLOSED: ("○", "muted"),
    State.DROPPED: ("✗", "error"),
    State.FAILED: ("⊘", "error"),
}
"""Glyph and role by state; the state's own word stands beside them."""

SPARK_CELLS = 12


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths of the columns that fit; 0 leaves one out."""

    state: int
    conn: int
    url: int
    mode: int
    counts: int
    nbytes: int
    rate: int
    spark: int
    age: int
    end: int

    @classmethod
    def for_width(cls, width: int) -> Columns:
        """What a pane of this width shows: the address and the end share what is left."""
        wide, roomy = width >= 100, width >= 128
        spark, nbytes, mode = (SPARK_CELLS if wide else 0), (9 if wide else 0), (14 if width >= 170 else 0)
        rate, state = (13 if wide else 7), (13 if width >= 60 else 2)
        counts = 20 if wide else 18
        fixed = state + 5 + mode + counts + nbytes + rate + spark + 2 * wide + 8 + 3
        rest = max(8, width - fixed)
        end = min(40, max(12, rest * 2 // 5)) if rest >= 24 else 0
        if roomy:
            end = max(end, 26)
        return cls(state, 5, rest - end, mode, counts, nbytes, rate, spark, 8, end)


class ConnectionsList(VirtualList):
    """The connections of a snapshot, in order of appearance, updated by difference."""

    HEADER: ClassVar[bool] = True

    rows: tuple[ConnectionRow, ...] = ()
    """As last shown."""
    now_ns = 0
    narrowed: int | None = None
    """The connection that the log is narrowed to."""

    def show(self, snapshot: Snapshot) -> None:
        """Take over a snapshot and paint again the lines that differ."""
        old, self.rows = self.rows, snapshot.connections
        seconds_passed = snapshot.now_ns // 1_000_000_000 != self.now_ns // 1_000_000_000
        self.now_ns = snapshot.now_ns
        self.set_count(len(self.rows))
        if self.cursor is None and self.rows:
            self.select(0)
        stale = [
            index
            for index in self.shown()
            if index >= len(old)
            or self.rows[index] != old[index]
            or (seconds_passed and self.rows[index].live)
        ]
        self.redraw(*stale)

    def mark(self, conn: int | None) -> None:
        """Show which connection the log is narrowed to."""
        self.narrowed = conn
        self.invalidate()

    @property
    def selected(self) -> ConnectionRow | None:
        """The connection under the cursor."""
        return self.rows[self.cursor] if self.cursor is not None and self.cursor < len(self.rows) else None

    def index_of(self, conn: int) -> int | None:
        """Where a connection stands."""
        return next((i for i, row in enumerate(self.rows) if row.conn == conn), None)

    # ----------------------------------------------------------------------------------------- drawing

    def draw_header(self, width: int) -> Strip:
        columns = Columns.for_width(width)
        names = [
            (" state", columns.state, False),
            ("conn", columns.conn, True),
            ("  address", columns.url + 2, False),
            (" mode", columns.mode, False),
            ("→ frames", columns.counts // 2, True),
            ("← frames", columns.counts // 2, True),
            ("bytes", columns.nbytes, True),
            ("per second" if columns.rate > 9 else "rate", columns.rate, True),
            ("last seconds", columns.spark + 2 * bool(columns.spark), True),
            ("age", columns.age, True),
            ("  end", columns.end, False),
        ]
        text = "".join(fit(name, cells, right=right) for name, cells, right in names)
        return strip_of([(fit(text, width), self.palette["head"])], width)

    def draw_row(self, index: int, width: int) -> Strip:
        row, palette, columns = self.rows[index], self.palette, Columns.for_width(width)
        glyph, role = STATES[row.state]
        marked = "▸" if row.conn == self.narrowed else " "
        alive = "text" if row.live else "muted"
        ended = row.ended_ns if row.ended_ns is not None else self.now_ns
        spans: list[Span] = [
            (marked, palette["accent-strong"]),
            (
                fit(f"{glyph} {row.state.value}", columns.state - 1) if columns.state > 2 else glyph,
                palette[role],
            ),
            (fit(f"#{row.conn}", columns.conn, right=True), palette.connection(row.conn)),
            ("  ", palette["text"]),
            *self._address(row, columns.url, alive),
            (fit(f" {row.mode}", columns.mode), palette["muted"]),
            (fit(f"→{number(row.frames[0])}", columns.counts // 2, right=True), palette["client"]),
            (fit(f"←{number(row.frames[1])}", columns.counts // 2, right=True), palette["server"]),
            (fit(size(sum(row.wire_bytes)), columns.nbytes, right=True), palette["muted"]),
            (fit(self._rate(row, columns.rate), columns.rate, right=True), palette[alive]),
            ("  " + sparkline(row.spark, columns.spark) if columns.spark else "", palette["spark"]),
            (fit(age(ended - row.started_ns), columns.age, right=True), palette["muted"]),
            *self._end(row, columns.end),
        ]
        return strip_of(spans, width)

    def _address(self, row: ConnectionRow, width: int, role: str) -> list[Span]:
        host, path = _split(row.url)
        room = width - width_of(path)
        if room < min(16, width_of(host)):
            return [(fit(path, width), self.palette[role])]
        host = fit(host, min(room, width_of(host)))
        return [(host, self.palette["muted"]), (fit(path, width - width_of(host)), self.palette[role])]

    def _rate(self, row: ConnectionRow, width: int) -> str:
        if not row.live:
            return ""
        if width > 9:
            return f"{number(row.rate[0])} → {number(row.rate[1])} ←"
        return f"{number(sum(row.rate))}/s" if sum(row.rate) else "idle"

    def _end(self, row: ConnectionRow, width: int) -> list[Span]:
        if not width:
            return []
        hits = f"{RULE} {number(row.hits)} " if row.hits else ""
        warning = f"⚠ {row.problems} " if row.problems else ""
        role = "error" if row.state in (State.DROPPED, State.FAILED) else "muted"
        return [
            ("  ", self.palette["text"]),
            (hits, self.palette["accent"]),
            (fit(warning, min(width_of(warning), width - 2 - width_of(hits))), self.palette["error"]),
            (fit(row.end, max(0, width - 2 - width_of(hits + warning))), self.palette[role]),
        ]


def _split(url: str) -> tuple[str, str]:
    """Host with port, and path with query; the scheme only where it is not plain `ws`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    scheme = f"{parts.scheme}://" if parts.scheme not in ("ws", "") else ""
    return scheme + parts.netloc, path


def summary(rows: Sequence[ConnectionRow]) -> str:
    """`3 live · 5`: for the pane's title."""
    live = sum(row.live for row in rows)
    return f"{live} live of {len(rows)}" if live != len(rows) else f"{live} live"
