"""The client's side of the opening handshake (RFC 6455 section 4.1)."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl as ssl_module
from collections.abc import Iterable, Sequence
from typing import Unpack
from urllib.parse import urlsplit

from wsinspect.errors import TimedOut
from wsinspect.model import Address, Header, Opened, Requested, Side
from wsinspect.peer import extension
from wsinspect.peer.connection import Connection
from wsinspect.peer.errors import ConnectFailed, HandshakeFailed
from wsinspect.peer.extension import DeflateChoice
from wsinspect.peer.handshake_io import (
    HeaderChange,
    Request,
    Response,
    basic_auth,
    changed,
    parse_response,
    read_body,
    read_head,
)
from wsinspect.peer.options import Agreement, Options, Switches
from wsinspect.peer.proxying import authority, open_tunnel, proxy_address
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import connect_tcp
from wsinspect.peer.tls import TlsStream
from wsinspect.wire.handshake import HandshakeProblem, analyse, negotiated

DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}

FATAL = frozenset(
    {
        HandshakeProblem.RESPONSE_UPGRADE,
        HandshakeProblem.RESPONSE_CONNECTION,
        HandshakeProblem.ACCEPT_MISSING,
        HandshakeProblem.ACCEPT_MISMATCH,
        HandshakeProblem.SUBPROTOCOL_NOT_OFFERED,
        HandshakeProblem.SUBPROTOCOL_SEVERAL,
        HandshakeProblem.EXTENSION_NOT_OFFERED,
        HandshakeProblem.DEFLATE_ANSWER,
    }
)
"""Of the findings in a 101 those that a strict client fails over."""


async def connect(
    url: str,
    *,
    headers: Iterable[HeaderChange] = (),
    subprotocols: Sequence[str] = (),
    deflate: DeflateChoice = None,
    origin: str | None = None,
    proxy: str | None = None,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    open_timeout_s: float = 10,
    strict: bool = True,
    glue: bytes = b"",
    **switches: Unpack[Switches],
) -> Connection:
    """Open a connection as a client.

    `url`: ws:// or wss:// (http and https do as well), with `user:password@` for Basic authorization.
    `headers`: added to the usual ones; one of a usual name replaces it, or with None takes it away.
    `deflate`: what to offer; True for permessage-deflate with its defaults.
    `proxy`: `http://host:port` (CONNECT) or `socks5://host:port`, with `user:password@` where it wants them.
    `ssl`: for wss; the system's trust store unless given. `server_hostname`: the SNI, if not the URL's host.
    `strict=False`: any 101 will do, whatever its headers say.
    `glue`: bytes sent in one write with the request (frames that do not wait for the 101).
    `switches`: see `Options`.

    Raises ValueError (URL), ConnectFailed (phase dns, connect, proxy, tls, http), HandshakeFailed, TimedOut.
    """
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r}: a WebSocket URL is ws://HOST/PATH or wss://HOST/PATH")
    target: Address = (parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])
    context = None
    if parts.scheme in ("wss", "https"):
        context = ssl or ssl_module.create_default_context()
    request = make_request(url, headers, subprotocols, extension.offer(deflate), origin)
    stream: Stream | None = None
    try:
        async with asyncio.timeout(open_timeout_s):
            stream = await connect_tcp(proxy_address(proxy) if proxy else target)
            if proxy:
                await open_tunnel(stream, proxy, target)
            if context is not None:
                stream = tls = TlsStream(stream, context, server_hostname=server_hostname or target[0])
                await tls.handshake()
            stream.write(request.encode() + glue)
            response = await _read_response(stream)
            problem = _problem(url, request, response)
            if problem and strict:
                raise HandshakeFailed(101, response.reason, response.headers, problem=problem)
    except BaseException as error:
        if stream is not None:
            stream.close()
        if isinstance(error, TimeoutError):
            raise TimedOut(f"{url}: not open within {open_timeout_s:g} s") from None
        raise
    agreed = negotiated(response.headers)
    agreement = Agreement(
        request=request,
        response=response,
        subprotocol=agreed.subprotocol,
        deflate=agreed.deflate,
        rsv_allowed=agreed.rsv_allowed,
        extensions=agreed.extensions,
    )
    return Connection(stream, Side.CLIENT, agreement, Options(**switches))


def make_request(
    url: str,
    headers: Iterable[HeaderChange],
    subprotocols: Sequence[str],
    extensions: str | None,
    origin: str | None,
) -> Request:
    """The request, with a key of its own."""
    parts = urlsplit(url)
    userinfo, _, _ = parts.netloc.rpartition("@")
    host = authority((parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]))
    key = base64.b64encode(os.urandom(16)).decode()
    usual: list[Header] = [
        ("Host", host.removesuffix(f":{DEFAULT_PORTS[parts.scheme]}")),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    optional = [
        ("Origin", origin),
        ("Authorization", basic_auth(userinfo) if userinfo else None),
        ("Sec-WebSocket-Protocol", ", ".join(subprotocols) or None),
        ("Sec-WebSocket-Extensions", extensions),
    ]
    usual += [(name, value) for name, value in optional if value is not None]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(headers=changed(usual, headers), target=target)


async def _read_response(stream: Stream) -> Response:
    while True:
        head = await read_head(stream, "the server")
        try:
            response = parse_response(head)
        except ValueError as error:
            raise ConnectFailed("http", f"the server's answer is {error}") from None
        if response.status == 101:
            return response
        if response.status >= 200:
            body = await read_body(stream, response)
            raise HandshakeFailed(response.status, response.reason, response.headers, body)


def _problem(url: str, request: Request, response: Response) -> str:
    """What RFC 6455 section 4.1 has a client fail the connection for; nothing where all is well."""
    requested = Requested(url=url, target=request.target, headers=request.headers)
    opened = Opened(http_version=response.http_version, headers=response.headers)
    fatal = (finding for finding in analyse(requested, opened) if finding.problem in FATAL)
    return str(next(fatal, ""))
