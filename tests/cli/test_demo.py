from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.capture.ruled import ruled_session
from tests.cli.conftest import Program, read, session, write_capture
from wsinspect.cli.summary import summary_lines
from wsinspect.control.client import ControlClient
from wsinspect.control.paths import live_proxies
from wsinspect.model import Ended, FactRecord, How, Opened, Requested, Ruled, Side


def test_summary_of_a_session_that_closed(capture: Path) -> None:
    lines = summary_lines(capture)
    assert [re.sub(" +", " ", line).strip() for line in lines] == [
        "connections 1 1 closed",
        "frames 4 1 from clients, 3 from servers",
        "text 2",
        "ping 1",
        "close 1",
        "messages 2",
        "bytes 22 11 B from clients, 11 B from servers",
    ]


@pytest.mark.parametrize(
    ("silence_ns", "words"),
    [
        (2_500_000_000, "dropped at its idle limit: the server ended it by fin after 2.5 s of silence"),
        (20_000_000, "dropped: the server ended it by fin after 0.0 s of silence"),
        (4_000_000_000, "dropped: the server ended it by fin after 4.0 s of silence"),
    ],
)
def test_summary_names_drops(silence_ns: int, words: str, tmp_path: Path) -> None:
    records = [
        FactRecord(1, 1, Requested(url="ws://host/\x1b[31malerts")),
        FactRecord(1, 2, Opened()),
        read(b"\x81\x02hi", t_ns=4),
        FactRecord(1, 4 + silence_ns, Ended(side=Side.SERVER, how=How.FIN)),
    ]
    *_, line = summary_lines(write_capture(tmp_path / "a.wscap", records), idle_limit_s=2.5)
    assert line == f"#1 ws://host/␛[31malerts  {words}, without a Close"


def test_summary_says_which_rule_ended_a_connection(tmp_path: Path) -> None:
    """It named a side, which had done nothing."""
    ended = Ended(side=Side.CLIENT, how=How.INSPECTOR, detail="reset by rule gone")
    records = [
        FactRecord(1, 1, Requested(url="ws://host/")),
        FactRecord(1, 2, Opened()),
        FactRecord(1, 3, ended),
    ]
    *_, line = summary_lines(write_capture(tmp_path / "a.wscap", records))
    assert line.startswith("#1 ws://host/  dropped: wsinspect ended it (reset by rule gone) after ")


def test_summary_counts_violations_and_gaps(tmp_path: Path) -> None:
    records = [*session()[:2], read(b"\x8b\x00"), read(b"\x81\x02hi", offset=12, frame=4)]
    text = "\n".join(summary_lines(write_capture(tmp_path / "a.wscap", records)))
    assert re.search(r"violations +1 +1 reserved-opcode", text)
    assert re.search(r"gaps +1 +10 bytes are missing", text)


@pytest.mark.slow
def test_the_demo_without_a_screen(program: Program, tmp_path: Path) -> None:
    capture = tmp_path / "demo.wscap"
    with program("demo", "--headless", "--duration", "4", "-w", capture) as child:
        out, err = child.communicate(timeout=60)
    text = out.decode()
    assert child.returncode == 0, err
    assert re.search(r"connections +\d+ .*1 dropped", text)
    for kind in ("text", "binary", "ping", "pong", "close", "continuation"):
        assert re.search(rf"^  {kind} +\d", text, re.M), kind
    drops = re.findall(r"^#\d+ \S+/(\w+)  dropped at its idle limit", text, re.M)
    assert drops == ["alerts"]
    assert text.splitlines() == summary_lines(capture, idle_limit_s=2.5)


@pytest.mark.slow
def test_the_proxy_of_a_killed_demo_ends_too(program: Program, runtime: Path) -> None:
    with program("demo", "--headless", "--duration", "60", "-w", runtime / "demo.wscap") as child:
        assert child.stderr is not None
        assert b"the demo runs" in child.stderr.readline()
        (proxy,) = live_proxies()
        with ControlClient(proxy.pid) as client:
            child.kill()
            child.communicate(timeout=30)
            client.wait_until_gone(10)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(
    number: signal.Signals, program: Program, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(runtime / "tmp"))
    (runtime / "tmp").mkdir()
    with program("demo", "--headless", "--duration", "60") as child:
        assert child.stderr is not None
        assert b"the demo runs for 60 s" in child.stderr.readline()
        assert list((runtime / "tmp").glob("*/demo.wscap"))
        child.send_signal(number)
        child.communicate(timeout=30)
    assert child.returncode == 130
    assert list((runtime / "tmp").iterdir()) == []
    assert list((runtime / "wsinspect").glob("*.sock")) == []


def test_the_summary_counts_by_rule(tmp_path: Path) -> None:
    text = "\n".join(summary_lines(write_capture(tmp_path / "a.wscap", ruled_session())))
    assert "sent                   5   1 as the client, 4 as the server, by wsinspect itself" in text
    assert "rule hits             12" in text
    for line in (
        "  fake-price      3 hits, 3 changed",
        "  no-heartbeats   1 hit, 1 dropped",
        "  slow-chat       1 hit, 1 delayed",
        "  mock-order      1 hit, 1 dropped, 1 sent",
        "  ask-me          2 hits, 2 held",
        "  watch-errors    1 hit, 1 in shadow",
        "note: the rules stay as they were: rules/demo.yaml:12:7",
    ):
        assert line in text
    assert "without a hit" not in text


def test_rules_without_a_hit_are_named(tmp_path: Path) -> None:
    loaded = FactRecord(0, 1, Ruled(files=["a.yaml"], rules=["one", "t\x1bwo"], shadow=True))
    text = "\n".join(summary_lines(write_capture(tmp_path / "a.wscap", [loaded])))
    assert "rule hits              0   in shadow: no traffic was touched" in text
    assert "  without a hit: one, t␛wo" in text
    assert "rule" not in "\n".join(summary_lines(write_capture(tmp_path / "b.wscap")))
