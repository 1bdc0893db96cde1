"""Frames, messages and ends from records: what every reader of a capture shows, counts or exports.

    Read ──▶ as expected ──▶ decoder ──▶ FrameEvent … ──▶ assembler ──▶ MessageEvent (after its last frame)
      │
      ├──▶ not where the last one ended ──▶ GapEvent, decoder and assembler start again from its scan state
      ├──▶ blind, or another protocol  ──▶ RawEvent
      │
    Gap  ──▶ GapEvent, and the next Read starts again
    Sent ──▶ FrameEvent, MessageEvent, `ours`, with the flag "injected", "modified" …
    Fact ──▶ FactEvent; but a verdict on a message goes with the events of that message

What cannot be known is said (`lost`, `truncated`, a GapEvent), never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsinspect.capture.verdicts import Verdicts, Waiting, rule_of, verdict_flags
from wsinspect.model import (
    Clock,
    Closed,
    Fact,
    FactRecord,
    Failed,
    Frame,
    Gap,
    Judged,
    Message,
    Notice,
    Opened,
    Read,
    Record,
    ScanState,
    Sent,
    Side,
    Violation,
)
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.extensions import Negotiated, negotiated
from wsinspect.wire.frames import FrameDecoder
from wsinspect.wire.messages import MessageAssembler

MAX_CONNECTIONS = 1 << 16
"""Connections open at once; beyond it the oldest are forgotten, and resume by their reads' scan state."""

MISSING_READ = "missing read"
OUT_OF_ORDER = "read out of order"
EVICTED = "evicted"
CUT_HEADER = "the header before it is missing"


@dataclass(slots=True)
class FrameEvent:
    """One frame of the wire, at the time of the read that completed it."""

    conn: int
    side: Side
    t_ns: int
    frame: Frame
    """Of `ours` the number is 0: they are not part of the side's own count."""
    reads: tuple[int, int] = (0, 0)
    """Ordinals (from 1) of the direction's reads with its first and last byte; (0, 0) where `ours`."""
    flags: tuple[str, ...] = ()
    """Of `ours` the `Sent.why`; of others what rules did (`verdicts.verdict_flags`)."""
    rule: str | None = None
    """The rule that sent it, or the first that matched."""
    verdict: Judged | None = None
    """What rules decided about it; of a message's early fragments this is not known yet."""
    ours: bool = False
    """wsinspect put it on the wire itself."""
    of: tuple[int, int] = (0, 0)
    """Of `ours`: first and last frame of the message that it stands for, or doubles; (0, 0): of none."""


@dataclass(slots=True)
class MessageEvent:
    """One data message, after the FrameEvent of its last frame."""

    conn: int
    side: Side
    t_ns: int
    message: Message
    flags: tuple[str, ...] = ()
    rule: str | None = None
    verdict: Judged | None = None
    ours: bool = False
    of: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class FactEvent:
    conn: int
    t_ns: int
    fact: Fact


@dataclass(slots=True)
class GapEvent:
    """Bytes that cannot be shown: not in the capture, or (reason CUT_HEADER) there but not to be parsed."""

    conn: int
    side: Side
    t_ns: int
    nbytes: int
    reason: str


@dataclass(slots=True)
class RawEvent:
    """Bytes that are not parsed: of another protocol, or after the stream went blind."""

    conn: int
    side: Side
    t_ns: int
    data: bytes


type Event = FrameEvent | MessageEvent | FactEvent | GapEvent | RawEvent


@dataclass(slots=True)
class Limits:
    """In bytes; see FrameDecoder and MessageAssembler."""

    max_payload: int = 16 << 20
    max_message: int = 64 << 20


def make_decoder(side: Side, agreed: Negotiated | None, max_payload: int = 16 << 20) -> FrameDecoder:
    """A decoder for what a handshake agreed to; None: unknown, so that any reserved bit may be right."""
    return FrameDecoder(side, rsv_allowed=agreed.rsv_allowed if agreed else 7, max_payload=max_payload)


def make_assembler(side: Side, agreed: Negotiated | None, max_message: int = 64 << 20) -> MessageAssembler:
    """An assembler for what a handshake agreed to.

    Where that is unknown, a message with RSV1 is inflated if it refers to nothing before it, else it is
    "window-lost".
    """
    if agreed is not None:
        return MessageAssembler(side, agreed.deflate, max_message=max_message)
    assembler = MessageAssembler(side, DeflateParams(), max_message=max_message)
    assembler.gap(ScanState.NONE)
    return assembler


