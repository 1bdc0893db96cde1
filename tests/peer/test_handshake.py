"""Opening: what is asked, refused, wrong, late, or glued to the handshake."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from wsinspect.errors import TimedOut, Unavailable
from wsinspect.model import Opcode
from wsinspect.peer import ConnectFailed, HandshakeFailed, Request, connect, serve
from wsinspect.peer.accepting import Answer
from wsinspect.peer.handshake_io import parse_response
from wsinspect.wire.frames import encode_frame
from wsinspect.wire.handshake import accept_key

from .conftest import ServeFixture, echo

type RawServer = Callable[[Callable[[bytes], bytes | None]], Awaitable[str]]


@pytest.fixture
async def raw_server(stack: AsyncExitStack) -> RawServer:
    """A server that answers the request's head with whatever bytes a function makes; None for none."""

    async def start(answer: Callable[[bytes], bytes | None]) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reply = answer(await reader.readuntil(b"\r\n\r\n"))
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        await stack.enter_async_context(server)
        port = server.sockets[0].getsockname()[1]
        return f"ws://127.0.0.1:{port}/"

    return start


def right_answer(head: bytes, **changes: str) -> bytes:
    """The 101 to a request, with some headers another value."""
    key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_request_headers(serving: ServeFixture) -> None:
    server = await serving(subprotocols=["chat.v2", "chat.v1"])
    async with await connect(
        server.url.replace("://", "://ann:s%20ecret@") + "/a/b?c=d",
        headers=[("X-One", "1"), ("X-One", "2"), ("User-Agent", "tests")],
        subprotocols=["chat.v1", "chat.v2"],
        origin="https://app.example",
        deflate=True,
    ) as client:
        far = await server.next()
        assert far.request.all("x-one") == ["1", "2"]
        assert far.request.header("Origin") == "https://app.example"
        assert far.request.header("Authorization") == "Basic YW5uOnMgZWNyZXQ="
        assert far.request.header("Host") == f"127.0.0.1:{server.server.port}"
        assert far.request.target == "/a/b?c=d"
        assert client.subprotocol == far.subprotocol == "chat.v1"
        assert client.deflate is None  # offered, and not agreed to
        assert client.request.headers == far.request.headers


async def test_usual_headers_can_be_replaced_and_taken_away(serving: ServeFixture) -> None:
    server = await serving(strict=False)
    changes = [("Sec-WebSocket-Version", "8"), ("upgrade", None), ("Host", "elsewhere.example")]
    async with await connect(server.url, headers=changes):
        far = await server.next()
        assert far.request.header("Sec-WebSocket-Version") == "8"
        assert far.request.header("Upgrade") is None
        assert far.request.header("Host") == "elsewhere.example"


async def test_a_refusal_has_status_headers_and_body() -> None:
    def refuse(request: Request) -> Answer:
        return 403, [("Content-Type", "application/json"), ("X-Why", "role")], b'{"error": "forbidden"}'

    async with await serve(echo, on_request=refuse) as server:
        with pytest.raises(HandshakeFailed) as failure:
            await connect(server.url)
    error = failure.value
    assert (error.status, error.reason, error.body) == (403, "Forbidden", b'{"error": "forbidden"}')
    assert ("X-Why", "role") in error.headers
    assert error.phase == "http"
    assert str(error) == "the server answered 403 Forbidden"


async def test_on_request_may_take_its_time_and_let_pass() -> None:
    async def think(request: Request) -> Answer | None:
        await asyncio.sleep(0)
        return None if request.path == "/open" else (404, [], b"")

    async with await serve(echo, on_request=think) as server:
        async with await connect(f"{server.url}/open"):
            pass
        with pytest.raises(HandshakeFailed, match="404"):
            await connect(f"{server.url}/closed")


