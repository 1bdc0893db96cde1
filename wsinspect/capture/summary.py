"""Counting what a timeline brings: per connection and in all, with the state that each connection is in.

The state is a literal table. A connection is *failed* without a 101; *dropped* where a side ended (or all
was over) with no Close seen; *closed* where a Close was seen both ways, or a side ended after a Close. Frames
of a connection whose 101 was not captured show that there was one.

Another protocol after the 101 (`transport: raw`) has no Close to see: there a FIN closes, all else drops.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import assert_never

from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, GapEvent, MessageEvent, RawEvent
from wsinspect.capture.verdicts import RuleTally
from wsinspect.model import (
    Altered,
    Closed,
    ConnectionState,
    Ended,
    Fact,
    Failed,
    How,
    Judged,
    Notice,
    Opcode,
    Opened,
    Released,
    Requested,
    Ruled,
    Side,
    Unknown,
    opcode_word,
)
from wsinspect.wire.close_codes import parse_close
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.extensions import negotiated
from wsinspect.wire.handshake import Finding, analyse

_KEPT = 100
"""Notices, ends and closes kept of a connection: a healthy one has a handful."""


class _Step(enum.Enum):
    """What can move a connection on."""

    OPENED = enum.auto()
    FAILED = enum.auto()
    CLOSE = enum.auto()
    """The first side's Close frame."""
    SECOND_CLOSE = enum.auto()
    """The other side's."""
    ENDED = enum.auto()
    GONE = enum.auto()
    """Both legs are gone, or the process that relayed them is."""


_S = ConnectionState
_NEXT = {
    (_S.CONNECTING, _Step.OPENED): _S.OPEN,
    (_S.CONNECTING, _Step.FAILED): _S.FAILED,
    (_S.CONNECTING, _Step.GONE): _S.FAILED,
    (_S.OPEN, _Step.FAILED): _S.FAILED,
    (_S.OPEN, _Step.CLOSE): _S.CLOSING,
    (_S.OPEN, _Step.ENDED): _S.DROPPED,
    (_S.OPEN, _Step.GONE): _S.DROPPED,
    (_S.CLOSING, _Step.SECOND_CLOSE): _S.CLOSED,
    (_S.CLOSING, _Step.ENDED): _S.CLOSED,
    (_S.CLOSING, _Step.GONE): _S.CLOSED,
}
"""What is not in it changes nothing."""


@dataclass(slots=True)
class CloseSeen:
    """A Close frame that went by."""

    side: Side
    code: int | None
    reason: str
    t_ns: int
    injected: bool = False


@dataclass(slots=True)
class ConnectionSummary:
    """One connection, as far as it was read. Lists of two are by side."""

    conn: int
    first_ns: int
    """Of its first event."""
    last_ns: int
    """Of its last event."""
    state: ConnectionState = ConnectionState.CONNECTING
    url: str = ""
    requested: Requested | None = None
    opened: Opened | None = None
    failed: Failed | None = None
    closed: Closed | None = None
    opened_ns: int | None = None
    closed_ns: int | None = None
    """When it got into its last state (closed, dropped, failed)."""
    subprotocol: str | None = None
    deflate: DeflateParams | None = None
    findings: list[Finding] = field(default_factory=list)
    """Of the handshake."""
    frames: list[int] = field(default_factory=lambda: [0, 0])
    messages: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    """On the wire since the 101: headers and payloads of its frames, and what is not parsed."""
    lost_bytes: list[int] = field(default_factory=lambda: [0, 0])
    """In gaps."""
    injected: list[int] = field(default_factory=lambda: [0, 0])
    """Frames that wsinspect sent itself, whatever for; they are not in `frames`, `bytes` or `kinds`."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Frames by `text`, `ping` …, of both sides."""
    violations: Counter[str] = field(default_factory=Counter)
    """By slug."""
    close: list[CloseSeen] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    """In order: the first says who ended it, and how."""
    altered: list[Altered] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    rules: RuleTally = field(default_factory=RuleTally)
    """What rules did."""
    private: list[bool] = field(default_factory=lambda: [False, False])
    """What that side sends is captured after rules have taken things out of it."""

    @property
    def ended_first(self) -> Ended | None:
        """Which side's stream ended first, with its evidence."""
        return self.ends[0] if self.ends else None

    @property
    def is_live(self) -> bool:
        return self.state in (_S.CONNECTING, _S.OPEN, _S.CLOSING)

    def step(self, step: _Step, t_ns: int) -> None:
        state = _NEXT.get((self.state, step), self.state)
        if state is not self.state:
            self.state = state
            self.closed_ns = None if self.is_live else t_ns


@dataclass(slots=True)
class Totals:
    """Of all connections. Lists of two are by side."""

    kinds: list[Counter[str]] = field(default_factory=lambda: [Counter(), Counter()])
    frames: list[int] = field(default_factory=lambda: [0, 0])
    messages: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    lost_bytes: list[int] = field(default_factory=lambda: [0, 0])
    injected: list[int] = field(default_factory=lambda: [0, 0])
    gaps: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    rules: RuleTally = field(default_factory=RuleTally)
    first_ns: int | None = None
    last_ns: int | None = None


