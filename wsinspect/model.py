"""The nouns of wsinspect: what is on the wire, what the capture holds, and the words for both.

A *frame* is what is on the wire; a *message* is reassembled and inflated; a *read* is one receive from
TCP (after TLS); a *side* is who sent it; a *fact* is what the proxy knows beside the bytes.

    on the wire      Side Opcode Violation Frame Message Header
    in the capture   Record = Read | Sent | Gap | Clock | FactRecord
    facts            Fact = Requested | Opened | Failed | Altered | Ended | Closed | Notice | Unknown

Times named `t_ns` are of the monotonic clock, in nanoseconds; a `Clock` record pairs it with the wall clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

type Header = tuple[str, str]
"""A header's name and value as they stood on the wire (ISO-8859-1), order and doubles kept."""

type Address = tuple[str, int]
"""Host (name or IP literal, no brackets) and port."""


class Side(enum.IntEnum):
    """Who sent it."""

    CLIENT = 0
    SERVER = 1

    @property
    def other(self) -> Side:
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT

    @property
    def word(self) -> Literal["client", "server"]:
        return "client" if self is Side.CLIENT else "server"


class Opcode(enum.IntEnum):
    """RFC 6455 section 5.2. Frames carry a plain int, since a peer may send the reserved ones too."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


OPCODE_WORDS = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


def opcode_word(opcode: int) -> str:
    """`text`, `ping` …, or `reserved-11` for an opcode that RFC 6455 reserves."""
    return OPCODE_WORDS.get(opcode) or f"reserved-{opcode}"


class Violation(enum.Enum):
    """What a peer did against RFC 6455 or 7692: slug, section, sentence. To be shown, never raised."""

    UNMASKED_CLIENT = ("unmasked-client", "RFC 6455 5.1", "a client must mask its frames")
    MASKED_SERVER = ("masked-server", "RFC 6455 5.1", "a server must not mask its frames")
    RESERVED_BITS = ("reserved-bits", "RFC 6455 5.2", "a reserved bit is set that no extension defines")
    RESERVED_OPCODE = ("reserved-opcode", "RFC 6455 5.2", "the opcode is reserved")
    NON_MINIMAL_LENGTH = ("non-minimal-length", "RFC 6455 5.2", "the length is not in its shortest form")
    LENGTH_OVERFLOW = ("length-overflow", "RFC 6455 5.2", "the top bit of a 64-bit length is set")
    UNEXPECTED_CONTINUATION = ("unexpected-continuation", "RFC 6455 5.4", "a continuation of no message")
    EXPECTED_CONTINUATION = (
        "expected-continuation",
        "RFC 6455 5.4",
        "a new message inside an unfinished one",
    )
    FRAGMENTED_CONTROL = ("fragmented-control", "RFC 6455 5.5", "a control frame must not be fragmented")
    LONG_CONTROL = ("long-control", "RFC 6455 5.5", "a control frame must not exceed 125 bytes")
    DATA_AFTER_CLOSE = ("data-after-close", "RFC 6455 5.5.1", "a frame after the Close frame")
    BAD_CLOSE_LENGTH = ("bad-close-length", "RFC 6455 5.5.1", "a Close payload of one byte")
    BAD_CLOSE_CODE = ("bad-close-code", "RFC 6455 7.4", "a close code that must not stand on the wire")
    BAD_CLOSE_REASON = ("bad-close-reason", "RFC 6455 5.5.1", "a close reason that is not UTF-8")
    BAD_UTF8 = ("bad-utf8", "RFC 6455 8.1", "a text message that is not UTF-8")
    BAD_RSV1 = ("bad-rsv1", "RFC 7692 6.1", "RSV1 on a frame that does not begin a data message")
    BAD_DEFLATE = ("bad-deflate", "RFC 7692 7.2.2", "the compressed data cannot be inflated")

    def __init__(self, slug: str, section: str, sentence: str) -> None:
        self.slug = slug
        self.section = section
        self.sentence = sentence


@dataclass(slots=True)
class Frame:
    """One frame of one direction, unmasked but not inflated."""

    side: Side
    number: int
    """Counted from 1 in each direction of a connection."""
    offset: int
    """Position of the header's first byte in the direction's bytes since the 101."""
    fin: bool
    rsv: int
    """RSV1 RSV2 RSV3 as the bits 4, 2, 1."""
    opcode: int
    mask: bytes | None
    """The masking key (4 bytes), or None where the frame is not masked."""
    length: int
    """Payload bytes that the header announces."""
    header_bytes: int
    payload: bytes
    """Unmasked. Shorter than `length` where `truncated`."""
    truncated: bool = False
    """The payload exceeded the decoder's limit, or part of it was never captured."""
    violations: tuple[Violation, ...] = ()

    @property
    def wire_bytes(self) -> int:
        return self.header_bytes + self.length

    @property
    def is_control(self) -> bool:
        return self.opcode >= 8


