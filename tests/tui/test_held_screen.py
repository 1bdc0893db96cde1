"""Held messages: seen, released, edited, dropped, by keys alone; also where somebody else was faster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import TextArea

from tests.tui.fake_source import FakeSource
from tests.tui.scene import scene
from tests.tui.test_detail import HOSTILE, check_screen
from wsinspect.model import Side
from wsinspect.tui.screens.edit import EDITED_BYTES, EditScreen, as_hex
from wsinspect.tui.screens.held import HeldScreen

SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 60)])
ORDER = '{"op":"order","qty":3}'


async def opened(screen) -> HeldScreen:
    await screen.press("H")
    await screen.until(lambda: isinstance(screen.app.screen, HeldScreen), "the held messages")
    await screen.sees("Held messages")
    return screen.app.screen


def said(screen) -> list[str]:
    return [each.message for each in screen.app._notifications if "H shows it" in each.message]


async def edited(screen, payload: str | None = None) -> TextArea:
    await screen.press("e")
    await screen.until(lambda: isinstance(screen.app.screen, EditScreen), "the field")
    field = screen.app.screen.query_one(TextArea)
    await screen.until(lambda: not field.disabled and screen.app.focused is field, "the payload")
    if payload is not None:
        field.text = payload
    return field


@SIZES
async def test_a_held_message_is_noticed_and_listed(run, size):
    source = scene()
    async with run(source, size=size) as screen:
        await screen.sees("FOLLOW")
        source.hold(ORDER)
        await screen.until(lambda: said(screen))
        assert said(screen)[-1] == "ask-me holds a message of the client, for 30.0 s: H shows it"
        await screen.sees("‖ 1 HELD")
        await screen.sees("H held")
        await opened(screen)
        await screen.sees("1 message held; what comes behind one in its direction waits too")
        await screen.sees("‖ 1.1")
        await screen.sees(ORDER)
        source.pass_time(13)
        await screen.sees(" 17s  release")
        source.hold(b"\x00\xff", conn=2, default="drop", side=Side.SERVER)
        await screen.sees("‖ 2.2   ← ▦ binary      2 B    30s  drop")
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is screen.main)


async def test_one_more_is_no_news(run):
    """Where a rule holds one after the other, the count in the status bar says enough."""
    source = scene()
    async with run(source) as screen:
        await screen.sees("FOLLOW")
        source.hold(ORDER)
        await screen.until(lambda: said(screen))
        source.hold(ORDER)
        await screen.sees("‖ 2 HELD")
        assert len(said(screen)) == 1


async def test_several_are_told_in_one_sentence(run):
    source = scene()
    async with run(source) as screen:
        await screen.sees("FOLLOW")
        for _ in range(3):
            source.hold(ORDER)
        await screen.until(lambda: any(words.endswith("held: H shows it") for words in said(screen)))


@SIZES
async def test_release_and_drop(run, size):
    source = scene()
    for n in range(4):
        source.hold(f"held {n}")
    async with run(source, size=size) as screen:
        held = await opened(screen)
        await screen.sees("4 messages held")
        await screen.press("j", "r")
        await screen.sees("1.2 went on")
        await screen.until(lambda: held.list_of_held.count == 3)
        assert held.list_of_held.selected.name == "1.3"
        await screen.press("d")
        await screen.sees("1.3 is dropped")
        await screen.until(lambda: held.list_of_held.count == 2)
        await screen.press("A")
        await screen.sees("no message is held now")
        assert source.asked_for == [
            ("release", "1.2"), ("drop", "1.3"), ("release", "1.1"), ("release", "1.4"),
        ]  # fmt: skip


@SIZES
async def test_edit(run, size):
    source = scene()
    source.hold(ORDER)
    async with run(source, size=size) as screen:
        await opened(screen)
        field = await edited(screen)
        assert field.text == ORDER
        await screen.sees("client's text, 22 B, held by ask-me: 30.0 s left, then release")
        await screen.sees("JSON")
        await screen.press("end", "left", "comma", "x")
        await screen.sees("⚠ it was JSON and is not any more")
        field.text = '{"op":"order","qty":9}'
        await screen.sees("JSON")
        await screen.press("ctrl+s")
        await screen.sees("1.1 went on as you wrote it")
        await screen.until(lambda: isinstance(screen.app.screen, HeldScreen))
        assert source.asked_for == [("edit", "1.1", b'{"op":"order","qty":9}')]


async def test_escape_leaves_it_held(run):
    source = scene()
    source.hold(ORDER)
    async with run(source) as screen:
        held = await opened(screen)
        await edited(screen, "something else")
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is held)
        assert not source.asked_for
        assert source.held


async def test_somebody_else_was_first(run):
    """What was written stays on the screen, to be copied."""
    source = scene()
    row = source.hold(ORDER)
    async with run(source) as screen:
        await opened(screen)
        field = await edited(screen, "my words")
        await screen.sees("ctrl+s sends it · esc leaves it held")
        source.refusal = "1.1 is already released"
        await screen.press("ctrl+s")  # the screen has not heard of it yet
        await screen.sees("✗ 1.1 is already released")
        source.ends["1.1"] = "it was dropped, by its default"
        source.let_go(row)
        await screen.sees("it is not held any more; it was dropped, by its default")
        await screen.sees("too late to send it · esc closes")
        assert "ctrl+s" not in screen.text()
        source.refusal = None
        await screen.press("ctrl+s", "x")
        await screen.sees("✗ too late: it is not held any more")
        assert field.text == "my words"
        assert [each[0] for each in source.asked_for] == ["edit"]
        await screen.press("escape")
        await screen.until(lambda: isinstance(screen.app.screen, HeldScreen))


async def test_the_time_begins_anew_with_each_key_in_the_field(run):
    """Who edits should not lose the message meanwhile; who went away takes the default."""
    source = scene()
    source.hold(ORDER, limit_s=3)
    async with run(source) as screen:
        await opened(screen)
        source.pass_time(2)
        await edited(screen)
        await screen.sees("3.0 s left, then release")
        for key in ("right", "x", "delete", "backspace"):
            source.pass_time(2.9)
            await screen.sees("100 ms left, then release")
            await screen.press(key)
            await screen.sees("3.0 s left, then release")
        source.pass_time(2.5)
        await screen.sees("500 ms left, then release")
        assert set(source.waits) == {"1.1"}
        assert not source.asked_for


async def test_more_time_by_a_key(run):
    source = scene()
    source.hold(ORDER)
    async with run(source) as screen:
        await opened(screen)
        source.pass_time(20)
        await screen.sees(" 10s  release")
        await screen.press("w")
        await screen.sees("1.1 has its time anew")
        await screen.sees(" 30s  release")


@SIZES
async def test_what_goes_on_behind_the_field_is_seen(run, size):
    """A second screen above the main one keeps what it has drawn of it."""
    source = scene()
    source.hold(ORDER)
    async with run(source, size=size) as screen:
        await opened(screen)
        await edited(screen)
        await screen.sees("12 MiB")
        source.status = replace(source.status, capture_bytes=77 << 20)
        source.version += 1
        await screen.sees("77 MiB")


async def test_the_cursor_stays_on_its_message(run):
    source = scene()
    rows = [source.hold(f"held {n}") for n in range(5)]
    async with run(source) as screen:
        held = await opened(screen)
        await screen.press("j", "j")
        await screen.until(lambda: held.list_of_held.selected.name == "1.3")
        source.let_go(rows[0])
        await screen.until(lambda: held.list_of_held.count == 4)
        assert held.list_of_held.selected.name == "1.3"


@pytest.mark.parametrize(
    "payload", [b"\x00\x01\xfe\xff" * 9, "\x1b[2J", "a\r\nb", "\u202eabc", "a\u200bb", b"", b"plain"]
)
@pytest.mark.slow
async def test_what_a_field_would_change_is_edited_as_bytes(run, payload):
    source = scene()
    source.hold(payload)
    data = payload if isinstance(payload, bytes) else payload.encode()
    async with run(source) as screen:
        await opened(screen)
        field = await edited(screen)
        assert field.text == as_hex(data)
        await screen.sees(f"bytes in hex: {len(data)} B")
        check_screen(screen)
        field.text = "no hex"
        await screen.sees("⚠ these are not bytes in hex")
        await screen.press("ctrl+s")
        assert not source.asked_for
        field.text = "de ad\nBEEF"
        await screen.sees("bytes in hex: 4 B")
        await screen.press("ctrl+s")
        await screen.until(lambda: source.asked_for)
        assert source.asked_for == [("edit", "1.1", b"\xde\xad\xbe\xef")]


@pytest.mark.parametrize("payload", ["日本語 Grüße 👋", "two\nlines\tand a tab", "[/] [bold]", ""])
@pytest.mark.slow
async def test_text_comes_back_as_it_was(run, payload):
    source = scene()
    source.hold(payload)
    async with run(source) as screen:
        await opened(screen)
        await edited(screen)
        await screen.press("ctrl+s")
        await screen.until(lambda: source.asked_for)
        assert source.asked_for == [("edit", "1.1", payload.encode())]


async def test_what_is_too_large_or_not_there(run):
    source = scene()
    source.hold("x" * (EDITED_BYTES + 1))
    source.hold("gone")
    del source.payloads["1.2"]
    async with run(source) as screen:
        await opened(screen)
        await screen.press("e")
        await screen.sees("too much for this field")
        await screen.press("ctrl+s", "escape", "j", "e")
        await screen.sees("the payload cannot be had here")
        await screen.press("ctrl+s")
        assert not source.asked_for


async def test_without_any_it_says_so(run):
    async with run(scene()) as screen:
        await screen.until(lambda: screen.main.log_list.count)
        assert "H held" not in screen.text()
        await opened(screen)
        await screen.sees("no message is held now")
        await screen.press("r", "d", "e", "A", "enter")
        assert isinstance(screen.app.screen, HeldScreen)


@pytest.mark.parametrize("payload", HOSTILE)
async def test_hostile_payloads_stay_text(run, payload):
    source = scene()
    source.hold(payload, rule=payload)
    async with run(source, size=(80, 24)) as screen:
        await opened(screen)
        await screen.sees("1 message held")
        check_screen(screen)
        await screen.press("e")
        await screen.until(lambda: isinstance(screen.app.screen, EditScreen))
        await screen.until(lambda: not screen.app.screen.query_one(TextArea).disabled)
        check_screen(screen)


async def test_a_file_holds_nothing(run):
    async with run(FakeSource(live=False)) as screen:
        await opened(screen)
        await screen.sees("no message is held now")
