"""Every private thing of mitmproxy that wsinspect uses, by name, with what it relies on.

mitmproxy is bounded in pyproject.toml because of this file: none of these names is a promise of
theirs. tests/proxy/test_contract.py holds one test for each, so that an upgrade fails there first.
What concerns requests before the 101 stands in contract_http.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mitmproxy import connection, ctx, http
from mitmproxy.addons import proxyserver
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer, mode_servers, server, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers import tcp, tls, websocket
from mitmproxy.proxy.layers.http._http1 import Http1Connection
from mitmproxy.proxy.layers.tcp import TcpEndHook
from mitmproxy.proxy.layers.websocket import WebsocketEndHook
from mitmproxy.tls import TlsData
from OpenSSL import SSL

NO_TIMEOUT_S = 365 * 24 * 3600
"""mitmproxy's `tcp_timeout` has no word for never."""

type UpgradedLayer = websocket.WebsocketLayer | tcp.TCPLayer
"""What carries the bytes after a 101: TCPLayer where mitmproxy does not call it a WebSocket."""

type Sink = Callable[[events.Event], Iterator[commands.Command]]


@dataclass(slots=True)
class Upgraded:
    """A stream of a live connection that switched protocols."""

    handler: server.ConnectionHandler
    stream: http_layers.HttpStream
    layer: UpgradedLayer
    client_tls: list[SSL.Connection]
    """The client leg's pyOpenSSL connections, the outermost (next to the socket) first; empty where plain."""
    server_tls: list[SSL.Connection]
    client_io: server.ConnectionIO
    server_io: server.ConnectionIO

    @property
    def flow(self) -> http.HTTPFlow:
        return self.stream.flow

    @property
    def can_be_taken_over(self) -> bool:
        """Both legs are asyncio sockets (mitmproxy_rs streams of local and WireGuard mode are not)."""
        return all(isinstance(io.writer, asyncio.StreamWriter) for io in (self.client_io, self.server_io))

    @property
    def server_address(self) -> tuple[str, int] | None:
        """The other end of the server leg's socket: a parent proxy's in upstream mode."""
        writer = self.server_io.writer
        peer = writer.get_extra_info("peername") if writer is not None else None
        return (peer[0], peer[1]) if peer else None


def find_upgraded(
    handler: server.ConnectionHandler, is_wanted: Callable[[layer.Layer], bool]
) -> Upgraded | None:
    """The stream whose child layer is wanted, with both legs' sockets; None where a leg is gone already."""
    found = _search(handler.layer.context, is_wanted, set())
    if found is None:
        return None
    http_layer, stream = found
    client, upstream = stream.context.client, stream.context.server
    client_io = handler.transports.get(client)
    server_socket, server_tls = _server_leg(http_layer, stream, upstream)
    server_io = handler.transports.get(server_socket)
    if client_io is None or server_io is None:
        return None
    client_tls = [
        each.tls
        for each in stream.context.layers
        if isinstance(each, tls.ClientTLSLayer) and each.tls is not None
    ]
    assert isinstance(stream.child_layer, (websocket.WebsocketLayer, tcp.TCPLayer))
    return Upgraded(handler, stream, stream.child_layer, client_tls, server_tls, client_io, server_io)


def _search(
    context: Context, is_wanted: Callable[[layer.Layer], bool], seen: set[int]
) -> tuple[http_layers.HttpLayer, http_layers.HttpStream] | None:
    """Walk `context.layers` (HttpProxy keeps its child only in `_handle_event`), and CONNECT streams."""
    for each in context.layers:
        if not isinstance(each, http_layers.HttpLayer) or id(each) in seen:
            continue
        seen.add(id(each))
        for stream in each.streams.values():
            if stream.child_layer is not None and is_wanted(stream.child_layer):
                return each, stream
            found = _search(stream.context, is_wanted, seen)
            if found:
                return found
    return None


