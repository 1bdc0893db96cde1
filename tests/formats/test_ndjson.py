from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, GapEvent, MessageEvent, RawEvent
from wsinspect.formats.ndjson import NdjsonLines, address, dump
from wsinspect.model import (
    Altered,
    Closed,
    Ended,
    Fact,
    Failed,
    Frame,
    How,
    Message,
    Notice,
    Opcode,
    Opened,
    Requested,
    Side,
    TlsInfo,
    Unknown,
    Violation,
)

WALL_NS = 1_700_000_000_000_000_000
REQUESTED = Requested(
    url="ws://host/chat",
    target="/chat",
    headers=[("Host", "host"), ("X-Twice", "a"), ("X-Twice", "b")],
    client=("127.0.0.1", 5000),
    listener=("127.0.0.1", 8080),
    mode="regular",
    client_leg="c1",
)
OPENED = Opened(
    headers=[
        ("Sec-WebSocket-Protocol", "chat.v1"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
        ),
    ],
    reason="Switching Protocols",
    server=("::1", 80),
    server_leg="s1",
    tls=TlsInfo(version="TLSv1.3", sni="host"),
)


def wall(t_ns: int) -> int:
    return WALL_NS + t_ns


def lines(*events: Event, frames: bool = False, finish: bool = False) -> list[dict[str, Any]]:
    ndjson = NdjsonLines(wall, frames=frames)
    found = [line for event in events for line in ndjson.feed(event)]
    return [json.loads(line) for line in found + (ndjson.finish() if finish else [])]


def fact(fact: Fact, conn: int = 1, t_ns: int = 0) -> FactEvent:
    return FactEvent(conn, t_ns, fact)


def frame(opcode: int = Opcode.TEXT, payload: bytes = b"hi", **changes: Any) -> Frame:
    values: dict[str, Any] = {
        "side": Side.CLIENT,
        "number": 3,
        "offset": 20,
        "fin": True,
        "rsv": 0,
        "header_bytes": 6,
    }
    values |= {"opcode": opcode, "payload": payload, "length": len(payload), "mask": b"\x01\x02\x03\x04"}
    return Frame(**(values | changes))


def frame_event(frame: Frame, **changes: Any) -> FrameEvent:
    return FrameEvent(
        **({"conn": 1, "side": frame.side, "t_ns": 5, "frame": frame, "reads": (2, 4)} | changes)
    )


def message_event(payload: bytes = b"hi", opcode: int = Opcode.TEXT, **changes: Any) -> MessageEvent:
    message = Message(Side.SERVER, opcode, payload, first_frame=2, last_frame=3, wire_bytes=9, **changes)
    return MessageEvent(1, Side.SERVER, 7, message)


# ------------------------------------------------------------------------------------------- golden lines


def test_a_message_as_it_stands() -> None:
    (line,) = NdjsonLines(wall).feed(message_event("grüß".encode()))
    assert line == (
        '{"v":1,"t":1700000000.0,"t_ns":7,"conn":"1","seq":1,"kind":"message","dir":"s2c","opcode":1,"len":6,'
        '"wire":9,"text":"grüß","frames":[2,3],"flags":[]}'
    )


def test_a_frame_as_it_stands() -> None:
    (line,) = NdjsonLines(wall, frames=True).feed(frame_event(frame()))
    assert line == (
        '{"v":1,"t":1700000000.0,"t_ns":5,"conn":"1","seq":1,"kind":"frame","dir":"c2s","opcode":1,"len":2,"wire":8,'
        '"text":"hi","number":3,"offset":20,"fin":true,"rsv":0,"masked":true,"mask":"01020304","read":[2,4],'
        '"flags":[]}'
    )


def test_a_ping_and_a_close_as_they_stand() -> None:
    ndjson = NdjsonLines(wall)
    (ping,) = ndjson.feed(frame_event(frame(Opcode.PING, b"beat")))
    assert ping.endswith('"kind":"ping","dir":"c2s","opcode":9,"len":4,"wire":10,"text":"beat","flags":[]}')
    (close,) = ndjson.feed(frame_event(frame(Opcode.CLOSE, b"\x03\xe9bye")))
    assert close.endswith(
        '"seq":2,"kind":"close","dir":"c2s","opcode":8,"len":5,"wire":11,"code":1001,"reason":"bye","flags":[]}'
    )


def test_an_end_as_it_stands() -> None:
    ended = Ended(
        side=Side.SERVER, how=How.RST, errno="ECONNRESET", discarded_bytes=4, tcp_info={"rtt_us": 9}
    )
    (line,) = NdjsonLines(wall).feed(fact(ended))
    assert line.endswith(
        '"kind":"end","side":"server","how":"rst","errno":"ECONNRESET","detail":"","discarded":4,'
        '"tcp_info":{"rtt_us":9}}'
    )


