"""The HTTP half of the seam: private things of mitmproxy's HTTP layers, for requests before their 101.

    OriginalHttpLayer     chosen in the `next_layer` hook in the place of every HttpLayer; makes the others
    OriginalHttp1Server   takes ws:// and wss:// in the absolute form, which mitmproxy answers with 400
    OriginalStream        notes the request before Host and target are rewritten; in upstream mode it has
                          upgrades go through CONNECT, since many parents strip them from other requests
    Tunnel                a parent proxy, as a connection through CONNECT names it

HTTP/2 stands in contract_http2.py. tests/proxy/test_contract_http.py holds the tests of the names used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from h11._receivebuffer import ReceiveBuffer
from mitmproxy import connection, http
from mitmproxy.net import server_spec
from mitmproxy.proxy import commands, events, layer, server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    ResponseData,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpConnectUpstreamHook
from mitmproxy.proxy.layers.http._http1 import Http1Server

from wsinspect.proxy.contract import chain
from wsinspect.proxy.contract_http2 import (
    Backpressure,
    NotingHttp2Server,
    OnExtendedConnect,
    gates_of,
    into_metered,
)

_WEBSOCKET_SCHEME = re.compile(rb"[\r\n]*[A-Za-z]+ +(wss?)://", re.IGNORECASE)
_REFUSED = "refused HTTP CONNECT request"


@dataclass(slots=True)
class Original:
    """A request as the client sent it."""

    headers: list[tuple[str, str]]
    target: str
    tunnelled: bool = False
    """It came in the absolute form, and went through a CONNECT of ours to the parent proxy."""


def original_of(request: http.Request) -> Original | None:
    """What the stream noted of this request; None where it came from elsewhere."""
    noted = getattr(request, "wsinspect_original", None)
    return noted if isinstance(noted, Original) else None


def note_originals(
    next_layer: layer.NextLayer,
    on_extended_connect: OnExtendedConnect,
    handler: server.ConnectionHandler | None = None,
) -> None:
    """Called in the `next_layer` hook: HTTP layers just chosen become `OriginalHttpLayer`s.

    `handler`: the client's, whose read tasks wait for slow readers.
    """
    for each in next_layer.context.layers:
        if type(each) is http_layers.HttpLayer:
            each.__class__ = OriginalHttpLayer
            assert isinstance(each, OriginalHttpLayer)
            each.on_extended_connect = on_extended_connect
            each.backpressure = Backpressure(each, gates_of(handler) if handler is not None else None)


class Tunnel(tuple[str, tuple[str, int]]):
    """`Server.via` of a connection that a CONNECT of ours opened.

    Unequal to the same parent without a tunnel, so that neither kind of connection is reused for the other.
    """

    authorization: str | None
    """The client's Proxy-Authorization, which goes with the CONNECT and never to the server."""

    @classmethod
    def through(cls, via: server_spec.ServerSpec, authorization: str | None) -> Tunnel:
        tunnel = cls(via)
        tunnel.authorization = authorization
        return tunnel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tunnel) and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


class TunnelLayer(_upstream_proxy.HttpUpstreamProxy):
    """Sends the CONNECT, with the client's own Proxy-Authorization where no option or addon sets another."""

    def start_handshake(self) -> layer.CommandGenerator[None]:
        via = self.conn.via
        for command in super().start_handshake():
            if isinstance(command, HttpConnectUpstreamHook) and isinstance(via, Tunnel) and via.authorization:
                command.flow.request.headers["Proxy-Authorization"] = via.authorization
            yield command


