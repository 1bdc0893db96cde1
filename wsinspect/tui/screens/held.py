"""The messages that rules hold: let one go on, go on with another payload, or not go on."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from wsinspect.tui.ruling import HeldRow, HoldWord
from wsinspect.tui.screens.edit import EditScreen
from wsinspect.tui.screens.listing import ListingScreen, put
from wsinspect.tui.source import Snapshot
from wsinspect.tui.widgets.rule_list import HeldList
from wsinspect.tui.widgets.virtual import VirtualList

_DONE: dict[HoldWord, str] = {
    "release": "went on",
    "edit": "went on as you wrote it",
    "drop": "is dropped",
    "wait": "has its time anew",
}
PREVIEW_SHOWN = 300
"""Characters of a payload below the list."""
MOST_AT_ONCE = 200
"""Messages that one key lets go on."""


class HeldScreen(ListingScreen):
    """A list of held messages. Each holds up what comes behind it in its direction."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,H", "dismiss(None)", "close"),
        Binding("r", "resolve('release')", "release"),
        Binding("d", "resolve('drop')", "drop"),
        Binding("e", "edit", "edit"),
        Binding("w", "resolve('wait')", "wait"),
        Binding("A", "release_all", "release all"),
    ]

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Held messages"
            box.border_subtitle = "r release · e edit · d drop · w wait · A release all · esc closes"
            yield Static("", classes="head", markup=False)
            yield HeldList(self.palette, id="held")
            yield Static("", classes="foot", markup=False)

    @property
    def list_of_held(self) -> HeldList:
        return self.query_one(HeldList)

    def show(self, snapshot: Snapshot) -> None:
        """The held messages of a snapshot."""
        count = len(snapshot.held)
        words = f"{count:,} message{'' if count == 1 else 's'} held"
        why = "; what comes behind one in its direction waits too" if count else ""
        put(self.query_one(".head", Static), self.styled((words, "strong"), (why, "muted")))
        held = self.list_of_held
        held.hint = [("no message is held now", "muted"), ("a rule holds one by the action hold", "muted")]
        held.show(snapshot.held, snapshot.now_ns)
        self.preview()

    @on(VirtualList.Moved)
    def preview(self) -> None:
        """The beginning of the chosen one's payload."""
        held = self.list_of_held.selected
        parts = [(held.preview[:PREVIEW_SHOWN], "text")] if held is not None else []
        put(self.query_one(".foot", Static), self.styled(*parts))

    def action_resolve(self, how: HoldWord) -> None:
        held = self.list_of_held.selected
        if held is not None:
            self._resolve(held, how)

    def _resolve(self, held: HeldRow, how: HoldWord) -> None:
        self.ask(partial(self.source.resolve_hold, held, how), f"{held.name} {_DONE[how]}")

    def action_release_all(self) -> None:
        held = list(self.list_of_held.rows)[:MOST_AT_ONCE]
        if held:
            self.ask(partial(self._release_all, held), f"{len(held):,} messages went on")

    def _release_all(self, held: list[HeldRow]) -> None:
        """In a thread, the oldest first, as they came."""
        for each in held:
            self.source.resolve_hold(each, "release")

    @on(VirtualList.Chosen)
    def choose(self) -> None:
        """Enter shows all of it, to be changed or not."""
        self.action_edit()

    def action_edit(self) -> None:
        held = self.list_of_held.selected
        if held is not None:
            self.app.clear_notifications()
            self.app.push_screen(EditScreen(self.source, self.palette, held))