class _Direction:
    """One direction of a connection."""

    def __init__(self, conn: int, side: Side, agreed: Negotiated | None, limits: Limits) -> None:
        self.conn = conn
        self.side = side
        self.decoder = make_decoder(side, agreed, limits.max_payload)
        self.assembler = make_assembler(side, agreed, limits.max_message)
        self.expected = 0
        self.resume = False
        self.evicted = False  # the next hole is where segments were deleted
        self.reads = 0
        self.frame_began = 1  # ordinal of the read in which the frame under way began
        self.verdicts = Verdicts()

    def gap(self, gap: Gap) -> None:
        self.expected = gap.offset + gap.nbytes
        self.resume = True

    def read(self, read: Read, raw: bool) -> list[Event]:
        events: list[Event] = []
        self.reads += 1
        self._check_position(read, events)
        if raw or read.state & ScanState.BLIND or self.decoder.blind:
            events.append(RawEvent(read.conn, read.side, read.t_ns, read.data))
            return events + self.give_up() if self.verdicts else events
        if self.resume or not self.decoder.synced:
            self.resume = False
            self.decoder.resume(read.frame, read.offset, read.left, read.carry, read.state)
            self.assembler.gap(read.state)
        if not self.decoder.synced:
            events.append(GapEvent(read.conn, read.side, read.t_ns, len(read.data), CUT_HEADER))
            self.decoder.receive(read.data)
            return events
        self._decode(read, events)
        return events

    def _check_position(self, read: Read, events: list[Event]) -> None:
        missing = read.offset - self.expected
        if missing:
            reason = OUT_OF_ORDER if missing < 0 else EVICTED if self.evicted else MISSING_READ
            self.evicted = False
            events.append(GapEvent(read.conn, read.side, read.t_ns, max(0, missing), reason))
            self.resume = True
        self.expected = read.offset + len(read.data)

    def _decode(self, read: Read, events: list[Event]) -> None:
        if not self.decoder.mid_frame:
            self.frame_began = self.reads
        frames = self.decoder.receive(read.data)
        conn, side, t_ns, last = read.conn, read.side, read.t_ns, self.reads
        receive = self.assembler.receive
        verdicts = self.verdicts
        judged = bool(verdicts)
        for frame in frames:
            message = receive(frame)
            if judged and (waiting := verdicts.of(frame.number, control=frame.opcode >= 8)) is not None:
                events += self._judged(frame, message, waiting.fact, t_ns)
                continue
            events.append(FrameEvent(conn, side, t_ns, frame, (self.frame_began, last)))
            self.frame_began = last
            if message is not None:
                events.append(MessageEvent(conn, side, t_ns, message))
        rest = b""
        if frames and Violation.LENGTH_OVERFLOW in frames[-1].violations:
            rest = read.data[frames[-1].offset + frames[-1].header_bytes - read.offset :]
            if rest:
                events.append(RawEvent(conn, side, t_ns, rest))
        if judged:
            events += told(verdicts.flush() if rest else verdicts.missed())

    def _judged(self, frame: Frame, message: Message | None, fact: Judged, t_ns: int) -> list[Event]:
        """The events of a frame about which rules decided something."""
        flags, rule = verdict_flags(fact), rule_of(fact)
        reads = self.frame_began, self.reads
        self.frame_began = self.reads
        events: list[Event] = [FrameEvent(self.conn, self.side, t_ns, frame, reads, flags, rule, fact)]
        if message is not None:
            events.append(MessageEvent(self.conn, self.side, t_ns, message, flags, rule, fact))
        return events

    def give_up(self) -> list[Event]:
        """No message will come for the verdicts that wait."""
        return told(self.verdicts.flush())


class _Connection:
    def __init__(self, conn: int, opened: Opened | None, limits: Limits) -> None:
        agreed = None if opened is None else negotiated(opened.headers)
        self.agreed = agreed
        self.raw = opened is not None and opened.transport != "websocket"
        self.directions = [_Direction(conn, side, agreed, limits) for side in Side]

    def give_up(self) -> list[Event]:
        return [event for direction in self.directions for event in direction.give_up()]


