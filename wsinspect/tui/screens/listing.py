"""What the screens with a list of rules or held messages share: a tick, and asking the proxy in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rich.text import Text
from textual.screen import ModalScreen
from textual.widgets import Static

from wsinspect.errors import WsinspectError
from wsinspect.tui.cells import plain
from wsinspect.tui.source import Snapshot, Source
from wsinspect.tui.themes import Palette

TICK_S = 0.1
DONE_S = 2.0
"""How long it is said that something was done: it lies over the list."""


def put(line: Static, content: Text | str) -> None:
    """What stands there from now on; laid out where it changed: all below a dialog is drawn again with it."""
    if line.content != content:
        line.update(content)


class ListingScreen(ModalScreen[None]):
    """Above the main screen; shows the snapshot of each tick. Subclasses give `show`."""

    DEFAULT_CSS = """
    ListingScreen { align: center middle; background: $background 60%; }
    ListingScreen > Vertical {
        width: 96%; max-width: 130; height: 90%;
        background: $panel; border: round $primary; border-title-color: $primary; border-title-style: bold;
        border-subtitle-color: $muted;
        padding: 0 1;
    }
    ListingScreen .head, ListingScreen .foot { height: auto; color: $muted; }
    ListingScreen .banner { height: auto; display: none; }
    ListingScreen .banner.-said { display: block; }
    ListingScreen VirtualList { height: 1fr; min-height: 3; }
    """

    def __init__(self, source: Source, palette: Palette) -> None:
        super().__init__()
        self.source = source
        self.palette = palette

    def on_mount(self) -> None:
        self.tick()
        self.set_interval(TICK_S, self.tick)

    def tick(self) -> None:
        """Show what the source knows now."""
        self.show(self.source.snapshot())

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def styled(self, *parts: tuple[str, str]) -> Text:
        """Cleaned text by role, for a Static: never markup."""
        text = Text()
        for words, role in parts:
            text.append(plain(words), self.palette[role])
        return text

    def ask(self, what: Callable[[], object], done: str = "") -> None:
        """Do it in a thread, and say `done`, or why not."""
        self.run_worker(self._ask(what, done), name="ask")

    async def _ask(self, what: Callable[[], object], done: str) -> None:
        try:
            await asyncio.to_thread(what)
        except WsinspectError as error:
            self.refused(str(error))
        else:
            if done:
                self.notify(plain(done), markup=False, timeout=DONE_S)
        if self.is_mounted:
            self.tick()

    def refused(self, sentence: str) -> None:
        """Say why it was not done."""
        first, *more = sentence.splitlines() or [""]
        words = plain(first) + (f" (and {len(more):,} more)" if more else "")
        self.notify(words, severity="error", markup=False)
