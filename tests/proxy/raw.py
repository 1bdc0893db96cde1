"""Peers that speak bytes: every byte and every end is seen, and sent, by the test itself.

TLS runs over memory BIOs, so that close_notify and FIN stay two things.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
from collections.abc import Callable

TIMEOUT_S = 15.0

LEFT_OPEN: list[RawEnd | RawServer] = []
"""Ends and servers of the running test; conftest.py closes them behind it."""
BROKEN_RECORD = b"\x17\x03\x03\x00\x28" + bytes(40)
"""TLS application data that no key decrypts."""
MORE_THAN_FITS = 64 << 20
"""Bytes that no way through the proxy holds where nobody reads: a kernel lets one socket have up to 32 MiB
to receive (tcp_rmem) and 4 to send."""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawEnd(asyncio.Protocol):
    """One end of a TCP connection, with TLS where a context is given."""

    def __init__(
        self, context: ssl.SSLContext | None = None, *, server: bool = False, name: str = "localhost"
    ):
        self.received = bytearray()
        """Application bytes so far; `take_head` removes the HTTP head."""
        self.ends: list[str] = []
        """Of close_notify, alert, fin, rst, in the order seen."""
        self.transport: asyncio.Transport
        self._changed = asyncio.Event()
        LEFT_OPEN.append(self)
        self._tls: ssl.SSLObject | None = None
        self._ready = context is None
        self._early = b""
        if context is not None:
            self._wrap(context, server, name)

    def _wrap(self, context: ssl.SSLContext, server: bool, name: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_side=server, server_hostname=None if server else name
        )
        self._ready = False

    # asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        self._shake()
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self.received += data
        else:
            self._in.write(data)
            self._shake()
            self._decrypt()
        self._changed.set()

    def eof_received(self) -> bool:
        self.ends.append("fin")
        self._changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.ends.append("rst" if isinstance(exc, ConnectionError) else type(exc).__name__)
        self._changed.set()

    def _shake(self) -> None:
        if self._ready or self._tls is None:
            return
        try:
            self._tls.do_handshake()
            self._ready = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()  # the alert
            self.transport.close()
            return
        self._flush()
        if self._ready and self._early:
            early, self._early = self._early, b""
            self.send(early)

    def _decrypt(self) -> None:
        assert self._tls is not None
        while self._ready:
            try:
                part = self._tls.read(65536)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                part = b""
            except ssl.SSLError as error:
                self.ends.append("alert" if "ALERT" in (error.reason or "") else f"tls: {error.reason}")
                break
            if not part:
                if "close_notify" not in self.ends:
                    self.ends.append("close_notify")
                break
            self.received += part
        self._flush()

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self.transport.write(data)

    # what a test does
    def start_tls(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        """A client's TLS from here on, inside a tunnel."""
        self._wrap(context, False, name)
        self._shake()

    def send(self, data: bytes) -> None:
        if self._tls is None:
            self.transport.write(data)
        elif not self._ready:
            self._early += data
        else:
            for start in range(0, len(data), 16384):
                self._tls.write(data[start : start + 16384])
                self._flush()

    def close_notify(self) -> None:
        assert self._tls is not None
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()

    def fatal_alert(self) -> None:
        """Make our TLS refuse a record of its own: it says bad_record_mac to the other side."""
        assert self._tls is not None
        self._in.write(BROKEN_RECORD)
        try:
            self._tls.read(1)
        except ssl.SSLError:
            pass
        self._flush()

    def fin(self) -> None:
        self.transport.write_eof()

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        if hasattr(self, "transport"):
            self.transport.close()

    async def until(self, condition: Callable[[RawEnd], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Wait until `condition(self)`; says what there was where it never comes."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(self):
                    self._changed.clear()
                    if condition(self):
                        return
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"got {len(self.received)} bytes {bytes(self.received[:80])!r}, ends {self.ends}"
            ) from None

    async def got(self, count: int) -> bytes:
        await self.until(lambda end: len(end.received) >= count)
        return bytes(self.received)

    async def ended(self, *ends: str) -> None:
        await self.until(lambda end: end.ends == list(ends))

    async def flushed(self, timeout_s: float = TIMEOUT_S) -> None:
        """Everything sent has left the transport's buffer."""
        async with asyncio.timeout(timeout_s):
            while self.transport.get_write_buffer_size():
                await asyncio.sleep(0.001)

    async def blocked(self) -> None:
        """What was sent waits here, and has not moved for half a second: the whole way is full."""
        async with asyncio.timeout(2 * TIMEOUT_S):
            last, still = -1, 0
            while still < 10:
                await asyncio.sleep(0.05)
                now = self.transport.get_write_buffer_size()
                still, last = (still + 1 if now == last and now else 0), now

    async def take_head(self) -> bytes:
        """Wait for an HTTP head, and remove it from `received`."""
        await self.until(lambda end: b"\r\n\r\n" in end.received)
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received[:] = rest
        return head + b"\r\n\r\n"


async def close_all() -> None:
    """Close what the test has left open."""
    for each in LEFT_OPEN:
        if isinstance(each, RawServer):
            each.close()
        elif hasattr(each, "transport"):
            each.transport.abort()
    LEFT_OPEN.clear()
    for _ in range(3):
        await asyncio.sleep(0)


class RawServer:
    """Accepts connections and gives each to whoever awaits `accepted`."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.context = context
        self.port = port
        self.heard: list[RawEnd] = []
        """All connections so far."""
        self._queue: asyncio.Queue[RawEnd] = asyncio.Queue()
        self._server: asyncio.Server

    async def start(self) -> RawServer:
        self._server = await asyncio.get_running_loop().create_server(self._make, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        LEFT_OPEN.append(self)
        return self

    def close(self) -> None:
        self._server.close()

    def _make(self) -> RawEnd:
        end = RawEnd(self.context, server=True)
        self.heard.append(end)
        self._queue.put_nowait(end)
        return end

    async def accepted(self) -> RawEnd:
        async with asyncio.timeout(TIMEOUT_S):
            end = await self._queue.get()
        await end.until(lambda each: hasattr(each, "transport"))
        return end


async def raw_connect(port: int, context: ssl.SSLContext | None = None, name: str = "localhost") -> RawEnd:
    loop = asyncio.get_running_loop()
    _, end = await loop.create_connection(lambda: RawEnd(context, name=name), "127.0.0.1", port)
    return end


def request(target: str = "/", host: str = "localhost", **headers: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    base = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in base.items() if value)
    return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode()


def response(head: bytes, **headers: str) -> bytes:
    """A 101 for a request's head."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    base = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
    base |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in base.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()
