"""Against `websockets`, which is strict: its server takes our client, and its client our server."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from websockets.asyncio.client import connect as library_connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as library_serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

from wsinspect.model import How
from wsinspect.peer import connect, serve
from wsinspect.wire.deflate import DeflateParams

from .conftest import ServeFixture, echo

MESSAGES: list[str | bytes] = ["", "a", "ü€𝄞" * 50, b"", bytes(range(256)) * 300, "{}" * 70_000]
PARAMS = [
    None,
    DeflateParams(),
    DeflateParams(server_no_context_takeover=True, client_no_context_takeover=True),
    DeflateParams(server_max_window_bits=9, client_max_window_bits=10),
]


def settings(params: DeflateParams) -> dict[str, Any]:
    return {
        "server_no_context_takeover": params.server_no_context_takeover,
        "client_no_context_takeover": params.client_no_context_takeover,
        "server_max_window_bits": params.server_max_window_bits,
        "client_max_window_bits": params.client_max_window_bits,
    }


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("params", PARAMS)
async def test_our_client_with_their_server(
    params: DeflateParams | None, over_tls: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def their_echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    extensions = [ServerPerMessageDeflateFactory(**settings(params))] if params else None
    async with library_serve(
        their_echo,
        "127.0.0.1",
        0,
        compression=None,
        extensions=extensions,
        ssl=tls[0] if over_tls else None,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"{'wss' if over_tls else 'ws'}://localhost:{port}/"
        client = await connect(url, deflate=params, ssl=tls[1])
        assert (client.deflate is None) is (params is None)
        for message in MESSAGES * 2:
            await client.send(message, fragments=3)
            answer = await client.receive_message(5)
            assert answer is not None
            assert (answer.text if isinstance(message, str) else answer.payload) == message
            assert not answer.violations
        await client.ping(b"are you there")
        pong = await client.receive(5)
        assert pong is not None
        assert pong.payload == b"are you there"
        await client.close(4000, "enough")
        assert client.close_code == 4000
        assert client.ended is (How.CLOSE_NOTIFY if over_tls else How.FIN)


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("params", PARAMS)
async def test_their_client_with_our_server(
    params: DeflateParams | None, over_tls: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    extensions = [ClientPerMessageDeflateFactory(**settings(params))] if params else None
    async with (
        await serve(echo, ssl=tls[0] if over_tls else None, deflate=True, subprotocols=["v2"]) as server,
        library_connect(
            server.url,
            compression=None,
            extensions=extensions,
            ssl=tls[1] if over_tls else None,
            subprotocols=["v1", "v2"],  # type: ignore[list-item]
            proxy=None,
        ) as client,
    ):
        assert client.subprotocol == "v2"
        (far,) = server.connections
        assert far.deflate == params
        for message in MESSAGES * 2:
            await client.send(message)
            assert await client.recv() == message
        await (await client.ping())
        await client.send(["in ", "three ", "pieces"])
        assert await client.recv() == "in three pieces"
        await client.close(4001, "done")
        assert await far.wait_ended(5) in (How.FIN, How.CLOSE_NOTIFY)
        assert (far.close_code, far.close_reason) == (4001, "done")


async def test_a_close_of_ours_as_their_client_sees_it(serving: ServeFixture) -> None:
    server = await serving()
    async with library_connect(server.url, proxy=None) as client:
        far = await server.next()
        await far.send("last", fragments=[1, 1])
        await asyncio.gather(far.close(1001, "off"), asyncio.sleep(0))
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosedOK) as ended:
            await client.recv()
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1001, "off")
    async with library_connect(server.url, proxy=None) as client:
        far = await server.next()
        await far.drop()
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 1006


async def test_a_close_of_theirs_as_our_client_sees_it() -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.send("bye")
        await connection.close(1012, "restart")

    async with library_serve(leave, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = await connect(f"ws://127.0.0.1:{port}/", deflate=True)
        message = await client.receive_message(5)
        assert message is not None
        assert message.compressed
        assert message.text == "bye"
        assert await client.receive_message(5) is None
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1012, "restart")