class OriginalHttp1Server(Http1Server):
    """Reads ws:// as http:// and wss:// as https://, default ports and all."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        held = bytes(self.buf)
        found = _WEBSOCKET_SCHEME.match(held)
        if found:
            scheme = b"https" if len(found[1]) == 3 else b"http"
            self.buf = ReceiveBuffer()
            self.buf += held[: found.start(1)] + scheme + held[found.end(1) :]
        yield from super().read_headers(event)


class OriginalStream(http_layers.HttpStream):
    """Notes the request as the client sent it; sends upgrades through a parent proxy's CONNECT."""

    def state_wait_for_request_headers(self, event: Any) -> layer.CommandGenerator[None]:
        request: http.Request = event.request
        request.wsinspect_original = Original(  # type: ignore[attr-defined]
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.fields],
            request.data.path.decode("latin-1"),
        )
        yield from super().state_wait_for_request_headers(event)

    def handle_connect_upstream(self) -> Iterator[commands.Command]:
        """As mitmproxy does it, and the client's credentials for the parent reach the parent."""
        via = self.context.server.via
        assert via is not None
        _set_via(self.context.server, Tunnel.through(via, _take_authorization(self.flow.request)))
        self.child_layer = TunnelLayer.make(self.context, True)[0]
        yield from self.handle_connect_finish()

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        via = self.flow.server_conn.via
        if via and self.mode is http_layers.HTTPMode.transparent:
            _keep_credentials_from_server(self.flow.request)
        if self.mode is http_layers.HTTPMode.upstream and via and "upgrade" in self.flow.request.headers:
            return (yield from self._connect_by_tunnel(via))
        return (yield from super().make_server_connection())

    def _connect_by_tunnel(self, via: server_spec.ServerSpec) -> layer.CommandGenerator[bool]:
        request, original = self.flow.request, original_of(self.flow.request)
        absolute, plain = request.copy(), request.scheme == "http"
        request.authority = ""  # the origin form: the parent does not see this request
        tunnel = Tunnel.through(via, _take_authorization(request))
        found, err = yield http_layers.GetHttpConnection(
            (request.host, request.port), not plain, cast(server_spec.ServerSpec, tunnel)
        )
        if not err:
            self.context.server = self.flow.server_conn = found
            if original:
                original.tunnelled = True
            return True
        if plain and _REFUSED in err:  # some parents allow CONNECT to 443 alone, and pass upgrades on
            request.authority, request.headers = absolute.authority, absolute.headers
            return (yield from super().make_server_connection())
        failed = ResponseProtocolError(self.stream_id, err, ErrorCode.CONNECT_FAILED)
        yield from self.handle_protocol_error(failed)
        return False


class OriginalHttpLayer(http_layers.HttpLayer):
    """An HttpLayer whose streams and servers are ours."""

    on_extended_connect: OnExtendedConnect
    backpressure: Backpressure

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        client = self.context.client
        if isinstance(event, events.Start) and not http_layers.is_h3_alpn(client.alpn):
            context = self.context.fork()
            self.connections.setdefault(
                client,
                NotingHttp2Server(context, self.on_extended_connect)
                if client.alpn == b"h2"
                else OriginalHttp1Server(context),
            )
        yield from super()._handle_event(event)
        for child, may_pay in self.backpressure.settle(event):
            yield from self.event_to_child(child, may_pay)

    def event_to_child(self, child: layer.Layer, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            for each in chain(child):
                into_metered(each)
        elif isinstance(event, (RequestData, ResponseData)) and isinstance(child, http_layers.HttpStream):
            self.backpressure.came(child)
        return super().event_to_child(child, event)

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        self.streams[stream_id] = stream = OriginalStream(self.context.fork(), stream_id)
        yield from self.event_to_child(stream, events.Start())

    def get_connection(
        self, event: http_layers.GetHttpConnection, *, reuse: bool = True
    ) -> layer.CommandGenerator[None]:
        is_open = reuse and any(
            event.connection_spec_matches(each) and each.connected for each in self.connections
        )
        if is_open or event.tls or not isinstance(event.via, Tunnel):
            yield from super().get_connection(event, reuse=reuse)
        else:
            yield from self._open_tunnel(event, self.context.fork())

    def _open_tunnel(
        self, event: http_layers.GetHttpConnection, context: Context
    ) -> layer.CommandGenerator[None]:
        """As mitmproxy does it for TLS: a CONNECT to the parent, then the server behind it."""
        context.server = connection.Server(address=event.address)
        _set_via(context.server, event.via)
        stack = TunnelLayer.make(context, True)
        if event.tls:
            context.server.sni = event.address[0]
            stack /= tls.ServerTLSLayer(context)
        stack /= http_layers.HttpClient(context)
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(stack[0], events.Start())


def _take_authorization(request: http.Request) -> str | None:
    value: str | None = request.headers.pop("Proxy-Authorization", None)
    return value


def _keep_credentials_from_server(request: http.Request) -> None:
    """mitmproxy's `upstream_auth` adds the parent's credentials to plain requests inside a tunnel as well."""
    original = original_of(request)
    if original and all(name.lower() != "proxy-authorization" for name, _ in original.headers):
        _take_authorization(request)


def _set_via(server: connection.Server, via: Any) -> None:
    """`Server.via` refuses to change once the connection is open; here it never is."""
    server.via = via
