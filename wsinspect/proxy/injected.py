"""Between mitmproxy's notions of a WebSocket and ours."""

from __future__ import annotations

import os

from mitmproxy import websocket
from mitmproxy.proxy import events

from wsinspect.model import Opcode, Side
from wsinspect.relay.commands import Inject
from wsinspect.relay.session import Session
from wsinspect.wire.close_codes import parse_close


def inject(side: Side, opcode: int, payload: bytes, why: str = "injected") -> Inject:
    """A frame as if `side` had sent it, with a random masking key where it is the client (RFC 6455 5.3)."""
    return Inject(side, opcode, payload, os.urandom(4) if side is Side.CLIENT else None, why)


def inject_of(event: events.MessageInjected) -> Inject | None:  # type: ignore[type-arg]
    """What mitmproxy's `inject.websocket` asks for; None for any other injected event."""
    message = event.message
    if not isinstance(message, websocket.WebSocketMessage):
        return None
    side = Side.CLIENT if message.from_client else Side.SERVER
    return inject(side, Opcode(int(message.type)), message.content)


def close_of(session: Session) -> tuple[bool, int, str]:
    """Whether the client closed, code and reason: of the first Close frame; 1006 where there was none."""
    side = session.first_close
    payload = session.direction(side).close_frame() if side is not None else None
    if payload is None:
        return session.first_end is Side.CLIENT, 1006, ""
    code, reason, _ = parse_close(payload)
    return side is Side.CLIENT, code or 1005, reason
