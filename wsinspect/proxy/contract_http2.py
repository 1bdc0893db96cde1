"""Backpressure through mitmproxy's HTTP/2 layers, so that a slow reader is felt by its sender.

mitmproxy gives its HTTP/2 peers windows of 2 GiB, hands the space back as soon as bytes arrive, and keeps
what the other side's window does not take in `BufferedH2Connection.stream_buffers`, without a limit.

    MeteredH2Connection   keeps count of the space not handed back yet, of a stream's window of WINDOW
    MeteredHttp2Client    the HTTP/2 ends; NotingHttp2Server also hears of WebSockets over HTTP/2, which are
    NotingHttp2Server     not spoken
    OriginalHttpClient    makes a MeteredHttp2Client where mitmproxy would make an Http2Client
    Backpressure          of one HTTP layer: hands space back once the other side's buffer is below LIMIT
    ReadGates             of one handler: a sender that speaks HTTP/1 has no window, its read task waits

Only the stream whose reader is slow waits. tests/proxy/test_contract_http2.py holds the tests of the names
used here, tests/proxy/test_http2_pressure.py those of what they are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h2.errors
import h2.events
from mitmproxy import connection
from mitmproxy.proxy import commands, events, layer, server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection, Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data

WINDOW = 6 << 20
"""How much a peer may send on one stream before space is handed back: as much as Chromium gives."""

LIMIT = 256 << 10
"""How much may wait for one stream's reader while its sender goes on."""


type OnExtendedConnect = Callable[[connection.Client, list[tuple[str, str]]], None]
"""Told of a client that asks for a WebSocket over HTTP/2 (RFC 8441): who, and all its headers."""


class MeteredH2Connection(BufferedH2Connection):
    """Hands the window's space back when told to, not when bytes have arrived."""

    owed: dict[int, int]
    """Bytes whose space was not handed back yet, by stream."""

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        self.owed[stream_id] = self.owed.get(stream_id, 0) + acknowledged_size

    def send_data(  # type: ignore[override]  # mitmproxy narrowed it first
        self, stream_id: int, data: bytes, end_stream: bool = False, pad_length: None = None
    ) -> None:
        """As mitmproxy does, and small pieces that have to wait become one: each would cost 100 bytes."""
        waiting = self.stream_buffers.get(stream_id)
        if waiting and not waiting[-1].end_stream:
            joined = len(waiting[-1].data) + len(data)
            if joined <= self.max_outbound_frame_size:
                waiting.append(SendH2Data(waiting.pop().data + data, end_stream))
                return
        super().send_data(stream_id, data, end_stream, pad_length)

    def pay(self, stream_id: int) -> None:
        """Hand a stream's space back, as far as its peer needs to hear of it."""
        super().acknowledge_received_data(self.owed.pop(stream_id, 0), stream_id)


@dataclass
class MayPay(events.Event):
    """To an HTTP/2 end: hand the space of these streams (its own numbers) back."""

    stream_ids: list[int]


class _Metered(Http2Connection):
    """What both kinds of HTTP/2 ends add."""

    h2_conn: MeteredH2Connection

    @property
    def is_done(self) -> bool:
        """Its connection has ended: it takes no more events of ours."""
        return "_handle_event" in vars(self)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, MayPay):
            yield from super()._handle_event(event)
            return
        for stream_id in event.stream_ids:
            self.h2_conn.pay(stream_id)
        if data := self.h2_conn.data_to_send():
            yield commands.SendData(self.conn, data)

    def outer(self, stream_id: int) -> int:
        """The HTTP layer's number of a stream."""
        return stream_id

    def backlog(self, stream_id: int) -> int:
        """Bytes that wait for the window of a stream (the HTTP layer's number); 0 once it has ended."""
        if self.is_done or self.conn.state is not connection.ConnectionState.OPEN:
            return 0
        return sum(len(each.data) for each in self.h2_conn.stream_buffers.get(stream_id, ()))


