"""What rules ask for: a `Plan` for one message, frame or opening, carried out by the relay.

Rules decide and never touch bytes of the wire; the relay carries out and never decides.

    Judge.message(message) ──▶ None            nothing matched: it passes as it came
                           └─▶ Plan            fate, payload, delay, hold, shape   of the message itself
                                 └─ effects    what happens beside it: Send Close Reset Stall Cut …
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from wsinspect.model.facts import Fact, RuleHit
from wsinspect.model.frames import Frame, Header, Message, Side

BOTH = (Side.CLIENT, Side.SERVER)


class Fate(enum.Enum):
    """What becomes of the message itself."""

    FORWARD = "forward"
    DROP = "drop"


class HoldDefault(enum.StrEnum):
    """What happens to a held message when its time is over, or nobody is attached."""

    RELEASE = "release"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Hold:
    """The message, and all data behind it in its direction, waits for somebody's word."""

    rule: str
    limit_ms: int = 30_000
    default: HoldDefault = HoldDefault.RELEASE


class MaskFault(enum.Enum):
    """A deliberate violation of RFC 6455 5.1 or 5.3."""

    MISSING = "missing"
    """A client's frame goes out unmasked."""
    WRONG = "wrong"
    """The payload is masked with another key than the header says; a server's frame is masked."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the message's frames look on the wire, where that is not as they came."""

    sizes: tuple[int, ...] | None = None
    """Payload bytes of each frame, the last size repeated to the end; None: as it came, where it can."""
    merge: bool = False
    """One frame, however many there were."""
    rsv: int | None = None
    """RSV1 RSV2 RSV3 (4, 2, 1) of its first frame, set as they are: a deliberate violation."""
    opcode: int | None = None
    """Of its first frame."""
    mask: MaskFault | None = None
    unfinished: bool = False
    """The last frame has no FIN: the next message begins inside an unfinished one (5.4)."""
    wide_length: bool = False
    """The lengths are not in their shortest form (5.2): 64 bits, or 16 where that is not shorter."""


# ---------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Send:
    """A frame of ours goes to `to`, at the next boundary of that direction."""

    rule: str
    to: Side
    opcode: int
    payload: bytes
    after_ms: float = 0.0
    every_ms: float = 0.0
    """0: once."""
    times: int | None = 1
    """How often in all; None: until `StopSending`."""
    key: str = ""
    """By which `StopSending` finds it."""
    captured: bytes | None = None
    """The capture has this payload in its place (`redact`)."""
    again: Callable[[int], Send | None] | None = field(default=None, compare=False)
    """Makes the next repetition, at its time; None: it is the same again. Gives None where that fails, which
    ends the repeating; never raises."""


@dataclass(frozen=True, slots=True)
class StopSending:
    key: str


@dataclass(frozen=True, slots=True)
class Close:
    """A Close frame goes to each of `to`; nothing but the end follows it there (RFC 6455 5.5.1)."""

    rule: str
    code: int | None
    """None: an empty Close payload."""
    reason: str = ""
    to: tuple[Side, ...] = BOTH
    after_ms: float = 0.0
    captured_reason: str | None = None
    """The capture has this reason in its place (`redact`)."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RST to each of `to`, once what was written before it is acknowledged."""

    rule: str
    to: tuple[Side, ...] = BOTH
    after_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A black hole: what each of `senders` sends is read, captured, and goes nowhere."""

    rule: str
    senders: tuple[Side, ...] = BOTH
    after_ms: float = 0.0
    for_ms: float = 0.0
    """0: for good. Else what comes meanwhile goes on after it, in order, as TCP would deliver it."""
    ends_pass: bool = False
    """False: FIN and RST vanish too, so that the other side sees a half-open connection."""
    then_fin_ms: float | None = None
    """toxiproxy's `timeout`: both legs get FIN that long after the stall began; None: never."""


class CutHow(enum.StrEnum):
    FIN = "fin"
    RST = "rst"


@dataclass(frozen=True, slots=True)
class Cut:
    """The first `nbytes` of the message's frames go out, then both legs end: a line cut in mid-frame.

    Always in mid-frame: at least one byte goes out, and at least the last one does not.
    """

    rule: str
    nbytes: int
    how: CutHow = CutHow.RST
    share: float | None = None
    """0 to 1: that part of what the frames take on the wire goes out, instead of `nbytes`."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """The direction of `sender` carries at most that many bytes a second from here on; None: freely."""

    rule: str
    sender: Side
    bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """toxiproxy's `slicer`: the sender's bytes go out in pieces of about that size."""

    rule: str
    sender: Side
    average_bytes: int
    variation_bytes: int = 0
    delay_us: int = 0
    """Between two pieces."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LimitData:
    """toxiproxy's `limit_data`: after that many more bytes of the sender both legs get FIN."""

    rule: str
    sender: Side
    nbytes: int


