"""Rules tried on a capture: each connection's handshake and messages, as they came, through the rules.

Nothing is sent. What rules would change has no effect on what comes later: the capture has what came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, MessageEvent
from wsinspect.decode.registry import decoder_of
from wsinspect.model import Closed, Failed, Frame, Message, Notice, Opened, Requested, Side
from wsinspect.model.plans import HandshakePlan, Plan
from wsinspect.rules.engine import ConnectionRules
from wsinspect.rules.ruleset import RuleSet

MAX_CONNECTIONS = 1 << 16
"""Open at once; beyond it the oldest are forgotten."""


@dataclass(slots=True)
class Tried:
    """One rule's way over a capture."""

    acted: int = 0
    connections: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rules would do to one message, control frame, opening or handshake."""

    conn: int
    t_ns: int
    side: Side
    plan: Plan | HandshakePlan
    message: Message | None = None
    frame: Frame | None = None

    @property
    def before(self) -> bytes | None:
        """The payload that came; None of a handshake or an opening."""
        if self.message is not None:
            return self.message.payload
        return None if self.frame is None else self.frame.payload

    @property
    def place(self) -> str:
        """`message 4`, `ping 2`, `the handshake`: numbered by frames, as a capture is."""
        if self.message is not None:
            first, last = self.message.first_frame, self.message.last_frame
            return f"message {first}" if first == last else f"message {first}-{last}"
        if self.frame is not None:
            return f"frame {self.frame.number}"
        return "the handshake" if isinstance(self.plan, HandshakePlan) else "the opening"


class DryRun:
    """Events of a timeline in, outcomes out; the counts add up."""

    def __init__(self, ruleset: RuleSet, wall_ns: Callable[[int], int] | None = None) -> None:
        """`wall_ns`: the time since 1970 of a monotonic time, for `{{now}}`."""
        self.tried = {rule.id: Tried() for rule in ruleset.rules}
        self.notices: list[tuple[int, str]] = []
        """(connection, sentence) of what went wrong."""
        self.messages = 0
        """Messages and control frames that were tried."""
        self.connections = 0
        self._ruleset = ruleset
        self._wall_ns = wall_ns
        self._connections: dict[int, ConnectionRules] = {}
        self._requests: dict[int, Requested] = {}

    def feed(self, event: Event) -> Iterator[Outcome]:
        """What the rules would do about one event."""
        match event:
            case FactEvent():
                yield from self._fact(event)
            case MessageEvent(ours=False):
                self.messages += 1
                plan = self._of(event.conn, event.t_ns).message(event.message, event.t_ns)
                yield from self._outcome(event.conn, event.t_ns, event.side, plan, message=event.message)
            case FrameEvent(ours=False) if event.frame.is_control:
                self.messages += 1
                plan = self._of(event.conn, event.t_ns).control(event.frame, event.t_ns)
                yield from self._outcome(event.conn, event.t_ns, event.side, plan, frame=event.frame)
            case _:
                pass

    def _of(self, conn: int, t_ns: int) -> ConnectionRules:
        """The connection's rules; one whose handshake the capture has not is taken as it is."""
        found = self._connections.get(conn)
        if found is None:
            requested = Requested(url="")
            found = self._begin(conn, requested, t_ns)
            found.opened_fact(Opened(), decoder_of(requested))
            found.opened(t_ns)
        return found

    def _begin(self, conn: int, requested: Requested, t_ns: int) -> ConnectionRules:
        if len(self._connections) >= MAX_CONNECTIONS:
            del self._connections[next(iter(self._connections))]
        self.connections += 1
        epoch_ns = 0 if self._wall_ns is None else self._wall_ns(t_ns) - t_ns
        found = self._connections[conn] = ConnectionRules(
            self._ruleset, requested, conn=conn, decoder=decoder_of(requested), epoch_ns=epoch_ns
        )
        self._requests[conn] = requested
        return found

    def _fact(self, event: FactEvent) -> Iterator[Outcome]:
        conn, t_ns = event.conn, event.t_ns
        match event.fact:
            case Requested() as requested:
                rules = self._begin(conn, requested, t_ns)
                yield from self._outcome(conn, t_ns, Side.CLIENT, rules.judge_request(t_ns))
            case Opened() as opened:
                if conn not in self._connections:
                    self._begin(conn, Requested(url=""), t_ns)
                rules = self._connections[conn]
                yield from self._outcome(conn, t_ns, Side.SERVER, rules.judge_response(opened, t_ns))
                rules.opened_fact(opened, decoder_of(self._requests[conn], opened))
                yield from self._outcome(conn, t_ns, Side.SERVER, rules.opened(t_ns))
            case Failed(status=int() as status) as failed if conn in self._connections:
                answer = Opened(status=status, reason=failed.reason, headers=failed.headers)
                rules = self._connections[conn]
                yield from self._outcome(conn, t_ns, Side.SERVER, rules.judge_response(answer, t_ns))
                self._forget(conn)
            case Failed() | Closed():
                self._forget(conn)
            case Notice(code="segment"):
                self._connections.clear()  # another process writes now: its connections are others
                self._requests.clear()
            case _:
                pass

    def _forget(self, conn: int) -> None:
        self._connections.pop(conn, None)
        self._requests.pop(conn, None)

    def _outcome(
        self,
        conn: int,
        t_ns: int,
        side: Side,
        plan: Plan | HandshakePlan | None,
        message: Message | None = None,
        frame: Frame | None = None,
    ) -> Iterator[Outcome]:
        for _, sentence in self._connections[conn].take_notices():
            self.notices.append((conn, sentence))
        if plan is None:
            return
        for hit in plan.hits:
            tried = self.tried.get(hit.rule)
            if tried is not None:
                tried.acted += 1
                tried.connections.add(conn)
        yield Outcome(conn, t_ns, side, plan, message, frame)
