"""The virtual list under the panes: rows are integers, a line is drawn when the terminal needs it.

Textual's ScrollView lays the whole screen out again whenever its virtual size grows, so this list keeps its
own top row and draws its own scrollbar: a growing log costs the lines that changed and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from wsinspect.tui.cells import plain, strip_of, width_of
from wsinspect.tui.themes import Palette

CACHED_STRIPS = 2048


class VirtualList(Widget, can_focus=True):
    """A list of `count` rows with a cursor, a header line, and a scrollbar in its last column.

    Subclasses give `draw_row` and, where `HEADER` is set, `draw_header`.
    """

    DEFAULT_CSS = """
    VirtualList {
        height: 1fr;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False),
        Binding("k,up", "move(-1)", "up", show=False),
        Binding("ctrl+f,pagedown", "page(1)", "page down", show=False),
        Binding("ctrl+b,pageup", "page(-1)", "page up", show=False),
        Binding("g,home", "top", "top", show=False),
        Binding("G,end", "end", "end", show=False),
        Binding("enter", "choose", "open", show=False),
    ]

    HEADER: ClassVar[bool] = False
    CURSOR: ClassVar[bool] = True
    """Whether a row is selected; otherwise the keys scroll."""

    @dataclass
    class Moved(Message):
        """The cursor stands on another row."""

        list: VirtualList
        index: int | None

        @property
        def control(self) -> VirtualList:
            return self.list

    @dataclass
    class Chosen(Message):
        """Enter or a second click on the row under the cursor."""

        list: VirtualList
        index: int

        @property
        def control(self) -> VirtualList:
            return self.list

    def __init__(self, palette: Palette, **options: Any) -> None:
        super().__init__(**options)
        self.count = 0
        """Rows there are."""
        self.top = 0
        """The row in the first line."""
        self.cursor: int | None = None
        """The selected row."""
        self.hint: list[tuple[str, str]] = []
        """Lines (text and role) to show while there are no rows."""
        self.palette = palette
        self.draws = 0
        """Rows drawn so far, cache misses only: for tests and the bench."""
        self._strips: dict[tuple[int, int, int], Strip] = {}
        self._dragging = False

    # ------------------------------------------------------------------------------ what subclasses give

    def draw_row(self, index: int, width: int) -> Strip:
        """The row's strip, exactly `width` cells, no background."""
        raise NotImplementedError

    def draw_header(self, width: int) -> Strip:
        """The line above the rows."""
        raise NotImplementedError

    def before_page(self, start: int, stop: int) -> None:
        """These rows are about to be drawn: a place to fetch them in one go."""

    # ---------------------------------------------------------------------------------------- geometry

    @property
    def page_lines(self) -> int:
        """Rows that the widget shows."""
        return max(0, self.size.height - self.HEADER)

    @property
    def max_top(self) -> int:
        """`top` when the last row stands in the last line."""
        return max(0, self.count - self.page_lines)

    def shown(self) -> range:
        """The rows on the screen."""
        return range(self.top, min(self.count, self.top + self.page_lines))

    def _thumb(self) -> tuple[int, int]:
        """First line and length of the scrollbar's thumb; length 0 where all rows fit."""
        lines = self.page_lines
        if self.count <= lines or lines <= 0:
            return 0, 0
        length = max(1, lines * lines // self.count)
        return self.HEADER + round(self.top * (lines - length) / max(1, self.max_top)), length

    # ----------------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width - 1, self.rich_style
        if width < 1:
            return Strip.blank(self.size.width, base)
        if self.HEADER and y == 0:
            return self.draw_header(width).adjust_cell_length(width + 1).apply_style(base)
        index = self.top + y - self.HEADER
        if index < self.count:
            strip = self._row_strip(index, width)
        elif self.count == 0:
            strip = self._hint_strip(y, width).apply_style(base)
        else:
            strip = Strip.blank(width, base)
        strip = self.overlay(y, width, strip)
        first, length = self._thumb()
        on_thumb = first <= y < first + length
        style = self.palette["thumb-focus" if self.has_focus else "thumb"]
        return Strip.join([strip, strip_of([("▐" if on_thumb else " ", style)], 1, under=base)])

    def _hint_strip(self, y: int, width: int) -> Strip:
        """A line of the hint that an empty list shows, in the middle."""
        line = y - max(self.HEADER, (self.size.height - len(self.hint)) // 2)
        if not 0 <= line < len(self.hint):
            return Strip.blank(width)
        text, role = self.hint[line]
        text = plain(text)
        return strip_of([(" " * ((width - width_of(text)) // 2) + text, self.palette[role])], width)

    def overlay(self, y: int, width: int, strip: Strip) -> Strip:
        """Something laid over a line of the widget."""
        return strip

    def _row_strip(self, index: int, width: int) -> Strip:
        under = 0 if index != self.cursor or not self.CURSOR else 1 + self.has_focus
        key = (index, width, under)
        strip = self._strips.get(key)
        if strip is None:
            visible = self.shown()
            self.before_page(visible.start, visible.stop)
            self.draws += 1
            strip = self.draw_row(index, width)
            if under:
                strip = strip.apply_style(self.palette["cursor" if under == 2 else "cursor-blur"])
            strip = strip.apply_style(self.rich_style)
            if len(self._strips) >= CACHED_STRIPS:
                self._strips.clear()
            self._strips[key] = strip
        return strip

    def restyle(self, palette: Palette) -> None:
        """Other colours: draw everything again."""
        self.palette = palette
        self.invalidate()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def invalidate(self) -> None:
        """Forget every strip."""
        self._strips.clear()
        self.refresh()

    def redraw(self, *indexes: int) -> None:
        """These rows changed: draw them again where they are visible."""
        visible, width = self.shown(), self.size.width
        stale: list[Region] = []
        for index in indexes:
            for under in range(3):
                self._strips.pop((index, width - 1, under), None)
            if index in visible:
                stale.append(Region(0, index - self.top + self.HEADER, width, 1))
        if stale:
            self.refresh(*stale)

    def _refresh_rows(self, indexes: Iterator[int] | range) -> None:
        width = self.size.width
        regions = [Region(0, i - self.top + self.HEADER, width, 1) for i in indexes if i in self.shown()]
        if regions:
            self.refresh(*regions)

    # ---------------------------------------------------------------------------------------- movement

    def set_count(self, count: int) -> None:
        """More rows, or fewer. Only what changed on the screen is painted again."""
        old, old_thumb, old_top = self.count, self._thumb(), self.top
        if count == old:
            return
        self.count = count
        if count < old:
            self._strips.clear()
            self.top = min(self.top, self.max_top)
            if self.cursor is not None:
                self.cursor = min(self.cursor, count - 1) if count else None
            self.refresh()
            return
        if self.top == old_top:
            self._refresh_rows(range(max(old, self.top), min(count, self.top + self.page_lines)))
        if self._thumb() != old_thumb:
            self.refresh(Region(self.size.width - 1, self.HEADER, 1, self.page_lines))

    def scroll_rows(self, top: int) -> None:
        """Show the rows from `top` on."""
        top = max(0, min(top, self.max_top))
        if top != self.top:
            self.top = top
            self.refresh()

    def select(self, index: int | None) -> None:
        """Put the cursor on a row and bring it into view."""
        if index is not None:
            index = max(0, min(index, self.count - 1)) if self.count else None
        old = self.cursor
        self.cursor = index
        if index is not None and self.page_lines:
            if index < self.top:
                self.scroll_rows(index)
            elif index >= self.top + self.page_lines:
                self.scroll_rows(index - self.page_lines + 1)
        if index != old:
            self._refresh_rows(iter({i for i in (old, index) if i is not None}))
            self.post_message(self.Moved(self, index))

    def action_move(self, step: int) -> None:
        if not self.CURSOR:
            self.scroll_rows(self.top + step)
        elif self.cursor is None:
            self.select(self.top)
        else:
            self.select(self.cursor + step)

    def action_page(self, step: int) -> None:
        lines = max(1, self.page_lines - 1)
        if self.CURSOR:
            here = self.cursor if self.cursor is not None else self.top
            self.scroll_rows(self.top + step * lines)
            self.select(here + step * lines)
        else:
            self.scroll_rows(self.top + step * lines)

    def action_top(self) -> None:
        self.scroll_rows(0)
        if self.CURSOR:
            self.select(0)

    def action_end(self) -> None:
        self.scroll_rows(self.max_top)
        if self.CURSOR:
            self.select(self.count - 1)

    def action_choose(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Chosen(self, self.cursor))

    # ------------------------------------------------------------------------------------------- mouse

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.wheel(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.wheel(-3)

    def wheel(self, step: int) -> None:
        """Scroll by some rows and take the cursor along."""
        self.scroll_rows(self.top + step)
        if self.CURSOR and self.cursor is not None and self.count:
            self.select(max(self.top, min(self.cursor, self.top + self.page_lines - 1)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.x == self.size.width - 1 and self._thumb()[1]:
            self._dragging = True
            self.capture_mouse()
            self._drag_to(offset.y)
            return
        index = self.top + offset.y - self.HEADER
        if self.CURSOR and offset.y >= self.HEADER and index < self.count:
            self.select(index)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if event.chain == 2 and offset is not None and self.top + offset.y - self.HEADER == self.cursor:
            self.action_choose()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragging:
            self._drag_to(event.y - self.content_offset.y)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._dragging:
            self._dragging = False
            self.release_mouse()

    def _drag_to(self, y: int) -> None:
        share = (y - self.HEADER) / max(1, self.page_lines - 1)
        self.scroll_rows(round(share * self.max_top))
        self.wheel(0)

    # ------------------------------------------------------------------------------------------ events

    def on_focus(self) -> None:
        self._show_focus()

    def on_blur(self) -> None:
        self._show_focus()

    def _show_focus(self) -> None:
        if self.cursor is not None:
            self._refresh_rows(range(self.cursor, self.cursor + 1))
        self.refresh(Region(self.size.width - 1, self.HEADER, 1, self.page_lines))

    def on_resize(self) -> None:
        self._strips.clear()
        self.top = min(self.top, self.max_top)
        if self.cursor is not None and self.page_lines and self.cursor not in self.shown():
            self.scroll_rows(self.cursor - self.page_lines // 2)
        self.refresh()