def _server_leg(
    http_layer: http_layers.HttpLayer, stream: http_layers.HttpStream, upstream: connection.Server
) -> tuple[Connection, list[SSL.Connection]]:
    """The socket's connection (a parent proxy's in upstream mode) and its TLS objects, outermost first."""
    # A connection opened early has its tunnels in the stream's context, a late one behind the HTTP layer.
    stacked = [*stream.context.layers, *chain(http_layer.connections.get(upstream))]
    tunnels = [
        each
        for each in stacked
        if isinstance(each, tunnel.TunnelLayer) and not isinstance(each, tls.ClientTLSLayer)
    ]
    via = [each.tunnel_connection for each in tunnels if each.conn is upstream]
    socket_conn = next((conn for conn in via if conn is not upstream), upstream)
    on = [socket_conn] if socket_conn is upstream else [socket_conn, upstream]
    found: list[SSL.Connection] = []
    for conn in on:
        for each in tunnels:
            if (
                isinstance(each, tls.ServerTLSLayer)
                and each.conn is conn
                and each.tls
                and each.tls not in found
            ):
                found.append(each.tls)
    return socket_conn, found


def chain(each: Any) -> Iterator[layer.Layer]:
    """A layer and the layers below it."""
    while each is not None:
        yield each
        each = each.layer if isinstance(each, layer.NextLayer) else getattr(each, "child_layer", None)


def take_paused_events(upgraded: UpgradedLayer) -> list[events.Event]:
    """What arrived while the layer waited for its start hook; the layer forgets it."""
    taken = list(upgraded._paused_event_queue)
    upgraded._paused_event_queue.clear()
    return taken


def put_paused_events(upgraded: UpgradedLayer, waiting: list[events.Event]) -> None:
    """Back to the front of the layer's queue."""
    upgraded._paused_event_queue.extendleft(reversed(waiting))


def install_sink(upgraded: UpgradedLayer, sink: Sink) -> None:
    """From now on the layer hands its events to `sink` instead of relaying messages.

    Works in the start hook, where the layer has yet to point `_handle_event` at its own `relay_messages`.
    """
    vars(upgraded)["relay_messages"] = sink


def forget_parsers(upgraded: UpgradedLayer) -> None:
    """Let go of mitmproxy's own WebSocket parsers and deflaters, which nobody will feed any more."""
    for name in ("client_ws", "server_ws"):
        vars(upgraded).pop(name, None)


def remove_sink(upgraded: UpgradedLayer) -> None:
    """The layer relays by itself again."""
    vars(upgraded).pop("relay_messages", None)


class RelayFinished(events.MessageInjected[None]):
    """Both legs have ended. Takes the road of injected messages, straight to the stream's layer."""


class RelayNudged(events.MessageInjected[None]):
    """The layer-driven session has something to send. Takes the same road."""


def finish_layer(upgraded: UpgradedLayer, flow: http.HTTPFlow) -> Iterator[commands.Command]:
    """The commands that end the layer as mitmproxy would have: every hook runs once."""
    vars(upgraded)["_handle_event"] = upgraded.done
    vars(upgraded.flow or flow).pop("kill", None)
    yield commands.CloseConnection(upgraded.context.server)
    yield commands.CloseConnection(upgraded.context.client)
    if isinstance(upgraded, websocket.WebsocketLayer):
        yield WebsocketEndHook(upgraded.flow)
    elif upgraded.flow is not None:
        yield TcpEndHook(upgraded.flow)
        upgraded.flow.live = False
    flow.live = False


def is_done(upgraded: UpgradedLayer) -> bool:
    """Whether `finish_layer` has run."""
    return vars(upgraded).get("_handle_event") == upgraded.done


def on_kill(upgraded: Upgraded, callback: Callable[[], None]) -> None:
    """`flow.kill()` of another addon ends the relay: mitmproxy itself would never look at the mark again.

    Held by the flow alone; a relay that has ended ignores it. A kill that came before counts too.
    """
    flow = upgraded.layer.flow
    if flow is None:
        return
    kill = type(flow).kill

    def killed() -> None:
        kill(flow)
        callback()

    vars(flow)["kill"] = killed
    if flow.error and flow.error.msg == flow.error.KILLED_MESSAGE:
        callback()


def cancel_legs(upgraded: Upgraded) -> None:
    """Where `RelayFinished` did not reach the layer: end the read tasks, or the handler leaks."""
    for io in (upgraded.client_io, upgraded.server_io):
        if io.handler is not None and not io.handler.done():
            io.handler.cancel("relay finished")


def end_server_with_answer(handler: server.ConnectionHandler, flow: http.HTTPFlow) -> None:
    """The server's 101 goes nowhere: its leg ends where mitmproxy would begin to pass bytes.

    Those that are glued to the 101 would reach a stream that has its answer, and raise in it.
    """
    for each in _http1_connections(handler, flow):
        if each.conn is flow.server_conn:
            vars(each)["make_pipe"] = _End(each)


