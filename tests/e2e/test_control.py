"""`wsinspect ctl` and ControlClient against a running proxy with live connections."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from tests.e2e.program import Line, tail, wsinspect
from tests.proxy.conftest import Opened, Stage, open_through
from tests.proxy.running import TIMEOUT_S, RunningProxy, facts
from wsinspect.capture.timeline import FactEvent, FrameEvent
from wsinspect.control.client import ControlClient
from wsinspect.control.paths import socket_path
from wsinspect.control.protocol import ControlError, ErrorCode
from wsinspect.model import Closed, Ended, Frame, How, Opcode, Requested, Side
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.frames import FrameDecoder, encode_frame

MASK = b"\x01\x02\x03\x04"


async def number_of(stage: Stage, both: Opened) -> int:
    """The connection's number, as the log shows it."""
    events = await stage.proxy.until(lambda events: bool(facts(events, Requested)), both.target)
    return next(event.conn for event in events if isinstance(event, FactEvent))


def pid_of(stage: Stage) -> str:
    return str(stage.proxy.process.pid)


def only_frame(side: Side, data: bytes) -> Frame:
    """The one frame in these bytes, which must be without fault."""
    decoder = FrameDecoder(side)
    [frame] = decoder.receive(data)
    assert not decoder.mid_frame
    assert frame.violations == ()
    return frame


def injected(lines: list[Line]) -> list[Line]:
    return [line for line in lines if "injected" in line.get("flags", [])]


async def injected_frames(stage: Stage, both: Opened, count: int) -> list[FrameEvent]:
    """The frames in the capture that wsinspect sent itself."""

    def found(events: list[object]) -> list[FrameEvent]:
        return [each for each in events if isinstance(each, FrameEvent) and each.flags == ("injected",)]

    return found(await stage.proxy.until(lambda events: len(found(list(events))) >= count, both.target))


tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@tls
async def test_text_for_the_server_comes_as_a_masked_frame(stage: Stage, tls: bool) -> None:
    both = await open_through(stage, client_tls=tls, server_tls=tls)
    conn = await number_of(stage, both)
    done = await wsinspect("ctl", "send", str(conn), "grüß dich", "--proxy", pid_of(stage))
    assert (done.code, done.out, done.err) == (0, "", "wsinspect: sent\n")
    await both.server.got(6 + len("grüß dich".encode()))
    frame = only_frame(Side.CLIENT, bytes(both.server.received))
    assert (frame.opcode, frame.payload.decode()) == (Opcode.TEXT, "grüß dich")
    assert frame.mask is not None
    [event] = await injected_frames(stage, both, 1)
    assert (event.side, event.frame.payload) == (Side.CLIENT, frame.payload)
    [line] = injected(await tail(stage.proxy.capture, both.target))
    assert (line["kind"], line["dir"], line["text"]) == ("message", "c2s", "grüß dich")


