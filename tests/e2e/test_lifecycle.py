"""How the proxy starts, where it refuses to, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import own_stage
from tests.e2e.crowd import Crowd, open_pair
from tests.e2e.program import tell, wsinspect
from tests.proxy.conftest import Stage, open_through
from tests.proxy.raw import TIMEOUT_S, close_all, raw_connect
from tests.proxy.running import RunningProxy, facts
from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, Timeline
from wsinspect.control.launch import launch_proxy
from wsinspect.model import Closed, Ended, How, Notice, Requested, Side
from wsinspect.wire.frames import encode_frame

STOP_PROMISE_S = 2.0
PATIENCE = 10
"""A machine under load may take so many times as long as promised."""


async def test_each_mode_says_where_it_listens(stage: Stage) -> None:
    plain, tls = stage.server_ports
    lines = [line for line in stage.proxy.stderr.splitlines() if line.startswith("listening on ")]
    assert lines == [
        f"listening on 127.0.0.1:{stage.proxy.ports[0]} (reverse:http://127.0.0.1:{plain})",
        f"listening on 127.0.0.1:{stage.proxy.ports[1]} (reverse:https://127.0.0.1:{tls})",
    ]
    assert len(set(stage.proxy.ports)) == 2
    for port in stage.proxy.ports:
        (await raw_connect(port)).close()


def is_one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.startswith("wsinspect: ") and "Traceback" not in text


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await wsinspect("proxy", "-p", str(port), "-w", str(tmp_path / "a.wscap"))
    assert (done.code, done.out) == (3, "")
    assert is_one_sentence(done.err)
    assert f"listen on 127.0.0.1:{port}: Address already in use" in done.err


async def test_a_bad_mode_is_the_users_mistake(tmp_path: Path) -> None:
    done = await wsinspect("proxy", "--mode", "revers:http://localhost", "-w", str(tmp_path / "a.wscap"))
    assert (done.code, done.out) == (2, "")
    assert is_one_sentence(done.err)
    assert "reverse" in done.err
    assert not (tmp_path / "a.wscap").exists()


async def test_a_capture_has_one_writer(stage: Stage) -> None:
    done = await wsinspect("proxy", "-p", "0", "-w", str(stage.proxy.capture))
    assert (done.code, done.out) == (3, "")
    assert is_one_sentence(done.err)
    assert str(stage.proxy.capture) in done.err


async def test_another_file_is_never_written_to(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a capture, and worth keeping\n")
    done = await wsinspect("proxy", "-p", "0", "-w", str(other))
    assert (done.code, done.out) == (2, "")
    assert is_one_sentence(done.err)
    assert other.read_text() == "not a capture, and worth keeping\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "answering"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["SIGINT", "SIGTERM"]
)
async def test_a_signal_ends_it_with_twenty_live_connections(
    tmp_path: Path, number: signal.Signals, answering: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """`answering` peers end as apps do; the others never do, and the stop may not wait for them."""
    crowd = Crowd(answering)
    with own_stage(tmp_path) as stage:
        try:
            await crowd.gather(stage, plain=13, tls=7)
            began = time.monotonic()
            stage.proxy.process.send_signal(number)
            assert await asyncio.to_thread(stage.proxy.process.wait, TIMEOUT_S * 2) == 0
            took_s = time.monotonic() - began
            await crowd.saw_fin()
        finally:
            await crowd.leave()
        who = "answering" if answering else "silent"
        tell(capsys, f"{number.name}, 20 connections, peers {who}: ended in {took_s:.2f} s")
        assert took_s < STOP_PROMISE_S * PATIENCE
        stage.proxy.stop()
        last_line = stage.proxy.stderr.splitlines()[-1]
        assert re.fullmatch(r"20 connections, [\d,]+ frames, [\d,]+ bytes; capture \S+", last_line)
        events = stage.proxy.events()
        by_inspector = [end.side for end in facts(events, Ended) if end.how is How.INSPECTOR]
        assert (by_inspector.count(Side.CLIENT), by_inspector.count(Side.SERVER)) == (20, 20)
        assert len(facts(events, Closed)) == 20
        frames = sum(isinstance(event, FrameEvent) for event in events)
        assert f" {frames:,} frames" in last_line


async def stop_with_many_signals(proxy: RunningProxy) -> int:
    """As an impatient user does; the exit code."""
    async with asyncio.timeout(TIMEOUT_S):
        while proxy.process.poll() is None:
            proxy.process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.002)
    return proxy.stop()


@pytest.mark.slow
async def test_an_existing_capture_is_appended_to(tmp_path: Path) -> None:
    """The first proxy is ended by one SIGINT after the other: only the first one counts."""
    for text in (b"first", b"second"):
        with own_stage(tmp_path) as stage:
            both = await open_through(stage, client_tls=False, server_tls=False)
            both.client.send(encode_frame(1, text, mask=b"abcd"))
            await both.server.got(6 + len(text))
            both.client.close()
            both.server.close()
            await stage.proxy.over(both.target)
            assert await stop_with_many_signals(stage.proxy) == 0
            assert stage.proxy.stderr.splitlines()[-1].startswith("1 connection, 1 frame")
            await close_all()
    events = all_events(tmp_path / "stage.wscap")
    assert [event.frame.payload for event in events if isinstance(event, FrameEvent)] == [b"first", b"second"]
    for kind in (Requested, Closed):
        conns = [
            event.conn for event in events if isinstance(event, FactEvent) and isinstance(event.fact, kind)
        ]
        assert conns == [1, 2]


def all_events(capture: Path) -> list[Event]:
    timeline, events = Timeline(), list[Event]()
    with Reader(capture) as reader:
        while batch := reader.read():
            events += [event for _, record in batch for event in timeline.feed(record)]
        assert reader.damage == []
        assert reader.torn_bytes == 0
    return events


async def test_it_lives_on_without_its_screen(tmp_path: Path, confdir: Path, stage: Stage) -> None:
    capture = tmp_path / "a.wscap"
    mode = f"--mode=reverse:http://127.0.0.1:{stage.server_ports[0]}"
    words = [mode, "--listen-port=0", f"--write={capture}", f"--set=confdir={confdir}"]
    with await asyncio.to_thread(launch_proxy, words) as launched:
        client, server = await open_pair(
            await stage.server(tls=False).start(), launched.hello.listeners[0].port
        )
        os.close(launched.keepalive_fd)
        launched.keepalive_fd = -1
        async with asyncio.timeout(TIMEOUT_S):
            while "the screen is gone" not in launched.last_words():
                await asyncio.sleep(0.01)
        client.send(encode_frame(1, b"still here", mask=b"abcd"))
        await server.got(16)
        assert launched.process.poll() is None
        assert await asyncio.to_thread(launched.stop, TIMEOUT_S) == 0
        assert launched.last_words().count("the screen is gone") == 1
    notices = facts(all_events(capture), Notice)
    assert [notice.code for notice in notices if notice.code == "headless"] == ["headless"]


@pytest.mark.slow
async def test_the_demo_counts_what_it_showed(tmp_path: Path) -> None:
    done = await wsinspect("demo", "--headless", "--duration", "5", "-w", str(tmp_path / "demo.wscap"))
    assert done.code == 0, done.err
    assert "dropped at its idle limit" in done.out
    counted = {words[0]: words[1] for line in done.out.splitlines() if len(words := line.split()) > 1}
    for kind in ("connections", "frames", "text", "binary", "ping", "pong", "close", "messages"):
        assert int(counted[kind].replace(",", "")) > 0, done.out
    frames = sum(isinstance(event, FrameEvent) for event in all_events(tmp_path / "demo.wscap"))
    assert counted["frames"] == f"{frames:,}"
