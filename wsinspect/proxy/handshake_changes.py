"""What a `HandshakePlan` does to a request or an answer of mitmproxy's. Decides nothing."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mitmproxy import http

from wsinspect.model import Altered
from wsinspect.model.plans import HandshakePlan, Reject
from wsinspect.proxy.words import url_of
from wsinspect.wire.extensions import without_extensions

EXTENSIONS = "Sec-WebSocket-Extensions"

_BREAKS = re.compile(r"[\r\n\0]+")
"""What would end a header: a value may stem from a template, and that from a peer."""

_SCHEMES = {"ws": "http", "http": "http", "wss": "https", "https": "https"}
_WITHOUT_BODY = (204, 304)


def change_headers(message: http.Message, plan: HandshakePlan) -> None:
    """Take headers and extensions out, then put headers in, in the place of all of their name."""
    headers = message.headers
    for name in plan.remove_headers:
        headers.pop(name, None)
    if plan.strip_extensions and EXTENSIONS in headers:
        kept = (without_extensions(value, plan.strip_extensions) for value in headers.get_all(EXTENSIONS))
        headers.set_all(EXTENSIONS, [value for value in kept if value])
    values: dict[str, list[str]] = {}
    for name, value in plan.set_headers:
        values.setdefault(name, []).append(_BREAKS.sub(" ", value))
    for name, each in values.items():
        headers.set_all(name, each)


def redirect(request: http.Request, url: str) -> Altered:
    """Another upstream: the Host header follows. A path in the URL takes the place of the request's.

    Raises ValueError where the URL leads nowhere.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not parts.hostname:
        raise ValueError(f"{url!r} is no URL that a request could go to")
    before = url_of(request)
    request.scheme = scheme
    request.port = parts.port or (443 if scheme == "https" else 80)
    request.host = parts.hostname
    if parts.path not in ("", "/") or parts.query:
        request.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Altered(what="upstream", before=before, after=url_of(request))


def rejection(reject: Reject) -> http.Response:
    """The answer that the client gets; its connection ends with it.

    Behind it the client's leg cannot be used again: the server's may have switched protocols by then.
    """
    body = b"" if reject.status in _WITHOUT_BODY else reject.body
    pairs = [(name.encode(), _BREAKS.sub(" ", value).encode()) for name, value in reject.headers]
    response = http.Response.make(reject.status, body, http.Headers(pairs))
    response.headers["Connection"] = "close"
    if not body and reject.status in _WITHOUT_BODY:
        response.headers.pop("Content-Length", None)
    return response
