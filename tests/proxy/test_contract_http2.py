"""What contract_http2.py relies on in mitmproxy's HTTP/2 layers; an upgrade fails here first."""

from __future__ import annotations

import asyncio
import inspect

import h2.config
import h2.connection
import h2.events
import h2.settings
from mitmproxy import connection
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import commands, context, events, layer, server
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http._events import ResponseData
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data
from mitmproxy.test import taddons

from wsinspect.proxy import contract_http, contract_http2
from wsinspect.proxy.contract_http2 import WINDOW, MayPay, NotingHttp2Server


def make_context() -> context.Context:
    client = connection.Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
    client.state = connection.ConnectionState.OPEN
    with taddons.context(Proxyserver()) as loaded:
        return context.Context(client, loaded.options)


def http2_layer() -> tuple[contract_http.OriginalHttpLayer, NotingHttp2Server, h2.connection.H2Connection]:
    """A started HTTP layer whose client speaks HTTP/2, its end, and the client."""
    made = http_layers.HttpLayer(make_context(), http_layers.HTTPMode.regular)
    made.context.client.alpn = b"h2"
    contract_http.note_originals(layer.NextLayer(made.context), lambda client, headers: None)
    assert isinstance(made, contract_http.OriginalHttpLayer)
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    peer.initiate_connection()
    peer.increment_flow_control_window(1 << 20)
    hear(peer, made.handle_event(events.Start()))
    end = made.connections[made.context.client]
    assert isinstance(end, NotingHttp2Server)
    return made, end, peer


def hear(peer: h2.connection.H2Connection, found: object) -> list[h2.events.Event]:
    heard: list[h2.events.Event] = []
    for command in found:  # type: ignore[attr-defined]
        if isinstance(command, commands.SendData):
            heard += peer.receive_data(command.data)
    return heard


def ask(made: layer.Layer, peer: h2.connection.H2Connection) -> None:
    """A request on stream 1, kept out of the HTTP layer, which would want a server."""
    names = ((":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/"))
    peer.send_headers(1, list(names))
    list(made.handle_event(events.DataReceived(made.context.client, peer.data_to_send())))


def test_the_window_is_in_the_settings_that_a_peer_hears_first() -> None:
    *_, peer = http2_layer()
    assert peer.remote_settings.initial_window_size == WINDOW
    source = inspect.getsource(BufferedH2Connection.__init__)
    assert "self.local_settings.initial_window_size" in source


def test_space_is_acknowledged_by_one_method_which_can_wait() -> None:
    assert "self.h2_conn.acknowledge_received_data(" in inspect.getsource(Http2Connection.handle_h2_event)
    _, end, peer = http2_layer()
    ask(end, peer)
    size = peer.max_outbound_frame_size
    for _ in range(WINDOW * 3 // 4 // size):
        peer.send_data(1, bytes(size))
    sent = events.DataReceived(end.conn, peer.data_to_send())
    assert not any(isinstance(each, h2.events.WindowUpdated) for each in hear(peer, end.handle_event(sent)))
    paid = hear(peer, end.handle_event(MayPay([1])))
    assert any(isinstance(each, h2.events.WindowUpdated) and each.stream_id == 1 for each in paid)
    assert end.h2_conn.owed == {}


def test_what_the_window_does_not_take_is_counted_and_joined() -> None:
    _, end, peer = http2_layer()
    ask(end, peer)
    end.h2_conn.send_headers(1, [(":status", "200")])
    for _ in range(70):
        list(end.handle_event(ResponseData(1, bytes(1000))))
    waiting = end.h2_conn.stream_buffers[1]
    assert all(isinstance(each, SendH2Data) for each in waiting)
    assert end.backlog(1) == 70_000 - 65_535
    assert len(waiting) == 1
    assert SendH2Data._fields == ("data", "end_stream")


def test_an_end_whose_connection_is_over_has_another_handler() -> None:
    _, end, _ = http2_layer()
    assert not end.is_done
    list(end.handle_event(events.ConnectionClosed(end.conn)))
    assert end.is_done
    assert end.backlog(1) == 0


def test_a_client_maps_the_numbers_of_its_streams() -> None:
    made = Http2Client(make_context())
    assert (made.our_stream_id, made.their_stream_id, made.stream_queue) == ({}, {}, {})


def test_http_clients_are_made_into_ours_before_they_start() -> None:
    source = inspect.getsource(http_layers.HttpClient._handle_event)
    assert "self.child_layer = Http2Client(self.context)" in source
    assert "self._handle_event = self.child_layer.handle_event" in source
    client = http_layers.HttpClient(make_context())
    contract_http2.into_metered(client)
    assert type(client) is contract_http2.OriginalHttpClient
    assert inspect.getsource(http_layers.HttpLayer).count("Http2Client(") == 1
    assert "self.event_to_child(child_layer, events.Start())" in inspect.getsource(
        http_layers.HttpLayer._handle_event
    )


async def test_a_gate_holds_the_task_that_shut_it_and_no_other() -> None:
    assert "await self.drain_writers()" in inspect.getsource(server.ConnectionHandler.handle_connection)

    class Handler:
        async def drain_writers(self) -> None:
            pass

    handler = Handler()
    gates = contract_http2.gates_of(handler)  # type: ignore[arg-type]
    assert contract_http2.gates_of(handler) is gates  # type: ignore[arg-type]
    opened = []

    async def held() -> None:
        opened.append(gates.shut())
        await handler.drain_writers()

    task = asyncio.create_task(held())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await handler.drain_writers()
    await asyncio.sleep(0)
    assert not task.done()
    opened[0]()
    async with asyncio.timeout(5):
        await task
