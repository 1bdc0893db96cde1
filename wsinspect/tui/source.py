"""What the screen is fed by: a snapshot to draw, rows by integer, one row in full, a few commands.

The widgets know this file and nothing of captures, sockets or threads. `capture_source.CaptureSource` reads a
capture, growing or not; the tests have one of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from wsinspect.model import (
    Altered,
    ConnectionState,
    Ended,
    Fact,
    Failed,
    Frame,
    Judged,
    Message,
    Notice,
    Opened,
    Released,
    Requested,
    Side,
)
from wsinspect.tui.ruling import HeldRow, RulesSource, RulesView

type Level = Literal["info", "warning", "error"]
type Pair = tuple[int, int]
"""A number by side: client's, server's."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows the log shows. A filter expression will stand here beside the connection."""

    conn: int | None = None
    """One connection, or None for all of them."""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One line of the connections pane."""

    conn: int
    state: ConnectionState
    url: str
    mode: str = ""
    frames: Pair = (0, 0)
    wire_bytes: Pair = (0, 0)
    rate: Pair = (0, 0)
    """Frames of the last full second, by side."""
    spark: tuple[int, ...] = ()
    """Frames in each of the last seconds, oldest first."""
    started_ns: int = 0
    ended_ns: int | None = None
    end: str = ""
    """How it ended, in a few words."""
    problems: int = 0
    """Violations, handshake findings and notices above `info`."""
    hits: int = 0
    """What rules matched."""

    @property
    def live(self) -> bool:
        return self.state in (ConnectionState.CONNECTING, ConnectionState.OPEN, ConnectionState.CLOSING)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the frame log: a frame, a fact or a gap."""

    row: int
    conn: int
    wall_ns: int
    kind: str
    """`text`, `binary` …, a fact's kind, or `gap`."""
    side: Side | None = None
    size: int | None = None
    """Payload bytes on the wire."""
    preview: str = ""
    """The beginning of the payload, as it came: the widget cleans it."""
    flags: tuple[str, ...] = ()
    """`injected`, `truncated`, `window-lost`, `gap`, and what rules did: `verdict_words.row_flags`."""
    violations: tuple[str, ...] = ()
    """Slugs."""
    level: Level = "info"
    pending: bool = False
    """The preview is not there yet: ask again later."""
    rule: str | None = None
    """The rule that sent it, or the rules that matched."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A handshake problem, ready to show."""

    section: str
    sentence: str
    detail: str = ""
    is_problem: bool = True
    """Or only worth knowing."""


@dataclass(slots=True)
class ConnectionDetail:
    """All that is known of one connection beside its frames."""

    row: ConnectionRow
    wall_started_ns: int = 0
    requested: Requested | None = None
    opened: Opened | None = None
    failed: Failed | None = None
    altered: list[Altered] = field(default_factory=list)
    ends: list[tuple[int, Ended]] = field(default_factory=list)
    """With their times (`t_ns`), in order."""
    closes: list[tuple[Side, int | None, str]] = field(default_factory=list)
    """Close frames seen: side, code, reason."""
    findings: list[Finding] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    subprotocol: str | None = None
    extensions: str = ""
    kinds: dict[str, int] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    """What each rule did, in words: `3 hits, 2 changed`."""
    private: tuple[Side, ...] = ()
    """Whose messages are captured after rules have taken things out of them."""


@dataclass(slots=True)
class RuleDetail:
    """What rules did about a row."""

    verdict: Judged | None = None
    why: str = ""
    """Of what wsinspect sent: `injected`, `modified` …"""
    rule: str | None = None
    """That wanted it sent."""
    of: Pair = (0, 0)
    """The frames that it stands for, or doubles."""
    before: bytes | None = None
    """The payload that came; None where it is not known, or where there was none."""
    after: list[bytes] = field(default_factory=list)
    """The payloads that went out instead, in order; several where it was copied."""
    released: Released | None = None
    """Of a held message: how it went on."""


@dataclass(slots=True)
class Detail:
    """All that is known of one row of the log."""

    line: LogLine
    connection: ConnectionDetail | None = None
    frame: Frame | None = None
    message: Message | None = None
    """The message that the frame belongs to, where it is a data frame and the message is whole."""
    fact: Fact | None = None
    reads: Pair | None = None
    """Ordinals of the first and the last read of its direction that carried the frame."""
    rules: RuleDetail | None = None
    """None where no rule matched, and nobody sent it but the peer."""
    note: str = ""
    """For a gap, or where the row cannot be read back: a sentence."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the bars at the top and the bottom say."""

    source: Literal["live", "file", "ended"] = "file"
    """A proxy writes the capture; nobody does; its proxy has gone."""
    listeners: tuple[str, ...] = ()
    """`127.0.0.1:8080 reverse:http://…`, one for each mode."""
    capture: str = ""
    capture_bytes: int = 0
    behind_bytes: int = 0
    """Bytes of the capture that have not been read yet."""
    frames: int = 0
    wire_bytes: Pair = (0, 0)
    frames_per_s: int = 0
    violations: int = 0
    notices: tuple[tuple[Level, str], ...] = ()
    """Everything said so far, in order; the screen shows each once."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the screen shows at one moment."""

    version: int = 0
    """Two snapshots of the same version are alike except for `now_ns`."""
    now_ns: int = 0
    connections: tuple[ConnectionRow, ...] = ()
    status: Status = field(default_factory=Status)
    rules: RulesView = field(default_factory=RulesView)
    held: tuple[HeldRow, ...] = ()
    """Messages that wait for somebody's word, the oldest first."""


class QuitPolicy(enum.Enum):
    """What leaving the screen means for the traffic."""

    LEAVE = "leave"
    """A file, or a proxy that others own: nothing happens to it."""
    ASK = "ask"
    """The screen's own proxy: ask while connections live, else stop it."""


class Source(RulesSource, Protocol):
    """Where the screen gets everything from.

    Only `detail`, `connection`, `stop_proxy`, and what `RulesSource` asks, may take time.
    """

    @property
    def quit_policy(self) -> QuitPolicy: ...

    def start(self) -> None:
        """Begin to read, in the source's own thread."""

    def close(self) -> None:
        """Stop reading; a proxy is left alone."""

    def snapshot(self) -> Snapshot: ...

    def rows(self, scope: Scope) -> Sequence[int]:
        """The rows of a scope, oldest first. The sequence may grow."""

    def lines(self, rows: Sequence[int]) -> list[LogLine]:
        """The log lines of a page of rows."""

    def detail(self, row: int) -> Detail: ...

    def connection(self, conn: int) -> ConnectionDetail | None: ...

    def stop_proxy(self) -> None: ...