@dataclass(slots=True)
class Message:
    """A data message, reassembled and, where it was compressed, inflated."""

    side: Side
    opcode: int
    """TEXT or BINARY (or a reserved data opcode)."""
    payload: bytes
    """Inflated. Empty where `lost`; shorter than the message where `truncated`."""
    first_frame: int
    last_frame: int
    wire_bytes: int
    """All bytes of its frames, headers included."""
    compressed: bool = False
    lost: Literal["", "window-lost", "gap"] = ""
    """Why the payload cannot be known: never guessed text."""
    truncated: bool = False
    violations: tuple[Violation, ...] = ()

    @property
    def text(self) -> str | None:
        """The payload as text, or None for a binary message or one that is not UTF-8."""
        if self.opcode != Opcode.TEXT:
            return None
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return None


# ---------------------------------------------------------------------------------------------- records


@dataclass(slots=True)
class Read:
    """One receive from TCP, and where the direction's boundary scan stood before it.

    The scan's state makes each read self-synchronising: a reader that lost the one before it still knows
    the number of the frame that this one continues, and where the next frame begins.
    """

    conn: int
    side: Side
    t_ns: int
    data: bytes
    offset: int
    """Position of data[0] in the direction's bytes since the 101."""
    frame: int = 1
    """Number of the frame that data[0] belongs to or begins."""
    left: int = 0
    """Payload bytes of that frame still to come; 0 at a boundary or inside a header."""
    carry: int = 0
    """Header bytes of that frame that came in earlier reads (0 to 13)."""
    state: int = 0
    """`ScanState` bits."""


class ScanState(enum.IntFlag):
    """What the boundary scan knows beside its position."""

    NONE = 0
    TEXT = 1
    """A fragmented text message is open once the current frame ends."""
    BINARY = 2
    """Likewise binary (or a reserved data opcode)."""
    COMPRESSED = 16
    """The open message's first frame had RSV1."""
    CLOSED = 32
    """A Close frame went by."""
    BLIND = 128
    """Frames cannot be parsed (any more): these are plain bytes."""


@dataclass(slots=True)
class Sent:
    """Bytes that wsinspect put on the wire itself, as if `side` had sent them."""

    conn: int
    side: Side
    t_ns: int
    data: bytes
    """Whole frames."""
    offset: int
    """They went out before the byte at this position of the side's own stream."""
    why: str = "injected"
    rule: str | None = None


@dataclass(slots=True)
class Gap:
    """Bytes that went by and are not in the capture. Reads after it are self-synchronising."""

    conn: int
    side: Side
    t_ns: int
    offset: int
    nbytes: int
    reason: str


@dataclass(slots=True)
class Clock:
    """A pair of clocks: `t_ns` (monotonic) was `wall_ns` (since the epoch). Holds until the next pair."""

    t_ns: int
    wall_ns: int


@dataclass(slots=True)
class FactRecord:
    """A fact with its connection (0: the capture as a whole) and time."""

    conn: int
    t_ns: int
    fact: Fact


type Record = Read | Sent | Gap | Clock | FactRecord


# ------------------------------------------------------------------------------------------------ facts


@dataclass(slots=True, kw_only=True)
class TlsInfo:
    """What was agreed on one leg."""

    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    sni: str | None = None