def test_open_has_both_halves_of_the_handshake() -> None:
    (line,) = lines(fact(REQUESTED, t_ns=1), fact(OPENED, t_ns=2))
    assert (line["kind"], line["t_ns"], line["asked_t_ns"]) == ("open", 2, 1)
    assert line["url"] == "ws://host/chat"
    assert line["subprotocol"] == "chat.v1"
    assert line["extensions"] == ["permessage-deflate; server_no_context_takeover; client_max_window_bits=10"]
    assert (line["client"], line["server"], line["listener"]) == (
        "127.0.0.1:5000",
        "[::1]:80",
        "127.0.0.1:8080",
    )
    assert (line["mode"], line["path"], line["transport"]) == ("regular", "takeover", "websocket")
    assert line["request"]["headers"] == [["Host", "host"], ["X-Twice", "a"], ["X-Twice", "b"]]
    assert line["response"]["headers"] == [list(header) for header in OPENED.headers]
    assert line["response"]["status"] == 101
    assert line["tls"] == {
        "client": None,
        "server": {"version": "TLSv1.3", "cipher": None, "alpn": None, "sni": "host"},
    }
    assert line["legs"] == {"client": "c1", "server": "s1"}


def test_open_without_its_request() -> None:
    (line,) = lines(fact(OPENED))
    assert (line["kind"], line["url"], line["request"], line["client"]) == ("open", None, None, None)


def test_a_set_up_that_failed() -> None:
    failed = Failed(
        phase="http", message="no 101", status=403, reason="Forbidden", headers=[("A", "b")], body=b"go away"
    )
    (line,) = lines(fact(REQUESTED), fact(failed, t_ns=4))
    assert (line["kind"], line["phase"], line["message"], line["status"]) == ("error", "http", "no 101", 403)
    assert line["response"] == {
        "status": 403,
        "reason": "Forbidden",
        "headers": [["A", "b"]],
        "text": "go away",
    }
    assert line["request"]["target"] == "/chat"


def test_a_set_up_that_failed_before_http() -> None:
    (line,) = lines(fact(Failed(phase="tls-client", message="unknown CA", errno=None)))
    assert (line["kind"], line["url"], line["request"], line["status"]) == ("error", None, None, None)
    assert "response" not in line


def test_a_handshake_without_an_answer() -> None:
    (line,) = lines(fact(REQUESTED, t_ns=3), finish=True)
    assert (line["kind"], line["code"], line["url"], line["t_ns"]) == (
        "note",
        "connecting",
        "ws://host/chat",
        3,
    )
    assert lines(fact(REQUESTED), fact(OPENED), finish=True)[-1]["kind"] == "open"


def test_the_next_process_leaves_no_handshake_waiting() -> None:
    segment = fact(Notice(code="segment", text="process 7 goes on"), conn=0, t_ns=9)
    first, second = lines(fact(REQUESTED), segment, finish=True)
    assert (first["code"], second["code"], second["conn"]) == ("connecting", "segment", "0")


# ------------------------------------------------------------------------------------------------ payloads


@pytest.mark.parametrize(
    ("event", "key", "value"),
    [
        (message_event(b"\xff"), "b64", "/w=="),
        (message_event(b"abc", Opcode.BINARY), "b64", "YWJj"),
        (message_event(b"abc", 3), "b64", "YWJj"),
        (frame_event(frame(Opcode.PING, b"\x80")), "b64", "gA=="),
        (frame_event(frame(Opcode.PONG, b"")), "text", ""),
    ],
)
def test_what_is_not_utf8_text_goes_to_b64(event: Event, key: str, value: str) -> None:
    (line,) = lines(event)
    assert line[key] == value
    assert not ({"text", "b64"} - {key}) & set(line)


def test_frames_of_a_message_are_not_taken_for_text() -> None:
    """A continuation's kind is its message's, and a compressed payload is not text yet."""
    continuation, compressed, plain = lines(
        frame_event(frame(Opcode.CONTINUATION)), frame_event(frame(rsv=4)), frame_event(frame()), frames=True
    )
    assert continuation["b64"] == compressed["b64"] == base64.b64encode(b"hi").decode()
    assert plain["text"] == "hi"


@pytest.mark.parametrize("lost", ["window-lost", "gap"])
def test_what_cannot_be_known_is_not_guessed(lost: Any) -> None:
    (line,) = lines(message_event(b"", lost=lost, compressed=True))
    assert line["len"] is None
    assert line["flags"] == ["compressed", lost]
    assert not {"text", "b64"} & set(line)


