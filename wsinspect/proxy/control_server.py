"""The proxy's end of the control socket: a loop over protocol.py, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

from wsinspect.capture.writer import Writer
from wsinspect.control import paths, protocol
from wsinspect.control.protocol import ControlError, ErrorCode
from wsinspect.errors import NotFound, WsinspectError
from wsinspect.model import Opcode, Side
from wsinspect.proxy.attempts import Attempts
from wsinspect.proxy.holding import Holding
from wsinspect.proxy.injected import inject
from wsinspect.proxy.relays import Relays
from wsinspect.proxy.rulebook import Rulebook
from wsinspect.wire.close_codes import encode_close

logger = logging.getLogger(__name__)

MAX_CLIENTS = 32
MOST_UNREAD_BYTES = 8 * protocol.MAX_LINE_BYTES
"""Of events that a client does not read; then it is dropped."""


class ControlServer:
    """Answers requests on a 0600 unix socket; events go to those who asked for them."""

    def __init__(
        self,
        info: protocol.ProxyInfo,
        relays: Relays,
        attempts: Attempts,
        rulebook: Rulebook,
        holding: Holding,
        writer: Writer,
        on_stop: Callable[[], None],
    ) -> None:
        self._info = info
        self._relays = relays
        self._attempts = attempts
        self._rulebook = rulebook
        self._holding = holding
        self._writer = writer
        self._on_stop = on_stop
        self._started = time.monotonic()
        self._clients: set[asyncio.StreamWriter] = set()
        self._watchers: dict[asyncio.StreamWriter, bool] = {}
        """Who gets events, and whether somebody is there to release what rules hold."""
        self._server: asyncio.Server | None = None
        self.path: Path = paths.socket_path(info.pid)

    def info(self) -> protocol.ProxyInfo:
        """Who we are, and where the capture is now."""
        writer = self._writer
        return replace(
            self._info,
            capture=str(writer.path),
            capture_position=writer.moves[-1].position if writer.moves else 0,
            capture_left=writer.moves[-1].left if writer.moves else 0,
            saved=None if writer.saved is None else str(writer.saved),
            memory=None if writer.memory is None else str(writer.memory),
        )

    async def start(self) -> None:
        """Raises Unavailable."""
        self._server = await asyncio.start_unix_server(self._client, sock=paths.listen(self.path))
        self._rulebook.tell = self._holding.tell = self.tell

    def tell(self, event: protocol.Event) -> None:
        """Hand an event to all who watch; one who does not read is dropped."""
        line = protocol.encode_event(event)
        for writer in list(self._watchers):
            if writer.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
                writer.transport.abort()
            else:
                writer.write(line)

    async def close(self) -> None:
        self.tell(protocol.Stopping())
        if self._server is not None:
            self._server.close()
        for writer in list(self._clients):
            writer.close()
        self.path.unlink(missing_ok=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(writer)
        lines = protocol.Lines()
        try:
            while data := await reader.read(65536):
                for line in lines.receive(data):
                    writer.write(await self._answer(line, writer))
                await writer.drain()
        except ControlError as error:
            writer.write(protocol.encode_refusal(error))
        except OSError:
            pass  # the client went away
        finally:
            self._clients.discard(writer)
            self._watchers.pop(writer, None)
            self._count_attached()
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> bytes:
        request_id = None
        try:
            request_id, request = protocol.parse_request(line)
            return protocol.encode_answer(request_id, await self._do(request, writer))
        except ControlError as error:
            error.request_id = error.request_id if error.request_id is not None else request_id
            return protocol.encode_refusal(error)
        except Exception as exc:
            logger.exception("a control request failed")
            return protocol.encode_refusal(
                ControlError(
                    ErrorCode.FAILED, f"a fault in the proxy: {type(exc).__name__}", request_id=request_id
                )
            )

    async def _do(self, request: protocol.Request, writer: asyncio.StreamWriter) -> dict[str, Any]:
        match request:
            case protocol.Hello():
                return self.info().values()
            case protocol.Status():
                return self.status().values()
            case protocol.Stop():
                asyncio.get_running_loop().call_soon(self._on_stop)
                return {}
            case protocol.Watch():
                return self._watch(writer, request.attached)
            case protocol.Rules():
                return self._rulebook.status().values()
            case protocol.Reload():
                return await self._reload()
            case protocol.SwitchRules():
                return await self._switch(request.rules, request.on)
            case protocol.Holds():
                return protocol.HoldsStatus(self._holding.listed()).values()
            case protocol.ResolveHold():
                return self._holding.resolve(request)
            case protocol.Send():
                return self._inject(request.conn, request.to, request.opcode, request.payload)
            case protocol.Close():
                payload = encode_close(request.code, request.reason)
                done = [self._inject(request.conn, to, Opcode.CLOSE, payload) for to in request.to]
                return done[-1]
            case _:
                assert_never(request)

    def _watch(self, writer: asyncio.StreamWriter, attached: bool) -> dict[str, Any]:
        self._watchers[writer] = attached
        self._count_attached()
        asyncio.get_running_loop().call_soon(self._tell_held, writer)
        return {}

    def _tell_held(self, writer: asyncio.StreamWriter) -> None:
        """What is held already, to one who begins to watch."""
        for held in self._holding.listed(protocol.PREVIEW_BYTES):
            if writer in self._watchers:
                writer.write(protocol.encode_event(protocol.HeldEvent(held)))

    def _count_attached(self) -> None:
        self._holding.attend(any(self._watchers.values()))

    async def _reload(self) -> dict[str, Any]:
        if not self._rulebook.source.paths:
            raise ControlError(ErrorCode.NOT_SUPPORTED, "this proxy was started without rules (--rules)")
        try:
            await self._rulebook.reload()
        except WsinspectError as error:
            raise ControlError(ErrorCode.BAD_RULES, self._rulebook.error) from error
        return self._rulebook.status().values()

    async def _switch(self, rules: Collection[str], on: bool) -> dict[str, Any]:
        try:
            await self._rulebook.switch(rules, on)
        except NotFound as error:
            raise ControlError(ErrorCode.NOT_FOUND, str(error)) from None
        return {}

    def status(self) -> protocol.ProxyStatus:
        return protocol.ProxyStatus(
            info=self.info(),
            live=len(self._relays.live),
            total=self._attempts.total,
            queue_bytes=self._writer.queue_bytes,
            gaps=self._writer.gaps,
            uptime_s=round(time.monotonic() - self._started, 3),
            trouble=list(self._writer.troubles),
            rules=self._rulebook.brief(),
            held=self._holding.count,
            attached=sum(self._watchers.values()),
        )

    def _inject(self, conn: int, to: Side, opcode: Opcode, payload: bytes) -> dict[str, Any]:
        relay = self._relays.live.get(conn)
        if relay is None:
            raise ControlError(ErrorCode.NOT_FOUND, f"no live connection has the number {conn}")
        answer = relay.command(inject(to.other, opcode, payload))
        if not answer.ok:
            raise ControlError(ErrorCode.NOT_OPEN, answer.text)
        return {"result": answer.text}
