from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.control.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL,
    CaptureMoved,
    Close,
    ControlError,
    ErrorCode,
    HeldEvent,
    HeldMessage,
    Hello,
    Holds,
    HoldsStatus,
    Lines,
    Listener,
    NoticeEvent,
    ProxyInfo,
    ProxyStatus,
    ReleasedEvent,
    Reload,
    Request,
    ResolveHold,
    Rules,
    RulesBrief,
    RulesEvent,
    RulesStatus,
    RuleStatus,
    Send,
    Status,
    Stop,
    Stopping,
    SwitchRules,
    UnknownEvent,
    Watch,
    answer_values,
    encode_answer,
    encode_event,
    encode_line,
    encode_refusal,
    encode_request,
    parse_event,
    parse_line,
    parse_request,
)
from wsinspect.errors import ProxyUnreachable, UsageError
from wsinspect.model import Opcode, Side

INFO = ProxyInfo("0.1.0", 42, "/tmp/a.wscap", (Listener("reverse:http://h", "127.0.0.1", 8080),))


@pytest.mark.parametrize(
    "request_",
    [
        Hello(),
        Status(),
        Stop(),
        Watch(),
        Watch(attached=False),
        Rules(),
        Reload(),
        SwitchRules(("fake-price",), False),
        Holds(),
        ResolveHold(3, 2, "release"),
        ResolveHold(3, 2, "edit", b'{"price":1}'),
        ResolveHold(3, 2, "edit", b"\xff"),
        ResolveHold(3, 2, "drop"),
        Send(3, Side.SERVER, Opcode.TEXT, "grüß".encode()),
        Send(1, Side.CLIENT, Opcode.BINARY, b"\xff\x00"),
        Send(1, Side.CLIENT, Opcode.PING, b""),
        Close(7),
        Close(7, None, "", (Side.CLIENT,)),
        Close(7, 4999, "bye", (Side.SERVER,)),
    ],
)
def test_requests_round_trip(request_: Request) -> None:
    line = encode_request(5, request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_request(line) == (5, request_)


def test_send_on_the_wire() -> None:
    line = encode_request(1, Send(3, Side.SERVER, Opcode.TEXT, b"hi"))
    assert json.loads(line) == {
        "id": 1,
        "do": "send",
        "conn": 3,
        "to": "server",
        "opcode": "text",
        "text": "hi",
    }


@pytest.mark.parametrize(
    ("values", "code", "word"),
    [
        ({}, ErrorCode.UNKNOWN_COMMAND, "None"),
        ({"do": "dance"}, ErrorCode.UNKNOWN_COMMAND, "dance"),
        ({"do": ["hello"]}, ErrorCode.UNKNOWN_COMMAND, "hello"),
        ({"do": "send"}, ErrorCode.BAD_REQUEST, "opcode"),
        ({"do": "send", "conn": 1, "to": "server", "opcode": "text"}, ErrorCode.BAD_REQUEST, "b64"),
        (
            {"do": "send", "conn": 1, "to": "all", "opcode": "text", "text": ""},
            ErrorCode.BAD_REQUEST,
            "to must",
        ),
        (
            {"do": "send", "conn": True, "to": "server", "opcode": "text", "text": ""},
            ErrorCode.BAD_REQUEST,
            "conn",
        ),
        (
            {"do": "send", "conn": 1, "to": "server", "opcode": "close", "text": ""},
            ErrorCode.BAD_REQUEST,
            "opcode",
        ),
        (
            {"do": "send", "conn": 1, "to": "server", "opcode": "ping", "text": "x" * 126},
            ErrorCode.BAD_REQUEST,
            "125",
        ),
        (
            {"do": "send", "conn": 1, "to": "server", "opcode": "text", "b64": "/w=="},
            ErrorCode.BAD_REQUEST,
            "UTF-8",
        ),
        (
            {"do": "send", "conn": 1, "to": "server", "opcode": "binary", "b64": "?"},
            ErrorCode.BAD_REQUEST,
            "base64",
        ),
        (
            {"do": "send", "conn": 1, "to": "server", "opcode": "text", "text": "\ud800"},
            ErrorCode.BAD_REQUEST,
            "text",
        ),
        ({"do": "close", "conn": 0}, ErrorCode.BAD_REQUEST, "conn"),
        ({"do": "close", "conn": 1, "code": 65536}, ErrorCode.BAD_REQUEST, "16 bits"),
        ({"do": "close", "conn": 1, "reason": "x" * 124}, ErrorCode.BAD_REQUEST, "123"),
        ({"do": "close", "conn": 1, "code": None, "reason": "x"}, ErrorCode.BAD_REQUEST, "needs a code"),
        ({"do": "close", "conn": 1, "side": "left"}, ErrorCode.BAD_REQUEST, "side"),
        ({"do": "switch", "rules": ["a"], "on": 1}, ErrorCode.BAD_REQUEST, "true or false"),
        ({"do": "switch", "rules": "a", "on": True}, ErrorCode.BAD_REQUEST, "a list of rules' ids"),
        ({"do": "hold", "conn": 1, "hold": 1, "how": "free"}, ErrorCode.BAD_REQUEST, "release, edit, drop"),
        ({"do": "hold", "conn": 1, "hold": 0, "how": "drop"}, ErrorCode.BAD_REQUEST, "hold must"),
        ({"do": "hold", "conn": 1, "hold": 1, "how": "edit"}, ErrorCode.BAD_REQUEST, "text"),
    ],
)
def test_bad_requests_are_refused_with_their_id(values: dict[str, Any], code: ErrorCode, word: str) -> None:
    with pytest.raises(ControlError, match=word) as caught:
        parse_request(encode_line({"id": 9} | values))
    assert caught.value.code is code
    assert caught.value.exit_code == 2
    refusal = json.loads(encode_refusal(caught.value))
    assert refusal["id"] == 9
    assert refusal["code"] == code.value


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"do":"hello"}', b'{"id":true}']
)
def test_lines_that_are_no_requests(line: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        parse_request(line)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.request_id is None


def test_unknown_fields_of_a_newer_client_are_ignored() -> None:
    assert parse_request(b'{"id":1,"do":"stop","gently":true}') == (1, Stop())


def test_answers() -> None:
    assert answer_values(parse_line(encode_answer(1, {"a": 2}))) == {"a": 2}
    with pytest.raises(ControlError, match="no connection 7") as caught:
        answer_values({"id": 1, "ok": False, "error": "no connection 7", "code": "not-found"})
    assert caught.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(ControlError) as caught:
        answer_values({"id": 1, "ok": False, "code": "a code of the future"})
    assert caught.value.code is ErrorCode.FAILED
    assert caught.value.exit_code == 3


def test_hello_and_status_round_trip() -> None:
    assert ProxyInfo.parse(json.loads(encode_line(INFO.values()))) == INFO
    status = ProxyStatus(INFO, 1, 2, 3, 4, 5.5, ["trouble"])
    assert ProxyStatus.parse(json.loads(encode_line(status.values()))) == status
    assert status.values()["connections"] == {"live": 1, "total": 2}
    ruled = ProxyStatus(INFO, 1, 2, rules=RulesBrief(3, 1, 12, ("r.yaml",), True, "bad"), held=2, attached=1)
    assert ProxyStatus.parse(json.loads(encode_line(ruled.values()))) == ruled


HELD = HeldMessage(3, 1, Side.SERVER, "pause", 2, b"\x00\xff", 70_000, 30_000, 12.5, "drop", 4, 6, "ws://h/")


def test_rules_and_holds_round_trip() -> None:
    rules = RulesStatus((RuleStatus("a", "drop pings", "r.yaml:3", False, 7, 1),), ("r.yaml",), True, "no")
    assert RulesStatus.parse(parse_line(encode_line(rules.values()))) == rules
    holds = HoldsStatus((HELD,))
    assert HoldsStatus.parse(parse_line(encode_line(holds.values()))) == holds
    assert HELD.name == "3.1"


def test_a_long_list_says_what_it_leaves_out() -> None:
    rules = RulesStatus(tuple(RuleStatus(f"rule-{number}", "é" * 1000) for number in range(1500)))
    shown = RulesStatus.parse(parse_line(encode_line(rules.values())))
    assert shown.left_out > 0
    assert len(shown.rules) + shown.left_out == 1500
    long = HeldMessage(1, 1, Side.CLIENT, "r", 1, b"\x00" * 256, 256, 1)
    holds = HoldsStatus.parse(parse_line(encode_line(HoldsStatus((long,) * 1600).values())))
    assert len(holds.holds) + holds.left_out == 1600
    event = RulesEvent(("r.yaml",), ids := tuple("é" * 100 + str(number) for number in range(1500)), ids)
    told = parse_event(parse_line(encode_event(event)))
    assert isinstance(told, RulesEvent)
    assert ids[:500] == told.rules[:500]


@pytest.mark.parametrize("values", [{}, {"rules": 3}, {"rules": [1]}, {"rules": [{"id": "a", "hits": "x"}]}])
def test_rules_of_another_world(values: dict[str, Any]) -> None:
    with pytest.raises(ProxyUnreachable, match="understood"):
        RulesStatus.parse(values)


@pytest.mark.parametrize("change", [{"conn": "x"}, {"side": "left"}, {"text": 1}, {"limit_ms": None}])
def test_a_held_message_of_another_world(change: dict[str, Any]) -> None:
    values = {**HELD.values(), **change}
    if "text" in change:
        del values["b64"]
    with pytest.raises(ProxyUnreachable, match="understood"):
        HoldsStatus.parse({"holds": [values]})
    assert isinstance(parse_event({"event": "held"} | values), UnknownEvent)


@pytest.mark.parametrize(
    "change", [{"protocol": PROTOCOL + 1}, {"protocol": None}, {"pid": "x"}, {"listeners": [1]}]
)
def test_a_hello_of_another_world(change: dict[str, Any]) -> None:
    with pytest.raises(ProxyUnreachable, match=r"version|understood"):
        ProxyInfo.parse(INFO.values() | change)


def test_events() -> None:
    moved = CaptureMoved("/dev/shm/ring", 12, 345, False)
    ruled = RulesEvent(("r.yaml",), ("a", "b"), ("b",), True, "r.yaml:1:1: no")
    held = HeldEvent(HELD), ReleasedEvent(3, 1, "discard", "reset")
    new = UnknownEvent("new", {"x": 1})
    for event in (NoticeEvent("careful", "warning", 3), moved, ruled, *held, Stopping(), new):
        assert parse_event(parse_line(encode_event(event))) == event
    assert parse_event({"event": "notice", "level": "fatal", "conn": "x"}) == NoticeEvent("", "info", None)
    odd = {"event": "released", "conn": 3, "hold": 1, "how": "lost", "by": "user"}
    assert isinstance(parse_event(odd), UnknownEvent)


def test_a_line_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(UsageError, match="1048576"):
        encode_line({"text": "x" * MAX_LINE_BYTES})


@given(st.lists(st.binary(min_size=1).filter(lambda line: line.strip() and b"\n" not in line)), st.data())
def test_lines_are_cut_anywhere(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter, found = Lines(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += cutter.receive(stream[:size])
        stream = stream[size:]
    assert found == lines


@pytest.mark.parametrize("data", [b"x" * 11, b"ok\n" + b"x" * 11 + b"\n"])
def test_a_line_without_end_is_refused(data: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        Lines(max_bytes=10).receive(data)
    assert caught.value.code is ErrorCode.TOO_LONG
