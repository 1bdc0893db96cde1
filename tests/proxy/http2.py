"""HTTP/2 over raw ends, with the flow control in the test's hands."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import h2.config
import h2.connection
import h2.events

from tests.certs import make_cert
from tests.proxy.raw import RawEnd, RawServer, raw_connect
from tests.proxy.running import RunningProxy, trusting

WAIT_S = 60.0


class H2End:
    """One end of HTTP/2 over a raw end."""

    def __init__(self, end: RawEnd, *, client: bool) -> None:
        self.end = end
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=client, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self.events: list[h2.events.Event] = []
        """All but data."""
        self.pieces: dict[int, list[bytes]] = {}
        """Data by stream."""
        self.slow: set[int] = set()
        """Streams whose window's space is not handed back."""
        self.unread: dict[int, int] = {}
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(
            1 << 30
        )  # streams hold each other up by their own windows alone
        self.flush()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.end.send(data)

    def take(self) -> None:
        """What has come: into `events` and `pieces`."""
        data = bytes(self.end.received)
        self.end.received.clear()
        if not data:
            return
        for event in self.h2.receive_data(data):
            if not isinstance(event, h2.events.DataReceived):
                self.events.append(event)
                continue
            self.pieces.setdefault(event.stream_id, []).append(event.data)
            if event.stream_id in self.slow:
                self.unread[event.stream_id] = (
                    self.unread.get(event.stream_id, 0) + event.flow_controlled_length
                )
            elif event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    def read_on(self, stream_id: int) -> None:
        """A slow stream is slow no more."""
        self.slow.discard(stream_id)
        if length := self.unread.pop(stream_id, 0):
            self.h2.acknowledge_received_data(length, stream_id)
        self.flush()

    def got(self, stream_id: int) -> int:
        """Bytes of data on a stream."""
        return sum(map(len, self.pieces.get(stream_id, ())))

    async def until_got(self, stream_id: int, total: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.got(stream_id) < total:
                self.take()
                await asyncio.sleep(0.002)

    async def until[T: h2.events.Event](self, kind: type[T], count: int = 1) -> list[T]:
        """Wait for that many events of a kind (any but data)."""

        def found(_: RawEnd) -> bool:
            self.take()
            return sum(isinstance(event, kind) for event in self.events) >= count

        await self.end.until(found)
        return [event for event in self.events if isinstance(event, kind)]

    async def pour(self, stream_id: int, data: bytes) -> None:
        """Send all of it, as the windows allow, and end the stream. Raises ConnectionResetError."""
        sent = 0
        while sent < len(data):
            self.take()
            if any(isinstance(e, h2.events.StreamReset) and e.stream_id == stream_id for e in self.events):
                raise ConnectionResetError
            room = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)
            if not room:
                await asyncio.sleep(0.002)
                continue
            self.h2.send_data(stream_id, data[sent : sent + room])
            sent += room
            self.flush()
            await self.end.flushed(WAIT_S)
        self.h2.end_stream(stream_id)
        self.flush()

    async def stands_still(self, stream_id: int) -> None:
        """What we pour waits for the stream's window, or in the transport, and has for half a second."""
        async with asyncio.timeout(WAIT_S):
            last, still = (-1, -1), 0
            while still < 10:
                await asyncio.sleep(0.05)
                self.take()
                window = self.h2.local_flow_control_window(stream_id)
                now = window, self.end.transport.get_write_buffer_size()
                still, last = (still + 1 if now == last and (not window or now[1]) else 0), now


def speaking(tmp_path: Path, *protocols: str) -> ssl.SSLContext:
    """A server's context that agrees to these protocols alone."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*make_cert(tmp_path))
    context.set_alpn_protocols(list(protocols))
    return context


def offering(*protocols: str) -> ssl.SSLContext:
    """A client's."""
    context = trusting()
    context.set_alpn_protocols(list(protocols))
    return context


async def h2_through(proxy: RunningProxy, tmp_path: Path) -> tuple[H2End, RawServer, int]:
    """A client that speaks HTTP/2 through CONNECT, to a server that does."""
    server = await RawServer(speaking(tmp_path, "h2", "http/1.1")).start()
    client = await raw_connect(proxy.port)
    authority = f"localhost:{server.port}"
    client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    assert (await client.take_head()).startswith(b"HTTP/1.1 200 ")
    client.start_tls(offering("h2", "http/1.1"))
    return H2End(client, client=True), server, server.port


def page_headers(port: int, path: str, method: str = "GET") -> list[tuple[str, str]]:
    return [
        (":method", method), (":scheme", "https"), (":authority", f"localhost:{port}"), (":path", path),
    ]  # fmt: skip
