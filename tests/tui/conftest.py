"""Running the screen in a test: with a source, at a size, and conditions to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from wsinspect.tui.app import InspectorApp
from wsinspect.tui.screens.main import MainScreen
from wsinspect.tui.source import Source


class Running:
    """An app on a screen that is not there."""

    def __init__(self, app: InspectorApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def main(self) -> MainScreen:
        return self.app.main

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until a condition holds: `pilot.pause()` lies under load."""
        end = time.monotonic() + 10
        while not condition():
            assert self.app._exception is None, self.app._exception
            assert time.monotonic() < end, f"waited in vain{f' for {what}' if what else ''}"
            await asyncio.sleep(0.01)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    def lines(self) -> list[str]:
        """What stands on the terminal, line by line."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return [strip.crop(0, width).text for strip in strips[:height]]

    def text(self) -> str:
        return "\n".join(self.lines())

    async def sees(self, what: str) -> None:
        """Wait until a text stands on the screen."""
        await self.until(lambda: what in self.text(), what)


@pytest.fixture
def run():  # type: ignore[no-untyped-def]
    """`async with run(source, size=(140, 42)) as screen:`"""

    @asynccontextmanager
    async def running(source: Source, size: tuple[int, int] = (140, 42)) -> AsyncIterator[Running]:
        app = InspectorApp(source)
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Running(app, pilot)
            await screen.until(lambda: screen.main.is_mounted and screen.main.log_list.size.height > 0)
            yield screen

    return running