class NotingHttp2Server(_Metered, Http2Server):
    """Resets the stream of an extended CONNECT, where mitmproxy would end the whole connection."""

    def __init__(self, context: Context, on_extended_connect: OnExtendedConnect) -> None:
        super().__init__(context)
        self._on_extended_connect = on_extended_connect
        _meter(self)

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        if not isinstance(event, h2.events.RequestReceived):
            return (yield from super().handle_h2_event(event))
        headers = [
            (bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in event.headers
        ]
        if not any(name == ":protocol" for name, _ in headers):
            return (yield from super().handle_h2_event(event))
        self._on_extended_connect(self.context.client, headers)
        self.h2_conn.reset_stream(event.stream_id, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        return False


class MeteredHttp2Client(_Metered, Http2Client):
    """Counts what waits for a free stream as well."""

    def outer(self, stream_id: int) -> int:
        return self.their_stream_id.get(stream_id, 0)

    def backlog(self, stream_id: int) -> int:
        queued = sum(
            len(each.data) for each in self.stream_queue.get(stream_id, ()) if isinstance(each, RequestData)
        )
        return queued + super().backlog(self.our_stream_id.get(stream_id, 0))


def _meter(end: Any) -> None:
    """Before its Start event, which sends the settings."""
    h2_conn = end.h2_conn
    h2_conn.__class__ = MeteredH2Connection
    h2_conn.owed = {}
    h2_conn.local_settings.initial_window_size = WINDOW
    h2_conn.local_settings.acknowledge()
    backpressure = next(
        found for each in reversed(end.context.layers) if (found := vars(each).get("backpressure"))
    )
    backpressure.add(end)


class OriginalHttpClient(http_layers.HttpClient):
    """Opens the connection as mitmproxy does; where HTTP/2 was agreed on, our end speaks it."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        upstream = self.context.server
        if not upstream.connected:
            err = yield commands.OpenConnection(upstream)
            if err:
                yield http_layers.RegisterHttpConnection(upstream, err)
                return
        if upstream.alpn != b"h2":
            yield from super()._handle_event(event)
            return
        self.child_layer = child = MeteredHttp2Client(self.context)
        _meter(child)
        vars(self)["_handle_event"] = child.handle_event
        yield from child.handle_event(event)
        yield http_layers.RegisterHttpConnection(upstream, None)


def into_metered(each: layer.Layer) -> None:
    """A layer that has yet to start becomes ours, where it is an HTTP/2 client or will make one."""
    if type(each) is Http2Client:
        each.__class__ = MeteredHttp2Client
        _meter(each)
    elif type(each) is http_layers.HttpClient:
        each.__class__ = OriginalHttpClient


class ReadGates:
    """Read tasks of one handler that wait until a slow reader has taken what they brought."""

    def __init__(self, handler: server.ConnectionHandler) -> None:
        self._shut: dict[object, asyncio.Event] = {}
        drain = handler.drain_writers

        async def drain_writers() -> None:
            await drain()
            gate = self._shut.get(asyncio.current_task())
            if gate is not None:
                await gate.wait()

        vars(handler)["drain_writers"] = drain_writers

    def shut(self) -> Callable[[], None]:
        """Hold the running task behind the read that it is at; what is returned lets it go on."""
        task = asyncio.current_task()
        gate = self._shut[task] = asyncio.Event()

        def open_gate() -> None:
            if self._shut.get(task) is gate:
                del self._shut[task]
            gate.set()

        return open_gate


def gates_of(handler: server.ConnectionHandler) -> ReadGates:
    """The same one for each of a handler's HTTP layers."""
    known = vars(handler).get("wsinspect_gates")
    if known is None:
        known = vars(handler)["wsinspect_gates"] = ReadGates(handler)
    assert isinstance(known, ReadGates)
    return known


class Backpressure:
    """Of one HTTP layer: which senders wait for which readers."""

    def __init__(self, http_layer: http_layers.HttpLayer, gates: ReadGates | None) -> None:
        self._layer = http_layer
        self._gates = gates
        self._ends: dict[connection.Connection, _Metered] = {}
        """The HTTP/2 ends, by connection."""
        self._came: dict[int, http_layers.HttpStream] = {}
        """The streams that the event under way brought data for."""
        self._shut: list[tuple[http_layers.HttpStream, bool, Callable[[], None]]] = []
        """What senders without a window wait for: a stream, whether its request, and what lets them go on."""

    def add(self, end: _Metered) -> None:
        self._ends[end.conn] = end

    def came(self, stream: http_layers.HttpStream) -> None:
        """Data passes this stream."""
        self._came[stream.stream_id] = stream

    def settle(self, event: events.Event) -> Iterator[tuple[layer.Layer, MayPay]]:
        """Behind each event of the layer: what to tell which of its children."""
        came, self._came = self._came, {}
        for conn, end in list(self._ends.items()):
            if end.is_done:
                del self._ends[conn]
            elif paid := [each for each in end.h2_conn.owed if self._may_go_on(end, each)]:
                yield self._layer.connections[conn], MayPay(paid)
        for waiting in list(self._shut):
            stream, is_request, open_gate = waiting
            if not self._is_behind(stream, is_request):
                self._shut.remove(waiting)
                open_gate()
        if isinstance(event, events.DataReceived) and self._gates is not None:
            is_request = event.connection is self._layer.context.client
            for stream in came.values():
                sender = stream.context.client if is_request else stream.context.server
                if sender not in self._ends and self._is_behind(stream, is_request):
                    self._shut.append((stream, is_request, self._gates.shut()))

    def _may_go_on(self, end: _Metered, stream_id: int) -> bool:
        stream = self._layer.streams.get(end.outer(stream_id))
        return stream is None or not self._is_behind(stream, end.conn is self._layer.context.client)

    def _is_behind(self, stream: http_layers.HttpStream, is_request: bool) -> bool:
        """Whether more than LIMIT waits for the reader of a stream's request or response."""
        reader = stream.context.server if is_request else stream.context.client
        end = self._ends.get(reader)
        waits = end.backlog(stream.stream_id) if end is not None else 0
        for each in stream._paused_event_queue:  # a hook runs, or the server is being connected to
            match each:
                case RequestData(data=data) if is_request:
                    waits += len(data)
                case ResponseData(data=data) if not is_request:
                    waits += len(data)
        return waits > LIMIT