class _End:
    """`Http1Connection.make_pipe` that ends the connection, as a done exchange without keep-alive does."""

    def __init__(self, http1: Http1Connection) -> None:
        self.http1 = http1

    def __call__(self) -> Iterator[commands.Command]:
        yield commands.CloseConnection(self.http1.conn)
        self.http1.state = self.http1.done


def keep_glued_bytes(handler: server.ConnectionHandler, flow: http.HTTPFlow) -> None:
    """Bytes glued to the handshake reach the layer whole: mitmproxy strips CR and LF from their start."""
    for each in _http1_connections(handler, flow):
        vars(each)["make_pipe"] = _StripNothing(each)


class _StripNothing:
    """`Http1Connection.make_pipe` without the lstrip."""

    def __init__(self, http1: Http1Connection) -> None:
        self.http1 = http1

    def __call__(self) -> Iterator[commands.Command]:
        http1 = self.http1
        http1.state = http1.passthrough
        if http1.buf:
            received = bytes(http1.buf.maybe_extract_at_most(len(http1.buf)) or b"")
            yield from http1.state(events.DataReceived(http1.conn, received))


def _http1_connections(handler: server.ConnectionHandler, flow: http.HTTPFlow) -> Iterator[Http1Connection]:
    """Both HTTP/1 ends of a flow's exchange, the client's and the server's."""
    found = _search_flow(handler.layer.context, flow, set())
    if found is None:
        return
    for conn in (flow.client_conn, flow.server_conn):
        yield from (each for each in chain(found.connections.get(conn)) if isinstance(each, Http1Connection))


def _search_flow(context: Context, flow: http.HTTPFlow, seen: set[int]) -> http_layers.HttpLayer | None:
    for each in context.layers:
        if not isinstance(each, http_layers.HttpLayer) or id(each) in seen:
            continue
        seen.add(id(each))
        for stream in each.streams.values():
            if getattr(stream, "flow", None) is flow:
                return each
            found = _search_flow(stream.context, flow, seen)
            if found:
                return found
    return None


def left_unasked(data: TlsData) -> bool:
    """Whether a client whose TLS failed has left of its own accord, before it could see our certificate."""
    error = data.context.client.error or ""
    return error == "connection closed early" or (
        data.ssl_conn is None and error.startswith("The client disconnected during the handshake")
    )


def reader_buffer(reader: asyncio.StreamReader) -> int:
    """Bytes that a StreamReader still holds for mitmproxy's read task."""
    return len(reader._buffer)  # type: ignore[attr-defined]


def at_eof(reader: asyncio.StreamReader) -> bool:
    """Whether EOF was fed to it, read or not."""
    return bool(reader._eof)  # type: ignore[attr-defined]


def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What a reader holds whose socket has failed: it raises that failure before it would hand this over."""
    return bytes(reader._buffer)  # type: ignore[attr-defined]


def never_time_out(handler: server.ConnectionHandler) -> None:
    """`tcp_timeout` must never end a relayed connection: it sees none of the bytes.

    For good, unlike `TimeoutWatchdog.disarm`: the handler's life ends with the relay's.
    """
    handler.timeout_watchdog.blocker += 1
    handler.timeout_watchdog.can_timeout.clear()


class PatientProxyserver(proxyserver.Proxyserver):
    """mitmproxy's, whose connections never time out, and so have no timer each.

    A loop with a timer asks the clock and sets the kernel's timer at each turn, for every message of a
    quiet connection. Where the user wants a `tcp_timeout`, it holds until a connection is relayed.
    """

    name = "proxyserver"

    def register_connection(
        self, connection_id: tuple[Any, ...] | str, handler: mode_servers.ProxyConnectionHandler
    ) -> Any:
        if ctx.options.tcp_timeout == NO_TIMEOUT_S:
            never_time_out(handler)
        return super().register_connection(connection_id, handler)


def gate_reads(handler: server.ConnectionHandler) -> asyncio.Event:
    """While the event is clear, mitmproxy's read tasks stop behind the read that they are at.

    They await `drain_writers` after each one, so that a gate there is backpressure as any other.
    """
    gate = asyncio.Event()
    drain = handler.drain_writers

    async def drain_writers() -> None:
        await drain()
        await gate.wait()

    vars(handler)["drain_writers"] = drain_writers
    return gate


def is_handling(handler: server.ConnectionHandler) -> bool:
    """Some event is under way in the layers right now."""
    return handler._server_event_lock.locked()
