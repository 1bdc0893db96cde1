"""The takeover: after a 101 both sockets leave mitmproxy's layers and are relayed by a `Session`.

The order of steps was measured, not guessed; docs/design.md tells what goes wrong without each.

    1. the layer's `relay_messages` becomes a sink, so that nobody else writes into the stream
    2. both transports get our protocol; what arrives from now on waits in `Leg.pending`
    3. mitmproxy's read tasks empty their StreamReaders into the layer, which waits for its start hook
    4. the layer's queue, then `Leg.pending`, go through the session; reading resumes

When both legs have ended, `RelayFinished` takes the road of injected messages to the layer, and the sink
ends it with mitmproxy's own commands, so that each hook runs once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from mitmproxy.proxy import commands, events

from wsinspect.capture.writer import Writer
from wsinspect.model import How, Notice, Side
from wsinspect.proxy import contract
from wsinspect.proxy.alarm import Alarm
from wsinspect.proxy.injected import close_of, inject_of
from wsinspect.proxy.leg import Leg
from wsinspect.proxy.sockets import tcp_info
from wsinspect.proxy.tls_pipe import Pipe, pipe_of
from wsinspect.proxy.watcher import EdgeWatcher
from wsinspect.relay.commands import Answer, Command
from wsinspect.relay.ends import Finish
from wsinspect.relay.session import Session

logger = logging.getLogger(__name__)

DRAIN_LIMIT_S = 5.0
"""How long mitmproxy's read tasks may take to hand over what they hold; then the old protocols come back."""

STOP_LIMIT_S = 1.5
"""How long a stopped connection goes on reading for the peers' FIN."""

ORPHAN_LIMIT_S = 60.0
"""How long a leg may outlive the other once it was sent FIN: the kernel's own limit for such a socket."""


class TakeoverFailed(Exception):
    """The old protocols are back in place; mitmproxy relays the connection."""


