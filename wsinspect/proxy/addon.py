"""The mitmproxy addon: hooks in, and nothing decided here. Works in our own proxy and under `mitmdump -s`."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from mitmproxy import connection, ctx, exceptions, http, tcp, tls
from mitmproxy.proxy import layer, server, server_hooks
from mitmproxy.proxy.layers import tcp as tcp_layers
from mitmproxy.proxy.layers import websocket as websocket_layers

from wsinspect.capture.files import keep_last, new_capture_path
from wsinspect.capture.ring import sweep
from wsinspect.capture.scribe import Move
from wsinspect.capture.segments import DEFAULT_LIMIT
from wsinspect.capture.writer import Writer
from wsinspect.errors import BadRules, WsinspectError
from wsinspect.model import Fact, FactRecord, Failed
from wsinspect.proxy import contract, contract_http
from wsinspect.proxy.attempts import Attempts, is_attempt
from wsinspect.proxy.handshakes import Handshakes
from wsinspect.proxy.holding import Holding
from wsinspect.proxy.hooked import who_wants_messages
from wsinspect.proxy.relays import Relays
from wsinspect.proxy.rulebook import LoadedRules, Rulebook, RuleSource
from wsinspect.proxy.words import errno_in, phase_of

logger = logging.getLogger(__name__)

STREAMS = ("text/event-stream", "application/grpc", "application/x-ndjson", "multipart/x-mixed-replace")
"""Content types whose bodies have no end worth waiting for."""


RULE_OPTIONS = ("wsinspect_rules", "wsinspect_allow_python", "wsinspect_shadow")


def streams(option: str, message: http.Message) -> bool:
    """Whether a body passes unbuffered."""
    if option == "auto":
        return message.headers.get("content-type", "").strip().lower().startswith(STREAMS)
    return option == "all"


def _load_rules() -> LoadedRules:
    """As the options say. Raises BadRules."""
    options = ctx.options
    paths = tuple(Path(path).expanduser() for path in options.wsinspect_rules)
    return LoadedRules.of(RuleSource(paths, options.wsinspect_allow_python, options.wsinspect_shadow))


class WsInspect:
    """Takes every upgraded connection over and records it, with every set-up that fails."""

    def __init__(
        self,
        writer: Writer | None = None,
        *,
        stream_others: bool = False,
        rules: LoadedRules | None = None,
    ) -> None:
        """`writer`: the capture, else one is opened by the option `wsinspect_capture`.

        `rules`: else the options `wsinspect_rules` and so on say which. `stream_others`: all HTTP that is
        not an upgrade passes unbuffered, unless the option `wsinspect_stream` says otherwise; under
        `mitmdump -s` other addons may want the bodies.
        """
        self._writer = writer
        self._owns_writer = writer is None
        self._stream_others = stream_others
        self._given_rules = rules
        self._loaded_rules = LoadedRules.none()
        self._targets: dict[str, str] = {}
        """Where a client's first request or CONNECT goes, by client id."""
        self.attempts: Attempts
        self.handshakes: Handshakes
        self.relays: Relays
        self.rulebook: Rulebook
        self.holding: Holding

    # ------------------------------------------------------------------------------------ the addon's life

    def load(self, loader: Any) -> None:
        loader.add_option(
            "wsinspect_capture",
            str,
            "",
            "Where wsinspect writes its capture. Empty: a new file in the state folder.",
        )
        loader.add_option(
            "wsinspect_path",
            str,
            "auto",
            "Take the sockets over where possible (auto), or leave the bytes in mitmproxy's layers (layer).",
            choices=("auto", "layer"),
        )
        loader.add_option(
            "wsinspect_stream",
            str,
            "all" if self._stream_others else "auto",
            "Which other HTTP passes unbuffered: all; auto, which is event streams, gRPC, NDJSON and "
            "multipart/x-mixed-replace, so that other addons see all other bodies; or none (off).",
            choices=("auto", "all", "off"),
        )
        loader.add_option(
            "wsinspect_hooks",
            str,
            "auto",
            "Whether each WebSocket message fires mitmproxy's hooks: where another addon has "
            "websocket_message or mitmproxy's screen shows messages (auto), always (on), never (off).",
            choices=("auto", "on", "off"),
        )
        loader.add_option("wsinspect_rules", Sequence[str], [], "Rule files, and folders of them.")
        loader.add_option(
            "wsinspect_allow_python", bool, False, "Rules may run Python functions in the proxy."
        )
        loader.add_option(
            "wsinspect_shadow", bool, False, "Record what rules would do, and touch no traffic."
        )

    def configure(self, updated: set[str]) -> None:
        """Raises OptionsError with every mistake in the rule files; at the start mitmproxy then ends."""
        if self._given_rules is not None or updated.isdisjoint(RULE_OPTIONS):
            return
        running = hasattr(self, "rulebook")
        try:
            loaded = self._loaded_rules = _load_rules()
        except BadRules as exc:
            if running:
                raise exceptions.OptionsError(str(exc)) from exc
            # What a script raises becomes a traceback, and a proxy without the rules that were wanted.
            print(exc, file=sys.stderr)  # noqa: T201
            raise SystemExit(exc.exit_code) from None
        if running:
            self.rulebook.adopt(loaded)

    def running(self) -> None:
        writer = self._writer or self._open_capture()
        self._writer = writer
        self.attempts = Attempts(writer)
        if self._owns_writer:
            self._announce(writer)
        path = cast(Literal["auto", "layer"], ctx.options.wsinspect_path)
        self.relays = Relays(writer, self.attempts, path, self._who_wants_messages)
        self.rulebook = Rulebook(self._given_rules or self._loaded_rules, self._note, self.relays.put_on)
        self.holding = Holding(self.relays, self.rulebook.url_of)
        self.attempts.forget = self.relays.forget = self.rulebook.forget
        self.handshakes = Handshakes(self.attempts, self.rulebook.begin, self._handler)
        self.rulebook.start()
        if self._given_rules is None:
            self.rulebook.say = logger.warning
            for line in self.rulebook.words():
                logger.info(line)

    def _note(self, fact: Fact) -> None:
        """Of the proxy as a whole."""
        assert self._writer is not None
        self._writer.append(FactRecord(0, time.monotonic_ns(), fact))

    def _announce(self, writer: Writer) -> None:
        """Say in mitmproxy's log what becomes of our own capture; both come from the writer's thread."""
        loop = asyncio.get_running_loop()

        def trouble(text: str) -> None:
            loop.call_soon_threadsafe(logger.error, text)

        def moved(move: Move) -> None:
            loop.call_soon_threadsafe(self._tell_move, move)

        writer.on_trouble, writer.on_move = trouble, moved

    def _tell_move(self, move: Move) -> None:
        logger.log(logging.WARNING if move.saved else logging.ERROR, move.text)
        self.attempts.notice(0, "capture-moved", move.text)

    def _who_wants_messages(self) -> str:
        return who_wants_messages(ctx.options.wsinspect_hooks, ctx.master, self)

    def _open_capture(self) -> Writer:
        try:
            named = ctx.options.wsinspect_capture
            path = Path(named).expanduser() if named else new_capture_path()
            sweep()
            writer = Writer(path, limit=0 if named else DEFAULT_LIMIT, memory=True)
            if not named:
                keep_last(10)
        except WsinspectError as exc:
            raise exceptions.OptionsError(str(exc)) from exc
        return writer

    async def done(self) -> None:
        if self._writer is None:
            return
        if hasattr(self, "relays"):
            self.rulebook.close()
            await self.relays.stop(2.0)
            self.relays.close()
        if self._owns_writer:
            self._writer.close()

    # ---------------------------------------------------------------------------------------- handshakes

    def next_layer(self, next_layer: layer.NextLayer) -> None:
        handler = self._handler(next_layer.context.client.id)
        contract_http.note_originals(next_layer, self._websocket_over_http2, handler)

    def _websocket_over_http2(self, client: connection.Client, headers: list[tuple[str, str]]) -> None:
        self.attempts.fail_over_http2(client, headers)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._note_target(flow)

    def _note_target(self, flow: http.HTTPFlow) -> None:
        self._targets.setdefault(flow.client_conn.id, f"{flow.request.host}:{flow.request.port}")

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._note_target(flow)
        if is_attempt(flow.request):
            await self.handshakes.request(flow)
        elif flow.response is None and streams(ctx.options.wsinspect_stream, flow.request):
            flow.request.stream = flow.request.stream or True

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        attempt = await self.handshakes.answer(flow)
        response = flow.response
        if response is None or (attempt is not None and attempt.rejected_by):
            return
        if response.status_code == 101:
            handler = self._handler(flow.client_conn.id)
            if handler is not None:
                contract.keep_glued_bytes(handler, flow)
        elif not streams(ctx.options.wsinspect_stream, response):
            return
        elif attempt is not None:
            response.stream = attempt.tap
        else:
            response.stream = response.stream or True

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and flow.response.status_code != 101:
            self.handshakes.whole(flow)
            self.attempts.refuse(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self.attempts.fail(flow)

    async def websocket_start(self, flow: http.HTTPFlow) -> None:
        await self._upgraded(flow.client_conn.id, websocket_layers.WebsocketLayer, flow)

    async def tcp_start(self, flow: tcp.TCPFlow) -> None:
        """A 101 that mitmproxy does not call a WebSocket becomes a TCPLayer; so does raw CONNECT traffic."""
        await self._upgraded(flow.client_conn.id, tcp_layers.TCPLayer, flow)

    async def _upgraded(
        self, client_id: str, kind: type[layer.Layer], flow: http.HTTPFlow | tcp.TCPFlow
    ) -> None:
        handler = self._handler(client_id)
        if handler is not None:
            await self.relays.upgraded(
                handler, lambda each: isinstance(each, kind) and getattr(each, "flow", None) is flow
            )

    def _handler(self, client_id: str) -> server.ConnectionHandler | None:
        return ctx.master.addons.get("proxyserver").connections.get(client_id)

    # ---------------------------------------------------------------------- failures before HTTP is known

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Where a request is under way, `error` or `http_connect_error` record its failure."""
        if data.client.id in self._targets:
            self.attempts.server_failed(data.client, phase_of(data.server.error or ""))
        else:
            host, port, *_ = data.server.address or ("", 0)
            self._fail_unknown(data.client, f"{host}:{port}", data.server.error)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        client = flow.client_conn
        self._fail_unknown(client, self._targets.get(client.id, ""), flow.server_conn.error)

    def _fail_unknown(self, client: connection.Client, target: str, error: str | None) -> None:
        message = error or "could not connect"
        failed = Failed(phase=phase_of(message), message=message, errno=errno_in(message))
        self.attempts.fail_unknown(client, target, failed)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A browser opens connections to spare, and closes those that it does not need: no failure."""
        if contract.left_unasked(data):
            return
        client = data.context.client
        message = client.error or "TLS handshake with the client failed"
        target = self._targets.get(client.id) or client.sni or ""
        self.attempts.fail_unknown(client, target, Failed(phase="tls-client", message=message))

    def tls_failed_server(self, data: tls.TlsData) -> None:
        self.attempts.server_failed(data.context.client, "tls-server")

    def client_disconnected(self, client: connection.Client) -> None:
        self._targets.pop(client.id, None)
        self.attempts.client_gone(client)
