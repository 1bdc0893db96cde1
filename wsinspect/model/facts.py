"""What the proxy knows beside the bytes: a fact is recorded with its connection and time."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from wsinspect.model.frames import Address, Header, Side


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
    """A stable slug: `blind`, `capture-gap`, `takeover-failed` …

    `private`: from here on what `side` sends is captured as whole frames, after the rules have seen them.
    """
    text: str
    level: Literal["info", "warning", "error"] = "info"
    side: Side | None = None


@dataclass(slots=True)
class RuleHit:
    """One rule that matched, and what it did, in words."""

    rule: str
    did: tuple[str, ...] = ()
    """A phrase an action (`set $.price to 1`, `delay 200 ms`)."""


class Outcome(enum.StrEnum):
    """What became of a message that a rule matched."""

    PASSED = "passed"
    """As it came; the rule only looked, or acted beside it."""
    CHANGED = "changed"
    """Other bytes went out: the `Sent` records that follow."""
    DROPPED = "dropped"
    HELD = "held"
    """A `Released` fact follows."""


AT_OPENING = 1
"""`Judged.opcode`, where there is no frame: the 101 went to the client."""
AT_RELOAD = 2
"""The rules of an open connection changed: what is over, and what begins."""


@dataclass(slots=True, kw_only=True)
class Judged:
    """Rules matched a message or a control frame; with frame numbers 0 the handshake, or what `opcode` says.

    Stands before the Read with the message's last byte, so that a reader knows it when the message comes.
    """

    kind: ClassVar[str] = "judged"
    side: Side
    first_frame: int = 0
    last_frame: int = 0
    opcode: int = 0
    """Of the message or frame; with frame numbers 0 `AT_OPENING` or `AT_RELOAD`, else the handshake."""
    outcome: Outcome = Outcome.PASSED
    hits: list[RuleHit] = field(default_factory=list)
    delay_ms: float = 0.0
    behind: int = 0
    """It went out after that many later messages of its direction."""
    captured: Literal["whole", "redacted", "nothing"] = "whole"
    """What the capture has of the message: a Read with another payload than came, or a Gap, or all of it."""
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shadow: bool = False
    """Only what would have happened."""
    hold: int = 0
    """Number of the hold, where `held`: unique in the connection."""
    limit_ms: int = 0
    """Of the hold."""


@dataclass(slots=True, kw_only=True)
class Released:
    """A held message went on."""

    kind: ClassVar[str] = "released"
    side: Side
    hold: int
    how: Literal["release", "edit", "drop", "discard"]
    """`edit`: a `Sent` record follows. `discard`: the connection was reset first."""
    by: Literal["user", "default", "reset"] = "user"
    first_frame: int = 0
    last_frame: int = 0
    held_ms: float = 0.0


@dataclass(slots=True, kw_only=True)
class Ruled:
    """Rules were loaded, loaded anew or switched, or could not be loaded (connection 0)."""

    kind: ClassVar[str] = "ruled"
    files: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    """Their ids, in order."""
    off: list[str] = field(default_factory=list)
    """Those of them that are switched off."""
    shadow: bool = False
    error: str = ""
    """Why the old rules stay."""


@dataclass(slots=True, kw_only=True)
class Unknown:
    """A fact of a newer version, kept as it came."""

    kind: ClassVar[str] = "unknown"
    name: str
    values: dict[str, Any]


type Fact = (
    Requested | Opened | Failed | Altered | Ended | Closed | Notice | Judged | Released | Ruled | Unknown
)


class ConnectionState(enum.StrEnum):
    """`dropped`: an end without a Close. `closed`: a Close seen both ways, or an end after a Close."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    DROPPED = "dropped"
    FAILED = "failed"
