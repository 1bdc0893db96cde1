"""The proxy's event loop calls straight readers, and leaves the rest to asyncio."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator

import pytest

from wsinspect.proxy.loop import StraightLoop, new_loop, straight_readers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs epoll")


class Heard(asyncio.Protocol):
    """Keeps what it hears, and wakes who waits for it."""

    def __init__(self) -> None:
        self.data = b""
        self.transport: asyncio.Transport
        self.ended = asyncio.Event()
        self.came = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.came.set()

    def eof_received(self) -> None:
        self.ended.set()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(main, loop_factory=new_loop)


async def heard_on(sock: socket.socket) -> Heard:
    _, protocol = await asyncio.get_running_loop().create_connection(Heard, sock=sock)
    return protocol


def done(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


def paused(transport: asyncio.Transport) -> None:
    transport.pause_reading()


def paused_with_a_full_buffer(transport: asyncio.Transport) -> None:
    """The socket stays registered, for writing."""
    transport.write(bytes(1 << 20))
    assert transport.get_write_buffer_size()
    transport.pause_reading()


def test_a_straight_reader_reads_and_the_transport_hears_the_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair

    async def main() -> None:
        protocol = await heard_on(ours)
        read: list[bytes] = []
        came = asyncio.Event()

        def reader() -> bool:
            data = os.read(ours.fileno(), 100)
            if data:
                read.append(data)
                came.set()
            return bool(data)

        straight_readers()[ours.fileno()] = reader
        theirs.send(b"straight")
        await asyncio.wait_for(came.wait(), 5)
        protocol.transport.write(b"answer")
        assert theirs.recv(100) == b"answer"
        theirs.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(protocol.ended.wait(), 5)
        assert read == [b"straight"]
        assert protocol.data == b""
        protocol.transport.close()

    run(main())


@pytest.mark.parametrize("pause", [paused, paused_with_a_full_buffer])
def test_a_paused_transport_takes_the_straight_reader_away(
    pause: Callable[[asyncio.Transport], None], pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    async def main() -> None:
        protocol = await heard_on(ours)
        called: list[int] = []
        came = asyncio.Event()

        def reader() -> bool:
            called.append(len(os.read(ours.fileno(), 100)))
            came.set()
            return True

        straight_readers()[ours.fileno()] = reader
        pause(protocol.transport)
        assert straight_readers() == {}
        theirs.send(b"later")
        for _ in range(5):
            await asyncio.sleep(0)
        assert called == []
        straight_readers()[ours.fileno()] = reader
        protocol.transport.resume_reading()
        await asyncio.wait_for(came.wait(), 5)
        assert called == [5]
        protocol.transport.abort()

    run(main())


def test_a_fault_in_a_straight_reader_leaves_the_socket_to_the_transport(
    pair: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pair

    async def main() -> None:
        protocol = await heard_on(ours)

        def reader() -> bool:
            raise ValueError("a fault")

        straight_readers()[ours.fileno()] = reader
        theirs.send(b"data")
        await asyncio.wait_for(protocol.came.wait(), 5)
        assert protocol.data == b"data"
        protocol.transport.close()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "a fault" in caplog.text


def test_timers_and_other_readers_go_on_beside_a_busy_one(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StraightLoop)
        protocol = await heard_on(ours)
        loop.straight[ours.fileno()] = lambda: True  # reads nothing: it is readable in each turn
        theirs.send(b"x")
        other, far = socket.socketpair()
        with other, far:
            other.setblocking(False)
            far.send(b"other")
            assert await asyncio.wait_for(loop.sock_recv(other, 10), 5) == b"other"
        await asyncio.sleep(0.01)
        protocol.transport.close()

    run(main())


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop, call: loop.call_soon(call),
        lambda loop, call: loop.call_later(0.001, call),
        lambda loop, call: loop.call_soon_threadsafe(call),
        lambda loop, call: loop.create_task(asyncio.to_thread(call)),
        lambda loop, call: loop.run_in_executor(None, call),
    ],
    ids=["soon", "later", "threadsafe", "task", "executor"],
)
def test_what_a_straight_reader_asks_of_the_loop_is_done(
    ask: Callable[[asyncio.AbstractEventLoop, Callable[[], None]], object],
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = await heard_on(ours)
        asked = asyncio.Event()

        def reader() -> bool:
            os.read(ours.fileno(), 100)
            ask(loop, lambda: done(loop, asked))
            return True

        straight_readers()[ours.fileno()] = reader
        theirs.send(b"ask")
        await asyncio.wait_for(asked.wait(), 5)
        protocol.transport.close()

    run(main())


def test_a_closed_loop_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    run(asyncio.sleep(0))
    assert os.listdir("/proc/self/fd") == before


def test_elsewhere_nobody_looks_at_straight_readers() -> None:
    async def main() -> None:
        straight_readers()[0] = lambda: True
        assert straight_readers() == {}

    asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop)
