"""The live relays of a proxy process, by connection number; each 101 becomes one."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Literal

from mitmproxy.proxy import layer, server

from wsinspect.capture.writer import Writer
from wsinspect.decode.registry import decoder_of
from wsinspect.model import Notice
from wsinspect.model.plans import Judge
from wsinspect.proxy import contract
from wsinspect.proxy.attempts import Attempt, AttemptRules, Attempts
from wsinspect.proxy.hooked import HookedRelay
from wsinspect.proxy.layer import LayerRelay
from wsinspect.proxy.takeover import Takeover, TakeoverFailed
from wsinspect.proxy.watcher import EdgeWatcher
from wsinspect.proxy.windows import Windows
from wsinspect.relay.session import Session
from wsinspect.wire.extensions import Negotiated, negotiated

logger = logging.getLogger(__name__)


def _new_key() -> bytes:
    """A masking key (RFC 6455 5.3)."""
    return os.urandom(4)


type Relay = Takeover | LayerRelay


class Relays:
    """Starts a relay for each 101 and knows those that live."""

    def __init__(
        self,
        writer: Writer,
        attempts: Attempts,
        path: Literal["auto", "layer"],
        who_wants_messages: Callable[[], str] = str,
    ) -> None:
        """`who_wants_messages`: why messages shall go through hooks; empty where they need not."""
        self.live: dict[int, Relay] = {}
        self.forget: Callable[[int], None] = lambda conn: None
        """Told of a connection that is over."""
        self.on_holds: Callable[[Session], None] = lambda session: None
        """Told of a session in which something is held, or is not any more."""
        self.frames = 0
        """Of the relays that have ended."""
        self.wire_bytes = 0
        self._writer = writer
        self._attempts = attempts
        self._path = path
        self._who_wants_messages = who_wants_messages
        self._watcher = EdgeWatcher(asyncio.get_running_loop())
        self._nobody_left = asyncio.Event()
        self._nobody_left.set()
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._attended = False
        """Somebody is there who can decide about held messages."""
        self._agreed: dict[int, Negotiated] = {}
        """What handshakes agreed to, of live connections with rules."""
        self._windows = Windows(lambda: writer.path, self.live, self._agreed)
        writer.count_frames = self.count_frames
        writer.on_full = self.pause_all
        writer.on_room = self._room

    async def upgraded(
        self, handler: server.ConnectionHandler, wanted: Callable[[layer.Layer], bool]
    ) -> None:
        """A 101 went to the client, and its layer waits in its start hook: take it from here."""
        found = contract.find_upgraded(handler, wanted)
        if found is None:
            logger.warning("a connection switched protocols, but one of its legs is gone already")
            return
        hooked = self._who_wants_messages() if found.flow.websocket is not None else ""
        takeover = self._path == "auto" and found.can_be_taken_over and not hooked
        attempt = self._attempts.open(
            found.flow, found.server_address, path="takeover" if takeover else "layer"
        )
        conn = attempt.conn
        session = Session(
            conn,
            client_tls=bool(found.client_tls),
            server_tls=bool(found.server_tls),
            blind=not attempt.is_websocket,
        )
        if attempt.rules is not None and attempt.is_websocket:
            self._judge_first(session, attempt, attempt.rules)
        contract.never_time_out(handler)
        self._nobody_left.clear()
        if takeover:
            try:
                relay = Takeover(found, session, self._writer, self._watcher, self._finished)
                relay.on_holds, relay.on_windows = self._holds_changed, self._windows.want
                self.live[conn] = relay
                relay.throttle(self._paused)
                await relay.start()
            except Exception as exc:  # whatever it was: the old protocols are in place
                if not isinstance(exc, TakeoverFailed):
                    logger.error("the takeover of connection %d failed: %r", conn, exc, exc_info=exc)
                self._attempts.notice(
                    conn, "takeover-failed", f"mitmproxy's layers carry this connection: {exc}"
                )
            else:
                return
        if hooked:
            text = f"messages go one by one through hooks, since {hooked}"
            session.notice(Notice(code="hooks", text=text), time.monotonic_ns())
        kind = HookedRelay if hooked else LayerRelay
        fallback = kind(found, session, self._writer, self._finished)
        fallback.on_holds, fallback.on_windows = self._holds_changed, self._windows.want
        self.live[conn] = fallback
        fallback.throttle(self._paused)
        fallback.start()

    # ----------------------------------------------------------------------------------------------- rules

    def _judge_first(self, session: Session, attempt: Attempt, rules: AttemptRules) -> None:
        """The 101 went to the client: from its first message on rules judge the connection."""
        assert attempt.opened is not None
        agreed = self._agreed[session.conn] = negotiated(attempt.opened.headers)
        try:
            rules.opened_fact(attempt.opened, decoder_of(attempt.requested, attempt.opened))
            self._set_judge(session, rules, agreed, opening=True)
            if self._attended:
                session.attend(True, time.monotonic_ns())
        except Exception as exc:
            self._unruled(session, exc)

    def put_on(self, conn: int, rules: Judge) -> None:
        """A connection's rules have changed: from its next messages on they are others."""
        relay, agreed = self.live.get(conn), self._agreed.get(conn)
        if relay is None or agreed is None:
            return  # it has yet to open, or has ended just now
        try:
            self._set_judge(relay.session, rules, agreed)
        except Exception as exc:
            self._unruled(relay.session, exc)
        relay.flush()

    def _set_judge(
        self, session: Session, rules: Judge, agreed: Negotiated, *, opening: bool = False
    ) -> None:
        session.set_judge(rules, time.monotonic_ns(), agreed=agreed, new_key=_new_key, opening=opening)

    def _unruled(self, session: Session, exc: Exception) -> None:
        """A fault of ours: the connection goes on as it is."""
        logger.error("the rules of connection %d failed: %r", session.conn, exc, exc_info=exc)
        text = f"a fault in wsinspect ({type(exc).__name__}): rules do not see this connection"
        session.notice(Notice(code="fault", text=text, level="error"), time.monotonic_ns())

    def attend(self, there: bool) -> None:
        """Somebody is there who can decide about held messages, or nobody any more."""
        if there is self._attended:
            return
        self._attended = there
        for conn in list(self._agreed):
            relay = self.live.get(conn)
            if relay is not None:
                relay.session.attend(there, time.monotonic_ns())
                relay.flush()

    def _holds_changed(self, session: Session) -> None:
        self.on_holds(session)

    # ------------------------------------------------------------------------------------------------------

    def _finished(self, session: Session) -> None:
        self.live.pop(session.conn, None)
        self._agreed.pop(session.conn, None)
        self.forget(session.conn)
        self.frames += session.frames
        self.wire_bytes += session.wire_bytes
        if not self.live:
            self._nobody_left.set()

    def count_frames(self) -> int:
        """Frames so far, of the relays that live and of those that have ended."""
        return self.frames + sum(relay.session.frames for relay in list(self.live.values()))

    def pause_all(self) -> None:
        """Stop reading from all peers: the capture's writer takes no more for now."""
        if not self._paused:
            self._paused = True
            for relay in list(self.live.values()):
                relay.throttle(True)

    def resume_all(self) -> None:
        """Go on reading, unless the writer is full again by now."""
        if self._paused and not self._writer.full:
            self._paused = False
            for relay in list(self.live.values()):
                relay.throttle(False)

    def _room(self) -> None:
        """From the writer's thread."""
        try:
            self._loop.call_soon_threadsafe(self.resume_all)
        except RuntimeError:
            pass  # the loop is closed: nobody reads any more

    async def stop(self, limit_s: float) -> None:
        """End every relay; returns once all have ended, or after `limit_s`."""
        self._writer.on_full = None  # what the peers still send is little, and their ends must be seen
        self._writer.full = False
        self.resume_all()
        for relay in list(self.live.values()):
            relay.stop()
        try:
            async with asyncio.timeout(limit_s):
                await self._nobody_left.wait()
        except TimeoutError:
            logger.warning("%d connections had not ended after %g s", len(self.live), limit_s)

    def close(self) -> None:
        self._windows.close()
        self._watcher.close()
