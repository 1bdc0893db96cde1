"""Peer against peer: messages, control frames, the closing handshake."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from wsinspect.errors import TimedOut
from wsinspect.model import Frame, How, Message, Opcode, Side, Violation
from wsinspect.peer import Connection, ConnectionEnded, connect
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import encode_frame

from .conftest import ServeFixture, echo, until


async def pair(
    serving: ServeFixture, stack: AsyncExitStack, **options: object
) -> tuple[Connection, Connection]:
    """A client and its server's side, both with the same options."""
    server = await serving(**options)
    client = await connect(server.url, **options)  # type: ignore[arg-type]
    stack.push_async_callback(client.close, timeout_s=0.5)
    return client, await server.next()


async def text_of(connection: Connection) -> str | None:
    message = await connection.receive_message(5)
    return message.text if message else None


async def test_text_and_binary_both_ways(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    await client.send("grüß dich")
    await client.send(b"\x00\xff" * 40_000)
    assert await text_of(server) == "grüß dich"
    message = await server.receive_message(5)
    assert message is not None
    assert (message.opcode, message.payload) == (Opcode.BINARY, b"\x00\xff" * 40_000)
    assert message.side is Side.CLIENT
    await server.send("back")
    assert await text_of(client) == "back"


async def test_a_client_masks_each_frame_with_another_key_and_a_server_none(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    seen: list[Frame] = []
    client, server = await pair(serving, stack, on_frame=seen.append)
    for _ in range(3):
        await client.send("x")
        await text_of(server)
    await server.send("y")
    await text_of(client)
    assert len({frame.mask for frame in seen[:3]}) == 3
    assert seen[3].mask is None
    assert not any(frame.violations for frame in seen)


@pytest.mark.parametrize(
    ("fragments", "sizes"),
    [(1, [10]), (3, [3, 3, 4]), ([2, 5], [2, 5, 3]), ([10], [10]), ([0, 4], [0, 4, 6])],
)
async def test_fragments(
    serving: ServeFixture, stack: AsyncExitStack, fragments: int | list[int], sizes: list[int]
) -> None:
    seen: list[Frame] = []
    client, server = await pair(serving, stack, on_frame=seen.append)
    await client.send("0123456789", fragments=fragments)
    assert await text_of(server) == "0123456789"
    assert [frame.length for frame in seen] == sizes
    assert [frame.opcode for frame in seen] == [1] + [0] * (len(sizes) - 1)
    assert [frame.fin for frame in seen] == [False] * (len(sizes) - 1) + [True]
    assert not any(frame.violations for frame in seen)


async def test_a_ping_between_fragments_is_answered_and_seen_in_order(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, server = await pair(serving, stack)
    await client.send_frame(Opcode.TEXT, b"one ", fin=False)
    await client.ping(b"mid")
    await client.send_frame(Opcode.CONTINUATION, b"two")
    first, second = await server.receive(5), await server.receive(5)
    assert isinstance(first, Frame)
    assert first.payload == b"mid"
    assert isinstance(second, Message)
    assert second.text == "one two"
    pong = await client.receive(5)
    assert isinstance(pong, Frame)
    assert (pong.opcode, pong.payload) == (Opcode.PONG, b"mid")


@pytest.mark.parametrize(
    "params",
    [
        True,
        DeflateParams(server_no_context_takeover=True),
        DeflateParams(client_no_context_takeover=True, client_max_window_bits=9),
        DeflateParams(server_max_window_bits=10, client_max_window_bits=12),
    ],
)
async def test_compression_both_ways(
    serving: ServeFixture, stack: AsyncExitStack, params: DeflateParams | bool
) -> None:
    client, server = await pair(serving, stack, deflate=params)
    assert client.deflate == server.deflate == (DeflateParams() if params is True else params)
    noise = random.Random(1).randbytes(3000).hex()
    for a, b in ((client, server), (server, client)):
        for round_ in range(4):
            await a.send(noise * 3, fragments=2 if round_ == 2 else None)
            message = await b.receive_message(5)
            assert message is not None
            assert message.text == noise * 3
            assert message.compressed
            assert not message.violations


async def test_context_takeover_makes_repetition_cheap(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack, deflate=True)
    line = random.Random(2).randbytes(500).hex()
    wire_bytes = []
    for _ in range(2):
        await client.send(line)
        message = await server.receive_message(5)
        assert message is not None
        wire_bytes.append(message.wire_bytes)
    assert wire_bytes[1] < wire_bytes[0] / 10


async def test_one_message_without_compression(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack, deflate=True)
    for compress in (None, False, True):
        await client.send("same words", compress=compress)
    flags = []
    for _ in range(3):
        message = await server.receive_message(5)
        assert message is not None
        assert message.text == "same words"
        flags.append(message.compressed)
    assert flags == [True, False, True]


async def test_compressing_what_was_not_agreed_is_a_mistake(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, _ = await pair(serving, stack)
    with pytest.raises(ValueError, match="not agreed"):
        await client.send("x", compress=True)


async def test_violations_are_reported_and_the_connection_goes_on(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    seen: list[Frame] = []
    client, server = await pair(serving, stack, on_frame=seen.append)
    await client.send_frame(Opcode.TEXT, b"bare", mask=b"")
    await client.send_frame(Opcode.TEXT, b"bits", rsv=2)
    await client.write_raw(encode_frame(11, b"odd", mask=b"abcd"))
    await client.send("fine")
    await until(lambda: len(seen) == 4)
    assert [frame.violations for frame in seen] == [
        (Violation.UNMASKED_CLIENT,),
        (Violation.RESERVED_BITS,),
        (Violation.RESERVED_OPCODE,),
        (),
    ]
    assert await text_of(server) == "bare"


async def test_without_auto_pong_nothing_is_answered(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack, auto_pong=False)
    await client.ping(b"1")
    ping = await server.receive(5)
    assert isinstance(ping, Frame)
    await server.send("after")
    first = await client.receive(5)
    assert isinstance(first, Message)  # and no Pong before it
    server.auto_pong = True
    await client.ping(b"2")
    pong = await client.receive(5)
    assert isinstance(pong, Frame)
    assert pong.payload == b"2"


async def test_a_client_closes(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    await client.close(4001, "moved on")
    close = await server.receive(5)
    assert isinstance(close, Frame)
    assert close.opcode == Opcode.CLOSE
    assert await server.receive(5) is None
    assert (server.close_code, server.close_reason) == (4001, "moved on")
    assert (client.close_code, client.close_reason) == (4001, "moved on")  # the echo
    assert client.ended is server.ended is How.FIN
    with pytest.raises(ConnectionEnded):
        await client.send("late")


async def test_a_server_closes_and_ends_tcp_first(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    await server.send("last words")
    await server.close(1012, "restart")
    assert await text_of(client) == "last words"
    assert await client.receive_message(5) is None
    assert (client.close_code, client.close_reason) == (1012, "restart")
    assert client.close_sent == (1012, "restart")
    assert client.ended is How.FIN


@pytest.mark.parametrize("code", [1014, 4999, 1006, None])
async def test_any_close_code_goes_over_the_wire(
    serving: ServeFixture, stack: AsyncExitStack, code: int | None
) -> None:
    client, server = await pair(serving, stack)
    await server.close(code)
    await client.wait_ended(5)
    assert client.close_received == (code, "")
    assert client.close_code == (1005 if code is None else code)


async def test_both_close_at_once(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    await asyncio.gather(client.close(4000, "a"), server.close(4001, "b"))
    assert client.close_received == (4001, "b")
    assert server.close_received == (4000, "a")


async def test_a_peer_that_never_answers_a_close_is_given_up(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, server = await pair(serving, stack, auto_close=False)
    await asyncio.wait_for(client.close(timeout_s=0.05), 2)
    assert client.close_received is None
    assert client.ended is None
    await server.wait_ended(5)
    assert server.ended is How.FIN
    assert server.close_code == 1000


async def test_a_server_that_never_ends_tcp_after_a_close_is_given_up(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    server = await serving(auto_close=False)
    client = await connect(server.url, close_timeout_s=0.05)
    far = await server.next()
    await far.send_frame(Opcode.CLOSE, b"\x03\xe8")
    await asyncio.wait_for(client.wait_closed(), 2)
    assert client.close_code == 1000
    assert client.ended is None


async def test_closing_while_nobody_reads_a_flood(serving: ServeFixture) -> None:
    server = await serving()
    client = await connect(server.url)
    far = await server.next()

    async def flood() -> None:
        while True:
            await far.send(b"x" * 100_000)

    task = asyncio.create_task(flood())
    await until(lambda: client._inbox.full)
    await asyncio.wait_for(client.close(), 5)
    assert client.dropped
    assert far.close_code == 1000
    with pytest.raises(ConnectionEnded):
        await task


async def test_a_reader_that_is_slow_slows_its_peer(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(400):
            await server.send(b"x" * 65536)
            sent += 1

    task = asyncio.create_task(flood())
    await until(lambda: client._inbox.full and server.stream.congested)
    assert sent < 400
    for _ in range(400):
        assert await client.receive_message(5) is not None
    await task
    assert client.dropped == 0


async def stuck(connection: Connection) -> int:
    """Wait until nothing more can be sent; how many bytes are left here."""
    left, since = -1, 0
    while since < 20 or not connection.stream.congested:
        now = len(connection.stream._unsent)  # type: ignore[attr-defined]
        left, since = now, since + 1 if now == left else 0
        await asyncio.sleep(0.002)
    return left


async def test_pongs_do_not_pile_up_for_a_peer_that_does_not_read(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, server = await pair(serving, stack)

    async def flood() -> None:
        for _ in range(400):
            await client.send(b"x" * 65536)

    task = asyncio.create_task(flood())
    unsent = await stuck(client)
    for index in range(50):
        await server.ping(b"%d" % index)
        assert await client.receive(5) is not None
    assert len(client.stream._unsent) == unsent  # type: ignore[attr-defined]
    pongs = []
    while pongs[-1:] != [b"49"]:
        item = await server.receive(5)
        if isinstance(item, Frame):
            pongs.append(item.payload)
    assert len(pongs) == 1  # the latest Ping's: RFC 6455 section 5.5.3
    while not task.done():
        await server.receive(5)
    await task


async def test_receive_times_out_and_loses_nothing(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack)
    with pytest.raises(TimedOut):
        await client.receive(0.01)
    with pytest.raises(TimedOut):
        await client.receive_message(0.01)
    with pytest.raises(TimedOut):
        await client.wait_ended(0.01)
    await server.send("there")
    assert await text_of(client) == "there"


async def test_a_message_over_the_limit_is_cut_and_marked(
    serving: ServeFixture, stack: AsyncExitStack
) -> None:
    client, server = await pair(serving, stack, max_message_bytes=1000)
    await client.send(b"x" * 5000)
    await client.send("next")
    message = await server.receive_message(5)
    assert message is not None
    assert message.truncated
    assert len(message.payload) <= 1000
    assert await text_of(server) == "next"


async def test_raw_bytes_are_kept_on_request(serving: ServeFixture, stack: AsyncExitStack) -> None:
    client, server = await pair(serving, stack, keep_raw=True)
    sent = b"".join(encode_frame(Opcode.TEXT, b"%d" % n, mask=b"\1\2\3\4") for n in range(3))
    for a, b in pairwise([*range(0, len(sent), 2), len(sent)]):
        await client.write_raw(sent[a:b])
    await until(lambda: len(server.raw_received) == len(sent))
    assert server.raw_received == sent
    plain = await pair(serving, stack)
    with pytest.raises(RuntimeError, match="keep_raw"):
        _ = plain[0].raw_received


async def test_an_async_with_closes_and_an_echo_serves(serving: ServeFixture) -> None:
    from wsinspect.peer import serve

    async with await serve(echo) as server, await connect(f"{server.url}/path?q=1") as client:
        await client.send("hello")
        assert await text_of(client) == "hello"
        (far,) = server.connections
        assert far.request.target == "/path?q=1"
        assert far.request.path == "/path"
    assert client.close_code == 1000
    assert far.close_code == 1000


async def test_a_server_closes_all_its_connections_with_1001() -> None:
    from wsinspect.peer import serve

    server = await serve(echo)
    clients = [await connect(server.url) for _ in range(5)]
    await until(lambda: len(server.connections) == 5)
    await asyncio.wait_for(server.close(), 5)
    for client in clients:
        assert await client.wait_ended(5) is How.FIN
        assert client.close_code == 1001
        await client.wait_closed()
    assert not server.connections


async def test_a_handler_that_raises_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    from wsinspect.peer import serve

    async def bad(connection: Connection) -> None:
        raise RuntimeError("boom")

    async with await serve(bad) as server, await connect(server.url) as client:
        await client.wait_ended(5)
        assert client.close_code == 1011
        assert isinstance(server.failures[0], RuntimeError)
    assert "boom" in caplog.text