def test_a_close_that_code_and_reason_cannot_say() -> None:
    empty, half, bad = lines(
        *(frame_event(frame(Opcode.CLOSE, payload)) for payload in (b"", b"\x03", b"\x03\xe8\xff"))
    )
    assert (empty["code"], empty["reason"], "b64" in empty) == (None, "", False)
    assert (half["code"], base64.b64decode(half["b64"])) == (None, b"\x03")
    assert (bad["code"], bad["reason"], base64.b64decode(bad["b64"])) == (1000, "�", b"\x03\xe8\xff")


def test_flags_rules_and_violations() -> None:
    event = frame_event(
        frame(Opcode.PING, b"x", truncated=True, violations=(Violation.LONG_CONTROL,)),
        flags=("injected",),
        rule="beat",
    )
    (line,) = lines(event)
    assert (line["flags"], line["rule"], line["violations"]) == (
        ["injected", "truncated"],
        "beat",
        ["long-control"],
    )


# ------------------------------------------------------------------------------------- which lines there are


def test_frames_come_only_where_asked_for_and_before_their_message() -> None:
    events = (frame_event(frame()), message_event())
    assert [line["kind"] for line in lines(*events)] == ["message"]
    assert [line["kind"] for line in lines(*events, frames=True)] == ["frame", "message"]


def test_control_frames_have_one_line_that_has_the_frame_too() -> None:
    (line,) = lines(frame_event(frame(Opcode.PING)), frames=True)
    assert (line["kind"], line["number"], line["read"]) == ("ping", 3, [2, 4])


@pytest.mark.parametrize(
    "lonely",
    [
        frame(11),
        frame(Opcode.CONTINUATION, violations=(Violation.UNEXPECTED_CONTINUATION,)),
        frame(length=1 << 63, violations=(Violation.LENGTH_OVERFLOW,), truncated=True, payload=b""),
    ],
)
def test_frames_that_no_message_stands_for_are_never_left_out(lonely: Frame) -> None:
    assert [line["kind"] for line in lines(frame_event(lonely))] == ["frame"]


def test_seq_counts_the_lines_of_a_connection() -> None:
    other = MessageEvent(2, Side.CLIENT, 1, message_event().message)
    found = lines(fact(REQUESTED), fact(OPENED), message_event(), other, fact(Closed()), message_event())
    assert [(line["conn"], line["seq"]) for line in found] == [
        ("1", 1),
        ("1", 2),
        ("2", 1),
        ("1", 3),
        ("1", 1),
    ]


def test_notes() -> None:
    found = lines(
        fact(Notice(code="blind", text="not frames", level="warning", side=Side.SERVER)),
        fact(Altered(what="request header Host", before="a", after="b")),
        fact(Unknown(name="verdict", values={"x": 1})),
        fact(Closed(frames=(1, 2), wire_bytes=(3, 4))),
        GapEvent(1, Side.CLIENT, 1, 99, "the disk was slow"),
        RawEvent(1, Side.SERVER, 1, b"\x00raw"),
    )
    assert [line["kind"] for line in found] == ["note"] * 6
    assert [line["code"] for line in found] == ["blind", "altered", "unknown", "closed", "gap", "raw"]
    notice, altered, unknown, closed, gap, raw = found
    assert (notice["level"], notice["side"], notice["text"]) == ("warning", "server", "not frames")
    assert (altered["what"], altered["before"], altered["after"]) == ("request header Host", "a", "b")
    assert (unknown["name"], unknown["values"]) == ("verdict", {"x": 1})
    assert closed["totals"] == {"client": {"frames": 1, "wire": 3}, "server": {"frames": 2, "wire": 4}}
    assert (gap["dir"], gap["nbytes"], gap["reason"], gap["flags"]) == (
        "c2s",
        99,
        "the disk was slow",
        ["gap"],
    )
    assert (raw["dir"], base64.b64decode(raw["b64"])) == ("s2c", b"\x00raw")


def test_time_is_of_the_wall_clock_where_one_is_known() -> None:
    assert (
        json.loads(NdjsonLines(lambda t_ns: WALL_NS + 123_456_789).feed(message_event())[0])["t"]
        == 1700000000.123457
    )
    assert json.loads(NdjsonLines(lambda t_ns: 0).feed(message_event())[0])["t"] is None


@pytest.mark.parametrize(
    "harm", ["\x1b", "\x7f", "\x9b", "\x85", "\u202e", "\u200b", "\ufeff", "\u2028", "\ud800"]
)
def test_nothing_harmful_reaches_a_terminal(harm: str) -> None:
    line = dump({"text": f"日本語 {harm}"})
    assert harm not in line
    assert "日本語" in line
    assert json.loads(line) == {"text": f"日本語 {harm}"}


def test_address() -> None:
    assert address(None) is None
    assert address(("example.org", 80)) == "example.org:80"
    assert address(("::1", 80)) == "[::1]:80"