class Timeline:
    """Turns the records of a capture, fed in order, into events."""

    def __init__(self, *, max_payload: int = 16 << 20, max_message: int = 64 << 20) -> None:
        """`max_payload`: bytes kept of a frame; `max_message`: of an inflated message."""
        self._limits = Limits(max_payload, max_message)
        self._connections: dict[int, _Connection] = {}
        self._evicted = False
        self._late: list[Event] = []

    def feed(self, record: Record) -> list[Event]:
        """What this record brings about. Never raises on what a peer sent or a capture holds."""
        events = self._feed(record)
        if self._late:
            events, self._late = self._late + events, []
        return events

    def finish(self) -> list[Event]:
        """Nothing more comes: the verdicts whose messages are not there."""
        return [event for connection in self._connections.values() for event in connection.give_up()]

    def _feed(self, record: Record) -> list[Event]:
        match record:
            case Read():
                connection = self._connections.get(record.conn) or self._connect(record.conn, None)
                return connection.directions[record.side].read(record, connection.raw)
            case FactRecord(fact=Judged(last_frame=last) as fact) if last:
                connection = self._connections.get(record.conn) or self._connect(record.conn, None)
                verdicts = connection.directions[fact.side].verdicts
                verdicts.add(fact, record)
                return told(verdicts.missed())
            case FactRecord():
                self._take_fact(record)
                return [FactEvent(record.conn, record.t_ns, record.fact)]
            case Sent():
                return self._sent(record)
            case Gap():
                connection = self._connections.get(record.conn) or self._connect(record.conn, None)
                direction = connection.directions[record.side]
                direction.gap(record)
                gap = GapEvent(record.conn, record.side, record.t_ns, record.nbytes, record.reason)
                return [gap, *told(direction.verdicts.kept_out())]
            case Clock():
                return []

    def _connect(self, conn: int, opened: Opened | None) -> _Connection:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._forget(next(iter(self._connections)))
        connection = self._connections[conn] = _Connection(conn, opened, self._limits)
        for direction in connection.directions:
            direction.evicted = self._evicted
        return connection

    def _forget(self, conn: int) -> None:
        connection = self._connections.pop(conn, None)
        if connection is not None:
            self._late += connection.give_up()

    def _take_fact(self, record: FactRecord) -> None:
        match record.fact:
            case Opened() as opened:
                known = self._connections.get(record.conn)
                if known is None or not any(direction.reads for direction in known.directions):
                    self._connect(record.conn, opened)
            case Failed() | Closed():
                self._forget(record.conn)
            case Notice(code="segment"):
                for conn in list(self._connections):  # another process writes now: its connections are others
                    self._forget(conn)
            case Notice(code="evicted"):
                self._take_eviction(record.conn)
            case _:
                pass

    def _take_eviction(self, conn: int) -> None:
        """Of the capture as a whole: holes follow. Of a connection: it ended in one."""
        if conn:
            self._forget(conn)
            return
        self._evicted = True
        for connection in self._connections.values():
            for direction in connection.directions:
                direction.evicted = True

    def _sent(self, sent: Sent) -> list[Event]:
        connection = self._connections.get(sent.conn)
        agreed = None if connection is None else connection.agreed
        conn, side, t_ns, flags, rule = sent.conn, sent.side, sent.t_ns, (sent.why,), sent.rule
        of = sent.first_frame, sent.last_frame
        events: list[Event] = []
        for frame, message in decode_sent(sent, agreed, self._limits):
            events.append(FrameEvent(conn, side, t_ns, frame, (0, 0), flags, rule, None, True, of))
            if message is not None:
                events.append(MessageEvent(conn, side, t_ns, message, flags, rule, None, True, of))
        return events


def told(waiting: list[Waiting]) -> list[Event]:
    """Verdicts without a message, as facts."""
    return [FactEvent(each.record.conn, each.record.t_ns, each.fact) for each in waiting]


def decode_sent(
    sent: Sent, agreed: Negotiated | None, limits: Limits | None = None
) -> list[tuple[Frame, Message | None]]:
    """The frames that wsinspect put on the wire itself, each with the message that it ends.

    They are numbered 0, and stand where `sent.offset` says in the side's own stream. A compressed one that
    refers to what went out before it is lost; one that was cut off in its middle is truncated, and ends no
    message.
    """
    limits = limits or Limits()
    frames, rest = sent_frames(sent, agreed, limits.max_payload)
    assembler = make_assembler(sent.side, agreed, limits.max_message)
    assembler.gap(ScanState.NONE)
    found: list[tuple[Frame, Message | None]] = []
    for frame in frames:
        message = assembler.receive(frame)
        frame.number, frame.offset = 0, sent.offset
        if message is not None:
            message.first_frame = message.last_frame = 0
            if sent.wire_bytes:
                message.wire_bytes, message.compressed = sent.wire_bytes, True
        found.append((frame, message))
    if rest is not None:
        rest.number, rest.offset = 0, sent.offset
        found.append((rest, None))
    return found


def sent_frames(sent: Sent, agreed: Negotiated | None, max_payload: int) -> tuple[list[Frame], Frame | None]:
    """The frames alone: those that are whole, and the one that was cut off in its middle."""
    decoder = make_decoder(sent.side, agreed, max_payload)
    return decoder.receive(sent.data), decoder.cut_off()
