"""A TCP socket that tells how its other end went away.

asyncio's transports close themselves when a write fails, and with that lose what was received before a
reset, and report a reset after a FIN as nothing at all. Here reading and writing fail on their own: what
arrived is delivered first, then `ends` says by which mechanism the peer ended.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import struct
from collections import deque

from wsinspect.model import Address, How
from wsinspect.peer.errors import ConnectFailed, ConnectionEnded
from wsinspect.peer.stream import End

READ_BYTES = 256 * 1024
READ_LIMIT_BYTES = 1024 * 1024
"""Received and not asked for yet: beyond this the kernel holds the rest, and then the peer."""
WRITE_HIGH_BYTES = 256 * 1024
"""`drain` waits while more than this is unsent."""
RESET_POLL_S = 0.02


async def connect_tcp(address: Address) -> TcpStream:
    """Resolve the name, and connect to the first of its addresses that answers. Raises ConnectFailed."""
    host, port = address
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed("dns", f"{host}: {error.strerror or error}") from error
    failure: OSError | None = None
    for family, kind, protocol, _, name in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, name)
            return TcpStream(sock)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    reason = os.strerror(failure.errno) if failure and failure.errno else str(failure or "no address")
    raise ConnectFailed("connect", f"cannot connect to {host}:{port}: {reason}") from failure


class TcpStream:
    """One connected socket on the running event loop."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.local: Address = address_of(sock.getsockname())
        self.remote: Address = address_of(sock.getpeername())
        self.ends: list[End] = []
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._reading = False
        self._no_more_input = False
        self._arrived = asyncio.Event()
        self._unsent = bytearray()
        self._writing = False
        self._write_error: OSError | None = None
        self._eof_wanted = False
        self._eof_sent = False
        self._sent = asyncio.Event()
        self._closed = False
        self._ended = asyncio.Event()
        self._start_reading()

    # ------------------------------------------------------------------------------------------ reading

    async def read(self) -> bytes:
        while not self._chunks:
            if self._no_more_input:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks.popleft()
        self._buffered -= len(data)
        if self._buffered < READ_LIMIT_BYTES:
            self._start_reading()
        return data

    def unread(self, data: bytes) -> None:
        if data:
            self._chunks.appendleft(data)
            self._buffered += len(data)
            self._arrived.set()

    def _start_reading(self) -> None:
        if not (self._reading or self._no_more_input):
            self._reading = True
            self._loop.add_reader(self._sock, self._on_readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._input_ended(end_of_error(error))
            return
        if not data:
            # A reset that a write ran into first is reported to the reader as a plain end.
            reset = self._write_error
            self._input_ended(end_of_error(reset) if reset else End(How.FIN))
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered >= READ_LIMIT_BYTES:
            self._stop_reading()
        self._arrived.set()

    def _input_ended(self, end: End) -> None:
        self._stop_reading()
        self._no_more_input = True
        self._arrived.set()
        self._note(end)
        if end.how is How.FIN:
            self._loop.call_later(RESET_POLL_S, self._look_for_reset)
        elif self._write_error is None:
            self._output_failed(ConnectionResetError(errno.ECONNRESET, "the peer reset the connection"))

    def _look_for_reset(self) -> None:
        """A half-open socket stays readable, so a reset that follows the FIN wakes nobody: ask for it."""
        if self._closed or any(end.how is not How.FIN for end in self.ends):
            return
        poll = select.poll()
        poll.register(self._sock, 0)
        events = dict(poll.poll(0)).get(self._sock.fileno(), 0)
        if events & select.POLLERR:
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
            self._output_failed(OSError(number, "the peer reset the connection"))
        elif not events & select.POLLHUP:
            self._loop.call_later(RESET_POLL_S, self._look_for_reset)

    def _note(self, end: End) -> None:
        self.ends.append(end)
        self._ended.set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    # ------------------------------------------------------------------------------------------ writing

    @property
    def gone(self) -> bool:
        return self._closed or self._write_error is not None

    @property
    def congested(self) -> bool:
        return len(self._unsent) > WRITE_HIGH_BYTES

    def write(self, data: bytes) -> None:
        self._check_open()
        if self._eof_wanted:
            raise ConnectionEnded("our side of the connection has ended already")
        if data and not self._unsent:
            data = data[self._send(data) :]
        if data and not self.gone:
            self._unsent += data
            self._start_writing()

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionEnded("the connection was closed on this side")
        if self._write_error is not None:
            raise ConnectionEnded(f"the peer is gone: {self._write_error}") from self._write_error

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._output_failed(error)
            return 0

    def _output_failed(self, error: OSError) -> None:
        """Nothing more can be sent. Input may still lie in the kernel: reading goes on to its end."""
        if self._write_error is None:
            self._write_error = error
            self._unsent.clear()
            self._stop_writing()
            self._sent.set()
            if self._no_more_input and not any(end.how is not How.FIN for end in self.ends):
                self._note(end_of_error(error))

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._sock, self._on_writable)

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock)

    def _on_writable(self) -> None:
        sent = self._send(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._stop_writing()
            if self._eof_wanted:
                self._send_eof()
        self._sent.set()

    async def drain(self) -> None:
        await self._wait_unsent(WRITE_HIGH_BYTES)
        self._check_open()

    async def flush(self) -> None:
        await self._wait_unsent(0)

    async def _wait_unsent(self, limit: int) -> None:
        while len(self._unsent) > limit and not self.gone:
            self._sent.clear()
            await self._sent.wait()

    def write_eof(self, *, close_notify: bool = True) -> None:
        del close_notify  # there is none on plain TCP
        if not self._eof_wanted and not self.gone:
            self._eof_wanted = True
            if not self._unsent:
                self._send_eof()

    def _send_eof(self) -> None:
        if not self._eof_sent and not self.gone:
            self._eof_sent = True
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._output_failed(error)

    # ---------------------------------------------------------------------------------------------- end

    def reset(self) -> None:
        if not self._closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def close(self) -> None:
        if self._closed:
            return
        self._stop_reading()
        self._stop_writing()
        self._closed = True
        self._no_more_input = True
        self._unsent.clear()
        self._sock.close()
        self._arrived.set()
        self._sent.set()
        self._ended.set()


def address_of(name: object) -> Address:
    """The first two parts of a socket name; a name that is not an IP's (a unix socket's) has port 0."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return str(name), 0


def end_of_error(error: OSError) -> End:
    """Which end a failed read or write stands for."""
    name = errno.errorcode.get(error.errno or 0)
    if error.errno == errno.ETIMEDOUT:
        return End(How.TIMEOUT, name)
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return End(How.UNREACHABLE, name)
    return End(How.RST, name)
