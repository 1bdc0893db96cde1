"""What only TLS can do: alerts, broken records, fresh keys in mid-stream."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certs import make_cert, server_context
from tests.proxy.conftest import Stage, open_through
from tests.proxy.raw import BROKEN_RECORD, TIMEOUT_S, RawEnd, RawServer, raw_connect, request, response
from tests.proxy.running import RunningProxy, facts, free_port, trusting
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


class TunnelEnd:
    """A server's TLS inside the TLS of the parent proxy that leads to it."""

    def __init__(self, outer: RawEnd, context: ssl.SSLContext) -> None:
        self.outer = outer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.received = b""

    def _flush(self) -> None:
        if data := self._out.read():
            self.outer.send(data)

    def _feed(self) -> None:
        self._in.write(bytes(self.outer.received))
        self.outer.received.clear()

    async def handshake(self) -> None:
        def done(_: RawEnd) -> bool:
            self._feed()
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            finally:
                self._flush()
            return True

        await self.outer.until(done)

    async def take_head(self) -> bytes:
        def whole(_: RawEnd) -> bool:
            self._feed()
            try:
                self.received += self._tls.read(65536)
            except ssl.SSLWantReadError:
                pass
            return b"\r\n\r\n" in self.received

        await self.outer.until(whole)
        return self.received

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def close_notify(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, int, ssl.SSLContext]]:
    """A proxy whose https parent is a test's own, the parent's port, and its certificate."""
    tmp = tmp_path_factory.mktemp("upstream")
    port = free_port()
    mode = f"upstream:https://localhost:{port}"
    with RunningProxy(tmp / "a.wscap", [mode], "-k", "--set", f"confdir={tmp / 'ca'}") as proxy:
        yield proxy, port, server_context(*make_cert(tmp))


@pytest.mark.parametrize("glued", [False, True], ids=["later", "in-the-read-of-the-101"])
@pytest.mark.parametrize("inner_first", [False, True], ids=["parent-alone", "server-then-parent"])
async def test_a_parents_close_notify_is_not_the_servers(
    upstream: tuple[RunningProxy, int, ssl.SSLContext], inner_first: bool, glued: bool
) -> None:
    """It ends the tunnel, as a FIN does. It was taken for the server's own: a drop looked clean."""
    proxy, port, context = upstream
    parent = await RawServer(context, port).start()
    target = f"/{uuid4().hex}"
    client = await raw_connect(proxy.port)
    client.send(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
    await client.take_head()
    client.start_tls(trusting())
    outer = await parent.accepted()
    assert (await outer.take_head()).startswith(b"CONNECT localhost:443 ")
    outer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    server = TunnelEnd(outer, context)
    await server.handshake()
    client.send(request(target))
    answer = response(await server.take_head())
    if glued:
        server.send(answer + HELLO)
    else:
        server.send(answer)
        await client.until(lambda end: b"\r\n\r\n" in end.received)
        server.send(HELLO)
    if inner_first:
        server.close_notify()
        if not glued:
            await client.until(lambda end: "close_notify" in end.ends)
    outer.close_notify()
    expected = ["close_notify", "fin"] if inner_first else ["fin"]
    await client.until(lambda end: end.ends == expected)
    await client.take_head()
    assert client.received == HELLO
    client.close()
    await outer.until(lambda end: "fin" in end.ends)
    outer.close()
    ends = [end for end in facts(await proxy.over(target), Ended) if end.side is Side.SERVER]
    hows = [How.CLOSE_NOTIFY, How.FIN] if inner_first else [How.FIN]
    assert [end.how for end in ends] == hows


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
