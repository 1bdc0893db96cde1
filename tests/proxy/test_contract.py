"""One test for each private thing of mitmproxy that contract.py uses: an upgrade fails here first."""

from __future__ import annotations

import asyncio
import inspect

from mitmproxy import connection, http, options, tcp
from mitmproxy.proxy import commands, context, events, layer, mode_servers, server, tunnel
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers import tcp as tcp_layers
from mitmproxy.proxy.layers import tls, websocket
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Connection, Http1Server
from mitmproxy.test import taddons, tflow

from wsinspect.proxy import contract, contract_http


def make_context() -> context.Context:
    client = connection.Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
    with taddons.context() as loaded:
        return context.Context(client, loaded.options)


def upgraded_layer() -> websocket.WebsocketLayer:
    return websocket.WebsocketLayer(make_context(), tflow.twebsocketflow())


def test_events_of_a_paused_layer_wait_in_a_queue_that_can_be_taken() -> None:
    paused = upgraded_layer()
    paused.flow.response = http.Response.make(101)
    assert any(isinstance(each, websocket.WebsocketStartHook) for each in paused.handle_event(events.Start()))
    event = events.DataReceived(paused.context.client, b"early")
    assert list(paused.handle_event(event)) == []
    assert contract.take_paused_events(paused) == [event]
    assert contract.take_paused_events(paused) == []


def test_a_sink_installed_in_the_start_hook_gets_all_events() -> None:
    paused = upgraded_layer()
    paused.flow.response = http.Response.make(101)
    (hook,) = paused.handle_event(events.Start())
    seen: list[events.Event] = []

    def sink(event: events.Event):  # type: ignore[no-untyped-def]
        seen.append(event)
        yield from ()

    contract.install_sink(paused, sink)
    assert isinstance(hook, commands.StartHook)
    list(paused.handle_event(events.HookCompleted(hook)))
    event = events.DataReceived(paused.context.client, b"data")
    list(paused.handle_event(event))
    assert seen == [event]
    contract.remove_sink(paused)
    assert paused.relay_messages.__func__ is websocket.WebsocketLayer.relay_messages  # type: ignore[attr-defined]


async def test_read_tasks_can_be_held_behind_a_read() -> None:
    source = inspect.getsource(server.ConnectionHandler.handle_connection)
    assert source.index("reader.read(") < source.index("await self.drain_writers()")
    drained = []

    class Handler:
        async def drain_writers(self) -> None:
            drained.append(1)

    handler = Handler()
    gate = contract.gate_reads(handler)  # type: ignore[arg-type]
    waiting = asyncio.create_task(handler.drain_writers())
    await asyncio.sleep(0)
    assert drained == [1]
    assert not waiting.done()
    gate.set()
    async with asyncio.timeout(5):
        await waiting


def test_the_parsers_of_a_taken_layer_can_be_let_go() -> None:
    paused = upgraded_layer()
    paused.flow.response = http.Response.make(101)
    list(paused.handle_event(events.Start()))
    assert {"client_ws", "server_ws"} <= set(vars(paused))
    contract.forget_parsers(paused)
    assert not {"client_ws", "server_ws"} & set(vars(paused))


def test_finishing_a_websocket_closes_both_legs_and_fires_the_end_hook_once() -> None:
    ended = upgraded_layer()
    flow = ended.flow
    found = list(contract.finish_layer(ended, flow))
    assert [type(each) for each in found] == [
        commands.CloseConnection,
        commands.CloseConnection,
        websocket.WebsocketEndHook,
    ]
    assert not flow.live
    assert list(ended.handle_event(events.ConnectionClosed(ended.context.client))) == []


def test_finishing_a_tcp_layer_fires_its_end_hook() -> None:
    ended = tcp_layers.TCPLayer(make_context())
    found = list(contract.finish_layer(ended, tflow.tflow()))
    assert isinstance(found[-1], tcp_layers.TcpEndHook)
    assert isinstance(ended.flow, tcp.TCPFlow)
    assert not ended.flow.live


def test_injected_messages_are_routed_by_type() -> None:
    source = inspect.getsource(http_layers.HttpLayer._handle_event)
    assert "isinstance(event, events.MessageInjected)" in source
    assert issubclass(contract.RelayFinished, events.MessageInjected)
    assert issubclass(contract.RelayNudged, events.MessageInjected)


