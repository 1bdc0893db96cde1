"""An asyncio WebSocket client and server over `wire`; through TLS, CONNECT and SOCKS5."""

from __future__ import annotations

from wsinspect.peer.client import connect
from wsinspect.peer.connection import Connection
from wsinspect.peer.errors import ConnectFailed, ConnectionEnded, HandshakeFailed
from wsinspect.peer.handshake_io import Request, Response
from wsinspect.peer.server import Server, serve
from wsinspect.peer.stream import End

__all__ = [
    "ConnectFailed",
    "Connection",
    "ConnectionEnded",
    "End",
    "HandshakeFailed",
    "Request",
    "Response",
    "Server",
    "connect",
    "serve",
]
