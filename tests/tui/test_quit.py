"""Leaving: asked only where somebody's connection could end with the screen."""

from __future__ import annotations

from dataclasses import replace

from tests.tui.fake_source import FakeSource
from wsinspect.tui.screens.dialogs import QuitDialog
from wsinspect.tui.source import QuitPolicy


async def asked(screen):
    await screen.press("q")
    await screen.until(lambda: isinstance(screen.app.screen, QuitDialog))
    await screen.sees("connections are open")


def own_proxy():
    source = FakeSource(policy=QuitPolicy.ASK)
    source.connect(1)
    source.connect(2)
    return source


async def test_a_file_is_left_without_a_question(run):
    source = FakeSource(live=False)
    source.connect(1)
    async with run(source) as screen:
        await screen.press("q")
        await screen.until(lambda: screen.app._exit)
    assert not source.stopped


async def test_keep_running_headless(run):
    source = own_proxy()
    async with run(source) as screen:
        await asked(screen)
        await screen.press("k")
        await screen.until(lambda: screen.app._exit)
    assert not source.stopped


async def test_stop(run):
    source = own_proxy()
    async with run(source) as screen:
        await asked(screen)
        await screen.press("s")
        await screen.until(lambda: screen.app._exit)
    assert source.stopped


async def test_enter_takes_the_first_answer(run):
    source = own_proxy()
    async with run(source) as screen:
        await asked(screen)
        await screen.press("enter")
        await screen.until(lambda: screen.app._exit)
    assert not source.stopped


async def test_cancel(run):
    source = own_proxy()
    async with run(source) as screen:
        await asked(screen)
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is screen.main)
        assert not screen.app._exit
        await asked(screen)
        await screen.press("c")
        await screen.until(lambda: screen.app.screen is screen.main)
    assert not source.stopped


async def test_with_nothing_live_the_own_proxy_is_stopped(run):
    source = own_proxy()
    for conn in (1, 2):
        source.connect(conn, state="closed")
    async with run(source) as screen:
        await screen.press("ctrl+c")
        await screen.until(lambda: screen.app._exit)
    assert source.stopped


async def test_a_proxy_that_has_gone_is_not_asked_about(run):
    source = own_proxy()
    source.status = replace(source.status, source="ended")
    async with run(source) as screen:
        await screen.sees("PROXY GONE")
        await screen.press("q")
        await screen.until(lambda: screen.app._exit)
    assert not source.stopped
