"""The main screen: rows that stream, follow and pause, narrowing, layout at every size."""

from __future__ import annotations

import re

import pytest

from tests.tui.fake_source import FakeSource, HugeSource
from tests.tui.scene import scene
from wsinspect.model import Side
from wsinspect.tui.widgets.log import Clock

C, S = Side.CLIENT, Side.SERVER


async def test_rows_stream_in_and_the_tail_is_followed(run):
    source = FakeSource()
    async with run(source) as screen:
        assert source.started
        await screen.sees("waiting for a WebSocket")
        for number in range(200):
            source.frame(1, S, f"frame-{number}")
        await screen.sees("frame-199")
        assert "frame-0 " not in screen.text()
        log = screen.main.log_list
        assert log.follow
        assert log.cursor == 199
    assert source.closed


async def test_going_up_leaves_the_tail_and_counts_what_is_new(run):
    source = FakeSource()
    for number in range(100):
        source.frame(1, S, f"frame-{number}")
    async with run(source) as screen:
        await screen.sees("frame-99")
        await screen.press("k", "k")
        log = screen.main.log_list
        await screen.until(lambda: not log.follow)
        await screen.sees("PAUSED")
        top = log.top
        for number in range(1234):
            source.frame(1, S, f"later-{number}")
        await screen.sees("+1,234 new")
        assert log.top == top
        assert log.cursor == 97
        await screen.press("G")
        await screen.sees("later-1233")
        await screen.sees("FOLLOW")
        assert log.unseen == 0


async def test_reaching_the_last_row_follows_again(run):
    source = scene()
    async with run(source) as screen:
        await screen.until(lambda: screen.main.log_list.cursor is not None)
        await screen.press("k")
        await screen.until(lambda: not screen.main.log_list.follow)
        await screen.press("j")
        await screen.until(lambda: screen.main.log_list.follow)


async def test_space_pauses_and_follows(run):
    source = scene()
    async with run(source) as screen:
        await screen.sees("FOLLOW")
        await screen.press("space")
        await screen.sees("PAUSED")
        source.frame(1, S, "while paused")
        await screen.sees("+1 new")
        await screen.press("p")
        await screen.sees("while paused")


async def test_paging_and_top(run):
    async with run(HugeSource(10_000)) as screen:
        log = screen.main.log_list
        await screen.until(lambda: log.cursor == 9_999)
        await screen.press("pageup")
        await screen.until(lambda: log.cursor == 9_999 - (log.page_lines - 1))
        assert not log.follow
        await screen.press("g")
        await screen.until(lambda: log.cursor == 0 and log.top == 0)
        await screen.press("ctrl+f")
        await screen.until(lambda: log.cursor == log.page_lines - 1)


async def test_a_connection_narrows_the_log_and_escape_widens_it(run):
    source = scene()
    async with run(source) as screen:
        await screen.sees("/chat/lobby")
        await screen.press("shift+tab", "j")
        await screen.until(lambda: screen.main.connections.cursor == 1)
        await screen.sees("subprotocol not asked for")
        await screen.press("enter")
        await screen.sees("only #2 ws://127.0.0.1:9000/chat/lobby")
        log = screen.main.log_list
        assert len(source.by_conn[2]) == log.count
        assert all(log.line_at(index).conn == 2 for index in log.shown())
        assert screen.app.focused is log
        source.frame(1, S, "of another connection")
        source.frame(2, S, "of this one")
        await screen.sees("of this one")
        assert "of another" not in screen.text()
        await screen.press("escape")
        await screen.sees("all connections")
        await screen.sees("of another")


async def test_narrowing_keeps_the_selected_row(run):
    source = scene()
    row = source.by_conn[2][5]
    async with run(source) as screen:
        log = screen.main.log_list
        await screen.until(lambda: log.count)
        log.set_follow(False)
        log.select(row)
        screen.main.connections.select(1)
        screen.main.narrow()
        assert log.selected_row == row
        await screen.press("escape")
        await screen.until(lambda: log.scope.conn is None)
        assert log.selected_row == row


async def test_connections_update_by_difference(run):
    source = FakeSource()
    for conn in range(1, 6):
        source.connect(conn, f"ws://host/{conn}")
    async with run(source) as screen:
        await screen.sees("host/5")
        connections = screen.main.connections
        await screen.until(lambda: connections.draws >= 5)
        drawn = connections.draws
        source.connect(3, "ws://host/3", "dropped", end="server RST", ended_ns=source.now_ns)
        await screen.sees("server RST")
        await screen.sees("✗ dropped")
        assert connections.draws == drawn + 1
        await screen.sees("4 live of 5")


