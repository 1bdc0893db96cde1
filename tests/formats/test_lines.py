from __future__ import annotations

import re
from typing import Any

import pytest

from tests.formats.test_ndjson import OPENED, REQUESTED, fact, frame, frame_event, message_event, wall
from wsinspect.capture.timeline import Event, GapEvent, RawEvent
from wsinspect.formats.lines import TextLines, fit, human_size
from wsinspect.model import (
    Altered,
    Closed,
    Ended,
    Failed,
    How,
    Notice,
    Opcode,
    Side,
    Unknown,
    Violation,
)


def line(event: Event, **options: Any) -> str:
    found = TextLines(wall, **options).feed(event)
    assert len(found) == 1
    clock, _, rest = found[0].partition(" ")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", clock)
    return re.sub(" +", " ", rest).strip()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (message_event("grüß".encode()), "#1 ← text 6 B grüß"),
        (message_event(b"a\nb\x1b[31m"), "#1 ← text 8 B a⏎b␛[31m"),
        (message_event(b"\x00\x01", Opcode.BINARY), "#1 ← binary 2 B 00 01"),
        (message_event(b"", lost="gap"), "#1 ← text [gap]"),
        (message_event(b"\xff", violations=(Violation.BAD_UTF8,)), "#1 ← text 1 B � [bad-utf8]"),
        (frame_event(frame(Opcode.PING, b"beat")), "#1 → ping 4 B beat"),
        (frame_event(frame(Opcode.PONG, b"\x00\x80")), "#1 → pong 2 B 00 80"),
        (frame_event(frame(Opcode.CLOSE, b"\x03\xe9so\nlong")), "#1 → close 9 B 1001 going away · so⏎long"),
        (frame_event(frame(11, b"")), "#1 → reserved-11 0 B"),
        (fact(REQUESTED), "#1 connect ws://host/chat from 127.0.0.1:5000 regular"),
        (fact(OPENED), "#1 open 101 [::1]:80 subprotocol chat.v1 permessage-deflate"),
        (
            fact(Failed(phase="connect", message="refused", errno="ECONNREFUSED")),
            "#1 failed refused [connect] (ECONNREFUSED)",
        ),
        (fact(Failed(phase="http", message="no 101", status=403)), "#1 failed 403 : no 101 [http]"),
        (
            fact(Ended(side=Side.CLIENT, how=How.RST, errno="ECONNRESET", discarded_bytes=1234)),
            "#1 → end client: rst ECONNRESET, 1,234 bytes discarded",
        ),
        (fact(Closed(frames=(1, 2))), "#1 closed frames: 1 of the client, 2 of the server"),
        (fact(Altered(what="Host", before="a", after="b")), "#1 altered Host: 'a' → 'b'"),
        (fact(Notice(code="x", text="careful"), conn=0), "note careful"),
        (fact(Unknown(name="verdict", values={})), "#1 note verdict (of a newer version)"),
        (
            GapEvent(1, Side.SERVER, 0, 5000, "slow disk"),
            "#1 ← gap 5,000 bytes are not in the capture: slow disk",
        ),
        (RawEvent(1, Side.SERVER, 0, b"\x00\xff"), "#1 ← raw 2 B 00 ff"),
    ],
)
def test_lines(event: Event, expected: str) -> None:
    assert line(event) == expected


def test_frames_where_asked_for() -> None:
    event = frame_event(frame(Opcode.CONTINUATION, b"hi", fin=False, rsv=4))
    assert TextLines(wall).feed(event) == []
    assert line(event, frames=True) == "#1 → frame 2 B 3 continuation … rsv 4 masked"


def test_a_frame_with_a_violation_is_always_told() -> None:
    event = frame_event(frame(Opcode.TEXT, b"hi", violations=(Violation.UNMASKED_CLIENT,), mask=None))
    assert line(event) == "#1 → frame 2 B 3 text fin [unmasked-client]"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    (found,) = TextLines(wall, width=width).feed(message_event("日本語".encode() * 1000))
    assert sum(2 if char in "日本語" else 1 for char in found) <= width
    assert len(found) > 30


def test_colour_only_where_wanted() -> None:
    assert "\x1b" not in TextLines(wall).feed(message_event())[0]
    assert TextLines(wall, colour=True).feed(message_event())[0].endswith("\x1b[0m")


def test_a_long_payload_is_cut_without_being_decoded_whole() -> None:
    assert line(message_event(b"x" * 1_000_000)).endswith("x…")


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (10240, "10 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_human_size(nbytes: int, text: str) -> None:
    assert human_size(nbytes) == text


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本", 4, "日本"),
        ("日本語", 4, "日…"),
        ("abc", 0, ""),
        ("", 0, ""),
    ],
)
def test_fit(text: str, cells: int, expected: str) -> None:
    assert fit(text, cells) == expected