async def test_on_request_may_answer_101_in_its_own_way() -> None:
    def odd(request: Request) -> Answer:
        return 101, [("Sec-WebSocket-Accept", "nonsense"), ("Set-Cookie", "a=b")], encode_frame(1, b"early")

    async with await serve(echo, on_request=odd) as server:
        with pytest.raises(HandshakeFailed, match="does not fit the key"):
            await connect(server.url)
        async with await connect(server.url, strict=False) as client:
            assert ("Set-Cookie", "a=b") in client.response_headers
            message = await client.receive_message(5)
            assert message is not None
            assert message.text == "early"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Sec_WebSocket_Accept": "AAAA"}, "does not fit the key"),
        ({"Upgrade": "h2c"}, "Upgrade does not say websocket"),
        ({"Connection": "close"}, "Connection does not say Upgrade"),
        ({"Sec_WebSocket_Protocol": "other"}, "subprotocol was not offered"),
        ({"Sec_WebSocket_Extensions": "permessage-deflate"}, "extension was not offered"),
        ({"Sec_WebSocket_Extensions": "x-unknown"}, "extension was not offered: x-unknown"),
        ({"Sec_WebSocket_Extensions": "permessage-deflate; server_max_window_bits=99"}, "8 to 15"),
    ],
)
async def test_a_101_that_does_not_fit(raw_server: RawServer, changes: dict[str, str], problem: str) -> None:
    url = await raw_server(lambda head: right_answer(head, **changes))
    deflate = "bits" in str(changes)
    with pytest.raises(HandshakeFailed, match=problem) as failure:
        await connect(url, subprotocols=["chat"], deflate=deflate)
    assert failure.value.status == 101
    async with await connect(url, strict=False):
        pass


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "ended the connection without an answer"),
        (b"HTTP/1.1 101 Swi", "ended the connection after 16 bytes"),
        (b"220 mail.example ESMTP\r\n\r\n", "not an HTTP/1 status line"),
        (b"HTTP/1.1 101 X\r\nbad header\r\n\r\n", "not a header"),
        (b"HTTP/1.1 101 X\r\nA: " + b"x" * 70_000, "more than 64 KiB"),
    ],
)
async def test_no_answer_that_can_be_read(raw_server: RawServer, answer: bytes, problem: str) -> None:
    url = await raw_server(lambda head: answer)
    with pytest.raises(ConnectFailed, match=problem) as failure:
        await connect(url)
    assert failure.value.phase == "http"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"Content-Length: 5\r\n\r\nhello and more", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n9\r\nlo", b"hello"),
        (b"\r\nhello", b"hello"),
        (b"\r\n" + b"x" * 100_000, b"x" * 65536),
    ],
)
async def test_the_body_of_a_refusal(raw_server: RawServer, answer: bytes, body: bytes) -> None:
    url = await raw_server(lambda head: b"HTTP/1.1 503 Too Busy\r\n" + answer)
    with pytest.raises(HandshakeFailed) as failure:
        await connect(url)
    assert failure.value.status == 503
    assert failure.value.body == body


async def test_a_server_that_never_answers(raw_server: RawServer) -> None:
    url = await raw_server(lambda head: None)
    with pytest.raises(TimedOut, match="not open within"):
        await connect(url, open_timeout_s=0.05)


async def test_nobody_listens() -> None:
    server = await serve(echo)
    await server.close()
    with pytest.raises(ConnectFailed, match="refused") as failure:
        await connect(server.url)
    assert failure.value.phase == "connect"


async def test_a_port_that_is_taken() -> None:
    async with await serve(echo) as server:
        with pytest.raises(Unavailable, match="cannot listen"):
            await serve(echo, port=server.port)


async def test_a_client_that_does_not_trust_the_certificate(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with await serve(echo, ssl=tls[0]) as server:
        assert server.url.startswith("wss://")
        with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED") as failure:
            await connect(server.url)
        assert failure.value.phase == "tls"
        with pytest.raises(ConnectFailed):
            await connect(server.url.replace("wss", "ws"))
        async with await connect(server.url.replace("127.0.0.1", "localhost"), ssl=tls[1]):
            pass


@pytest.mark.parametrize("over_tls", [False, True])
async def test_frames_glued_to_the_handshake_in_both_directions(
    serving: ServeFixture, tls: tuple[ssl.SSLContext, ssl.SSLContext], over_tls: bool
) -> None:
    from_server = encode_frame(Opcode.TEXT, b"welcome\r\n") + encode_frame(Opcode.PING, b"\r\n\r\n")
    from_client = encode_frame(Opcode.TEXT, b"early", mask=b"\0\0\0\0")
    options = {"keep_raw": True, "auto_pong": False}
    server = await serving(glue=from_server + b"\x81", ssl=tls[0] if over_tls else None, **options)
    async with await connect(server.url, glue=from_client, ssl=tls[1], **options) as client:  # type: ignore[arg-type]
        far = await server.next()
        early = await far.receive_message(5)
        assert early is not None
        assert early.text == "early"
        await far.write_raw(b"\x02ok")  # the rest of the frame whose first byte was glued
        assert [await client.receive(5) for _ in range(2)]
        third = await client.receive_message(5)
        assert third is not None
        assert third.text == "ok"
        assert client.raw_received == from_server + b"\x81\x02ok"
        assert far.raw_received == from_client


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 426),
        (
            b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            400,
        ),
        (b"hello\r\n\r\n", 400),
    ],
)
async def test_requests_that_a_server_refuses(
    serving: ServeFixture, request_head: bytes, status: int
) -> None:
    server = await serving()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
    writer.write(request_head)
    head = await reader.readuntil(b"\r\n\r\n")
    assert parse_response(head).status == status
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_never_asks_is_given_up() -> None:
    async with await serve(echo, open_timeout_s=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert isinstance(server.failures[0], TimeoutError)
        writer.close()
        await writer.wait_closed()


async def test_a_server_closes_promptly_while_a_client_is_opening() -> None:
    server = await serve(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.wait_for(server.close(), 1)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("url", ["ftp://x/", "ws:///path", "127.0.0.1:80"])
async def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="a WebSocket URL is"):
        await connect(url)