class Takeover:
    """Two legs, the session between them, and the way back into mitmproxy."""

    __slots__ = (
        "_alarm", "_append", "_append_read", "_bypassed", "_faulty", "_finished", "_full", "_held", "_limits",
        "_loop", "_notified", "_on_finished", "_seal", "_severed", "_task", "_throttled", "_undelivered",
        "legs", "on_holds", "on_windows", "session", "upgraded", "watcher",
    )  # fmt: skip

    def __init__(
        self,
        upgraded: contract.Upgraded,
        session: Session,
        writer: Writer,
        watcher: EdgeWatcher,
        on_finished: Callable[[Session], None],
    ) -> None:
        self.upgraded = upgraded
        self.session = session
        self.watcher = watcher
        self._append = writer.append
        self._append_read = writer.append_read
        self._seal = writer.seal
        self._on_finished = on_finished
        self.on_holds: Callable[[Session], None] = lambda session: None
        """Told where messages were held or released."""
        self.on_windows: Callable[[Session], None] = lambda session: None
        """Told where rules want to know a deflate window."""
        self._loop = asyncio.get_running_loop()
        self._notified: set[Side] = set()
        self._faulty: set[Side] = set()
        """Sides whose bytes pass blind since a fault of ours."""
        self._bypassed: set[Side] = set()
        """Sides whose bytes pass the session by, since it failed even so."""
        self._undelivered = [0, 0]
        self._held = 0
        """A bit for each side that is not read since the other one takes no more."""
        self._full = 0
        """A bit for each side that is not read since too much of what it sent waits in the session."""
        self._severed = False
        """Rules have ended both legs, and a limit is set for them to go."""
        self._alarm = Alarm(self._wake)
        self._throttled = False
        """Nobody is read since the capture's writer takes no more."""
        self._finished = False
        self._limits: list[asyncio.TimerHandle] = []
        """Of the legs that have to go."""
        self._task: asyncio.Task[None] | None = None
        self.legs = (
            self._leg(Side.CLIENT, upgraded.client_io.writer, pipe_of(upgraded.client_tls)),
            self._leg(Side.SERVER, upgraded.server_io.writer, pipe_of(upgraded.server_tls)),
        )
        self.legs[0].peer, self.legs[1].peer = self.legs[1], self.legs[0]

    def _leg(self, side: Side, writer: object, pipe: Pipe | None) -> Leg:
        assert isinstance(writer, asyncio.StreamWriter)
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        return Leg(self, side, transport, pipe)

    # ------------------------------------------------------------------------------------------ the start

    async def start(self) -> None:
        """Take both sockets. Raises TakeoverFailed where mitmproxy has to go on."""
        layer = self.upgraded.layer
        try:
            contract.install_sink(layer, self._sink)
            for leg in self.legs:
                if not leg.gone:  # a reset may have come between the 101 and now
                    leg.transport.pause_reading()
                    leg.transport.set_protocol(leg)
                    self.watcher.watch(leg.sock, leg.socket_failed)
            await self._readers_are_empty()
            # No await from here on: nothing may come in between.
            self._replay_queue()
            for leg in self.legs:
                if leg.gone and leg.pending_end is None:
                    leg.gone_early(self._reader(leg))
                leg.go_live()
        except Exception as exc:
            logger.error("the takeover of connection %d failed: %r", self.session.conn, exc, exc_info=exc)
            self._give_back()
            raise TakeoverFailed(str(exc) or type(exc).__name__) from exc
        contract.forget_parsers(layer)
        contract.on_kill(self.upgraded, self.stop)
        for leg in self.legs:
            if leg.gone:
                self.leg_gone(leg, None)
            elif not leg.transport.is_closing():
                self._read_if_free(leg)
        self._pump()  # what rules do at the opening

    async def _readers_are_empty(self) -> None:
        """Until mitmproxy's read tasks have handed over what their StreamReaders held."""
        readers = [self.upgraded.client_io.reader, self.upgraded.server_io.reader]
        deadline = self._loop.time() + DRAIN_LIMIT_S
        quiet = 0
        while quiet < 3:  # a read task that has the bytes needs a turn or two to put them into the layer
            await asyncio.sleep(0)
            held = sum(
                contract.reader_buffer(reader)
                for reader in readers
                if isinstance(reader, asyncio.StreamReader) and reader.exception() is None
            )
            quiet = 0 if held or contract.is_handling(self.upgraded.handler) else quiet + 1
            if held:
                if self._loop.time() > deadline:
                    raise TimeoutError(f"mitmproxy still holds {held} bytes after {DRAIN_LIMIT_S:g} s")
                await asyncio.sleep(0.001)

    def _replay_queue(self) -> None:
        """What reached the layer while its start hook ran; on a fault the rest goes back to the layer."""
        waiting = contract.take_paused_events(self.upgraded.layer)
        try:
            while waiting:
                self._replay(waiting[0])
                del waiting[0]
        finally:
            contract.put_paused_events(self.upgraded.layer, waiting)

    def _replay(self, event: events.Event) -> None:
        """An event that reached the layer while its start hook ran."""
        if isinstance(event, events.DataReceived):
            self.forward(self._leg_of(event), bytes(event.data))
        elif isinstance(event, events.ConnectionClosed):
            leg = self._leg_of(event)
            if leg.gone:
                leg.gone_early(self._reader(leg))
            else:
                leg.ended_early(self._reader(leg))
        elif isinstance(event, events.MessageInjected):
            self._inject_event(event)

    def _reader(self, leg: Leg) -> asyncio.StreamReader:
        """mitmproxy's reader of the leg's socket."""
        io = self.upgraded.client_io if leg.side is Side.CLIENT else self.upgraded.server_io
        assert isinstance(io.reader, asyncio.StreamReader)
        return io.reader

    def _leg_of(self, event: events.ConnectionEvent) -> Leg:
        return self.legs[0 if event.connection is self.upgraded.flow.client_conn else 1]

    def _give_back(self) -> None:
        layer = self.upgraded.layer
        contract.remove_sink(layer)
        for leg in self.legs:
            self.watcher.forget(leg.sock)
            if leg.gone or leg.transport.get_protocol() is leg:
                leg.give_back()

    # --------------------------------------------------------------------------------------- bytes and ends

    def forward(self, leg: Leg, data: bytes) -> None:
        """One read: to the capture's writer, to the peer, then what can wait. The hot path."""
        session = self.session
        peer = leg.peer
        side = leg.side
        sent = False
        try:
            if self._bypassed and side in self._bypassed:
                peer.write(data)
                return
            now_ns = time.monotonic_ns()
            if (read := session.pass_on(side, data, now_ns)) is not None:
                self._append_read(read)
                sent = True
                if peer.clear and peer.pipe is None:
                    peer.send(data)
                else:
                    peer.write(data)
                self._seal()
                if session.passed(side, data, now_ns):
                    self._pump()
                return
            session.receive(side, data, now_ns)
            self._append(*session.take_records())
            sent = True
            for out in session.take_output(peer.side):
                peer.write(out) if isinstance(out, bytes) else peer.finish(out)
            if session.settle(now_ns):
                self._pump()
            if session.inspects(side):
                leg.read_size.took(len(data), time.monotonic_ns() - now_ns)
        except Exception as exc:
            if not sent:
                self._pass_back(leg, data)
            self.fault(leg, exc)

    def _pass_back(self, leg: Leg, data: bytes) -> None:
        """After a fault: what the session has of `leg` goes out as it came. `data`: the read under way."""
        try:
            outputs = self.session.take_back(leg.side, time.monotonic_ns(), data)
        except Exception:
            logger.exception("what the session held could not be taken back")
            outputs = [data]
        for out in outputs:
            leg.peer.write(out) if isinstance(out, bytes) else leg.peer.finish(out)

    def ended(
        self,
        leg: Leg,
        how: How,
        *,
        errno: str | None,
        detail: str,
        info: dict[str, int] | None,
        discarded: int,
    ) -> None:
        """One side ended; the other leg gets the same."""
        if how is How.CLOSE_NOTIFY:
            self._notified.add(leg.side)
        try:
            self.session.end(
                leg.side,
                how,
                time.monotonic_ns(),
                errno=errno,
                detail=detail,
                discarded_bytes=discarded,
                tcp_info=info,
            )
            self._pump()
        except Exception as exc:
            self._pass_back(leg, b"")
            self.fault(leg, exc)
            leg.peer.finish(Finish.FIN if how in (How.FIN, How.CLOSE_NOTIFY) else Finish.RST)

    def saw_close_notify(self, leg: Leg) -> bool:
        return leg.side in self._notified

    def command(self, command: Command) -> Answer:
        """An injection, by the control socket or `inject.websocket`; or a word about what is held."""
        answer = self.session.command(command, time.monotonic_ns())
        self._pump()
        return answer

    def flush(self) -> None:
        """Send and record what others have left in the session."""
        self._pump()

    def undelivered(self, leg: Leg, nbytes: int) -> None:
        """Bytes that `leg` could not take any more; said once, when both legs are gone."""
        self._undelivered[leg.side] += nbytes

    def stop(self) -> None:
        """wsinspect ends: FIN both ways, then reading goes on for the peers' FIN, for a while."""
        if self._finished or self.session.stopped:
            return
        self.session.stop(time.monotonic_ns(), tuple(tcp_info(leg.sock) for leg in self.legs))
        self._pump()
        for leg in self.legs:
            self._limit(leg, STOP_LIMIT_S)

    def _pump(self) -> None:
        self._append(*self.session.take_records())
        for leg in self.legs:
            for out in self.session.take_output(leg.side):
                if isinstance(out, bytes):
                    leg.write(out)
                    continue
                leg.finish(out)
                if leg.peer.gone and not leg.gone:
                    self._limit(leg, ORPHAN_LIMIT_S)
        if self.session.ruled:
            self._tend()

    def _tend(self) -> None:
        """What a session with rules wants between two events: an alarm, and a pause where too much waits."""
        session = self.session
        self._alarm.set(session.next_wake_ns)
        if session.has_hold_news:
            self.on_holds(session)
        if session.wants_windows:
            self.on_windows(session)
        for leg in self.legs:
            leg.read_size.inspected(session.inspects(leg.side))
            full = not session.wants_reading(leg.side)
            if full is not bool(self._full & 1 << leg.side):
                self._full ^= 1 << leg.side
                self._pause(leg) if full else self._read_if_free(leg)
        if session.severed and not self._severed:
            self._severed = True
            for leg in self.legs:
                self._limit(leg, ORPHAN_LIMIT_S)

    def _wake(self) -> None:
        """The session's time has come."""
        try:
            self.session.wake(time.monotonic_ns())
            self._pump()
        except Exception as exc:
            for leg in self.legs:
                self._pass_back(leg, b"")
                self.fault(leg, exc)

    # ------------------------------------------------------------------------------------------ flow control

    def pause_reading(self, leg: Leg) -> None:
        self._held |= 1 << leg.side
        if not leg.errno:
            leg.pause()

    def resume_reading(self, leg: Leg) -> None:
        self._held &= ~(1 << leg.side)
        self._read_if_free(leg)

    def throttle(self, on: bool) -> None:
        """The capture's writer takes no more for now, or takes more again."""
        self._throttled = on
        for leg in self.legs:
            if not on:
                self._read_if_free(leg)
            else:
                self._pause(leg)

    def _pause(self, leg: Leg) -> None:
        if leg.pending is None and not leg.errno and not leg.gone and not leg.transport.is_closing():
            leg.pause()

    def _read_if_free(self, leg: Leg) -> None:
        """Go on reading where nothing is against it: the peer's pace, the writer's, or what rules hold."""
        if self._throttled or (self._held | self._full) & 1 << leg.side or leg._draining_until is not None:
            return
        if leg.pending is None and not leg.came_to_end and not leg.gone:
            leg.resume()

    def read_on(self, leg: Leg) -> None:
        """The socket has failed: read what is left in it, whatever the other side's pace; it is bounded."""
        if not leg.transport.is_closing():
            leg.resume()

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(delay_s, callback)

    def _limit(self, leg: Leg, delay_s: float) -> None:
        """The time that `leg` has to go by itself."""
        self._limits.append(self._loop.call_later(delay_s, leg.let_go))

    def fault(self, leg: Leg, exc: Exception) -> None:
        """Ours, not the peer's: what `leg` sends passes blind from now on, and it is said once."""
        if leg.side in self._faulty:
            self._bypassed.add(leg.side)
            return
        self._faulty.add(leg.side)
        logger.error("fault in connection %d: %r", self.session.conn, exc, exc_info=exc)
        text = f"a fault in wsinspect ({type(exc).__name__}): the {leg.side.word}'s bytes pass unparsed"
        try:
            self.session.go_blind(leg.side, time.monotonic_ns(), text)
            self._pump()
        except Exception:
            self._bypassed.add(leg.side)
            logger.exception("the notice of a fault failed too")

    # ------------------------------------------------------------------------------------------------ the end

    def leg_gone(self, leg: Leg, exc: Exception | None) -> None:
        """A transport is closed. mitmproxy's protocol hears of it, so that nobody waits for a drain."""
        if leg.pending is not None:
            return  # the start of the takeover sees to it
        try:
            if leg.old is not None:
                leg.old.connection_lost(exc)
        except Exception:
            logger.exception("mitmproxy's protocol could not be told of the end")
        if not leg.peer.is_ending():
            if not self.session.owes_end(leg.peer.side):
                leg.peer.abort()
        elif not leg.peer.gone:
            self._limit(leg.peer, ORPHAN_LIMIT_S)
        self._finish_if_gone()

    def _finish_if_gone(self) -> None:
        if self._finished or not all(leg.gone for leg in self.legs):
            return
        self._finished = True
        for limit in self._limits:  # a timer that waits costs each turn of the loop 1 us [measured]
            limit.cancel()
        now_ns = time.monotonic_ns()
        try:
            for leg in self.legs:
                if left := self._undelivered[leg.side]:
                    text = f"{left} bytes could not be delivered to the {leg.side.word} any more"
                    self.session.notice(Notice(code="undelivered", text=text, side=leg.side), now_ns)
            self.session.closed(now_ns)
            self._pump()
            self._alarm.set(None)
        except Exception:
            logger.exception("the end of connection %d could not be recorded", self.session.conn)
        self._on_finished(self.session)
        self._task = self._loop.create_task(self._tell_mitmproxy(), name="wsinspect: relay finished")

    async def _tell_mitmproxy(self) -> None:
        flow = self.upgraded.flow
        if flow.websocket is not None:
            flow.websocket.timestamp_end = time.time()
            flow.websocket.closed_by_client, flow.websocket.close_code, flow.websocket.close_reason = (
                close_of(self.session)
            )
        await self.upgraded.handler.server_event(contract.RelayFinished(flow, None))
        if not contract.is_done(self.upgraded.layer):
            contract.cancel_legs(self.upgraded)

    def _sink(self, event: events.Event) -> Iterator[commands.Command]:
        """In the place of the layer's `relay_messages`."""
        if isinstance(event, contract.RelayFinished):
            yield from contract.finish_layer(self.upgraded.layer, self.upgraded.flow)
        elif isinstance(event, events.MessageInjected):
            self._inject_event(event)

    def _inject_event(self, event: events.MessageInjected) -> None:  # type: ignore[type-arg]
        command = inject_of(event)
        answer = command and self.command(command)
        if answer and not answer.ok:
            logger.warning("inject.websocket: %s", answer.text)
