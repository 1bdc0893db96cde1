from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.control.fake_proxy import FakeProxy
from wsinspect.cli import main
from wsinspect.control.protocol import (
    Close,
    HeldEvent,
    HeldMessage,
    HoldsStatus,
    NoticeEvent,
    ReleasedEvent,
    Reload,
    ResolveHold,
    RulesStatus,
    RuleStatus,
    Send,
    Stop,
    SwitchRules,
    Watch,
)
from wsinspect.model import Opcode, Side


def test_status(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ctl", "status"]) == 0
    out = capsys.readouterr().out
    assert "127.0.0.1:8080 (regular)" in out
    assert "2 live, 5 in all" in out
    assert "the disk is slow" in out


def test_status_as_json(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ctl", "status", str(os.getpid()), "--format", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["connections"] == {"live": 2, "total": 5}
    assert status["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("send 1 hello", Send(1, Side.SERVER, Opcode.TEXT, b"hello")),
        ("send 1 hello --to client --opcode binary", Send(1, Side.CLIENT, Opcode.BINARY, b"hello")),
        ("send 1 /w== --base64 --opcode ping", Send(1, Side.SERVER, Opcode.PING, b"\xff")),
        ("close 2", Close(2)),
        ("close 2 --code 1014 --reason gone --side client", Close(2, 1014, "gone", (Side.CLIENT,))),
    ],
)
def test_send_and_close(line: str, request_: Send | Close, proxy: FakeProxy) -> None:
    assert main(["ctl", *line.split(), "--proxy", str(proxy.path)]) == 0
    assert proxy.requests[-1] == request_


def test_stop(proxy: FakeProxy) -> None:
    assert main(["ctl", "stop"]) == 0
    assert isinstance(proxy.requests[-1], Stop)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("send 77 hello", 2, "no connection 77"),
        ("send 1 ? --base64", 2, "not base64"),
        ("close 1 --reason " + "x" * 124, 2, "123"),
        ("status 1", 3, "no proxy with the process id 1"),
        ("status /nowhere/1.sock", 2, "no such socket"),
    ],
)
def test_what_cannot_be_done(
    line: str, code: int, words: str, proxy: FakeProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ctl", *line.split()]) == code
    assert words in capsys.readouterr().err


def test_several_proxies_are_listed(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeProxy(pid=os.getppid()):
        for command in (["ctl", "status"], ["attach"]):
            assert main(command) == 2
            err = capsys.readouterr().err
            assert "several proxies" in err
            assert str(os.getpid()) in err
            assert str(os.getppid()) in err


@pytest.mark.parametrize("command", [["ctl", "stop"], ["attach"]])
def test_without_a_proxy(command: list[str], runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 3
    assert "no proxy is running" in capsys.readouterr().err


def test_a_proxy_that_does_not_stop(proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "stop", lambda: None)
    assert main(["ctl", "stop", "--timeout", "0.05"]) == 4
    monkeypatch.undo()


RULES = RulesStatus(
    (
        RuleStatus("fake-price", "text from the server: set $.price to 1", "r.yaml:3", True, 1204),
        RuleStatus("quiet\x1b[31m", "drop it", "r.yaml:9", False, 0, 2),
    ),
    ("r.yaml",),
)
HELD = HeldMessage(3, 1, Side.CLIENT, "pause", 1, b'{"op":"\x1b[31mbuy"}', 17, 30_000, 1234.5)


def test_rules_are_listed(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.rules = RULES
    for words in (["rules"], ["rules", "list"]):
        assert main(["ctl", *words]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == "on   fake-price     1,204 hits  text from the server: set $.price to 1"
        assert second.startswith("off  quiet␛[31m")
        assert "failed in 2 connections" in second
    assert main(["ctl", "rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(each["id"], each["hits"]) for each in listed["rules"]] == [
        ("fake-price", 1204),
        ("quiet\x1b[31m", 0),
    ]


def test_a_list_of_rules_says_what_is_special(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.rules = RulesStatus(RULES.rules, ("r.yaml",), True, "r.yaml:1:1: no rules", 3)
    assert main(["ctl", "rules"]) == 0
    said = capsys.readouterr()
    assert "and 3 more" in said.out
    assert "in shadow" in said.err
    assert "r.yaml:1:1: no rules" in said.err


def test_rules_are_switched(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.rules = RulesStatus((RuleStatus("a"), RuleStatus("b")))
    assert main(["ctl", "rules", "off", "a", "b"]) == 0
    assert proxy.requests[-1] == SwitchRules(("a", "b"), False)
    assert main(["ctl", "rules", "on", "a"]) == 0
    assert proxy.requests[-1] == SwitchRules(("a",), True)
    assert capsys.readouterr().err.splitlines()[-1] == "wsinspect: rule a is on"
    assert main(["ctl", "rules", "on", "a", "c"]) == 2
    assert capsys.readouterr().err == "wsinspect: there is no rule c\n"


def test_rules_are_reloaded(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.rules = RULES
    assert main(["ctl", "reload"]) == 0
    assert isinstance(proxy.requests[-1], Reload)
    assert capsys.readouterr().err == "wsinspect: 2 rules loaded of r.yaml\n"
    proxy.rules = RulesStatus(files=("r.yaml",), error="r.yaml:1:1: one\nr.yaml:2:1: two")
    assert main(["ctl", "reload"]) == 2
    assert capsys.readouterr().err == "wsinspect: r.yaml:1:1: one\nr.yaml:2:1: two\n"


@pytest.mark.parametrize(
    "line", ["rules on", "rules list a", "rules sideways", "hold release 3", "hold drop 3.0"]
)
def test_what_ctl_does_not_understand(
    line: str, proxy: FakeProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ctl", *line.split()]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_status_tells_of_rules_and_holds(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.rules = RulesStatus(RULES.rules, ("r.yaml",), True, "r.yaml:1:1: one\nr.yaml:2:1: two")
    proxy.holds = HoldsStatus((HELD,))
    assert main(["ctl", "status"]) == 0
    out = capsys.readouterr().out
    assert "rules        2, 1 off, 1,204 hits, in shadow: r.yaml" in out
    assert "not loaded   r.yaml:2:1: two" in out
    assert "held         1 (" in out
    assert main(["ctl", "status", "--format", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["rules"]["hits"], status["held"]) == (1204, 1)


def test_held_messages_are_listed(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.holds = HoldsStatus((HELD, HeldMessage(4, 2, Side.SERVER, "pause", 2, b"\x00\xff", 9000, 500)))
    assert main(["ctl", "hold", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("3.1      → text        17 B  pause  1.2 of 30 s, then release  {")
    assert "␛[31mbuy" in first
    assert second.endswith("00 ff…")
    assert main(["ctl", "hold", "list", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"][0]["text"] == '{"op":"\x1b[31mbuy"}'


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        (["release", "3.1"], [ResolveHold(3, 1, "release")]),
        (["release", "3.1", "4.2"], [ResolveHold(3, 1, "release"), ResolveHold(4, 2, "release")]),
        (["drop", "3.1"], [ResolveHold(3, 1, "drop")]),
        (["wait", "3.1"], [ResolveHold(3, 1, "wait")]),
        (["edit", "3.1", "grüß dich"], [ResolveHold(3, 1, "edit", "grüß dich".encode())]),
        (["edit", "3.1", "/w==", "--base64"], [ResolveHold(3, 1, "edit", b"\xff")]),
    ],
)
def test_held_messages_are_resolved(
    words: list[str], requests: list[ResolveHold], proxy: FakeProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.holds = HoldsStatus((HELD, HeldMessage(4, 2, Side.SERVER, "pause", 2, b"", 0, 500)))
    assert main(["ctl", "hold", *words]) == 0
    assert proxy.requests[1:] == requests
    assert main(["ctl", "hold", words[0], "3.9", *words[2:3]]) == 3
    assert "already released" in capsys.readouterr().err


def test_watching_prints_what_is_held(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.events = [HeldEvent(HELD), NoticeEvent("else"), ReleasedEvent(3, 1, "release", "default")]
    assert main(["ctl", "hold", "watch"]) == 0
    held, released = map(json.loads, capsys.readouterr().out.splitlines())
    assert (held["event"], held["conn"], held["hold"], held["payload_bytes"]) == ("held", 3, 1, 17)
    assert released == {"event": "released", "conn": 3, "hold": 1, "how": "release", "by": "default"}
    assert Watch(True) in proxy.requests
