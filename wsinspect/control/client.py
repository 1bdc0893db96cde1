"""A blocking client of the control socket, for commands and for threads of the screen."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wsinspect.control import paths
from wsinspect.control.protocol import (
    Close,
    Event,
    Holds,
    HoldsStatus,
    Lines,
    ProxyInfo,
    ProxyStatus,
    Reload,
    Request,
    ResolveHold,
    Rules,
    RulesStatus,
    Send,
    Stopping,
    SwitchRules,
    Watch,
    answer_values,
    encode_line,
    encode_request,
    parse_event,
    parse_line,
    request_values,
)
from wsinspect.errors import ProxyUnreachable, TimedOut
from wsinspect.model import Opcode, Side


class ControlClient:
    """One connection to a proxy; requests may come from any thread, one at a time.

    `address` is a process id, a socket's path, or None for the only proxy there is. Raises what
    `paths.resolve` raises, ProxyUnreachable where nothing answers, TimedOut where it answers too late.
    Call `close` when done.
    """

    def __init__(self, address: str | int | Path | None = None, *, timeout_s: float = 10.0) -> None:
        self.path = paths.resolve(address)
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._last_id = 0
        self.stop_requested = False
        """Whether `stop` was called, and the proxy said yes."""
        self._wire = _Wire(self.path, timeout_s)
        try:
            self.info = ProxyInfo.parse(self.request("hello"))
        except BaseException:
            self.close()
            raise

    def request(self, do: str, **values: Any) -> dict[str, Any]:
        """The answer's values. Raises ControlError (refused), ProxyUnreachable, TimedOut."""
        with self._lock:
            self._last_id += 1
            request_id = self._last_id
            deadline = time.monotonic() + self.timeout_s
            self._wire.write(encode_line({"id": request_id, "do": do} | values), deadline)
            while True:
                line = self._wire.read(deadline)
                if "event" not in line and line.get("id") in (request_id, None):
                    return answer_values(line)

    def ask(self, request: Request) -> dict[str, Any]:
        """`request`, typed."""
        values = request_values(request)
        return self.request(values.pop("do"), **values)

    def status(self) -> ProxyStatus:
        return ProxyStatus.parse(self.request("status"))

    def send(self, conn: int, to: Side, payload: str | bytes, opcode: Opcode | None = None) -> str:
        """Put one message on the wire for `to`; a str is text, bytes are binary, unless `opcode` is given.

        Returns what became of it: `sent`, or `waiting for a boundary`.
        """
        data = payload.encode() if isinstance(payload, str) else payload
        kind = opcode or (Opcode.TEXT if isinstance(payload, str) else Opcode.BINARY)
        return str(self.ask(Send(conn, to, kind, data)).get("result", ""))

    def close_connection(
        self,
        conn: int,
        code: int | None = 1000,
        reason: str = "",
        to: tuple[Side, ...] = (Side.CLIENT, Side.SERVER),
    ) -> str:
        """Put a Close frame on the wire for the sides in `to`; returns what became of it, as `send`."""
        return str(self.ask(Close(conn, code, reason, to)).get("result", ""))

    def rules(self) -> RulesStatus:
        """Its rules, with their hits."""
        return RulesStatus.parse(self.ask(Rules()))

    def reload(self) -> RulesStatus:
        """Have it read its rule files anew. Raises ControlError with every mistake in them."""
        return RulesStatus.parse(self.ask(Reload()))

    def switch_rules(self, rules: Iterable[str], on: bool) -> None:
        """Raises ControlError where one of them is not there; then none is switched."""
        self.ask(SwitchRules(tuple(rules), on))

    def holds(self) -> HoldsStatus:
        """The messages that wait for somebody's word."""
        return HoldsStatus.parse(self.ask(Holds()))

    def release(self, conn: int, hold: int) -> None:
        """Raises ControlError, `already-released` where somebody was first; so do the three below."""
        self.ask(ResolveHold(conn, hold, "release"))

    def edit(self, conn: int, hold: int, payload: str | bytes) -> None:
        """Let a held message go on with another payload."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.ask(ResolveHold(conn, hold, "edit", data))

    def drop(self, conn: int, hold: int) -> None:
        """A held message does not go on."""
        self.ask(ResolveHold(conn, hold, "drop"))

    def wait_for_word(self, conn: int, hold: int) -> None:
        """Begin a held message's time limit anew."""
        self.ask(ResolveHold(conn, hold, "wait"))

    def stop(self, wait_s: float | None = None) -> None:
        """End the proxy; with `wait_s` return when it is gone. Raises TimedOut where it is still there."""
        self.request("stop")
        self.stop_requested = True
        if wait_s is not None:
            self.wait_until_gone(wait_s)

    def wait_until_gone(self, timeout_s: float) -> None:
        """Return when the proxy has closed this connection. Raises TimedOut."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            try:
                while True:
                    self._wire.read(deadline)
            except ProxyUnreachable:
                return

    def gone(self) -> bool:
        """Whether the proxy has closed this connection, without waiting for it."""
        with self._lock:
            return self._wire.at_end()

    def watch(self, *, attached: bool = True) -> EventReader:
        """The proxy's events, on a connection of their own. Call its `close` when done.

        `info` is as of then or later: what has changed since, an event says. `attached`: somebody is there
        to release what rules hold, until `close`.
        """
        events = EventReader(self.path, self.timeout_s, attached=attached)
        try:
            self.info = ProxyInfo.parse(self.request("hello"))
        except BaseException:
            events.close()
            raise
        return events

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EventReader:
    """Iterates over a proxy's events until it stops; a thread may block in it while another calls `close`."""

    def __init__(self, path: Path, timeout_s: float = 10.0, *, attached: bool = True) -> None:
        self._wire = _Wire(path, timeout_s)
        deadline = time.monotonic() + timeout_s
        self._early: list[Event] = []
        try:
            self._wire.write(encode_request(1, Watch(attached)), deadline)
            while "event" in (line := self._wire.read(deadline)):
                self._early.append(parse_event(line))
            answer_values(line)
        except BaseException:
            self._wire.close()
            raise

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None where none came in time. Raises ProxyUnreachable at the end."""
        if self._early:
            return self._early.pop(0)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                line = self._wire.read(deadline)
            except TimedOut:
                return None
            if "event" in line:
                return parse_event(line)

    def __iter__(self) -> Iterator[Event]:
        while True:
            try:
                event = self.next()
            except ProxyUnreachable:
                return
            if event is not None:
                yield event
            if isinstance(event, Stopping):
                return

    def close(self) -> None:
        self._wire.close()


class _Wire:
    """A unix socket that speaks in lines, each call with a deadline (of time.monotonic)."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._socket = paths.connect(path, timeout_s)
        self._cutter = Lines()
        self._lines: list[bytes] = []

    def write(self, line: bytes, deadline: float) -> None:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            self._socket.sendall(line)
        except TimeoutError:
            raise TimedOut(f"the proxy at {self._path} does not take the request") from None
        except OSError as error:
            raise self._gone() from error

    def read(self, deadline: float | None) -> dict[str, Any]:
        while not self._lines:
            if deadline is None:
                self._socket_timeout(None)
            else:
                self._socket_timeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise TimedOut(f"the proxy at {self._path} does not answer") from None
            except OSError as error:
                raise self._gone() from error
            if not data:
                raise self._gone()
            self._lines = self._cutter.receive(data)
        return parse_line(self._lines.pop(0))

    def at_end(self) -> bool:
        try:
            self._socket.settimeout(0)
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _socket_timeout(self, seconds: float | None) -> None:
        try:
            self._socket.settimeout(seconds)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> ProxyUnreachable:
        return ProxyUnreachable(f"the proxy at {self._path} is gone")

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
