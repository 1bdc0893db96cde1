"""The main screen: connections, frame log, detail, and the bars around them.

A tick takes one snapshot and hands it to the panes, which paint what differs. What takes time (the detail of
a row, stopping the proxy) runs in a thread; the keys never wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen

from wsinspect.tui.cells import plain, span
from wsinspect.tui.screens.edit import EditScreen
from wsinspect.tui.screens.listing import ListingScreen
from wsinspect.tui.source import Scope, Snapshot, Source, Status
from wsinspect.tui.themes import Palette
from wsinspect.tui.widgets.bars import KeyBar, StatusBar, TopBar
from wsinspect.tui.widgets.connections import ConnectionsList, summary
from wsinspect.tui.widgets.detail import DetailPane, PageView
from wsinspect.tui.widgets.log import FrameLog
from wsinspect.tui.widgets.page import Page
from wsinspect.tui.widgets.pages import connection_pages, frame_summary, pages_of
from wsinspect.tui.widgets.virtual import VirtualList

if TYPE_CHECKING:
    from wsinspect.tui.app import InspectorApp

TICK_S = 1 / 20
RUSH_S = 1 / 8
"""Between two paintings of a log whose every line is new each time: faster than anybody reads."""
CELLS_PER_S = 40_000
"""What the log may paint: some 2.3 bytes a cell, so a line of 100 kB/s keeps up and a key is answered."""
FOLLOW_DETAIL_S = 0.25
"""Between two details while the selection runs along with the tail."""

TINY_LINES = 14
"""Below this height the log stands alone."""

type Subject = tuple[str, int]
"""`row` or `conn`, and its number."""


class MainScreen(Screen[None]):
    """Everything at a glance: connections above, the frame log and the selected frame side by side."""

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (120, "-wide")]  # type: ignore[misc]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-short"), (34, "-tall")]  # type: ignore[misc]

    DEFAULT_CSS = """
    MainScreen {
        layout: vertical;
        background: $background;
    }
    MainScreen .pane {
        background: $surface;
        border: round $line;
        border-title-color: $muted;
        border-title-style: bold;
        border-subtitle-color: $muted;
        padding: 0 0 0 1;
    }
    MainScreen .pane:focus-within {
        border: round $line-focus;
        border-title-color: $line-focus;
    }
    MainScreen TopBar { background: $panel; }
    MainScreen StatusBar { background: $panel; }
    MainScreen KeyBar { background: $background; }
    #connections-pane { height: 6; }
    #split { height: 1fr; layout: horizontal; }
    #log-pane { width: 3fr; height: 1fr; }
    #detail { width: 2fr; height: 1fr; }

    MainScreen.-narrow #split { layout: vertical; }
    MainScreen.-narrow #log-pane { width: 1fr; height: 3fr; }
    MainScreen.-narrow #detail { width: 1fr; height: 2fr; }
    MainScreen.-narrow.-short #detail { display: none; }
    MainScreen.-narrow.-short.-reading #detail { display: block; height: 3fr; }
    MainScreen.-narrow.-short.-reading #log-pane { height: 2fr; }
    MainScreen.-narrow.-short.-reading #connections-pane { display: none; }
    MainScreen.-tiny #connections-pane { display: none; }
    MainScreen.-narrow.-short .pane {
        border: none;
        border-top: solid $line;
        padding: 0;
    }
    MainScreen.-narrow.-short .pane:focus-within { border-top: solid $line-focus; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "quit"),
        Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True),
        Binding("question_mark", "help", "help"),
        Binding("space,p", "follow", "pause"),
        Binding("escape", "back", "back"),
        Binding("h,left", "detail_tab(-1)", "tab left"),
        Binding("l,right", "detail_tab(1)", "tab right"),
        *(Binding(str(n), f"detail_choose({n - 1})", f"tab {n}") for n in range(1, 10)),
        Binding("R", "rules", "rules"),
        Binding("H", "held", "held messages"),
        Binding("t", "clock", "time column"),
        Binding("T", "theme", "theme"),
    ]

    def __init__(self, source: Source, palette: Palette) -> None:
        super().__init__()
        self.source = source
        self.palette = palette
        self.snapshot = Snapshot()
        """As last shown."""
        self._subject: Subject | None = None
        self._wanted = asyncio.Event()
        self._log_due = 0.0
        self._notices = 0

    @property
    def inspector(self) -> InspectorApp:
        """The app, by its own type."""
        return self.app  # type: ignore[return-value]

    def compose(self) -> ComposeResult:
        yield TopBar(self.palette, id="top")
        with Vertical(id="connections-pane", classes="pane"):
            yield ConnectionsList(self.palette, id="connections")
        with Container(id="split"):
            with Vertical(id="log-pane", classes="pane"):
                yield FrameLog(self.source, self.palette, id="log")
            yield DetailPane(self.palette, id="detail", classes="pane")
        yield StatusBar(self.palette, id="status")
        yield KeyBar(self.palette, id="keys")

    def on_mount(self) -> None:
        self.connections = self.query_one(ConnectionsList)
        self.log_list = self.query_one(FrameLog)
        self.detail = self.query_one(DetailPane)
        self.query_one("#log-pane").border_title = "Frames"
        self.detail.show(None, "Detail", [])
        self.log_list.focus()
        if self.source.snapshot().status.source == "file":
            self.log_list.follow = False
        self.tick()
        self.set_interval(TICK_S, self.tick)
        self.run_worker(self._keep_detail(), name="detail")

    # -------------------------------------------------------------------------------------------- tick

    def tick(self) -> None:
        """Show what the source knows now."""
        snapshot = self.source.snapshot()
        self._show_log()
        changed = snapshot.version != self.snapshot.version
        if not changed and snapshot.now_ns // 250_000_000 == self.snapshot.now_ns // 250_000_000:
            return
        before, self.snapshot = self.snapshot, snapshot
        self.connections.show(snapshot)
        self._fit_connections()
        self.log_list.widen_numbers(max((row.conn for row in snapshot.connections[-1:]), default=0))
        self.query_one(TopBar).show(snapshot.status)
        self._show_hints(snapshot.status)
        self._show_status()
        self._say_notices()
        self._say_held(before)
        self._say_rules(before)

    def _show_log(self) -> None:
        now = time.monotonic()
        if now >= self._log_due and not self.inspector.terminal_lags:
            before = self.log_list.count
            moved = self.log_list.poll()
            if moved:
                page = self.log_list.page_lines
                rest = RUSH_S if self.log_list.count - before >= page else 0.0
                self._log_due = now + max(rest, page * self.log_list.size.width / CELLS_PER_S)

    def _fit_connections(self) -> None:
        """As high as it needs, at most a third of the screen."""
        pane = self.query_one("#connections-pane")
        rows = max(1, len(self.snapshot.connections))
        frame = pane.gutter.height + 1
        limit = max(3, self.size.height * 3 // 10 - frame)
        height = min(rows, limit) + frame
        if pane.styles.height is None or pane.styles.height.value != height:
            pane.styles.height = height
        pane.border_title = f"Connections  {summary(self.snapshot.connections)}"

    def _show_hints(self, status: Status) -> None:
        """What to do while there is nothing to see."""
        if self.log_list.count or self.log_list.hint:
            return
        if status.source == "live":
            hint = [("waiting for a WebSocket", "strong"), ("", "text")]
            hint += [(listener, "accent") for listener in status.listeners]
            hint += [("", "text"), ("connect a client there, and its frames appear here", "muted")]
        else:
            hint = [("no frames in this capture", "muted")]
        self.log_list.hint = hint
        self.connections.hint = [("no connection yet", "muted")]
        self.log_list.refresh()
        self.connections.refresh()

    def _show_status(self) -> None:
        self.query_one(StatusBar).show(self.snapshot, follow=self.log_list.follow, scope=self._scope_words())
        self._show_keys()

    def _show_keys(self) -> None:
        narrowed = self.log_list.scope.conn is not None
        in_log, in_detail = self.focused is self.log_list, isinstance(self.focused, PageView)
        keys = [("q", "quit"), ("?", "help"), ("tab", "pane")]
        keys += [("H", "held")] if self.snapshot.held else []
        keys += [("R", "rules")] if self.snapshot.rules.rules or self.snapshot.rules.error else []
        if in_detail:
            keys += [("h l", "tabs"), ("j k", "scroll"), ("esc", "log")]
        elif in_log:
            follow = self.log_list.follow
            keys += [("space", "pause" if follow else "follow"), ("enter", "detail"), ("h l", "tabs")]
            keys += [("esc", "all connections")] if narrowed else []
            keys += [("G", "tail"), ("t", "time")]
        else:
            keys += [("enter", "only this one"), ("h l", "tabs")]
            keys += [("esc", "all connections")] if narrowed else []
        self.query_one(KeyBar).show([*keys, ("T", "theme")])

    def _scope_words(self) -> str:
        conn = self.log_list.scope.conn
        if conn is None:
            return "all connections"
        index = self.connections.index_of(conn)
        return f"only #{conn}" + (f" {self.connections.rows[index].url}" if index is not None else "")

    def _say_notices(self) -> None:
        notices = self.snapshot.status.notices
        severities = {"info": "information", "warning": "warning", "error": "error"}
        for level, text in notices[self._notices :][-3:]:
            self.app.notify(plain(text), severity=severities[level], markup=False)  # type: ignore[arg-type]
        self._notices = len(notices)

    def _say_held(self, before: Snapshot) -> None:
        """Messages have begun to wait: nobody else will say so. How many there are, the status bar says."""
        new = self.snapshot.held
        if not new or before.held or isinstance(self.app.screen, ListingScreen | EditScreen):
            return
        left = span(new[-1].left_ns(self.snapshot.now_ns))
        words = f"{new[-1].rule} holds a message of the {new[-1].side.word}, for {left}"
        words = words if len(new) == 1 else f"{len(new):,} messages are held"
        self.app.notify(plain(f"{words}: H shows it"), severity="warning", markup=False)

    def _say_rules(self, before: Snapshot) -> None:
        """Files that could not be loaded, or now could."""
        old, now = before.rules.error, self.snapshot.rules.error
        if now and now != old:
            words = plain(now.splitlines()[0])
            self.app.notify(
                words, title="the rules stay as they were", severity="error", timeout=10, markup=False
            )
        elif old and not now:
            self.app.notify(f"{len(self.snapshot.rules.rules):,} rules are loaded", markup=False)

    # ------------------------------------------------------------------------------------------ detail

    @on(VirtualList.Moved)
    @on(events.DescendantFocus)
    def choose_subject(self) -> None:
        """The detail shows the row, or, from the connections pane, the connection."""
        if not self.is_mounted or not hasattr(self, "detail"):
            return
        connection = self.connections.selected
        if self.focused is self.connections and connection is not None:
            self._subject = ("conn", connection.conn)
        elif (row := self.log_list.selected_row) is not None:
            self._subject = ("row", row)
        self._wanted.set()
        self._show_keys()

    async def _keep_detail(self) -> None:
        """Fetch the detail of what was selected last, for as long as the screen stands."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            subject = self._subject
            if subject is None:
                continue
            title, pages, subtitle = await asyncio.to_thread(self._build_pages, subject)
            if not self.detail.children:
                return  # the screen was taken down meanwhile
            if subject == self._subject or self.log_list.follow:
                self.detail.show(subject, title, pages, subtitle)
            if self.log_list.follow:
                await asyncio.sleep(FOLLOW_DETAIL_S)

    def _build_pages(self, subject: Subject) -> tuple[str, Sequence[Page], str]:
        """In a thread: title, tabs and subtitle of a row or a connection."""
        kind, number = subject
        if kind == "conn":
            connection = self.source.connection(number)
            return f"Connection #{number}", connection_pages(connection) if connection is not None else [], ""
        detail = self.source.detail(number)
        if detail.frame is None:
            return f"{detail.line.kind.capitalize()}  #{detail.line.conn}", pages_of(detail), ""
        arrow = "→" if detail.frame.side == 0 else "←"
        what = f"Frame {detail.frame.number:,}" if detail.frame.number else "Frame of ours"
        title = f"{what}  #{detail.line.conn} {arrow} {detail.line.kind}"
        return title, pages_of(detail), frame_summary(detail)

    def action_detail_tab(self, step: int) -> None:
        self.detail.step(step)

    def action_detail_choose(self, index: int) -> None:
        if index < len(self.detail.pages):
            self.detail.choose(index)

    # ------------------------------------------------------------------------------------------- scope

    @on(VirtualList.Chosen, "#connections")
    def narrow(self) -> None:
        """Enter on a connection: the log shows it alone."""
        connection = self.connections.selected
        if connection is not None:
            self._set_scope(Scope(conn=connection.conn))
            self.log_list.focus()

    def _set_scope(self, scope: Scope) -> None:
        self.log_list.narrow(scope)
        self.connections.mark(scope.conn)
        title = "Frames" if scope.conn is None else f"Frames  #{scope.conn} only"
        self.query_one("#log-pane").border_title = title
        self._show_status()
        self.choose_subject()

    @on(VirtualList.Chosen, "#log")
    def read(self) -> None:
        """Enter on a row: its detail takes the keys, and on a small terminal the space."""
        self.add_class("-reading")
        self.detail.view.focus()

    def action_back(self) -> None:
        """Out of the detail; then back to all connections."""
        if self.has_class("-reading") or isinstance(self.focused, PageView):
            self.remove_class("-reading")
            self.log_list.focus()
        elif self.log_list.scope != Scope():
            self._set_scope(Scope())
        else:
            self.log_list.focus()

    # ---------------------------------------------------------------------------------------- commands

    @on(FrameLog.FollowChanged)
    def show_follow(self) -> None:
        """The chip in the status bar."""
        self._show_status()
        self.choose_subject()

    def action_follow(self) -> None:
        self.log_list.set_follow(not self.log_list.follow)

    def action_clock(self) -> None:
        self.log_list.cycle_clock()

    def action_theme(self) -> None:
        self.inspector.next_theme()

    def action_leave(self) -> None:
        self.inspector.leave()

    def action_rules(self) -> None:
        self.inspector.show_rules()

    def action_held(self) -> None:
        self.inspector.show_held()

    def action_help(self) -> None:
        self.inspector.show_help()

    def restyle(self, palette: Palette) -> None:
        """Other colours."""
        self.palette = palette
        for widget in self.query("#top, #status, #keys, #connections, #log, #detail").results():
            widget.restyle(palette)  # type: ignore[attr-defined]

    def on_resize(self) -> None:
        self.set_class(self.size.height < TINY_LINES, "-tiny")
        if hasattr(self, "connections"):
            self.call_after_refresh(self._fit_connections)
            self.call_after_refresh(self._show_keys)
