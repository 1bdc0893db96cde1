"""The Textual application: themes, the way out, and `run_screen` for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter, NoColor

from .screens.dialogs import HelpScreen, Leaving, QuitDialog
from .screens.held import HeldScreen
from .screens.listing import ListingScreen
from .screens.main import MainScreen
from .screens.rules import RulesScreen
from .source import QuitPolicy, Source
from .themes import DARK, LIGHT, Palette


class InspectorApp(App[None]):
    """The screen over a source. It starts the source, and closes it at the end."""

    TITLE = "wsinspect"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self._plain = [NoColor()]

    def get_default_screen(self) -> MainScreen:
        return MainScreen(self.source, self.palette)

    @property
    def palette(self) -> Palette:
        """The roles' styles in the current theme."""
        return Palette(self.current_theme, colour=not self.no_color)

    @property
    def main(self) -> MainScreen:
        """The screen below all dialogs."""
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    def get_line_filters(self) -> Sequence[LineFilter]:
        """NO_COLOR means no colour, where Textual would write shades of grey."""
        return self._plain if self.no_color else super().get_line_filters()

    def on_mount(self) -> None:
        self.source.start()

    def on_unmount(self) -> None:
        self.source.close()

    @property
    def terminal_lags(self) -> bool:
        """Whether output is waiting to be written: then the log is painted less often."""
        writer = getattr(self._driver, "_writer_thread", None)
        queue = getattr(writer, "_queue", None)
        return queue is not None and queue.qsize() > 2

    def next_theme(self) -> None:
        """Dark to light and back."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.main.restyle(self.palette)

    def show_help(self) -> None:
        """The keys and the signs."""
        self.push_screen(HelpScreen(self.palette))

    def show_rules(self) -> None:
        """The rules, on and off."""
        self._push(RulesScreen(self.source, self.palette))

    def show_held(self) -> None:
        """The messages that wait for somebody's word."""
        self._push(HeldScreen(self.source, self.palette))

    def _push(self, screen: ListingScreen) -> None:
        """Without notifications: they mostly say what stands there, and cannot be removed from below it."""
        self.clear_notifications()
        self.push_screen(screen)

    def leave(self) -> None:
        """Quit; where that could end somebody's connection, ask first."""
        snapshot = self.source.snapshot()
        live = sum(row.live for row in snapshot.connections)
        if self.source.quit_policy is QuitPolicy.LEAVE or snapshot.status.source != "live":
            self.exit()
        elif live == 0:
            self._go(Leaving.STOP)
        elif not isinstance(self.screen, QuitDialog):
            self.push_screen(QuitDialog(live), self._go)

    def _go(self, leaving: Leaving | None) -> None:
        match leaving:
            case Leaving.KEEP:
                self.exit()
            case Leaving.STOP:
                self.run_worker(self._stop_and_exit(), name="stop")
            case None:
                pass

    async def _stop_and_exit(self) -> None:
        await asyncio.to_thread(self.source.stop_proxy)
        self.exit()

    def export_svg(self, path: Path) -> None:
        """The screen as a picture, for the documentation."""
        path.write_text(self.export_screenshot(title="wsinspect"))


def run_screen(source: Source) -> int:
    """Show the source until the user leaves; the exit code."""
    app = InspectorApp(source)
    app.run()
    return app.return_code or 0
