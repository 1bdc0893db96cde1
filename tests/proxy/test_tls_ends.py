"""What only TLS can do: alerts, broken records, fresh keys in mid-stream."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certs import make_cert
from tests.proxy.conftest import Stage, open_through
from tests.proxy.raw import BROKEN_RECORD, TIMEOUT_S, request, response
from tests.proxy.running import facts
from tests.proxy.test_ends import HELLO, Case, from_tls
from tests.tools import need
from wsinspect.model import Ended, How, Side
from wsinspect.wire.frames import encode_frame


@from_tls
async def test_a_fatal_alert_gives_rst_and_its_name(stage: Stage, case: Case) -> None:
    ender, watcher, both = await case.open(stage)
    ender.send(HELLO)
    ender.fatal_alert()
    await watcher.until(lambda end: "rst" in end.ends)
    assert watcher.received == HELLO
    assert watcher.ends == ["rst"]
    await ender.until(lambda end: "rst" in end.ends)
    ends = facts(await stage.proxy.over(both.target), Ended)
    assert [(end.side, end.how, end.detail) for end in ends] == [(case.side, How.ALERT, "bad_record_mac")]
    assert ends[0].tcp_info


@from_tls
async def test_a_broken_record_is_answered_and_gives_rst(stage: Stage, case: Case) -> None:
    """The sender gets the alert that any TLS peer would answer with, and then the reset behind it."""
    ender, watcher, both = await case.open(stage)
    ender.send(HELLO)
    ender.transport.write(BROKEN_RECORD)
    await watcher.ended("rst")
    assert watcher.received == HELLO
    await ender.ended("alert", "rst")
    ends = facts(await stage.proxy.over(both.target), Ended)
    assert [(end.side, end.how) for end in ends] == [(case.side, How.ALERT)]
    assert ends[0].detail.startswith("bad record: ")


class OpensslPeer:
    """`openssl s_client` or `s_server`, whose K and k ask for fresh keys: Python's ssl has no such call."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = b""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str) -> OpensslPeer:
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                need("openssl"), *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
            )
        )

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(65536):
            self.output += data

    async def say(self, data: bytes) -> None:
        """One write is one read of the program, which looks for a command in its first byte only."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    async def until(self, pattern: bytes) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not (found := re.search(pattern, self.output, re.DOTALL)):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{pattern!r} never came: {self.output!r}") from None
        return found[0]

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        await self._reading


@pytest.mark.parametrize("key", [b"K\n", b"k\n"], ids=["both-directions", "one-direction"])
async def test_a_client_changes_its_keys_in_mid_stream(stage: Stage, key: bytes) -> None:
    server = await stage.server(True).start()
    target = f"/{uuid4().hex}"
    connect = f"127.0.0.1:{stage.proxy.ports[True]}"
    client = await OpensslPeer.start("s_client", "-connect", connect, "-tls1_3")
    try:
        await client.until(b"Verify return code")
        await client.say(request(target))
        end = await server.accepted()
        end.send(response(await end.take_head()))
        await client.until(rb"101 Switching Protocols\r\n.*?\r\n\r\n")
        frame = encode_frame(1, b"before", mask=b"abcd")
        await client.say(frame)
        await end.got(len(frame))
        await client.say(key)
        await client.until(b"KEYUPDATE")
        again = encode_frame(1, b"after", mask=b"abcd")
        await client.say(again)
        assert await end.got(len(frame + again)) == frame + again
        end.send(encode_frame(1, b"and back, under new keys"))
        await client.until(b"and back, under new keys")
        assert end.ends == []
    finally:
        await client.stop()
    end.close()
    ends = facts(await stage.proxy.over(target), Ended)
    assert all(each.how is not How.ALERT for each in ends), ends


@pytest.mark.parametrize("key", [b"K\n", b"k\n"], ids=["both-directions", "one-direction"])
async def test_a_server_changes_its_keys_in_mid_stream(stage: Stage, tmp_path: Path, key: bytes) -> None:
    certfile, keyfile = make_cert(tmp_path)
    server = await OpensslPeer.start(
        "s_server", "-accept", f"127.0.0.1:{stage.server_ports[True]}", "-tls1_3",
        "-cert", str(certfile), "-key", str(keyfile), "-naccept", "1", "-msg",
    )  # fmt: skip
    target = f"/{uuid4().hex}"
    try:
        await server.until(b"ACCEPT")
        client = await stage.client(True, server_tls=True)
        client.send(request(target))
        head = await server.until(b"GET /.*?\r\n\r\n")
        await server.say(response(head))
        await client.take_head()
        await server.say(encode_frame(1, b"before"))
        await client.got(8)
        await server.say(key)
        await server.until(b">>> TLS 1.3, Handshake [^\n]*, KeyUpdate")
        await server.say(encode_frame(1, b"after"))
        stream = encode_frame(1, b"before") + encode_frame(1, b"after")
        assert await client.got(len(stream)) == stream
        client.send(encode_frame(1, b"and back, under new keys", mask=bytes(4)))
        await server.until(b"and back, under new keys")
        assert client.ends == []
    finally:
        await server.stop()
    client.close()
    ends = facts(await stage.proxy.over(target), Ended)
    assert [each.side for each in ends][:1] == [Side.SERVER]
    assert all(each.how is not How.ALERT for each in ends), ends


async def test_bytes_for_a_side_whose_tls_is_over_are_counted(stage: Stage) -> None:
    """The client resets its TLS while the server goes on: nothing hangs, and both legs end."""
    both = await open_through(stage, client_tls=True, server_tls=True)
    both.client.fatal_alert()
    for _ in range(20):
        if both.server.transport.is_closing():
            break
        both.server.send(encode_frame(2, bytes(5000)))
    await both.server.until(lambda end: "rst" in end.ends)
    await stage.proxy.over(both.target)
