"""The switches of a connection, and what its handshake agreed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from wsinspect.model import Frame
from wsinspect.peer.handshake_io import Request, Response
from wsinspect.wire.deflate import DeflateParams


@dataclass(slots=True, kw_only=True)
class Options:
    """Switches that `connect` and `serve` take; all but the last two may be changed later."""

    auto_pong: bool = True
    """Answer each Ping."""
    auto_close: bool = True
    """Answer a Close by a Close and the end of TCP, and a FIN by a FIN."""
    close_timeout_s: float = 5.0
    """How long `close` and `drop` wait for the peer."""
    on_frame: Callable[[Frame], None] | None = None
    """Called with each frame as it arrives, before `receive` gives it or its message."""
    keep_raw: bool = False
    """Keep all bytes received after the handshake in `raw_received` (not bounded: for tests)."""
    max_message_bytes: int = 16 << 20
    """Beyond it a payload is cut, and its message `truncated`."""


class Switches(TypedDict, total=False):
    """`Options` as keyword arguments."""

    auto_pong: bool
    auto_close: bool
    close_timeout_s: float
    on_frame: Callable[[Frame], None] | None
    keep_raw: bool
    max_message_bytes: int


@dataclass(slots=True, kw_only=True)
class Agreement:
    """The handshake that a connection came from."""

    request: Request
    response: Response
    subprotocol: str | None = None
    deflate: DeflateParams | None = None
    rsv_allowed: int = 0
    extensions: list[str] = field(default_factory=list)
