"""Strict peers, sans-I/O: both ends of `websockets`, which fail a connection at the first fault."""

from __future__ import annotations

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.relay.play import C, S
from wsinspect.model import Side
from wsinspect.wire.deflate import DeflateParams


class Peers:
    """A client and a server that have shaken hands; what one sends is handed over by the test."""

    def __init__(self, params: DeflateParams | None) -> None:
        offers, accepts = None, None
        if params is not None:
            offers = [
                ClientPerMessageDeflateFactory(
                    server_no_context_takeover=params.server_no_context_takeover,
                    client_no_context_takeover=params.client_no_context_takeover,
                    server_max_window_bits=_unless_15(params.server_max_window_bits),
                    client_max_window_bits=params.client_max_window_bits,
                )
            ]
            accepts = [
                ServerPerMessageDeflateFactory(
                    server_no_context_takeover=params.server_no_context_takeover,
                    client_no_context_takeover=params.client_no_context_takeover,
                    server_max_window_bits=_unless_15(params.server_max_window_bits),
                    client_max_window_bits=_unless_15(params.client_max_window_bits),
                )
            ]
        client = ClientProtocol(parse_uri("ws://example.test/"), extensions=offers, max_size=None)
        server = ServerProtocol(extensions=accepts, max_size=None)
        client.send_request(client.connect())
        server.receive_data(b"".join(client.data_to_send()))
        (request,) = server.events_received()
        server.send_response(server.accept(request))  # type: ignore[arg-type]
        client.receive_data(b"".join(server.data_to_send()))
        (response,) = client.events_received()
        assert isinstance(response, Response)
        assert client.state is server.state is State.OPEN
        extension = response.headers.get("Sec-WebSocket-Extensions")
        self.headers = [("Sec-WebSocket-Extensions", extension)] if extension else []
        self._ends: dict[Side, Protocol] = {C: client, S: server}
        self._open: dict[Side, list[bytes]] = {C: [], S: []}

    def send(self, side: Side, payload: bytes, *, pieces: int = 1, binary: bool = True) -> bytes:
        """A message of that side, in so many frames."""
        end = self._ends[side]
        size = max(1, -(-len(payload) // pieces))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for number, part in enumerate(parts):
            fin = number == len(parts) - 1
            if number:
                end.send_continuation(part, fin)
            elif binary:
                end.send_binary(part, fin)
            else:
                end.send_text(part, fin)
        return b"".join(end.data_to_send())

    def ping(self, side: Side, payload: bytes) -> bytes:
        self._ends[side].send_ping(payload)
        return b"".join(self._ends[side].data_to_send())

    def receive(self, side: Side, data: bytes) -> list[bytes]:
        """The messages that reach that side; it must find nothing wrong."""
        end, found = self._ends[side], []
        end.receive_data(data)
        assert end.parser_exc is None, end.parser_exc
        for event in end.events_received():
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._open[side].append(bytes(event.data))
                if event.fin:
                    found.append(b"".join(self._open[side]))
                    self._open[side] = []
        end.data_to_send()  # pongs
        assert end.state is State.OPEN
        return found


def _unless_15(bits: int) -> int | None:
    return None if bits == 15 else bits