class Summary:
    """Feed it every event of a timeline; look at it at any time."""

    def __init__(self) -> None:
        self.connections: dict[int, ConnectionSummary] = {}
        self.totals = Totals()
        self.notices: list[Notice] = []
        """Of the capture as a whole."""
        self.ruled: Ruled | None = None
        """Which rules hold; None where none were ever loaded."""
        self.rules_error = ""
        """Why they are not those of the file as it stands."""

    def states(self) -> Counter[ConnectionState]:
        """How many connections are in each state."""
        return Counter(connection.state for connection in self.connections.values())

    def feed(self, event: Event) -> None:
        """Count one event."""
        totals = self.totals
        if totals.first_ns is None:
            totals.first_ns = event.t_ns
        totals.last_ns = event.t_ns
        if event.conn == 0:
            if isinstance(event, FactEvent):
                self._capture_fact(event.fact)
            return
        connection = self.connections.get(event.conn)
        if connection is None:
            connection = ConnectionSummary(event.conn, event.t_ns, event.t_ns)
            self.connections[event.conn] = connection
        connection.last_ns = event.t_ns
        match event:
            case FrameEvent():
                self._frame(connection, event)
            case MessageEvent():
                if not event.ours:
                    connection.messages[event.side] += 1
                    totals.messages[event.side] += 1
                    if event.verdict is not None:
                        self._judged(connection, event.verdict)
            case GapEvent():
                connection.lost_bytes[event.side] += event.nbytes
                totals.lost_bytes[event.side] += event.nbytes
                totals.gaps += 1
            case RawEvent():
                connection.step(_Step.OPENED, event.t_ns)
                connection.bytes[event.side] += len(event.data)
                totals.bytes[event.side] += len(event.data)
            case FactEvent():
                self._fact(connection, event.fact, event.t_ns)

    def _capture_fact(self, fact: Fact) -> None:
        if isinstance(fact, Notice):
            self._capture_notice(fact)
        elif isinstance(fact, Ruled):
            self.rules_error = fact.error
            if not fact.error:
                self.ruled = fact

    def _capture_notice(self, notice: Notice) -> None:
        if len(self.notices) < _KEPT:
            self.notices.append(notice)
        if notice.code == "segment":  # the process that relayed them is gone, and they with it
            self.ruled, self.rules_error = None, ""
            for connection in self.connections.values():
                connection.step(_Step.GONE, connection.last_ns)

    def _frame(self, connection: ConnectionSummary, event: FrameEvent) -> None:
        frame, side, totals = event.frame, event.side, self.totals
        connection.step(_Step.OPENED, event.t_ns)
        if event.ours:
            connection.injected[side] += 1
            totals.injected[side] += 1
            connection.rules.sent(event.rule, event.flags[0])
            totals.rules.sent(event.rule, event.flags[0])
        else:
            if frame.is_control and event.verdict is not None:
                self._judged(connection, event.verdict)
            word = opcode_word(frame.opcode)
            connection.frames[side] += 1
            connection.kinds[word] += 1
            totals.frames[side] += 1
            totals.kinds[side][word] += 1
            # A length with its top bit set announces bytes that never come.
            size = frame.header_bytes if frame.length >> 63 else frame.wire_bytes
            connection.bytes[side] += size
            totals.bytes[side] += size
            for violation in frame.violations:
                connection.violations[violation.slug] += 1
                totals.violations[violation.slug] += 1
        if frame.opcode == Opcode.CLOSE:
            self._close(connection, event)

    def _judged(self, connection: ConnectionSummary, verdict: Judged) -> None:
        connection.rules.judged(verdict)
        self.totals.rules.judged(verdict)

    def _close(self, connection: ConnectionSummary, event: FrameEvent) -> None:
        code, reason, _ = parse_close(event.frame.payload)
        if len(connection.close) < _KEPT:
            seen = CloseSeen(event.side, code, reason, event.t_ns, injected=event.ours)
            connection.close.append(seen)
        connection.step(_Step.CLOSE, event.t_ns)
        if len({seen.side for seen in connection.close}) == 2:
            connection.step(_Step.SECOND_CLOSE, event.t_ns)

    def _fact(self, connection: ConnectionSummary, fact: Fact, t_ns: int) -> None:
        match fact:
            case Requested():
                connection.requested = fact
                connection.url = fact.url
            case Opened():
                connection.opened = fact
                connection.opened_ns = t_ns
                connection.step(_Step.OPENED, t_ns)
                agreed = negotiated(fact.headers)
                connection.subprotocol, connection.deflate = agreed.subprotocol, agreed.deflate
                if connection.requested:
                    connection.findings = analyse(connection.requested, fact)
            case Failed():
                connection.failed = fact
                connection.step(_Step.FAILED, t_ns)
                if connection.requested:
                    connection.findings = analyse(connection.requested, None)
            case Ended():
                self._end(connection, fact, t_ns)
            case Closed():
                connection.closed = fact
                connection.step(_Step.GONE, t_ns)
            case Altered():
                if len(connection.altered) < _KEPT:
                    connection.altered.append(fact)
            case Notice():
                if len(connection.notices) < _KEPT:
                    connection.notices.append(fact)
                if fact.code == "evicted":  # its end went with it
                    connection.step(_Step.GONE, t_ns)
                elif fact.code == "private" and fact.side is not None:
                    connection.private[fact.side] = True
            case Judged():
                self._judged(connection, fact)
            case Released() | Ruled() | Unknown():
                pass
            case _:
                assert_never(fact)

    def _end(self, connection: ConnectionSummary, ended: Ended, t_ns: int) -> None:
        if len(connection.ends) < _KEPT:
            connection.ends.append(ended)
        raw = connection.opened is not None and connection.opened.transport != "websocket"
        if raw and ended.how in (How.FIN, How.CLOSE_NOTIFY):
            connection.step(_Step.CLOSE, t_ns)  # the only way in which another protocol can close
        connection.step(_Step.ENDED, t_ns)
