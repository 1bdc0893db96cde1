"""The frame log: one line for each frame, fact and gap, sticking to the tail until one looks back."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.message import Message
from textual.strip import Strip

from wsinspect.formats.verdict_words import flag_words
from wsinspect.model import Side
from wsinspect.tui.cells import Span, fit, plain, since, size, strip_of, wall, width_of
from wsinspect.tui.source import LogLine, Scope, Source
from wsinspect.tui.themes import Palette

from .virtual import VirtualList

KINDS: dict[str, tuple[str, str, str]] = {
    "text": ("≡", "text", "kind-text"),
    "binary": ("▦", "binary", "kind-binary"),
    "continuation": ("┄", "cont", "kind-control"),
    "ping": ("◇", "ping", "kind-control"),
    "pong": ("◆", "pong", "kind-control"),
    "close": ("■", "close", "kind-close"),
    "requested": ("◌", "request", "kind-fact"),
    "opened": ("●", "open", "kind-fact"),
    "failed": ("⊘", "failed", "error"),
    "ended": ("┤", "end", "kind-fact"),
    "closed": ("○", "gone", "kind-fact"),
    "altered": ("✎", "altered", "kind-fact"),
    "notice": ("i", "notice", "kind-fact"),
    "judged": ("§", "rule", "kind-fact"),
    "released": ("‖", "release", "kind-fact"),
    "ruled": ("§", "rules", "kind-fact"),
    "gap": ("▒", "gap", "error"),
}
"""Glyph, word and role by kind. `reserved-11` and kinds of a newer version get a question mark."""

ARROWS = {Side.CLIENT: ("→", "client"), Side.SERVER: ("←", "server")}
CACHED_LINES = 4096
RULE_SHOWN_FROM = 90
"""Cells of the log's width from which a line names its rule; the detail always does."""
RULE_SHOWN = 40


class Clock(enum.Enum):
    """What the first column shows."""

    WALL = "time"
    START = "since start"
    STEP = "since last"


