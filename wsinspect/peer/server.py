"""A WebSocket server on one port (RFC 6455 section 4.2)."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import ssl as ssl_module
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from wsinspect.errors import Unavailable
from wsinspect.model import Address, Side
from wsinspect.peer.accepting import Answer, accepting_headers, fault_of, refusal
from wsinspect.peer.connection import Connection
from wsinspect.peer.errors import ConnectFailed, ConnectionEnded
from wsinspect.peer.extension import DeflateChoice
from wsinspect.peer.handshake_io import (
    HeaderChange,
    Request,
    Response,
    changed,
    parse_request,
    read_head,
)
from wsinspect.peer.options import Agreement, Options, Switches
from wsinspect.peer.proxying import authority
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import TcpStream
from wsinspect.peer.tls import TlsStream
from wsinspect.wire.handshake import negotiated

logger = logging.getLogger(__name__)

type Handler = Callable[[Connection], Awaitable[None]]
"""Serves one connection; when it returns, the connection is closed (1000; 1011 where it raised)."""

type OnRequest = Callable[[Request], Answer | None | Awaitable[Answer | None]]

BACKLOG = 1024
HANDLER_GRACE_S = 0.25


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl: ssl_module.SSLContext | None = None,
    deflate: DeflateChoice = None,
    subprotocols: Sequence[str] = (),
    on_request: OnRequest | None = None,
    headers: Iterable[HeaderChange] = (),
    open_timeout_s: float = 10,
    strict: bool = True,
    glue: bytes = b"",
    **switches: Unpack[Switches],
) -> Server:
    """Listen, and return at once; port 0 takes a free one (`Server.port`).

    `deflate`: what to agree to where it is offered.
    `subprotocols`: the client's first that is among them is chosen.
    `on_request`: may answer itself. A status other than 101 refuses; with 101 its headers stand in for the
    usual ones of their names, its body follows the 101 in the same write, and the connection goes on.
    `headers`: added to every 101, or in place of usual ones (None takes one away).
    `strict=False`: accept requests that RFC 6455 has a server refuse.
    `glue`: bytes in one write with the 101.
    `switches`: see `Options`. Raises Unavailable where it cannot listen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    settings = Settings(
        ssl=ssl,
        deflate=deflate,
        subprotocols=subprotocols,
        on_request=on_request,
        headers=list(headers),
        open_timeout_s=open_timeout_s,
        strict=strict,
        glue=glue,
        switches=switches,
    )
    return Server(listener, handler, settings)


@dataclass(slots=True, kw_only=True)
class Settings:
    """What `serve` was told; its docstring says what each is."""

    ssl: ssl_module.SSLContext | None
    deflate: DeflateChoice
    subprotocols: Sequence[str]
    on_request: OnRequest | None
    headers: list[HeaderChange]
    open_timeout_s: float
    strict: bool
    glue: bytes
    switches: Switches


class Server:
    """A listening server; made by `serve`."""

    def __init__(self, listener: socket.socket, handler: Handler, settings: Settings) -> None:
        self._listener = listener
        self._handler = handler
        self._settings = settings
        host, port = listener.getsockname()[:2]
        self.host: str = host
        self.port: int = port
        self.connections: set[Connection] = set()
        """Those whose handler runs."""
        self.failures: deque[BaseException] = deque(maxlen=100)
        """The latest handshakes that failed on the client's side, and what handlers raised."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept(), name=f"accept on {self.port}")

    @property
    def address(self) -> Address:
        return self.host, self.port

    @property
    def url(self) -> str:
        """`ws://host:port` or `wss://host:port`, without a path."""
        return f"{'wss' if self._settings.ssl else 'ws'}://{authority(self.address)}"

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # such as EMFILE: others must be served on
                logger.warning("accept: %s", error)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._serve(sock), name=f"connection on {self.port}")
            self._tasks.add(task)
            self._opening.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(partial(_close, sock))

    async def _serve(self, sock: socket.socket) -> None:
        try:
            stream: Stream = TcpStream(sock)
        except OSError:  # it went away before it was looked at
            sock.close()
            return
        try:
            async with asyncio.timeout(self._settings.open_timeout_s):
                if self._settings.ssl is not None:
                    stream = tls = TlsStream(stream, self._settings.ssl, server_side=True)
                    await tls.handshake()
                connection = await self._open(stream)
        except (ConnectFailed, ConnectionEnded, TimeoutError) as error:
            self.failures.append(error)
            stream.close()
            return
        except BaseException:
            stream.close()
            raise
        finally:
            self._opening = {task for task in self._opening if task is not asyncio.current_task()}
        if connection is None:
            await self._hang_up(stream)
        else:
            await self._handle(connection)

    async def _open(self, stream: Stream) -> Connection | None:
        """Answer the request; None where the answer was a refusal."""
        settings = self._settings
        head = await read_head(stream, "the client")
        try:
            request = parse_request(head)
        except ValueError as error:
            stream.write(refusal((400, [], f"{error}\n".encode())))
            return None
        answer = settings.on_request(request) if settings.on_request else None
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is None and settings.strict:
            answer = fault_of(request)
        if answer is not None and answer[0] != 101:
            stream.write(refusal(answer))
            return None
        _, extra, glue = answer or (101, [], settings.glue)
        usual = accepting_headers(request, settings.subprotocols, settings.deflate)
        response = Response(headers=changed(usual, [*settings.headers, *extra]))
        agreed = negotiated(response.headers)
        agreement = Agreement(
            request=request,
            response=response,
            subprotocol=agreed.subprotocol,
            deflate=agreed.deflate,
            rsv_allowed=agreed.rsv_allowed,
            extensions=agreed.extensions,
        )
        stream.write(response.encode(glue))
        return Connection(stream, Side.SERVER, agreement, Options(**settings.switches))

    async def _hang_up(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(1):
                stream.write_eof()
                await stream.flush()
                while await stream.read():
                    pass
        except TimeoutError:
            pass
        finally:
            stream.close()

    async def _handle(self, connection: Connection) -> None:
        self.connections.add(connection)
        code = 1000
        try:
            await self._handler(connection)
        except ConnectionEnded:
            pass  # the client went away while it was being served
        except Exception as error:
            code = 1011
            self.failures.append(error)
            logger.exception("the handler of %s failed", connection.request.target)
        finally:
            try:
                await (connection.close(code) if connection.auto_close else connection.drop())
            finally:
                self.connections.discard(connection)

    async def close(self, *, code: int = 1001, reason: str = "", timeout_s: float = 2.0) -> None:
        """Stop listening, close all connections, and wait until they and their handlers are gone.

        A closing handshake that takes longer than `timeout_s` is cut short, and a handler that does not
        notice that its connection is gone is cancelled.
        """
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        for task in self._opening:
            task.cancel()
        live = list(self.connections)
        await asyncio.gather(*(connection.close(code, reason, timeout_s=timeout_s) for connection in live))
        tasks = set(self._tasks)
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=HANDLER_GRACE_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _close(sock: socket.socket, task: asyncio.Task[None]) -> None:
    """Nearly always closed before; not where the task was cancelled before it began."""
    sock.close()
