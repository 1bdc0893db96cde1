"""The layer-driven path: the same `Session`, where the sockets cannot be taken over.

mitmproxy's layers still carry the bytes (local and WireGuard mode, where the streams are not sockets).
What differs: a reset becomes a FIN, since mitmproxy does not tell them apart, and a FIN from one side
ends both, since its HTTP stream has no half-close. The capture says `path: layer`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events

from wsinspect.capture.writer import Writer
from wsinspect.model import How, Side
from wsinspect.proxy import contract
from wsinspect.proxy.alarm import Alarm
from wsinspect.proxy.injected import close_of, inject_of
from wsinspect.relay.commands import Answer, Command
from wsinspect.relay.session import Session

logger = logging.getLogger(__name__)


class LayerRelay:
    """Drives a session from the events of the layer that the 101 led to."""

    def __init__(
        self,
        upgraded: contract.Upgraded,
        session: Session,
        writer: Writer,
        on_finished: Callable[[Session], None],
    ) -> None:
        self.upgraded = upgraded
        self.session = session
        self._append = writer.append
        self._on_finished = on_finished
        self.on_holds: Callable[[Session], None] = lambda session: None
        """Told where messages were held or released."""
        self.on_windows: Callable[[Session], None] = lambda session: None
        """Told where rules want to know a deflate window."""
        self._finished = False
        self._faulty: set[Side] = set()
        """Sides whose bytes pass the session by, since a fault of ours."""
        self._alarm = Alarm(self._nudge)
        self._throttled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._may_read: asyncio.Event | None = None

    def start(self) -> None:
        """From the layer's start hook on; nothing is lost, since the layer queues what arrives meanwhile."""
        contract.install_sink(self.upgraded.layer, self._relay)
        contract.on_kill(self.upgraded, self.stop)
        self._record()
        if self.session.ruled:
            self._nudge()  # what rules do at the opening

    def command(self, command: Command) -> Answer:
        answer = self.session.command(command, time.monotonic_ns())
        self._nudge()
        return answer

    def flush(self) -> None:
        """Send and record what others have left in the session."""
        self._nudge()

    def throttle(self, on: bool) -> None:
        """The capture's writer takes no more for now, or takes more again."""
        self._throttled = on
        self._read_if_free()

    def _read_if_free(self) -> None:
        """Go on reading where nothing is against it; mitmproxy's read tasks cannot be told apart by side."""
        full = not all(self.session.wants_reading(side) for side in Side)
        if self._may_read is None:
            if not (full or self._throttled):
                return
            self._may_read = contract.gate_reads(self.upgraded.handler)
        if full or self._throttled:
            self._may_read.clear()
        else:
            self._may_read.set()

    def stop(self) -> None:
        """wsinspect ends: both legs are closed."""
        if self._finished or self.session.stopped:
            return
        self.session.stop(time.monotonic_ns())
        self._nudge()

    def _nudge(self) -> None:
        """Let the layer send what a command has left in the session."""
        event = contract.RelayNudged(self.upgraded.flow, None)
        task = asyncio.get_running_loop().create_task(
            self.upgraded.handler.server_event(event), name="wsinspect: nudge the layer"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _relay(self, event: events.Event) -> Iterator[commands.Command]:
        """In the place of the layer's `relay_messages`."""
        if self._finished:
            return
        match event:
            case events.DataReceived():
                yield from self._data(self._side(event), bytes(event.data))
            case events.ConnectionClosed():
                side = self._side(event)
                self.session.end(side, How.FIN, time.monotonic_ns())
                yield from self._outputs()
                if not self.session.owes_end(side.other):
                    yield from self._finish()
            case contract.RelayNudged():
                yield from self._woken()
            case events.MessageInjected():
                yield from self._injected(event)

    def _injected(self, event: events.MessageInjected) -> Iterator[commands.Command]:  # type: ignore[type-arg]
        command = inject_of(event)
        answer = command and self.session.command(command, time.monotonic_ns())
        if answer and not answer.ok:
            logger.warning("inject.websocket: %s", answer.text)
        yield from self._outputs()

    def _woken(self) -> Iterator[commands.Command]:
        """What is due by now, and what a command has left in the session."""
        try:
            self.session.wake(time.monotonic_ns())
        except Exception as exc:
            for side in Side:
                yield from self._fall_back(side, b"", exc)
        yield from self._outputs()

    def _data(self, side: Side, data: bytes) -> Iterator[commands.Command]:
        if side in self._faulty:
            yield commands.SendData(self._conn(side.other), data)
            return
        given = False
        try:
            now_ns = time.monotonic_ns()
            self.session.receive(side, data, now_ns)
            self.session.settle(now_ns)
            self._record()
            given = True
            yield from self._outputs()
        except Exception as exc:
            yield from self._fall_back(side, b"" if given else data, exc)

    def _fall_back(self, side: Side, data: bytes, exc: Exception) -> Iterator[commands.Command]:
        """After a fault of ours what `side` sends passes the session by. `data`: the read under way."""
        logger.error("fault in connection %d: %r", self.session.conn, exc, exc_info=exc)
        now_ns = time.monotonic_ns()
        try:
            outputs = self.session.take_back(side, now_ns, data)
        except Exception:
            logger.exception("what the session held could not be taken back")
            outputs = [data]
        for out in outputs:
            if isinstance(out, bytes) and out:
                yield commands.SendData(self._conn(side.other), out)
        self._faulty.add(side)
        text = f"a fault in wsinspect ({type(exc).__name__}): bytes pass, and are not captured"
        self.session.go_blind(side, now_ns, text)

    def _outputs(self) -> Iterator[commands.Command]:
        """Send what the session has for either side."""
        self._record()
        ended = False
        for to in Side:
            for out in self.session.take_output(to):
                if isinstance(out, bytes):
                    yield from self._send(to, out)
                else:
                    yield from self._before_end(to)
                    ended = True
        self._record()
        if self.session.ruled:
            self._tend()
        if ended:
            yield from self._finish()

    def _send(self, to: Side, data: bytes) -> Iterator[commands.Command]:
        yield commands.SendData(self._conn(to), data)

    def _before_end(self, to: Side) -> Iterator[commands.Command]:
        """What is kept back for a side that gets its end: nothing, here."""
        yield from ()

    def _tend(self) -> None:
        """The alarm of a session that waits, and a pause where too much does."""
        self._alarm.set(self.session.next_wake_ns)
        if self.session.has_hold_news:
            self.on_holds(self.session)
        if self.session.wants_windows:
            self.on_windows(self.session)
        self._read_if_free()

    def _finish(self) -> Iterator[commands.Command]:
        if self._finished:
            return
        self._finished = True
        self.session.closed(time.monotonic_ns())
        self._alarm.set(None)
        self._record()
        if self.session.has_hold_news:
            self.on_holds(self.session)
        self._on_finished(self.session)
        flow = self.upgraded.flow
        if flow.websocket is not None:
            flow.websocket.timestamp_end = time.time()
            flow.websocket.closed_by_client, flow.websocket.close_code, flow.websocket.close_reason = (
                close_of(self.session)
            )
        yield from contract.finish_layer(self.upgraded.layer, flow)

    def _record(self) -> None:
        self._append(*self.session.take_records())

    def _side(self, event: events.ConnectionEvent) -> Side:
        return Side.CLIENT if event.connection is self.upgraded.flow.client_conn else Side.SERVER

    def _conn(self, side: Side) -> Connection:
        return self.upgraded.flow.client_conn if side is Side.CLIENT else self.upgraded.flow.server_conn
