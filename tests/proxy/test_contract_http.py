"""What wsinspect relies on in mitmproxy's HTTP layers before a 101; an upgrade fails here first."""

from __future__ import annotations

import inspect

import pytest
from mitmproxy import connection
from mitmproxy.proxy import events, mode_servers, server
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders
from mitmproxy.proxy.layers.http._hooks import HttpConnectUpstreamHook

from tests.proxy.test_contract import make_context
from wsinspect.proxy.contract_http import OriginalHttp1Server, Tunnel, TunnelLayer

VIA = ("http", ("parent", 3128))


@pytest.mark.parametrize(
    ("target", "scheme", "port"),
    [
        ("ws://host/x", "http", 80),
        ("wss://host/x", "https", 443),
        ("WSS://host/x", "https", 443),
        ("wss://host:80/x", "https", 80),
        ("ws://host:443/x", "http", 443),
        ("http://host/ws://x", "http", 80),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["at-once", "byte-by-byte"])
def test_websocket_schemes_are_read_with_their_default_ports(
    target: str, scheme: str, port: int, whole: bool
) -> None:
    http1 = OriginalHttp1Server(make_context())
    list(http1.handle_event(events.Start()))
    head = f"GET {target} HTTP/1.1\r\nHost: host\r\n\r\n".encode()
    pieces = [head] if whole else [head[i : i + 1] for i in range(len(head))]
    given = []
    for piece in pieces:
        given += list(http1.handle_event(events.DataReceived(http1.conn, piece)))
    first = given[0]
    assert isinstance(first, ReceiveHttp)
    assert isinstance(first.event, RequestHeaders)
    request = first.event.request
    assert (request.scheme, request.host, request.port) == (scheme, "host", port)
    assert request.path == ("/ws://x" if "/ws:" in target else "/x")


def test_mitmproxy_itself_refuses_them() -> None:
    """Where it takes them one day, OriginalHttp1Server can go."""
    http1 = http_layers.Http1Server(make_context())
    list(http1.handle_event(events.Start()))
    head = b"GET ws://host/x HTTP/1.1\r\nHost: host\r\n\r\n"
    refusal = next(iter(http1.handle_event(events.DataReceived(http1.conn, head))))
    assert b"400 Bad Request" in getattr(refusal, "data", b"")


def test_an_http_layer_keeps_the_server_that_it_was_given() -> None:
    source = inspect.getsource(http_layers.HttpLayer._handle_event)
    assert "self.connections.setdefault(self.context.client, http_conn)" in source
    assert "waiting_for_establishment" in http_layers.HttpLayer.__annotations__


def test_a_tunnel_is_not_the_same_parent_without_one() -> None:
    tunnel = Tunnel.through(VIA, None)
    assert tunnel == Tunnel.through(VIA, "Basic x")
    plain = tuple(VIA)
    assert tunnel != plain
    assert plain != tunnel
    assert {tunnel: 1}[Tunnel.through(VIA, None)] == 1
    scheme, address = tunnel
    assert (scheme, address) == VIA
    wanted = http_layers.GetHttpConnection(("host", 80), False, VIA)  # type: ignore[arg-type]
    found = connection.Server(address=("host", 80))
    found.via = tunnel  # type: ignore[assignment]
    assert not wanted.connection_spec_matches(found)


def test_the_connect_carries_the_clients_credentials() -> None:
    context = make_context()
    context.server.address = ("host", 80)
    context.server.via = Tunnel.through(VIA, "Basic x")  # type: ignore[assignment]
    (made,) = TunnelLayer.make(context, True)._stack
    assert isinstance(made, TunnelLayer)
    hook = next(iter(made.start_handshake()))
    assert isinstance(hook, HttpConnectUpstreamHook)
    assert hook.flow.request.headers["Proxy-Authorization"] == "Basic x"
    assert hook.flow.request.authority == "host:80"


def test_a_refused_connect_is_told_by_its_words() -> None:
    assert "refused HTTP CONNECT request" in inspect.getsource(_upstream_proxy.HttpUpstreamProxy)
    for name in ("handle_connect_upstream", "handle_connect_finish", "make_server_connection"):
        assert hasattr(http_layers.HttpStream, name)


def test_a_connection_has_options_of_its_own_before_its_first_layer_starts() -> None:
    """StrategyPerMode sets them in the client_connected hook."""
    source = inspect.getsource(server.ConnectionHandler.handle_client)
    assert source.index("ClientConnectedHook") < source.index("events.Start()")
    assert "self.context.options.connection_strategy" in inspect.getsource(modes.DestinationKnown)
    registered = inspect.getsource(mode_servers.ServerInstance.handle_stream)
    assert registered.index("register_connection") < registered.index("handle_client")
    context = make_context()
    assert context.fork().options is context.options