async def test_a_ping_for_the_client_comes_unmasked(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    conn = await number_of(stage, both)
    words = ("ctl", "send", str(conn), "beat", "--to", "client", "--opcode", "ping")
    done = await wsinspect(*words, "--proxy", pid_of(stage))
    assert done.code == 0, done.err
    assert await both.client.got(6) == b"\x89\x04beat"
    assert both.server.received == b""
    [line] = injected(await tail(stage.proxy.capture, both.target))
    assert (line["kind"], line["dir"], line["text"]) == ("ping", "s2c", "beat")


async def test_a_client_of_the_socket_sends_what_a_command_cannot_type(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    conn = await number_of(stage, both)
    with ControlClient(stage.proxy.process.pid) as control:
        control.send(conn, Side.CLIENT, b"\x00\xff" * 40000)
        control.send(conn, Side.CLIENT, b"back", Opcode.PONG)
        assert await both.client.got(10 + 80000 + 6) == encode_frame(2, b"\x00\xff" * 40000) + b"\x8a\x04back"
        with pytest.raises(ControlError) as refused:
            control.send(conn + 100000, Side.CLIENT, "nobody")
    assert refused.value.code is ErrorCode.NOT_FOUND


@tls
async def test_close_sends_a_close_frame_to_both(stage: Stage, tls: bool) -> None:
    both = await open_through(stage, client_tls=tls, server_tls=tls)
    conn = await number_of(stage, both)
    words = ("ctl", "close", str(conn), "--code", "4321", "--reason", "enough", "--proxy", pid_of(stage))
    done = await wsinspect(*words)
    assert done.code == 0, done.err
    payload = encode_close(4321, "enough")
    await both.server.got(6 + len(payload))
    await both.client.got(2 + len(payload))
    for side, end in ((Side.CLIENT, both.server), (Side.SERVER, both.client)):
        frame = only_frame(side, bytes(end.received))
        assert (frame.opcode, frame.payload) == (Opcode.CLOSE, payload)
        assert (frame.mask is not None) == (side is Side.CLIENT)
        assert end.ends == []  # ending TCP is left to the peers
    # RFC 6455 5.5.1: nothing follows a Close; answers go nowhere, and ends pass
    both.client.send(encode_frame(1, b"too late", mask=MASK) + encode_frame(8, payload, mask=MASK))
    both.server.send(encode_frame(1, b"too late"))
    again = await wsinspect("ctl", "send", str(conn), "too late", "--proxy", pid_of(stage))
    assert again.code == 3
    assert "Close" in again.err
    lines = injected(await tail(stage.proxy.capture, both.target))
    assert sorted((line["kind"], line["dir"], line["code"], line["reason"]) for line in lines) == [
        ("close", "c2s", 4321, "enough"),
        ("close", "s2c", 4321, "enough"),
    ]
    both.server.fin()
    await both.client.until(lambda end: end.ends == ["fin"])
    both.client.fin()
    await both.server.until(lambda end: end.ends == ["fin"])
    assert bytes(both.client.received) == encode_frame(8, payload)
    assert only_frame(Side.CLIENT, bytes(both.server.received)).payload == payload


async def test_close_for_one_side_leaves_the_other_alone(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    conn = await number_of(stage, both)
    done = await wsinspect("ctl", "close", str(conn), "--side", "client", "--proxy", pid_of(stage))
    assert done.code == 0, done.err
    assert await both.client.got(4) == encode_frame(8, encode_close(1000, ""))
    both.client.send(encode_frame(1, b"after", mask=MASK))
    assert await both.server.got(11) == encode_frame(1, b"after", mask=MASK)


@pytest.mark.parametrize("words", [["send", "99999", "hello"], ["close", "99999"]], ids=["send", "close"])
async def test_an_unknown_connection_is_the_users_mistake(stage: Stage, words: list[str]) -> None:
    done = await wsinspect("ctl", *words, "--proxy", pid_of(stage))
    assert (done.code, done.out) == (2, "")
    assert "99999" in done.err
    assert len(done.err.splitlines()) == 1


async def test_an_injection_waits_for_the_end_of_a_frame(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    conn = await number_of(stage, both)
    frame = encode_frame(1, b"a frame in two halves", mask=MASK)
    both.client.send(frame[:9])
    await both.server.got(9)
    with ControlClient(stage.proxy.process.pid) as control:
        assert control.send(conn, Side.SERVER, "in between", Opcode.PING) == "waiting for a boundary"
        assert control.status().live >= 1  # a round trip later it still is not there
        assert both.server.received == frame[:9]
    both.client.send(frame[9:])
    await both.server.got(len(frame) + 6 + len("in between"))
    assert both.server.received[: len(frame)] == frame
    ping = only_frame(Side.CLIENT, bytes(both.server.received[len(frame) :]))
    assert (ping.opcode, ping.payload) == (Opcode.PING, b"in between")
    kinds = [line["kind"] for line in await tail(stage.proxy.capture, both.target)]
    assert sorted(kinds) == ["message", "note", "open", "ping"]  # the note: Host was altered


async def test_a_message_waits_for_the_end_of_a_message_and_a_ping_does_not(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    conn = await number_of(stage, both)
    first, last = encode_frame(1, b"first,", fin=False), encode_frame(0, b" last")
    both.server.send(first)
    await both.client.got(len(first))
    with ControlClient(stage.proxy.process.pid) as control:
        control.send(conn, Side.CLIENT, "whole")
        control.send(conn, Side.CLIENT, b"beat", Opcode.PONG)
        control.status()
    both.server.send(last)
    await both.client.got(len(first) + len(last) + 7 + 6)
    decoder = FrameDecoder(Side.SERVER)
    frames = decoder.receive(bytes(both.client.received))
    assert [violation for frame in frames for violation in frame.violations] == []
    assert [frame.payload for frame in frames if frame.opcode < 8] == [b"first,", b" last", b"whole"]
    messages = [line for line in await tail(stage.proxy.capture, both.target) if line["kind"] == "message"]
    assert sorted(line["text"] for line in messages) == ["first, last", "whole"]
    assert [line["text"] for line in injected(messages)] == ["whole"]


async def test_status_tells_where_it_listens_and_what_lives(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    await number_of(stage, both)
    as_json = await wsinspect("ctl", "status", pid_of(stage), "--format", "json")
    status = json.loads(as_json.out)
    assert status["pid"] == stage.proxy.process.pid
    assert status["capture"] == str(stage.proxy.capture)
    assert [each["port"] for each in status["listeners"]] == stage.proxy.ports
    assert 1 <= status["connections"]["live"] <= status["connections"]["total"]
    assert status["trouble"] == []
    text = await wsinspect("ctl", "status", str(socket_path(stage.proxy.process.pid)))
    assert (text.code, text.err) == (0, "")
    assert f"127.0.0.1:{stage.proxy.ports[0]}" in text.out
    assert str(stage.proxy.capture) in text.out


def test_the_socket_is_for_its_owner_alone(stage: Stage, runtime: Path) -> None:
    path = socket_path(stage.proxy.process.pid)
    assert path.is_relative_to(runtime)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_stop_ends_the_proxy_and_its_connections(tmp_path: Path, confdir: Path, stage: Stage) -> None:
    """The connection's server is the stage's; the proxy is one of the test's own, on the layers' path."""
    mode = f"reverse:http://127.0.0.1:{stage.server_ports[0]}"
    with RunningProxy(
        tmp_path / "a.wscap", [mode], "--set", f"confdir={confdir}", "--path", "layer"
    ) as proxy:
        own = Stage(proxy, stage.server_ports, stage.server_context)
        both = await open_through(own, client_tls=False, server_tls=False)
        conn = await number_of(own, both)
        pid = pid_of(own)
        done = await wsinspect("ctl", "send", str(conn), "also here", "--proxy", pid)
        assert done.code == 0, done.err
        await both.server.got(15)
        assert only_frame(Side.CLIENT, bytes(both.server.received)).payload == b"also here"
        several = await wsinspect("ctl", "status")
        assert several.code == 2
        assert pid in several.err
        assert pid_of(stage) in several.err
        stopped = await wsinspect("ctl", "stop", pid)
        assert (stopped.code, stopped.err) == (0, "")
        await both.client.until(lambda end: "fin" in end.ends)
        await both.server.until(lambda end: "fin" in end.ends)
        assert await asyncio.to_thread(proxy.process.wait, TIMEOUT_S) == 0
        events = proxy.events(both.target)
        assert {(end.side, end.how) for end in facts(events, Ended)} >= {
            (Side.CLIENT, How.INSPECTOR),
            (Side.SERVER, How.INSPECTOR),
        }
        assert len(facts(events, Closed)) == 1
        gone = await wsinspect("ctl", "status", pid)
        assert gone.code == 3