@dataclass(slots=True, kw_only=True)
class Requested:
    """A client asks for a WebSocket: the connection's first fact. State: connecting."""

    kind: ClassVar[str] = "requested"
    url: str
    """ws:// or wss://, as the server is addressed."""
    method: str = "GET"
    target: str = "/"
    http_version: str = "HTTP/1.1"
    headers: list[Header] = field(default_factory=list)
    """As the client sent them."""
    client: Address | None = None
    listener: Address | None = None
    """Where the proxy accepted the client."""
    mode: str = ""
    """The proxy mode, by mitmproxy's spec (`regular`, `reverse:http://…`)."""
    client_leg: str = ""
    """Id of the TCP leg; two connections share it only where the client reused its TCP connection."""
    tls: TlsInfo | None = None
    """Of the client leg."""


@dataclass(slots=True, kw_only=True)
class Opened:
    """The 101 went to the client: from here on reads follow. State: open."""

    kind: ClassVar[str] = "opened"
    status: int = 101
    reason: str = ""
    http_version: str = "HTTP/1.1"
    headers: list[Header] = field(default_factory=list)
    """The response's, as the server sent them."""
    server: Address | None = None
    """The IP address and port of the leg's other end: the parent proxy's in upstream mode."""
    server_leg: str = ""
    tls: TlsInfo | None = None
    """Of the server leg."""
    transport: str = "websocket"
    """`websocket`, or `raw` for a 101 to another protocol."""
    path: Literal["takeover", "layer"] = "takeover"
    """Whether the sockets were taken over, or mitmproxy's layers still carry the bytes."""


@dataclass(slots=True, kw_only=True)
class Failed:
    """The set-up came to nothing. State: failed."""

    kind: ClassVar[str] = "failed"
    phase: Literal["dns", "connect", "tls-client", "tls-server", "http", "unknown"]
    message: str
    errno: str | None = None
    """The symbolic name (`ECONNREFUSED`)."""
    status: int | None = None
    reason: str = ""
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    """The answer's first bytes, at most 4 KiB."""
    truncated: bool = False


@dataclass(slots=True, kw_only=True)
class Altered:
    """Something that wsinspect or mitmproxy changed or answered itself (actor `inspector`)."""

    kind: ClassVar[str] = "altered"
    what: str
    """Such as `request header Host`."""
    before: str = ""
    after: str = ""


class How(enum.StrEnum):
    """By which mechanism one side ended."""

    FIN = "fin"
    RST = "rst"
    CLOSE_NOTIFY = "close_notify"
    ALERT = "alert"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    INSPECTOR = "inspector"


@dataclass(slots=True, kw_only=True)
class Ended:
    """One side's stream ended. A side may end twice: close_notify, then FIN."""

    kind: ClassVar[str] = "ended"
    side: Side
    how: How
    errno: str | None = None
    """The symbolic name (`ECONNRESET`), where the kernel gave one."""
    detail: str = ""
    """Such as the TLS alert's name."""
    discarded_bytes: int = 0
    """What had been read from the other side and could not be delivered to this one."""
    tcp_info: dict[str, int] | None = None
    """Linux TCP_INFO as it was at the end, by the kernel's field names; None where not available."""


@dataclass(slots=True, kw_only=True)
class Closed:
    """Both legs are gone; the scan's totals, by side."""

    kind: ClassVar[str] = "closed"
    frames: tuple[int, int] = (0, 0)
    wire_bytes: tuple[int, int] = (0, 0)


@dataclass(slots=True, kw_only=True)
class Notice:
    """Something the user should know, said once."""

    kind: ClassVar[str] = "notice"
    code: str
    """A stable slug: `blind`, `capture-gap`, `takeover-failed` …"""
    text: str
    level: Literal["info", "warning", "error"] = "info"
    side: Side | None = None


@dataclass(slots=True, kw_only=True)
class Unknown:
    """A fact of a newer version, kept as it came."""

    kind: ClassVar[str] = "unknown"
    name: str
    values: dict[str, Any]


type Fact = Requested | Opened | Failed | Altered | Ended | Closed | Notice | Unknown


class ConnectionState(enum.StrEnum):
    """`dropped`: an end without a Close. `closed`: a Close seen both ways, or an end after a Close."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    DROPPED = "dropped"
    FAILED = "failed"
