"""What can go wrong between here and an open connection, and after.

    Unavailable
    ├── ConnectFailed       .phase: dns, connect, proxy, tls or http: no answer to the handshake came
    │   └── HandshakeFailed .status .reason .headers .body: an answer came, and it is not a WebSocket
    └── ConnectionEnded     something was to be sent, and the connection can carry no more

A time limit that passes raises `wsinspect.errors.TimedOut`.
"""

from __future__ import annotations

from typing import Literal

from wsinspect.errors import Unavailable
from wsinspect.model import Header

type Phase = Literal["dns", "connect", "proxy", "tls", "http"]


class ConnectFailed(Unavailable):
    """The connection was not made; `phase` says how far it came."""

    def __init__(self, phase: Phase, message: str) -> None:
        super().__init__(message)
        self.phase: Phase = phase


class HandshakeFailed(ConnectFailed):
    """The server answered, but not with a WebSocket that fits what was asked for."""

    def __init__(
        self,
        status: int,
        reason: str = "",
        headers: list[Header] | None = None,
        body: bytes = b"",
        problem: str = "",
    ) -> None:
        super().__init__("http", problem or f"the server answered {status} {reason}".rstrip())
        self.status = status
        self.reason = reason
        self.headers: list[Header] = headers or []
        self.body = body
        """At most 64 KiB."""
        self.problem = problem
        """What is wrong with an answer that is a 101; empty where the status alone says it."""


class ConnectionEnded(Unavailable):
    """The connection can carry no more in this direction."""
