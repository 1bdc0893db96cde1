"""The commands with a screen, with the screen and the proxy taken out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.fake_proxy import FakeProxy
from wsinspect.cli import main
from wsinspect.control.client import ControlClient
from wsinspect.control.launch import Launched, LaunchError


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the screen was asked to show."""
    calls: list[tuple[Any, ...]] = []

    def show(capture: Path, client: ControlClient | None = None, *, own_proxy: bool = False) -> int:
        calls.append((capture, client.info.pid if client else None, own_proxy))
        return 0

    for command in ("open", "attach", "run"):
        monkeypatch.setattr(f"wsinspect.cli.{command}.show", show)
        monkeypatch.setattr(f"wsinspect.cli.{command}.need_terminal", lambda instead: None)
    return calls


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


@pytest.fixture
def launched(
    child: subprocess.Popen[bytes],
    capture: Path,
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Launched, FakeProxy, list[str]]]:
    """A proxy that `run` believes to have launched."""
    argv: list[str] = []
    (log := runtime / "log").write_text("listening on 127.0.0.1:1 (regular)\n3 connections\n")
    read_end, write_end = os.pipe()
    with FakeProxy(str(capture), pid=os.getpid()) as proxy:
        proxy.on_stop = child.stdin.close if child.stdin else None
        launched = Launched(child, proxy.info, write_end, log)

        def launch(words: list[str]) -> Launched:
            argv.extend(words)
            return launched

        monkeypatch.setattr("wsinspect.control.launch.launch_proxy", launch)
        yield launched, proxy, argv
    os.close(read_end)


def test_open(capture: Path, shown: list[Any]) -> None:
    assert main(["open", str(capture)]) == 0
    assert shown == [(capture, None, False)]


def test_open_tells_what_is_no_capture_before_it_draws(tmp_path: Path, shown: list[Any]) -> None:
    assert main(["open", str(tmp_path / "none")]) == 2
    assert shown == []


def test_attach(capture: Path, runtime: Path, shown: list[Any]) -> None:
    with FakeProxy(str(capture)):
        assert main(["attach"]) == 0
        assert main(["attach", str(os.getpid())]) == 0
    assert shown == [(capture, os.getpid(), False)] * 2


def test_run_hands_its_options_to_the_proxy(
    launched: tuple[Launched, FakeProxy, list[str]], shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    launch, _, argv = launched
    assert main(["-p", "0", "-m", "regular", "-k"]) == 0
    assert argv == ["--mode=regular", "--listen-host=127.0.0.1", "--listen-port=0", "--ssl-insecure"]
    assert [each[1:] for each in shown] == [(os.getpid(), True)]
    assert launch.process.poll() is None, "the user left, the proxy goes on"
    assert launch.keepalive_fd == -1
    err = capsys.readouterr().err
    assert f"wsinspect attach {os.getpid()}" in err
    assert "ctl stop" in err


def test_run_when_the_user_stops_the_proxy(
    launched: tuple[Launched, FakeProxy, list[str]],
    shown: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def show(capture: Path, client: ControlClient, *, own_proxy: bool) -> int:
        client.stop(wait_s=5)
        return 0

    monkeypatch.setattr("wsinspect.cli.run.show", show)
    assert main([]) == 0
    assert launched[0].process.returncode == 0
    assert "3 connections" in capsys.readouterr().err


def test_run_when_the_proxy_dies(
    launched: tuple[Launched, FakeProxy, list[str]],
    shown: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def show(capture: Path, client: ControlClient, *, own_proxy: bool) -> int:
        launched[0].process.kill()
        launched[0].process.wait()
        return 0

    monkeypatch.setattr("wsinspect.cli.run.show", show)
    assert main([]) == 3
    assert "ended by itself" in capsys.readouterr().err


def test_run_when_the_screen_breaks(
    launched: tuple[Launched, FakeProxy, list[str]], shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(*args: Any, **options: Any) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr("wsinspect.cli.run.show", show)
    with pytest.raises(RuntimeError, match="a bug"):
        main([])
    assert launched[0].process.poll() is None, "a broken screen ends nobody's connection"


def test_run_when_the_proxy_cannot_listen(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(words: list[str]) -> Launched:
        raise LaunchError("port 8080 is taken", 3)

    monkeypatch.setattr("wsinspect.control.launch.launch_proxy", launch)
    assert main([]) == 3
    assert capsys.readouterr().err == "wsinspect: port 8080 is taken\n"
    assert shown == []