@dataclass(frozen=True, slots=True)
class SlowClose:
    """toxiproxy's `slow_close`: the sender's end is passed on that much later."""

    rule: str
    sender: Side
    delay_ms: float


@dataclass(frozen=True, slots=True)
class Lift:
    """The rule is gone: what it asked of the line is over (Throttle, Slice, LimitData, SlowClose, Stall), and
    so is what it would still send or end later. A Stall for good has its first bytes still (`STALL_KEPT`);
    where it has swallowed more, or let an end pass, it stays.
    """

    rule: str


type Effect = (
    Lift | Send | StopSending | Close | Reset | Stall | Cut | Throttle | Slice | LimitData | SlowClose
)


# ------------------------------------------------------------------------------------------------- plans


@dataclass(slots=True)
class Plan:
    """What rules decided about one message, one control frame, or the opening of a connection."""

    hits: tuple[RuleHit, ...]
    """Never empty."""
    fate: Fate = Fate.FORWARD
    payload: bytes | None = None
    """Instead of the payload that came (inflated); None: as it came."""
    delay_ms: float = 0.0
    """Before it goes out; what comes behind it in its direction keeps its place."""
    behind: int = 0
    """It goes out after that many later messages of its direction, at most `behind_ms` later."""
    behind_ms: float = 1000.0
    copies: int = 1
    """How often it goes out."""
    hold: Hold | None = None
    shape: Shape | None = None
    effects: tuple[Effect, ...] = ()
    """In the order in which the rules asked for them."""
    captured: bytes | None = None
    """The capture has this payload in the place of the one that came (`redact`); None: what came."""
    captured_after: bytes | None = None
    """Where `payload` is set: the capture has this in the place of that one; None: `payload`."""
    uncaptured: bool = False
    """The capture has a gap instead (`no-capture`), of what came and of what went out."""
    hide: Callable[[bytes], bytes | None] | None = None
    """Of a message that is held: what the capture has in the place of the payload that somebody writes for
    it (`redact`); it gives None where the capture shall have nothing of that."""
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shadow: bool = False
    """To be recorded, not carried out: nothing but `captured` and `uncaptured` counts."""

    @property
    def touches(self) -> bool:
        """Whether the message itself goes out in another way than it came."""
        return bool(
            self.fate is not Fate.FORWARD or self.payload is not None or self.delay_ms or self.behind
            or self.copies != 1 or self.hold or self.shape
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watch:
    """What of one direction rules must see."""

    data: bool = False
    control: bool = False
    private: bool = False
    """A rule could keep something out of the capture: it is captured as whole frames, after the verdict."""

    @property
    def nothing(self) -> bool:
        return not (self.data or self.control)


class Judge(Protocol):
    """The rules of one connection, as the relay sees them. Never raises: a rule that fails is disabled."""

    def watch(self, side: Side) -> Watch:
        """What `side` sends and rules could match; may change after a reload, not in between."""

    def opened(self, now_ns: int) -> Plan | None:
        """The 101 went to the client: only `effects` count."""

    def replaced(self, now_ns: int) -> Plan | None:
        """Other rules judge an open connection from now on: only `effects` count.

        `Lift` for each rule that is gone and left something behind, then what new ones ask of the line.
        """

    def message(self, message: Message, now_ns: int) -> Plan | None:
        """A whole data message, inflated; None where it passes as it came."""

    def control(self, frame: Frame, now_ns: int) -> Plan | None:
        """A ping, pong or close."""

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        """What the capture may have of a payload that goes out in the name of `side` by somebody's command,
        and that no rule has judged; None: nothing. Asked only where `watch` says `private`.
        """

    def take_notices(self) -> list[tuple[str, str]]:
        """(code, sentence) of what went wrong in rules since the last call, each said once."""


# -------------------------------------------------------------------------------------------- handshakes


@dataclass(frozen=True, slots=True)
class Reject:
    """The client gets this answer instead of the server's."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()


class Redactor(Protocol):
    """What a `redact` rule hides of the handshake: asked before a fact is recorded, never for the traffic."""

    def redacted(self, fact: Fact) -> Fact:
        """The fact, or one like it with pseudonyms in URL, headers, sentence and body."""


@dataclass(slots=True)
class HandshakePlan:
    """What rules decided about the request, or about the answer."""

    hits: tuple[RuleHit, ...]
    reject: Reject | None = None
    redirect_to: str | None = None
    """ws://, wss://, http:// or https:// with a host: another upstream (request only)."""
    delay_ms: float = 0.0
    set_headers: tuple[Header, ...] = ()
    """In the place of all of that name."""
    remove_headers: tuple[str, ...] = ()
    strip_extensions: tuple[str, ...] = ()
    """Names taken out of Sec-WebSocket-Extensions; `*` is all."""
    redactors: tuple[Redactor, ...] = ()
    """Each fact of the connection goes through all of them before it is recorded, from this one on."""
    shadow: bool = False
    """To be recorded, not carried out: nothing but `redactors` counts."""
