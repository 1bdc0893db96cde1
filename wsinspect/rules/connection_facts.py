"""What is known of a connection before its first message: what static conditions look at."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from urllib.parse import parse_qs, urlsplit

from wsinspect.model import Header, Opened, Requested
from wsinspect.wire.extensions import header_tokens, header_values, parse_extensions

_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_MAX_QUERY_FIELDS = 1000


class ConnectionFacts:
    """One connection's handshake, taken apart once. Never raises on what a client or server sent."""

    def __init__(self, requested: Requested) -> None:
        self.requested = requested
        self.opened: Opened | None = None
        """The answer, once there is one."""
        self.answers: dict[int, bool] = {}
        """What static conditions gave, by `id`; for the engine to clear."""
        try:
            parts = urlsplit(requested.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit("ws://"), "", None
        self.url = requested.url
        self.url_bare = requested.url.partition("?")[0]
        """Without its query."""
        self.host = host
        self.port = port or _DEFAULT_PORTS.get(parts.scheme, 0)
        self.path = parts.path or "/"
        self.query_text = parts.query
        self.tls = parts.scheme in ("wss", "https")
        """Whether the server is addressed over TLS."""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        try:
            return parse_qs(self.query_text, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
        except ValueError:
            return {}

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The request's, by name in small letters."""
        return _by_name(self.requested.headers)

    @cached_property
    def cookies(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for value in self.headers.get("cookie", ()):
            for pair in value.split(";"):
                name, _, text = pair.strip().partition("=")
                found.setdefault(name, []).append(text.strip('"'))
        return found

    @property
    def response_headers(self) -> dict[str, list[str]]:
        return {} if self.opened is None else _by_name(self.opened.headers)

    @property
    def _agreed_headers(self) -> list[Header]:
        return self.requested.headers if self.opened is None else self.opened.headers

    @property
    def subprotocols(self) -> list[str]:
        """The one agreed on; before the answer, those offered."""
        return header_tokens(self._agreed_headers, "sec-websocket-protocol")

    @property
    def extensions(self) -> list[str]:
        """The names of those agreed on; before the answer, of those offered."""
        values = header_values(self._agreed_headers, "sec-websocket-extensions")
        return [name for name, _ in parse_extensions(values)]

    @property
    def client(self) -> str:
        """The client's address, an IPv4 one in IPv6's clothes (`::ffff:…`) as IPv4; empty where unknown."""
        if self.requested.client is None:
            return ""
        host = self.requested.client[0]
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return host
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)


def _by_name(headers: list[Header]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found