def test_make_pipe_can_be_replaced_and_strips_nothing() -> None:
    http1 = Http1Server(make_context())
    http1.buf += b"\r\nglued"
    piped = contract._StripNothing(http1)
    (received,) = piped()
    assert isinstance(received, http_layers.ReceiveHttp)
    assert received.event.data == b"\r\nglued"
    assert "self.make_pipe()" in inspect.getsource(Http1Connection.mark_done)
    assert issubclass(Http1Client, Http1Connection)


def test_a_rejected_answer_ends_its_http1_connection() -> None:
    http1 = Http1Client(make_context())
    http1.buf += b"glued"
    (closed,) = contract._End(http1)()
    assert isinstance(closed, commands.CloseConnection)
    assert closed.connection is http1.conn
    assert list(http1.state(events.DataReceived(http1.conn, b"more"))) == []


def test_a_connection_handler_has_what_the_takeover_reads() -> None:
    source = inspect.getsource(server.ConnectionHandler.__init__)
    for name in ("transports", "timeout_watchdog", "layer", "_server_event_lock"):
        assert f"self.{name}" in source
    assert {"handler", "reader", "writer"} <= set(server.ConnectionIO.__dataclass_fields__)


async def test_a_relayed_connection_never_times_out() -> None:
    class Handler:
        timeout_watchdog = server.TimeoutWatchdog(600, lambda: asyncio.sleep(0))

    watchdog = Handler.timeout_watchdog
    with watchdog.disarm():  # as mitmproxy does around each hook
        contract.never_time_out(Handler())  # type: ignore[arg-type]
    assert not watchdog.can_timeout.is_set()


async def test_no_connection_of_our_own_proxy_has_a_timer() -> None:
    watchdog = server.TimeoutWatchdog(contract.NO_TIMEOUT_S, lambda: asyncio.sleep(0))

    class Handler:
        timeout_watchdog = watchdog

    with taddons.context() as loaded:
        addon = contract.PatientProxyserver()
        loaded.master.addons.add(addon)
        assert loaded.master.addons.get("proxyserver") is addon
        loaded.options.tcp_timeout = contract.NO_TIMEOUT_S
        with addon.register_connection("1", Handler()):  # type: ignore[arg-type]
            assert list(addon.connections) == ["1"]
            watching = asyncio.ensure_future(watchdog.watch())
            await asyncio.sleep(0)
            assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            assert not watching.done()
        assert not addon.connections
        watching.cancel()


async def test_a_timeout_that_the_user_sets_is_kept() -> None:
    class Handler:
        timeout_watchdog = server.TimeoutWatchdog(5, lambda: asyncio.sleep(0))

    with taddons.context() as loaded:
        addon = contract.PatientProxyserver()
        loaded.master.addons.add(addon)
        loaded.options.tcp_timeout = 5
        with addon.register_connection("1", Handler()):  # type: ignore[arg-type]
            assert Handler.timeout_watchdog.can_timeout.is_set()


def test_a_stream_reader_counts_what_it_holds() -> None:
    async def held() -> int:
        reader = asyncio.StreamReader()
        reader.feed_data(b"1234")
        return contract.reader_buffer(reader)

    assert asyncio.run(held()) == 4


def test_http_layers_make_streams_that_note_the_original() -> None:
    chosen = http_layers.HttpLayer(make_context(), http_layers.HTTPMode.regular)
    next_layer = layer.NextLayer(chosen.context)
    contract_http.note_originals(next_layer, lambda client, headers: None)
    assert type(chosen) is contract_http.OriginalHttpLayer
    assert "self.make_stream(command.event.stream_id)" in inspect.getsource(
        http_layers.HttpLayer.event_to_child
    )
    list(chosen.make_stream(1))
    assert type(chosen.streams[1]) is contract_http.OriginalStream
    assert hasattr(http_layers.HttpStream, "state_wait_for_request_headers")


def test_tunnels_name_both_of_their_connections() -> None:
    names = tunnel.TunnelLayer.__annotations__
    assert {"child_layer", "tunnel_connection", "conn"} <= set(names)
    assert "tls" in tls.TLSLayer.__annotations__
    assert {"streams", "connections"} <= set(http_layers.HttpLayer.__annotations__)


def test_servers_of_a_mode_can_be_reached() -> None:
    assert "_servers" in mode_servers.AsyncioServerInstance.__annotations__
    assert mode_servers.ServerInstance.last_exception is None


def test_the_options_that_our_own_master_sets_exist() -> None:
    with taddons.context() as loaded:
        for name in ("tcp_timeout", "ssl_insecure", "mode", "listen_host"):
            assert name in loaded.options
        assert isinstance(loaded.options, options.Options)
