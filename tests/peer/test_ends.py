"""FIN, RST, close_notify: each end as the other side sees it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest

from wsinspect.model import How
from wsinspect.peer import Connection, ConnectionEnded, connect
from wsinspect.peer.tls import TlsStream

from .conftest import ServeFixture, until

type Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def quiet_pair(
    serving: ServeFixture, stack: AsyncExitStack, tls: Contexts | None = None
) -> tuple[Connection, Connection]:
    """A client and its server's side that answer nothing by themselves."""
    server = await serving(auto_close=False, ssl=tls[0] if tls else None)
    client = await connect(server.url, auto_close=False, ssl=tls[1] if tls else None)
    stack.push_async_callback(client.close, timeout_s=0.1)
    return client, await server.next()


async def test_half_close(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await quiet_pair(serving, stack)
    await client.send("the last of mine")
    client.write_eof()
    message = await server.receive_message(5)
    assert message is not None
    assert await server.receive(5) is None
    assert server.ended is How.FIN
    await server.send("but I go on")
    answer = await client.receive_message(5)
    assert answer is not None
    assert answer.text == "but I go on"
    assert client.ended is None
    with pytest.raises(ConnectionEnded, match="our side"):
        await client.send("no more")
    server.write_eof()
    assert await client.wait_ended(5) is How.FIN


async def test_a_drop_is_a_fin_without_close(serving: ServeFixture) -> None:
    server = await serving()
    client = await connect(server.url)
    far = await server.next()
    await far.send("unexpected")
    await far.drop()
    assert (await client.receive_message(5)) is not None
    assert await client.receive(5) is None
    await client.wait_closed()
    assert client.ended is How.FIN
    assert client.close_received is None
    assert client.close_code == 1006


async def test_rst_at_once(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await quiet_pair(serving, stack)
    client.abort()
    assert await server.wait_ended(5) is How.RST
    assert server.ends[0].errno == "ECONNRESET"
    assert client.ended is None  # we were first
    with pytest.raises(ConnectionEnded, match="peer is gone"):
        await server.send("?")
    with pytest.raises(ConnectionEnded, match="closed on this side"):
        await client.send("?")


async def test_what_came_before_a_rst_is_received_though_a_write_met_the_rst_first(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, server = await quiet_pair(serving, stack)
    client.stream.write(b"\x81\x85\0\0\0\0first")
    client.abort()
    with pytest.raises(ConnectionEnded):  # no await since: the server has not read yet
        await server.send("?")
    with pytest.raises(ConnectionEnded):
        await server.send("?")
    message = await server.receive_message(5)
    assert message is not None
    assert message.text == "first"
    assert await server.wait_ended(5) is How.RST


async def test_rst_after_fin_is_seen_without_writing(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await quiet_pair(serving, stack)
    client.write_eof()
    assert await server.wait_ended(5) is How.FIN
    client.abort()
    await until(lambda: len(server.ends) == 2)
    assert [end.how for end in server.ends] == [How.FIN, How.RST]


async def test_fin_both_ways_is_not_taken_for_a_rst(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await quiet_pair(serving, stack)
    client.write_eof()
    server.write_eof()
    await asyncio.gather(client.wait_ended(5), server.wait_ended(5))
    await asyncio.sleep(0.05)  # the time in which a wrong reset would show
    assert [end.how for end in client.ends + server.ends] == [How.FIN, How.FIN]


async def test_unsent_data_goes_out_before_a_fin(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await quiet_pair(serving, stack)
    client.stream.write(b"\x82\xff" + (8 << 20).to_bytes(8) + bytes(4) + bytes(8 << 20))
    client.write_eof()
    message = await server.receive_message(5)
    assert message is not None
    assert message.payload == bytes(8 << 20)
    assert await server.wait_ended(5) is How.FIN


async def test_tls_close_notify_then_fin(serving: ServeFixture, stack: AsyncExitStack, tls: Contexts) -> None:
    client, server = await quiet_pair(serving, stack, tls)
    await client.send("secret")
    assert isinstance(client.stream, TlsStream)
    client.stream.send_close_notify()
    assert (await server.receive_message(5)) is not None
    assert await server.wait_ended(5) is How.CLOSE_NOTIFY
    assert [end.how for end in server.ends] == [How.CLOSE_NOTIFY]
    client.write_eof()
    await until(lambda: len(server.ends) == 2)
    assert server.ends[1].how is How.FIN


async def test_tls_half_close_still_receives(
    serving: ServeFixture, stack: AsyncExitStack, tls: Contexts
) -> None:
    client, server = await quiet_pair(serving, stack, tls)
    client.write_eof()
    assert await server.wait_ended(5) is How.CLOSE_NOTIFY
    await server.send("x" * 100_000)
    message = await client.receive_message(5)
    assert message is not None
    assert len(message.payload) == 100_000


async def test_tls_fin_without_close_notify(
    serving: ServeFixture, stack: AsyncExitStack, tls: Contexts
) -> None:
    client, server = await quiet_pair(serving, stack, tls)
    server.write_eof(close_notify=False)
    assert await client.wait_ended(5) is How.FIN
    assert [end.how for end in client.ends] == [How.FIN]


async def test_tls_rst(serving: ServeFixture, stack: AsyncExitStack, tls: Contexts) -> None:
    client, server = await quiet_pair(serving, stack, tls)
    server.abort()
    assert await client.wait_ended(5) is How.RST


async def test_garbage_inside_tls_is_an_alert(
    serving: ServeFixture, stack: AsyncExitStack, tls: Contexts
) -> None:
    client, server = await quiet_pair(serving, stack, tls)
    assert isinstance(client.stream, TlsStream)
    client.stream._inner.write(b"this is not a TLS record")
    assert await server.wait_ended(5) is How.ALERT
    assert await client.wait_ended(5) is How.ALERT  # which the server sent
    assert "ALERT" in client.ends[0].detail


async def test_the_closing_handshake_over_tls(serving: ServeFixture, tls: Contexts) -> None:
    server = await serving(ssl=tls[0])
    client = await connect(server.url, ssl=tls[1])
    far = await server.next()
    await client.close(1000, "bye")
    assert client.close_code == far.close_code == 1000
    assert client.ended is How.CLOSE_NOTIFY
    assert far.ended is How.CLOSE_NOTIFY
