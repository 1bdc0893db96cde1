"""Lists of the rules and of the held messages, each line drawn from a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.strip import Strip

from wsinspect.formats.verdict_words import GLYPHS
from wsinspect.model import opcode_word
from wsinspect.tui.cells import Span, age, fit, plain, size, strip_of
from wsinspect.tui.ruling import HeldRow, RuleRow
from wsinspect.tui.widgets.log import ARROWS, KINDS

from .virtual import VirtualList

STATES: dict[bool | None, tuple[str, str]] = {
    True: ("● on", "ok"),
    False: ("○ off", "muted"),
    None: ("▤ captured", "muted"),
}
"""Sign and word, and role, by whether a rule is on; None: nobody runs it now."""


class RulesList(VirtualList):
    """One rule a line, in the order in which they apply."""

    HEADER: ClassVar[bool] = True

    rows: Sequence[RuleRow] = ()
    """As last shown."""

    def show(self, rows: Sequence[RuleRow]) -> None:
        """Take over the rules and paint again the lines that differ."""
        old, self.rows = self.rows, rows
        self.set_count(len(rows))
        if self.cursor is None and rows:
            self.select(0)
        self.redraw(*(i for i in self.shown() if i >= len(old) or old[i] != rows[i]))

    @property
    def selected(self) -> RuleRow | None:
        """The rule under the cursor."""
        return self.rows[self.cursor] if self.cursor is not None and self.cursor < len(self.rows) else None

    def _id_cells(self, width: int) -> int:
        return max(4, min(width * 2 // 5, max((len(row.id) for row in self.rows[:1000]), default=4)))

    def draw_header(self, width: int) -> Strip:
        text = f" {'state':<11}{fit('rule', self._id_cells(width))}  what it did"
        return strip_of([(fit(text, width), self.palette["head"])], width)

    def draw_row(self, index: int, width: int) -> Strip:
        row, palette = self.rows[index], self.palette
        state, role = STATES[row.enabled]
        alive = "muted" if row.enabled is False else "text"
        spans: list[Span] = [
            (" ", palette["text"]),
            (fit(state, 11), palette[role]),
            (fit(row.id, self._id_cells(width)), palette["accent" if row.enabled is not False else "muted"]),
            ("  ", palette["text"]),
        ]
        if row.failed:
            many = "" if row.failed == 1 else "s"
            spans.append((f"⚠ failed in {row.failed:,} connection{many}  ", palette["error"]))
        spans.append((plain(row.counts), palette[alive if row.hits else "muted"]))
        return strip_of(spans, width)


class HeldList(VirtualList):
    """One held message a line, the oldest first, with the time that is left to it."""

    HEADER: ClassVar[bool] = True

    rows: Sequence[HeldRow] = ()
    now_ns = 0

    def show(self, rows: Sequence[HeldRow], now_ns: int) -> None:
        """Take over the messages; the cursor stays on its own where that is still there."""
        chosen, old = self.selected, self.rows
        second_passed = now_ns // 1_000_000_000 != self.now_ns // 1_000_000_000
        self.rows, self.now_ns = rows, now_ns
        names = [row.name for row in rows]
        if names != [row.name for row in old]:
            self.set_count(len(rows))
            self.invalidate()
            if chosen is not None and chosen.name in names:
                self.select(names.index(chosen.name))
            elif rows:
                self.select(min(self.cursor or 0, len(rows) - 1))
        elif second_passed or rows != old:
            self.redraw(*self.shown())

    @property
    def selected(self) -> HeldRow | None:
        """The message under the cursor."""
        return self.rows[self.cursor] if self.cursor is not None and self.cursor < len(self.rows) else None

    def draw_header(self, width: int) -> Strip:
        rule = self._rule(width)
        text = f" {'held':<8}  {'kind':<9}{'size':>8}  {'left':>5}  {'then':<8}{'rule':<{rule}}  payload"
        return strip_of([(fit(text, width), self.palette["head"])], width)

    def _rule(self, width: int) -> int:
        return 12 if width < 100 else 24

    def draw_row(self, index: int, width: int) -> Strip:
        row, palette = self.rows[index], self.palette
        glyph, word, role = KINDS.get(opcode_word(row.opcode), ("?", "?", "warning"))
        arrow, arrow_role = ARROWS[row.side]
        left = row.left_ns(self.now_ns)
        used = 1 + 8 + 2 + 9 + 8 + 2 + 5 + 2 + 8 + self._rule(width) + 2
        spans: list[Span] = [
            (" ", palette["text"]),
            (fit(f"{GLYPHS['held']} {row.name}", 8), palette["strong"]),
            (f"{arrow} ", palette[arrow_role]),
            (fit(f"{glyph} {word}", 9), palette[role]),
            (fit(size(row.size), 8, right=True), palette["muted"]),
            ("  ", palette["text"]),
            (fit(age(left), 5, right=True), palette["error" if left < 5_000_000_000 else "text"]),
            ("  ", palette["text"]),
            (fit(row.default, 8), palette["muted"]),
            (fit(row.rule, self._rule(width)), palette["accent"]),
            ("  ", palette["text"]),
            (fit(row.preview, max(0, width - used)), palette["text"]),
        ]
        return strip_of(spans, width)
