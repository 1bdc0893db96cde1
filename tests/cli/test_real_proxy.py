"""The commands against a real proxy process, with a real client and server beside it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from wsinspect import peer
from wsinspect.cli import main
from wsinspect.control.client import ControlClient
from wsinspect.control.launch import Launched, LaunchError, launch_proxy
from wsinspect.control.settings import ProxySettings
from wsinspect.model import Message

pytestmark = pytest.mark.slow


@pytest.fixture
def launched(runtime: Path, tmp_path: Path) -> Iterator[Launched]:
    settings = ProxySettings(modes=["regular"], listen_port=0, capture=tmp_path / "a.wscap")
    with launch_proxy(settings.arguments()) as launched:
        yield launched


async def ctl(*args: str) -> int:
    return await asyncio.to_thread(main, ["ctl", *args])


async def test_a_session_with_injections(
    launched: Launched, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[bytes] = []

    async def echo(connection: peer.Connection) -> None:
        async for message in connection:
            heard.append(message.payload)
            await connection.send(message.payload.decode())

    port = launched.hello.listeners[0].port
    server = await peer.serve(echo)
    client = await peer.connect(server.url, proxy=f"http://127.0.0.1:{port}")
    try:
        await client.send("hello")
        assert isinstance(reply := await client.receive(), Message)
        assert reply.payload == b"hello"
        follower = program("tail", str(launched.hello.pid), "-f", "--format", "json")
        assert follower.stdout is not None
        assert b'"kind"' in await asyncio.to_thread(follower.stdout.readline)
        assert await ctl("send", "1", "to the client", "--to", "client") == 0
        assert isinstance(reply := await client.receive(), Message)
        assert reply.payload == b"to the client"
        assert await ctl("send", "1", "to the server") == 0
        assert isinstance(reply := await client.receive(), Message)
        assert reply.payload == b"to the server", "echoed"
        assert await ctl("send", "99", "nobody") == 2
        assert await ctl("status", "--format", "json") == 0
        assert json.loads(capsys.readouterr().out)["connections"]["live"] == 1
        assert await ctl("close", "1", "--code", "4001", "--reason", "enough", "--side", "client") == 0
        while await client.receive() is not None:
            pass
        assert (client.close_code, client.close_reason) == (4001, "enough")
    finally:
        await client.close()
        await server.close()
    assert heard == [b"hello", b"to the server"]
    assert await ctl("stop") == 0
    assert await asyncio.to_thread(launched.process.wait, 10) == 0
    out, err = await asyncio.to_thread(follower.communicate, timeout=10)
    assert (follower.returncode, err) == (0, b"")
    found = [json.loads(line) for line in out.splitlines()]
    injected = [line for line in found if "injected" in line.get("flags", ())]
    assert [(line["kind"], line["dir"]) for line in injected] == [
        ("message", "s2c"),
        ("message", "c2s"),
        ("close", "s2c"),
    ]
    assert {line["kind"] for line in found} >= {"message", "close", "end"}


def test_a_proxy_that_cannot_listen_says_why(launched: Launched, runtime: Path) -> None:
    port = launched.hello.listeners[0].port
    with pytest.raises(LaunchError, match=str(port)) as caught:
        launch_proxy(ProxySettings(listen_port=port, capture=runtime / "b.wscap").arguments())
    assert caught.value.exit_code == 3


def test_a_released_proxy_lives_on(launched: Launched) -> None:
    launched.release()
    with ControlClient(launched.hello.pid) as client:
        assert client.status().live == 0
        client.stop(wait_s=10)
    assert launched.process.wait(10) == 0
    assert "the screen is gone" in launched.log.read_text()


def test_the_proxy_command(program: Program, tmp_path: Path) -> None:
    with program("proxy", "-p", "0", "-w", tmp_path / "a.wscap") as child:
        assert child.stderr is not None
        assert re.fullmatch(rb"listening on 127\.0\.0\.1:\d+ \(regular.*\)\n", child.stderr.readline())
        child.terminate()
        out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (0, b"")
    assert b"0 connections" in err
