"""The detail pane: what it shows of each kind of row, and that hostile payloads stay text."""

from __future__ import annotations

import pytest

from tests.tui.fake_source import FakeSource
from tests.tui.scene import scene
from wsinspect.model import Ended, How, Message, Side, Violation
from wsinspect.tui.widgets.pages import pages_of

C, S = Side.CLIENT, Side.SERVER


def names(detail):
    return [page.name for page in pages_of(detail)]


def content(detail, name, width=80):
    page = next(page for page in pages_of(detail) if page.name == name)
    count = page.layout(width)
    return "\n".join("".join(text for text, _ in page.line(n)) for n in range(count))


def test_json_is_pretty_first_and_text_beside_it():
    detail = FakeSource().frame(1, S, '{"a":[1,true,null],"b":"x"}')
    assert names(detail)[:4] == ["JSON", "Text", "Hex", "Frame"]
    assert '"a": [' in content(detail, "JSON")
    assert content(detail, "Text") == '{"a":[1,true,null],"b":"x"}'


def test_text_keeps_its_lines():
    detail = FakeSource().frame(1, S, "one\r\ntwo\nthree")
    assert names(detail)[0] == "Text"
    assert content(detail, "Text").splitlines() == ["one", "two", "three"]


def test_long_lines_wrap_and_lose_nothing():
    text = "".join(chr(0x4E00 + n % 500) if n % 3 else "ab" for n in range(999))
    detail = FakeSource().frame(1, S, text)
    assert content(detail, "Text", 37).replace("\n", "") == text


def test_binary_is_hex():
    detail = FakeSource().frame(1, S, bytes(range(256)))
    assert names(detail)[0] == "Hex"
    lines = content(detail, "Hex").splitlines()
    assert len(lines) == 16
    assert "10 11 12 13" in lines[1]
    assert len(content(detail, "Hex", 50).splitlines()) == 32


def test_a_large_payload_is_drawn_where_it_is_looked_at():
    detail = FakeSource().frame(1, S, b"\xff" * (8 << 20))
    page = pages_of(detail)[0]
    assert page.layout(80) == (8 << 20) // 16
    assert "ff ff" in "".join(text for text, _ in page.line(400_000))


def test_large_text_is_cut_and_says_so():
    detail = FakeSource().frame(1, S, "é" * (400 << 10))
    assert "more, see Hex" in content(detail, "Text")


def test_close():
    detail = FakeSource().frame(1, S, b"\x03\xf3going away for good", 8)
    text = content(detail, "Close")
    assert "1011" in text
    assert "going away for good" in text


def test_frame_facts():
    detail = FakeSource().frame(1, C, "hello", rsv=4, fin=False, violations=(Violation.BAD_RSV1,))
    text = content(detail, "Frame")
    assert "RSV1" in text
    assert "key 37 fa 21 3d" in text
    assert "not set" in text
    assert "11 bytes, from offset 0" in text
    assert "bad-rsv1" in text
    assert "RFC 7692 6.1" in text


def test_compressed_and_lost():
    source = FakeSource()
    inflated = Message(S, 1, b'{"ok":true}', 3, 4, 30, compressed=True)
    detail = source.frame(1, S, b"\x01\x02", 1, rsv=4, message=inflated)
    assert '"ok": true' in content(detail, "JSON")
    assert "inflated" in content(detail, "JSON")
    assert "message of 2 frames, 3 to 4" in content(detail, "Text")
    lost = Message(S, 1, b"", 5, 5, 30, compressed=True, lost="window-lost")
    detail = source.frame(1, S, b"\x01\x02", 1, rsv=4, message=lost)
    assert names(detail)[0] == "Hex"
    assert "window-lost" in content(detail, "Hex")


def test_handshake_and_ends():
    source = scene()
    detail = source.details[source.by_conn[2][-1]]
    text = content(detail, "Handshake")
    assert "GET /chat/lobby HTTP/1.1" in text
    assert "Sec-WebSocket-Accept" in text
    assert "subprotocol not asked for" in text
    ends = content(source.details[source.by_conn[5][-1]], "Ends")
    assert "server ended" in ends
    assert "FIN" in ends
    assert "tcpi_rtt" in ends
    assert "dropped" in ends


def test_facts_have_pages_of_their_own():
    source = FakeSource()
    rst = Ended(side=C, how=How.RST, errno="ECONNRESET", discarded_bytes=1234)
    detail = source.fact(1, rst, "client RST")
    text = content(detail, "Fact")
    assert "RST" in text
    assert "ECONNRESET" in text
    assert "1,234" in text


async def test_tabs_by_key_are_remembered(run):
    source = scene()
    async with run(source) as screen:
        await screen.sees("JSON")
        await screen.press("space", "l", "l")
        detail = screen.main.detail
        await screen.until(lambda: detail.pages and detail.pages[detail.chosen].name == "Hex")
        await screen.press("k")
        await screen.sees("Close ")
        await screen.until(lambda: detail.pages[detail.chosen].name == "Hex")
        await screen.press("1")
        await screen.sees("1000")
        await screen.press("h")
        await screen.until(lambda: detail.pages[detail.chosen].name == "Ends")


async def test_the_detail_scrolls_with_the_focus(run):
    source = FakeSource()
    source.frame(1, S, "\n".join(f"line {n}" for n in range(500)))
    async with run(source) as screen:
        await screen.sees("line 3")
        await screen.press("enter", "G")
        await screen.sees("line 499")
        await screen.press("g")
        await screen.sees("line 0")


HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "[/] [bold] [link=http://x]y[/link] [@click=app.quit]q[/]",
    "\x9b31m \x85next \x90dcs\x9c",
    "\u202egnp.exe\u2066 \u200b\u200d\ufeff",
    "\x00\x07\x08\x0b\x0c\x7f\t\r\n",
    "\u2028 \u2029 \ud7ff \U000e0001",
    "a" + "\u0301" * 60,
]


@pytest.mark.parametrize("payload", HOSTILE)
@pytest.mark.parametrize("size", [(140, 42), (80, 24)])
async def test_hostile_payloads_stay_text(run, payload, size):
    source = FakeSource()
    source.connect(1, f"ws://host/{payload}", end=payload)
    for _ in range(3):
        source.frame(1, S, payload, flags=(payload,))
    source.connections[1].subprotocol = payload
    source.frame(1, S, b"\x03\xe8" + payload.encode()[:120], 8)
    source.say("warning", payload)
    async with run(source, size=size) as screen:
        await screen.sees("#1")
        await screen.press("enter")
        await screen.until(lambda: screen.main.detail.pages)
        for _tab in range(5):
            check_screen(screen)
            await screen.press("l")
        check_screen(screen)


def check_screen(screen):
    width, height = screen.app.size
    strips = screen.app.screen._compositor.render_strips()
    assert len(strips) == height
    for strip in strips:
        assert strip.cell_length == width
        text = strip.text
        bad = [
            c for c in text if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200b\u2028\u2029"
        ]
        assert not bad, ascii(text)
