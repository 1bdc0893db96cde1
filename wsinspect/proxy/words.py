"""From mitmproxy's words to ours: addresses, headers, URLs, modes, and what its sentences tell."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from typing import Literal

from mitmproxy import connection, http
from mitmproxy.proxy import mode_specs

from wsinspect.model import Address, Altered, Header, TlsInfo
from wsinspect.proxy import contract_http
from wsinspect.proxy.contract_http import Original

type Phase = Literal["dns", "connect", "tls-client", "tls-server", "http", "unknown"]


def original_of(request: http.Request) -> Original:
    """The request as the client sent it, where the stream noted it."""
    return contract_http.original_of(request) or Original(headers_of(request), request.path)


def mode_name(mode: mode_specs.ProxyMode) -> str:
    """A mode's spec without the address that it listens on."""
    return mode.full_spec.rpartition("@")[0] if mode.custom_listen_port is not None else mode.full_spec


def headers_of(message: http.Message) -> list[Header]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.fields]


def url_of(request: http.Request) -> str:
    """The ws:// or wss:// address of the server that the request goes to."""
    scheme, default = ("wss", 443) if request.scheme == "https" else ("ws", 80)
    host = f"[{request.host}]" if ":" in request.host else request.host
    port = "" if request.port == default else f":{request.port}"
    return f"{scheme}://{host}{port}{request.path}"


def is_websocket(response: http.Response) -> bool:
    """RFC 6455 4.1: the token is compared without regard to case."""
    return "websocket" in (token.strip().lower() for token in response.headers.get("upgrade", "").split(","))


def address(peer: Iterable[object] | None) -> Address | None:
    """Host and port of a socket address (IPv6 ones have four parts)."""
    if not peer:
        return None
    host, port, *_ = peer
    return str(host), int(str(port))


def tls_of(conn: connection.Connection) -> TlsInfo | None:
    if not conn.tls_established:
        return None
    alpn = conn.alpn.decode("latin-1") if conn.alpn else None
    return TlsInfo(version=conn.tls_version, cipher=conn.cipher, alpn=alpn, sni=conn.sni)


def alterations(what: str, before: list[Header], after: list[Header]) -> list[Altered]:
    """Headers of the `what` (request, answer) whose value changed, came or went, whatever their case."""
    then, now = _joined(before), _joined(after)
    return [
        Altered(
            what=f"{what} header {name}", before=then.get(key, ("", ""))[1], after=now.get(key, ("", ""))[1]
        )
        for key, (name, _) in {**then, **now}.items()
        if then.get(key, ("", None))[1] != now.get(key, ("", None))[1]
    ]


def _joined(headers: list[Header]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = (name, f"{found[key][1]}, {value}" if key in found else value)
    return found


def phase_of(error: str) -> Phase:
    """mitmproxy gives connect errors as a sentence only."""
    if re.search(r"getaddrinfo|name resolution|[Nn]ame or service|nodename|No address associated", error):
        return "dns"
    return "connect"


def errno_in(error: str) -> str | None:
    """`ECONNREFUSED`, from asyncio's `[Errno 111] Connect call failed …`."""
    found = re.search(r"\[Errno (\d+)\]", error)
    return errno.errorcode.get(int(found[1])) if found else None
