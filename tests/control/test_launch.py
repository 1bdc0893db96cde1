"""Launching, with a small script in place of the proxy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from wsinspect.control import launch
from wsinspect.control.launch import LaunchError, launch_proxy
from wsinspect.errors import ProxyUnreachable, TimedOut

CHILD = """
import json, os, sys, time
values = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
print("wsinspect: the child begins", file=sys.stderr, flush=True)
ready, parent = int(values["ready-fd"]), int(values["parent-fd"])
what = values["what"]
if what == "fail":
    print("wsinspect: port 1 is taken", file=sys.stderr)
    sys.exit(3)
if what == "crash":
    os.kill(os.getpid(), 9)
if what == "silent":
    time.sleep(60)
if what == "shut":
    os.close(ready)
    sys.exit(0)
hello = {"protocol": 9 if what == "strange" else 1, "wsinspect": "0.1.0", "pid": os.getpid(),
         "capture": None, "listeners": []}
line = json.dumps(hello).encode() + b"\\n"
os.write(ready, line[:10])
os.write(ready, line[10:])
os.close(ready)
os.read(parent, 1)
print("the screen is gone", file=sys.stderr, flush=True)
sys.exit(7)
"""


@pytest.fixture(autouse=True)
def fake_child(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(words: list[str], inherited: tuple[int, ...], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *words], stderr=stderr, pass_fds=inherited, start_new_session=True
        )

    monkeypatch.setattr(launch, "_start", start)


def open_fds() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_proxy_that_listens() -> None:
    before = open_fds()
    with launch_proxy(["--what=listen"]) as launched:
        assert launched.hello.pid == launched.process.pid
        assert os.getsid(launched.process.pid) == launched.process.pid, "Ctrl-C must not reach it"
        assert launched.process.poll() is None
    assert launched.process.returncode == -signal.SIGTERM
    assert open_fds() == before


def test_a_released_proxy_hears_that_nobody_is_there() -> None:
    with launch_proxy(["--what=listen"]) as launched:
        launched.release()
    assert launched.process.wait(10) == 7
    assert "the screen is gone" in launched.log.read_text()


def test_a_proxy_that_fails_gives_its_own_words_and_code() -> None:
    before = open_fds()
    with pytest.raises(LaunchError) as caught:
        launch_proxy(["--what=fail"])
    assert str(caught.value) == "the child begins\nport 1 is taken"
    assert caught.value.exit_code == 3
    assert open_fds() == before


def test_a_proxy_that_crashes() -> None:
    with pytest.raises(LaunchError, match="ended by SIGKILL") as caught:
        launch_proxy(["--what=crash"])
    assert caught.value.exit_code == 3


def test_a_proxy_that_ends_well_but_too_early() -> None:
    with pytest.raises(LaunchError) as caught:
        launch_proxy(["--what=shut"])
    assert caught.value.exit_code == 3


def test_a_proxy_that_never_listens_is_ended() -> None:
    with pytest.raises(TimedOut, match="did not listen within"):
        launch_proxy(["--what=silent"], timeout_s=0.1)


def test_a_proxy_of_another_version_is_ended() -> None:
    with pytest.raises(ProxyUnreachable, match="version 9"):
        launch_proxy(["--what=strange"])


def test_the_last_logs_are_kept() -> None:
    logs = [launch._new_log() for _ in range(13)]
    assert [log.exists() for log in logs] == [False] * 3 + [True] * 10