class FrameLog(VirtualList):
    """The log of a scope. Follows the tail; moving up leaves it, and a pill counts what is new."""

    HEADER: ClassVar[bool] = True

    @dataclass
    class FollowChanged(Message):
        """The log now follows the tail, or has left it."""

        log: FrameLog
        follow: bool

    def __init__(self, source: Source, palette: Palette, **options: Any) -> None:
        super().__init__(palette, **options)
        self.source = source
        self.scope = Scope()
        """What is shown."""
        self.follow = True
        """Whether the tail is kept in view."""
        self.unseen = 0
        """Rows that came since the tail was left."""
        self.clock = Clock.WALL
        self._rows: Sequence[int] = source.rows(self.scope)
        self._lines: dict[int, LogLine] = {}
        self._pending: set[int] = set()
        self._start_ns: int | None = None
        self._conn_cells = 4

    # ----------------------------------------------------------------------------------------- content

    def poll(self) -> bool:
        """Take notice of new rows: the one call of each tick. True if the rows on the screen moved."""
        count, old, top = len(self._rows), self.count, self.top
        if self._pending:
            self._ask_again()
        if count == old:
            return False
        self.set_count(count)
        if self.follow:
            self.scroll_rows(self.max_top)
            self.select(count - 1)
        elif count > old:
            self.unseen += count - old
            self._refresh_pill()
        return self.top != top

    def narrow(self, scope: Scope) -> None:
        """Show another scope, keeping the selected row where it is part of it."""
        row = self.selected_row
        self.scope = scope
        self._rows = self.source.rows(scope)
        self.count = self.top = self.unseen = 0
        self.cursor = None
        self._strips.clear()
        self.set_count(len(self._rows))
        self.refresh()
        index = None if row is None else _find(self._rows, row)
        if self.follow or index is None:
            self.action_end()
        else:
            self.scroll_rows(index - self.page_lines // 2)
            self.select(index)

    @property
    def selected_row(self) -> int | None:
        """The row under the cursor, by the source's number."""
        if self.cursor is None or self.cursor >= len(self._rows):
            return None
        return self._rows[self.cursor]

    def line_at(self, index: int) -> LogLine:
        """The line of an index of this scope."""
        row = self._rows[index]
        line = self._lines.get(row)
        if line is None:
            self._fetch(index, index + 1)
            line = self._lines[row]
        return line

    def before_page(self, start: int, stop: int) -> None:
        self._fetch(max(0, start - 1), stop)

    def _fetch(self, start: int, stop: int) -> None:
        rows = [row for row in self._rows[start:stop] if row not in self._lines]
        if not rows:
            return
        if len(self._lines) > CACHED_LINES:
            self._lines.clear()
            rows = list(self._rows[start:stop])
        for line in self.source.lines(rows):
            self._lines[line.row] = line
            if line.pending:
                self._pending.add(line.row)

    def _ask_again(self) -> None:
        """Draw the visible rows whose previews have come; forget about the others."""
        waiting = {self._rows[index]: index for index in self.shown() if self._rows[index] in self._pending}
        for row in self._pending.difference(waiting):
            self._lines.pop(row, None)
        self._pending.intersection_update(waiting)
        come = [line for line in self.source.lines(sorted(waiting)) if not line.pending]
        for line in come:
            self._lines[line.row] = line
            self._pending.discard(line.row)
        self.redraw(*(waiting[line.row] for line in come))

    # ------------------------------------------------------------------------------------------ follow

    def set_follow(self, follow: bool) -> None:
        """Stick to the tail, or stay here."""
        if follow:
            self.unseen = 0
        if follow != self.follow:
            self.follow = follow
            self.post_message(self.FollowChanged(self, follow))
        if follow:
            self.scroll_rows(self.max_top)
            self.select(self.count - 1)
        self._refresh_pill()

    def action_move(self, step: int) -> None:
        super().action_move(step)
        self._follow_cursor()

    def action_page(self, step: int) -> None:
        super().action_page(step)
        self._follow_cursor()

    def action_top(self) -> None:
        super().action_top()
        self._follow_cursor()

    def action_end(self) -> None:
        super().action_end()
        self.set_follow(True)

    def on_resize(self) -> None:
        super().on_resize()
        if self.follow:
            self.scroll_rows(self.max_top)

    def wheel(self, step: int) -> None:
        super().wheel(step)
        if step < 0 or self.top == self.max_top:
            self._follow_cursor()

    def on_mouse_down(self, event: Any) -> None:
        super().on_mouse_down(event)
        self._follow_cursor()

    def _follow_cursor(self) -> None:
        """At the last row one follows; above it one does not."""
        at_tail = self.count == 0 or self.cursor == self.count - 1
        if at_tail != self.follow:
            self.set_follow(at_tail)

    # ----------------------------------------------------------------------------------------- drawing

    def cycle_clock(self) -> Clock:
        """The next meaning of the time column."""
        clocks = list(Clock)
        self.clock = clocks[(clocks.index(self.clock) + 1) % len(clocks)]
        self.invalidate()
        return self.clock

    def draw_header(self, width: int) -> Strip:
        text = f"{fit(self.clock.value, 12)}{'#':>{self._conn_cells}}   {'kind':<9}{'size':>8}  payload"
        return strip_of([(fit(text, width), self.palette["head"])], width)

    def widen_numbers(self, conn: int) -> None:
        """Make room for connection numbers up to this one."""
        cells = max(4, len(str(conn)) + 2)
        if cells != self._conn_cells:
            self._conn_cells = cells
            self.invalidate()

    def draw_row(self, index: int, width: int) -> Strip:
        line, palette = self.line_at(index), self.palette
        glyph, word, role = KINDS.get(line.kind) or ("?", line.kind.replace("reserved-", "op "), "warning")
        if line.level != "info" and role == "kind-fact":
            role = line.level
        arrow, arrow_role = ARROWS[line.side] if line.side is not None else ("·", "faint")
        spans: list[Span] = [
            (fit(self._time(index, line), 12), palette["muted"]),
            (
                fit(f"#{line.conn}" if line.conn else "", self._conn_cells, right=True),
                palette.connection(line.conn),
            ),
            (f" {arrow} ", palette[arrow_role]),
            (fit(f"{glyph} {word}", 9), palette[role]),
            (fit("" if line.size is None else size(line.size), 8, right=True), palette["muted"]),
            ("  ", palette["text"]),
        ]
        used = 12 + self._conn_cells + 3 + 9 + 8 + 2
        for label, label_role in _labels(line, with_rule=width >= RULE_SHOWN_FROM):
            text = plain(label) + "  "
            spans.append((text, palette[label_role]))
            used += width_of(text)
        preview_role = {"continuation": "muted", "ping": "muted", "pong": "muted"}.get(line.kind, "text")
        if "dropped" in line.flags:
            preview_role = "muted"
        if role in ("kind-fact", "warning", "error"):
            preview_role = role if line.level != "info" else "muted"
        spans.append((fit(line.preview, max(0, width - used)), palette[preview_role]))
        return strip_of(spans, width)

    def _time(self, index: int, line: LogLine) -> str:
        if self.clock is Clock.WALL:
            return wall(line.wall_ns)
        if self.clock is Clock.START:
            if self._start_ns is None:
                self._start_ns = self.source.lines([self.source.rows(Scope())[0]])[0].wall_ns
            return fit(since(line.wall_ns - self._start_ns), 11, right=True)
        before = self.line_at(index - 1).wall_ns if index else line.wall_ns
        return fit(since(line.wall_ns - before), 11, right=True)

    def overlay(self, y: int, width: int, strip: Strip) -> Strip:
        if y != self.size.height - 1 or self.follow or not self.unseen:
            return strip
        pill = f" ▼ +{self.unseen:,} new · G follows "
        left = max(0, width - len(pill) - 1)
        return Strip.join([strip.crop(0, left), strip_of([(pill, self.palette["pill"])], width - left)])

    def _refresh_pill(self) -> None:
        last = self.top + self.page_lines - 1
        self._refresh_rows(range(last, last + 1)) if last < self.count else self.refresh()


def _labels(line: LogLine, *, with_rule: bool) -> list[tuple[str, str]]:
    """Violations and flags, each a glyph and its word, the first flag with the rule behind it."""
    labels = [(f"⚠ {slug}", "error") for slug in line.violations]
    words = [flag_words(flag) for flag in line.flags]
    if line.rule and with_rule and words:
        words[0] += f" by {line.rule[:RULE_SHOWN]}"
    return labels + [(word, "warning") for word in words]


def _find(rows: Sequence[int], row: int) -> int | None:
    """The index of a row in an ascending sequence."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low if low < len(rows) and rows[low] == row else None
