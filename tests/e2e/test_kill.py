"""SIGKILL of the proxy under load: the capture holds what the peers had received until 200 ms before."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.program import tell
from tests.proxy.raw import TIMEOUT_S, request, response
from tests.proxy.running import RunningProxy, free_port
from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import GapEvent, MessageEvent, Timeline
from wsinspect.capture.writer import Writer
from wsinspect.model import FactRecord, Gap, Read, Record, Requested, Side
from wsinspect.wire.deflate import Deflater
from wsinspect.wire.frames import encode_frame

pytestmark = pytest.mark.slow

PROMISE_S = 0.2
LOAD_S = 0.8
"""The kill comes so long after the load began: several times the promise."""
PEER_BYTES_S = 15e6
"""What each peer sends: the eight of them no more than any disk takes. Beyond that gaps are right."""
DECODED = 100_000
"""So many messages of a capture are looked into."""
CONNECTIONS = 4
DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@dataclass(frozen=True)
class Load:
    """What each side sends over and over, and in pieces of which size."""

    name: str
    payloads: tuple[bytes, ...]
    piece: int
    compressed: bool = False

    def stream(self, side: Side) -> bytes:
        """Whole frames; repeated without end they are still a right stream."""
        deflater = Deflater(no_context_takeover=True)
        mask = b"\x11\x22\x33\x44" if side is Side.CLIENT else None
        return b"".join(
            encode_frame(1, deflater.deflate(payload), rsv=4, mask=mask)
            if self.compressed
            else encode_frame(2, payload, mask=mask)
            for payload in self.payloads
        )


def _payloads(count: int, size: int) -> tuple[bytes, ...]:
    rng = random.Random(size)
    return tuple(rng.randbytes(size) for _ in range(count))


def _texts(count: int) -> tuple[bytes, ...]:
    rng = random.Random(count)
    return tuple(
        b'{"seq":%d,"price":%d,"note":"%s"}' % (number, rng.randrange(10**6), b"lorem ipsum " * 40)
        for number in range(count)
    )


LOADS = [
    Load("small frames", _payloads(2000, 64), piece=3000),
    Load("large frames", _payloads(4, 1 << 20), piece=200_000),
    Load("compressed", _texts(1000), piece=20_000, compressed=True),
]


class Peer(asyncio.Protocol):
    """Sends its stream at PEER_BYTES_S, or as fast as it is taken; notes when it had received how much."""

    def __init__(self, side: Side, load: Load) -> None:
        self.side = side
        self.outgoing = load.stream(side)
        self.expected = load.stream(side.other)
        self.piece = load.piece
        self.received = 0
        """Bytes since the handshake, each of them as it was sent."""
        self.log: list[tuple[float, int]] = []
        self.wrong_at: int | None = None
        self.head = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self._early = b""
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.head.done():
            self._early += data
            head, end, data = self._early.partition(b"\r\n\r\n")
            if not end:
                return
            self.head.set_result(head + end)
        self._compare(data)
        self.received += len(data)
        self.log.append((time.monotonic(), self.received))

    def _compare(self, data: bytes) -> None:
        if self.wrong_at is None and not same_cyclic(data, self.expected, self.received):
            self.wrong_at = self.received

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send_on(self) -> None:
        """Until the connection is lost."""
        sent, began = 0, time.monotonic()
        while not self.lost.is_set():
            if sent > (time.monotonic() - began) * PEER_BYTES_S:
                await asyncio.sleep(0.001)
                continue
            start = sent % len(self.outgoing)
            piece = self.outgoing[start : start + self.piece]
            self.transport.write(piece)
            sent += len(piece)
            await self._writable.wait()
            await asyncio.sleep(0)

    def received_until(self, moment: float) -> int:
        """Bytes received until then."""
        return max((count for stamp, count in self.log if stamp <= moment), default=0)

    def lag_s(self, killed: float, captured: int) -> float:
        """For how long before the kill something had been received that is not in the capture."""
        return max((killed - stamp for stamp, count in self.log if count > captured), default=0.0)


def same_cyclic(data: bytes, stream: bytes, offset: int) -> bool:
    """Whether `data` is what stands at `offset` of the stream repeated without end."""
    start, done = offset % len(stream), 0
    while done < len(data):
        size = min(len(data) - done, len(stream) - start)
        if data[done : done + size] != stream[start : start + size]:
            return False
        done, start = done + size, 0
    return True


class Server:
    """Accepts peers."""

    def __init__(self, load: Load, port: int) -> None:
        self._load = load
        self._port = port
        self.accepted: asyncio.Queue[Peer] = asyncio.Queue()

    def _accept(self) -> Peer:
        peer = Peer(Side.SERVER, self._load)
        self.accepted.put_nowait(peer)
        return peer

    async def __aenter__(self) -> Server:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


async def open_pair(load: Load, number: int, proxy_port: int, server: Server) -> tuple[Peer, Peer]:
    """A client and its server, with the handshake done."""
    extra = {"Sec_WebSocket_Extensions": DEFLATE} if load.compressed else {}
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Peer(Side.CLIENT, load), "127.0.0.1", proxy_port
    )
    client.transport.write(request(f"/{number}", **extra))
    other = await server.accepted.get()
    head = await other.head
    other.transport.write(response(head, **extra))
    assert (await client.head).startswith(b"HTTP/1.1 101 ")
    return client, other


async def kill_under_load(load: Load, capture: Path, confdir: Path) -> tuple[float, list[tuple[Peer, Peer]]]:
    """The time of the kill, and the peers with what they had received."""
    port = free_port()
    with RunningProxy(capture, [f"reverse:http://127.0.0.1:{port}"], "--set", f"confdir={confdir}") as proxy:
        async with asyncio.timeout(TIMEOUT_S * 2), Server(load, port) as server:
            pairs = [await open_pair(load, number, proxy.port, server) for number in range(CONNECTIONS)]
            peers = [peer for pair in pairs for peer in pair]
            sending = [asyncio.create_task(peer.send_on()) for peer in peers]
            await asyncio.sleep(LOAD_S)
            proxy.process.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            await asyncio.to_thread(proxy.process.wait)
            await asyncio.gather(*sending)
    return killed, pairs


def records(capture: Path) -> Iterator[Record]:
    with Reader(capture) as reader:
        while batch := reader.read():
            for _, record in batch:
                yield record
        assert reader.damage == []


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name.replace(" ", "-"))
async def test_what_was_received_is_in_the_capture(
    load: Load, tmp_path: Path, confdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "a.wscap"
    killed, pairs = await kill_under_load(load, capture, confdir)
    streams = {side: load.stream(side) for side in Side}
    captured: dict[tuple[int, Side], int] = {}
    targets: dict[int, str] = {}
    for record in records(capture):
        assert not isinstance(record, Gap)
        if isinstance(record, FactRecord) and isinstance(record.fact, Requested):
            targets[record.conn] = record.fact.target
        if isinstance(record, Read):
            so_far = captured.get((record.conn, record.side), 0)
            assert record.offset == so_far
            assert same_cyclic(record.data, streams[record.side], so_far)
            captured[record.conn, record.side] = so_far + len(record.data)
    assert sorted(targets.values()) == [f"/{number}" for number in range(CONNECTIONS)]
    lag_s = 0.0
    for conn, target in targets.items():
        for peer in pairs[int(target[1:])]:
            assert peer.wrong_at is None
            held = captured.get((conn, peer.side.other), 0)
            assert peer.received_until(killed) > 0
            assert held >= peer.received_until(killed - PROMISE_S)
            lag_s = max(lag_s, peer.lag_s(killed, held))
    received = sum(peer.received for pair in pairs for peer in pair)
    tell(
        capsys,
        f"{load.name}: {received >> 20} MiB received, capture {lag_s * 1000:.0f} ms behind at the kill",
    )
    check_messages(load, capture)
    check_it_goes_on(capture)
    capture.unlink()


def check_messages(load: Load, capture: Path) -> None:
    """What a reader makes of it are the messages that were sent, in their order."""
    timeline, counts = Timeline(), dict[tuple[int, Side], int]()
    for record in records(capture):
        for event in timeline.feed(record):
            assert not isinstance(event, GapEvent)
            if isinstance(event, MessageEvent):
                number = counts.get((event.conn, event.side), 0)
                assert event.message.payload == load.payloads[number % len(load.payloads)]
                counts[event.conn, event.side] = number + 1
        if sum(counts.values()) > DECODED:
            break
    assert len(counts) == 2 * CONNECTIONS


def check_it_goes_on(capture: Path) -> None:
    """Nothing is locked, and what is appended stands behind the last whole record."""
    before = sum(1 for _ in records(capture))
    Writer(capture).close()
    assert sum(1 for _ in records(capture)) > before
