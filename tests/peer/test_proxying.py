"""Through CONNECT and SOCKS5, by proxies that are just large enough for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from wsinspect.peer import ConnectFailed, connect, serve

from .conftest import echo

type Negotiate = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[tuple[str, int]]]
type StartProxy = Callable[[Negotiate], Awaitable[str]]


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def tunnel(stack: AsyncExitStack) -> StartProxy:
    """Start a proxy; what `negotiate` returns is where it connects to. Gives `host:port`."""

    async def start(negotiate: Negotiate) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                host, port = await negotiate(reader, writer)
                far_reader, far_writer = await asyncio.open_connection(host, port)
                await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
            except (asyncio.IncompleteReadError, ConnectionError, PermissionError):
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        await stack.enter_async_context(server)
        host, port = server.sockets[0].getsockname()
        return f"{host}:{port}"

    return start


class ConnectProxy:
    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.head = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        self.head = await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        if b" 200 " not in self.answer:
            raise PermissionError
        host, _, port = self.head.split(b" ")[1].decode().rpartition(":")
        return host, int(port)


class Socks5Proxy:
    def __init__(self, *, login: tuple[bytes, bytes] | None = None, reply: int = 0) -> None:
        self.login = login
        self.reply = reply
        self.asked = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.login else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            raise PermissionError
        writer.write(bytes([5, wanted]))
        if self.login:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            (size,) = await reader.readexactly(1)
            right = (user, await reader.readexactly(size)) == self.login
            writer.write(b"\x01\x00" if right else b"\x01\x01")
        self.asked = await reader.readexactly(4)
        kind = self.asked[3]
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        name = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2))
        writer.write(bytes([5, self.reply, 0, 3, 4]) + b"here" + bytes(2))
        if self.reply:
            raise PermissionError
        return (name.decode() if kind == 3 else ".".join(map(str, name))), port


async def assert_echo(url: str, proxy: str, ssl: ssl.SSLContext | None = None) -> None:
    async with await connect(url, proxy=proxy, ssl=ssl) as client:
        await client.send("through")
        message = await client.receive_message(5)
        assert message is not None
        assert message.text == "through"


async def test_connect(tunnel: StartProxy) -> None:
    proxy = ConnectProxy()
    where = await tunnel(proxy)
    async with await serve(echo) as server:
        await assert_echo(server.url, f"http://ann:pw@{where}")
        assert proxy.head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
        assert b"\r\nProxy-Authorization: Basic YW5uOnB3\r\n" in proxy.head


async def test_tls_inside_connect(tunnel: StartProxy, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    where = await tunnel(ConnectProxy())
    async with await serve(echo, ssl=tls[0]) as server:
        await assert_echo(server.url, f"http://{where}", ssl=tls[1])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 407 Who Are You\r\n\r\n", "refused: 407 Who Are You"),
        (b"what?\r\n\r\n", "not an HTTP/1 status line"),
    ],
)
async def test_connect_refused(tunnel: StartProxy, answer: bytes, problem: str) -> None:
    where = await tunnel(ConnectProxy(answer))
    with pytest.raises(ConnectFailed, match=problem) as failure:
        await connect("ws://127.0.0.1:9/", proxy=f"http://{where}")
    assert failure.value.phase == "proxy"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("login", [None, (b"ann", b"p:w")])
async def test_socks5(tunnel: StartProxy, host: str, login: tuple[bytes, bytes] | None) -> None:
    proxy = Socks5Proxy(login=login)
    where = await tunnel(proxy)
    async with await serve(echo) as server:
        url = server.url.replace("127.0.0.1", host)
        await assert_echo(url, f"socks5://{'ann:p%3Aw@' if login else ''}{where}")
    assert proxy.asked[3] == (3 if host == "localhost" else 1)  # the proxy resolves names


@pytest.mark.parametrize(
    ("proxy", "userinfo", "problem"),
    [
        (Socks5Proxy(reply=5), "", "connection refused"),
        (Socks5Proxy(reply=99), "", "reply 99"),
        (Socks5Proxy(login=(b"a", b"b")), "", "no method of ours"),
        (Socks5Proxy(login=(b"a", b"b")), "a:c@", "refused the password"),
    ],
)
async def test_socks5_refused(tunnel: StartProxy, proxy: Socks5Proxy, userinfo: str, problem: str) -> None:
    where = await tunnel(proxy)
    with pytest.raises(ConnectFailed, match=problem) as failure:
        await connect("ws://127.0.0.1:9/", proxy=f"socks5://{userinfo}{where}")
    assert failure.value.phase == "proxy"


async def test_a_proxy_that_hangs_up(tunnel: StartProxy) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        await reader.read(1)
        raise PermissionError

    where = await tunnel(hang_up)
    for scheme in ("http", "socks5"):
        with pytest.raises(ConnectFailed) as failure:
            await connect("ws://127.0.0.1:9/", proxy=f"{scheme}://{where}")
        assert failure.value.phase == "proxy"


async def test_a_proxy_of_another_kind() -> None:
    with pytest.raises(ValueError, match="a proxy is"):
        await connect("ws://127.0.0.1:9/", proxy="ftp://127.0.0.1:9")
