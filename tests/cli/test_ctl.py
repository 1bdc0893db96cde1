from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.control.fake_proxy import FakeProxy
from wsinspect.cli import main
from wsinspect.control.protocol import Close, Send, Stop
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
