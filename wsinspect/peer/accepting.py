"""The server's side of the opening handshake (RFC 6455 section 4.2): what to answer to a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from wsinspect.model import Header
from wsinspect.peer import extension
from wsinspect.peer.extension import DeflateChoice
from wsinspect.peer.handshake_io import Request, Response, changed
from wsinspect.wire.handshake import accept_key

type Answer = tuple[int, Sequence[Header], bytes]
"""Status, headers, body."""


def fault_of(request: Request) -> Answer | None:
    """The refusal that RFC 6455 section 4.2.1 asks for; None where the request is in order."""
    if request.method != "GET" or request.http_version == "HTTP/1.0":
        return 405, [("Allow", "GET")], b"a WebSocket opens with a GET of HTTP/1.1\n"
    if "websocket" not in (token.lower() for token in request.tokens("Upgrade")):
        return 426, [("Upgrade", "websocket")], b"this is a WebSocket server\n"
    if "upgrade" not in (token.lower() for token in request.tokens("Connection")):
        return 400, [], b"the Connection header lacks Upgrade\n"
    if request.header("Sec-WebSocket-Version") != "13":
        return 426, [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")], b"the version must be 13\n"
    try:
        key = base64.b64decode(request.header("Sec-WebSocket-Key") or "", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        return 400, [], b"Sec-WebSocket-Key must be 16 bytes in base64\n"
    return None


def accepting_headers(request: Request, subprotocols: Sequence[str], deflate: DeflateChoice) -> list[Header]:
    """The 101's headers, with what was chosen of the client's subprotocols and extensions."""
    headers: list[Header] = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    key = request.header("Sec-WebSocket-Key")
    if key is not None:
        headers.append(("Sec-WebSocket-Accept", accept_key(key)))
    for name in request.tokens("Sec-WebSocket-Protocol"):
        if name in subprotocols:
            headers.append(("Sec-WebSocket-Protocol", name))
            break
    agreed = extension.accept(request.all("Sec-WebSocket-Extensions"), deflate)
    if agreed is not None:
        headers.append(("Sec-WebSocket-Extensions", agreed))
    return headers


def refusal(answer: Answer) -> bytes:
    """A whole response that refuses; the connection ends after it."""
    status, headers, body = answer
    usual = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    return Response(status=status, headers=changed(usual, headers)).encode(body)