async def test_ages_follow_the_clock(run):
    source = FakeSource()
    source.connect(1)
    async with run(source) as screen:
        await screen.sees(" 0s")
        source.pass_time(187)
        await screen.sees("3m07s")


@pytest.mark.slow
async def test_a_million_rows_scroll_without_existing(run):
    source = HugeSource(1_000_000)
    async with run(source, size=(120, 40)) as screen:
        log = screen.main.log_list
        await screen.sees('"tick":999999')
        await screen.press("g")
        await screen.sees('"tick":0,')
        for _ in range(20):
            await screen.press("pagedown")
        log.select(500_000)
        await screen.sees('"tick":500000')
        assert source.asked < 3_000
        assert len(log._lines) < 3_000


async def test_unchanged_rows_are_not_drawn_again(run):
    source = scene()
    async with run(source) as screen:
        log = screen.main.log_list
        await screen.press("space", "k")
        await screen.until(lambda: log.draws > 20)
        await screen.until(lambda: not log.follow)
        drawn = log.draws
        for _ in range(50):
            source.frame(1, S, "unseen")
        await screen.sees("+50 new")
        assert log.draws <= drawn + 2


async def test_the_time_column_has_three_meanings(run):
    source = FakeSource()
    source.frame(1, S, "a")
    source.pass_time(1.5)
    source.frame(1, S, "b")
    async with run(source) as screen:
        await screen.sees("time ")
        await screen.press("t")
        await screen.sees("since start")
        await screen.sees("+1.500")
        await screen.press("t")
        await screen.until(lambda: screen.main.log_list.clock is Clock.STEP)
        await screen.sees("since last")


async def test_small_terminal(run):
    source = scene()
    async with run(source, size=(80, 24)) as screen:
        await screen.sees("Connections")
        lines = screen.lines()
        assert len(lines) == 24
        assert not screen.main.detail.display
        assert screen.main.log_list.page_lines >= 10
        await screen.press("enter")
        await screen.until(lambda: screen.main.detail.display and screen.main.detail.size.height > 5)
        await screen.sees('"symbol": "BTCUSD"')
        assert screen.main.log_list.page_lines >= 4
        await screen.press("escape")
        await screen.until(lambda: not screen.main.detail.display)
        assert screen.app.focused is screen.main.log_list


async def test_large_terminal(run):
    source = scene()
    async with run(source, size=(200, 60)) as screen:
        await screen.sees("last seconds")
        detail, log = screen.main.detail, screen.main.log_list
        assert detail.display
        assert detail.region.x > log.region.right - 2
        assert len(screen.lines()) == 60


async def test_narrow_but_tall_puts_the_detail_below(run):
    async with run(scene(), size=(90, 50)) as screen:
        main = screen.main
        await screen.until(lambda: main.detail.region.y >= main.log_list.region.bottom > 10)
        assert main.detail.region.height > 10


async def test_resizing_keeps_the_selected_row_in_view(run):
    async with run(HugeSource(5_000)) as screen:
        log = screen.main.log_list
        await screen.until(lambda: log.cursor == 4_999)
        await screen.press("g", "pagedown")
        await screen.until(lambda: log.cursor not in (0, 4_999))
        for size in ((80, 24), (200, 60), (60, 12), (30, 8), (140, 42)):
            await screen.pilot.resize_terminal(*size)
            await screen.until(lambda size=size: screen.app.size == size and log.cursor in log.shown())
            await screen.until(lambda size=size: len(screen.lines()) == size[1], "the new layout")
            # A list that moved while it was laid out once left the lines above the cursor as they were.
            await screen.until(lambda: _is_one_run(re.findall(r'"tick":(\d+)', screen.text())))


def _is_one_run(ticks):
    numbers = list(map(int, ticks))
    return numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


async def test_light_theme_and_back(run):
    async with run(scene()) as screen:
        dark = screen.main.log_list.rich_style.bgcolor
        await screen.press("T")
        await screen.until(lambda: screen.app.theme == "wsinspect-light")
        await screen.until(lambda: screen.main.log_list.rich_style.bgcolor != dark)
        await screen.press("T")
        await screen.until(lambda: screen.app.theme == "wsinspect")


async def test_no_color_writes_no_colour(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with run(scene()) as screen:
        await screen.sees("FOLLOW")
        for strip in screen.app.screen._compositor.render_strips():
            for segment in strip:
                for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    assert colour is None or colour.is_default


async def test_notices_are_said_once(run):
    source = FakeSource()
    async with run(source) as screen:
        source.say("warning", "the capture has a [gap]\x1b[2J")
        await screen.sees("the capture has a [gap]")
        await screen.until(lambda: len(screen.app._notifications) == 1)


async def test_help(run):
    async with run(scene()) as screen:
        await screen.press("question_mark")
        await screen.sees("pause, follow")
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is screen.main)
