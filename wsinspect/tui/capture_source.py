"""The screen's source over a capture, growing or not, and the control socket where a proxy is there.

Two threads: one indexes and counts in slices of some milliseconds and publishes snapshots; one reassembles
the messages whose previews are asked for. They share a lock; the screen's own calls never take it, as
reading rows and plain payloads needs only arrays and `pread`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from wsinspect.capture.columns import BITS_SHIFT, FIRST_FACT, FLAGS_SHIFT, GAP, RAW, RSV_SHIFT
from wsinspect.capture.index import FrameIndex, Row, RowFlag
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import CaptureMoved, NoticeEvent, Stopping
from wsinspect.errors import DamagedInput, WsinspectError
from wsinspect.model import Side
from wsinspect.tui.cells import size
from wsinspect.tui.live_rules import LiveRules
from wsinspect.tui.ruled_rows import RuledRows
from wsinspect.tui.ruling import HeldRow, HoldWord
from wsinspect.tui.source import (
    ConnectionDetail,
    Detail,
    Finding,
    Level,
    LogLine,
    QuitPolicy,
    Scope,
    Snapshot,
    Status,
)
from wsinspect.tui.tally import Tally
from wsinspect.tui.words import PREVIEW_BYTES, fact_words, payload_words

SLICE_S = 0.008
"""Of indexing, with the lock held."""
IDLE_S = 0.03
PUBLISH_S = 0.1
PREVIEWS_KEPT = 8192
WANTED_KEPT = 512
MAX_ROWS = 20_000_000
"""Some 70 bytes each. A row stays when its frame is evicted: those behind it would change their numbers."""
STOP_S = 3.0


class _Preview(NamedTuple):
    text: str
    flags: tuple[str, ...]
    violations: tuple[str, ...]


class CaptureSource:
    """A capture as the screen wants it. `start` begins to read; `close` ends that, and leaves the proxy."""

    def __init__(
        self,
        path: Path,
        control: ControlClient | None = None,
        *,
        quit_policy: QuitPolicy = QuitPolicy.LEAVE,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """Raises NotFound, NotACapture or Unavailable, as the capture's reader does."""
        self.path = path
        self.control = control
        self._quit_policy = quit_policy
        self._index = FrameIndex(path, max_rows=max_rows)
        self._tally = Tally(self._index)
        self._ruled = RuledRows(self._index)
        self._rules = LiveRules(control, self._index.judged)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._state: Literal["live", "file", "ended"] = "live" if control is not None else "file"
        self._listeners: tuple[str, ...] = ()
        if control is not None:
            self._listeners = tuple(f"{each.host}:{each.port} {each.mode}" for each in control.info.listeners)
        self._notices: list[tuple[Level, str]] = []
        self._damage_said = 0
        self._full_said = False
        self._events = control.watch() if control is not None else None
        if control is not None and control.info.capture not in (None, str(path)):
            info = control.info
            self._index.reader.go_on(Path(str(info.capture)), info.capture_position, info.capture_left)
        self._wanted: OrderedDict[int, None] = OrderedDict()
        self._wanted_came = threading.Event()
        self._previews: OrderedDict[int, _Preview] = OrderedDict()
        self._snapshot = Snapshot(status=self._status())

    @property
    def quit_policy(self) -> QuitPolicy:
        return self._quit_policy

    def start(self) -> None:
        """Begin to read. Call `close` in the end."""
        for target in (self._read_on, self._preview_on, self._listen):
            thread = threading.Thread(target=target, name=f"source{target.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop reading. The control client belongs to whoever made it."""
        self._closing.set()
        self._wanted_came.set()
        if self._events is not None:
            self._events.close()
        for thread in self._threads:
            thread.join(timeout=2.0)
        if not any(thread.is_alive() for thread in self._threads):
            self._index.close()

    # ----------------------------------------------------------------------------------- reading along

    def _read_on(self) -> None:
        published = 0.0
        while not self._closing.is_set():
            with self._lock:
                came = self._index.update(SLICE_S)
                counted = self._tally.take(SLICE_S)
            now = time.monotonic()
            self._tally.second(now)
            if now - published >= PUBLISH_S or not came:
                published = now
                self._publish()
            # A pause even when there is more: the screen's thread and the previews' get their turn.
            self._closing.wait(0.001 if came or counted else IDLE_S)

    def _publish(self) -> None:
        old = self._snapshot
        connections, status = self._tally.rows(), self._status()
        rules, held = self._rules.view(), self._rules.held()
        shown = (connections, status, rules, held)
        same = shown == (old.connections, old.status, old.rules, old.held)
        self._snapshot = Snapshot(old.version + (not same), self._now_ns(), *shown)

    def _now_ns(self) -> int:
        return time.monotonic_ns() if self._state == "live" else self._tally.last_ns

    def _status(self) -> Status:
        reader, tally = self._index.reader, self._tally
        if reader.damaged > self._damage_said:
            self._damage_said = reader.damaged
            self._notices.append(("warning", f"{reader.damaged} damaged places skipped: {reader.damage[-1]}"))
        if self._index.full and not self._full_said:
            self._full_said = True
            words = (
                f"the screen holds {len(self._index):,} rows and takes no more; wsinspect tail shows the rest"
            )
            self._notices.append(("warning", words))
        return Status(
            source=self._state,
            listeners=self._listeners,
            capture=str(reader.path),
            capture_bytes=reader.size,
            behind_bytes=self._index.behind,
            frames=tally.frames,
            wire_bytes=(tally.nbytes[0], tally.nbytes[1]),
            frames_per_s=tally.frames_per_s if self._state == "live" else 0,
            violations=tally.violations,
            notices=tuple(self._notices),
        )

    def _listen(self) -> None:
        """The proxy's notices, until it stops."""
        if self._events is None:
            return
        self._rules.start()
        try:
            for event in self._events:
                self._rules.take(event)
                if isinstance(event, NoticeEvent):
                    where = f"#{event.conn}: " if event.conn else ""
                    self._notices.append((event.level, where + event.text))
                elif isinstance(event, CaptureMoved):
                    self._index.reader.go_on(Path(event.path), event.position, event.left)
                elif isinstance(event, Stopping):
                    break
        except WsinspectError:
            pass
        if not self._closing.is_set():
            self._state = "ended"
            self._rules.leave()
            self._notices.append(("warning", "the proxy has gone; its capture stays"))

    # ------------------------------------------------------------------------------------ the screen's

    def snapshot(self) -> Snapshot:
        """The last one published, with the time of now."""
        last = self._snapshot
        return replace(last, now_ns=self._now_ns())

    def rows(self, scope: Scope) -> Sequence[int]:
        """The index itself counts its rows; those of a connection are an array that grows."""
        return _Rows(self._index, scope.conn)

    def lines(self, rows: Sequence[int]) -> list[LogLine]:
        """Without the lock: what needs a message reassembled comes later, and is `pending` until then."""
        return [self._line(row) for row in rows]

    def _line(self, number: int) -> LogLine:
        row = self._index.row(number)
        level: Level = "info"
        flags, rule, pending = _flags(row.flags), None, False
        violations: tuple[str, ...] = ()
        if row.opcode is None:
            preview, level = self._other_words(row)
        else:
            done, rule = self._ruled.marks(number)
            flags = done + flags
            found = self._previews.get(number)
            if found is not None:
                preview, flags, violations = found.text, flags + found.flags, found.violations
            elif self._index.is_gone(number):
                preview, level = "no longer in the capture", "warning"
            elif self._is_plain(number):
                preview = payload_words(row.opcode, self._index.payload(number, PREVIEW_BYTES))
            else:
                preview, pending = "…", True
                self._want(number)
        length = row.length if row.opcode is not None or row.kind == "raw" else None
        return LogLine(
            row=number,
            conn=row.conn,
            wall_ns=self._index.wall_ns(number),
            kind=row.kind,
            side=row.side,
            size=length,
            preview=preview,
            flags=flags,
            violations=violations,
            level=level,
            pending=pending,
            rule=rule,
        )

    def _other_words(self, row: Row) -> tuple[str, Level]:
        if row.kind == "gap":
            return f"{size(row.length)} missing: {self._index.gap_reason(row.index)}", "error"
        if row.kind == "raw":
            return payload_words(2, self._index.payload(row.index, PREVIEW_BYTES)), "info"
        fact = self._index.fact(row.index)
        return fact_words(fact) if fact is not None else ("this fact cannot be read any more", "warning")

    def _is_plain(self, number: int) -> bool:
        """Whether the frame's own bytes are its preview: a whole message, not compressed, nothing special."""
        shape = self._index.columns.shape[number]
        bits, flags = shape >> BITS_SHIFT, shape >> FLAGS_SHIFT & 0xFF
        if flags & (RowFlag.INJECTED | RowFlag.VIOLATION):
            return False
        kind = shape & 0xFF
        return kind >= 8 or (kind != 0 and not bits >> RSV_SHIFT & 4)

    # ---------------------------------------------------------------------------------------- previews

    def _want(self, number: int) -> None:
        self._wanted[number] = None
        self._wanted_came.set()

    def _preview_on(self) -> None:
        while not self._closing.is_set():
            self._wanted_came.wait()
            self._wanted_came.clear()
            while self._wanted and not self._closing.is_set():
                while len(self._wanted) > WANTED_KEPT:
                    self._wanted.popitem(last=False)
                number, _ = self._wanted.popitem()
                with self._lock:
                    self._keep_preview(number)

    def _keep_preview(self, number: int) -> None:
        if number in self._previews:
            return
        self._previews[number] = self._make_preview(number)
        if len(self._previews) > PREVIEWS_KEPT:
            self._previews.popitem(last=False)

    def _make_preview(self, number: int) -> _Preview:
        index = self._index
        try:
            frame, message = index.frame(number), index.message(number)
        except DamagedInput:
            return _Preview("this frame cannot be read any more", (), ())
        violations = [violation.slug for violation in frame.violations]
        if message is None:
            return _Preview(payload_words(frame.opcode or 2, frame.payload), (), tuple(violations))
        violations += [v.slug for v in message.violations if v.slug not in violations]
        if message.lost:
            return _Preview(payload_words(2, frame.payload), (message.lost,), tuple(violations))
        if message.first_frame != message.last_frame and frame.rsv & 4 == 0 and not message.compressed:
            text = payload_words(message.opcode, frame.payload)
        else:
            text = payload_words(message.opcode, message.payload[: 2 * PREVIEW_BYTES])
        if not frame.number:
            text = self._ruled.change(number) + text
        return _Preview(text, ("truncated",) if message.truncated else (), tuple(violations))

    # ------------------------------------------------------------------------------------------ detail

    def detail(self, row: int) -> Detail:
        """Everything about a row; it may take a while, and is called in a thread."""
        with self._lock:
            line = self._line(row)
            detail = Detail(line, self._connection(line.conn))
            kind = self._index.columns.kind(row)
            if kind == GAP:
                detail.note = line.preview
            elif kind == RAW:
                detail.note = "bytes that are not parsed: of another protocol, or after the stream went blind"
            elif kind >= FIRST_FACT:
                detail.fact = self._index.fact(row)
                detail.note = line.preview
            elif self._index.is_gone(row) and not self._index.row(row).flags & RowFlag.TRUNCATED:
                detail.note = "this frame was evicted: it is no longer in the capture"
            else:
                self._fill_frame(detail, row)
        return detail

    def _fill_frame(self, detail: Detail, row: int) -> None:
        try:
            detail.frame, detail.message = self._index.frame(row), self._index.message(row)
        except DamagedInput as error:
            detail.note = str(error)
            return
        detail.rules = self._ruled.detail(row)
        detail.reads = self._index.reads_of(row)

    def connection(self, conn: int) -> ConnectionDetail | None:
        """All that is known of a connection."""
        with self._lock:
            return self._connection(conn)

    def _connection(self, conn: int) -> ConnectionDetail | None:
        row, summary = self._tally.row_of(conn), self._tally.summary.connections.get(conn)
        if row is None or summary is None:
            return None
        return ConnectionDetail(
            row=row,
            wall_started_ns=self._index.reader.wall_ns(summary.first_ns),
            requested=summary.requested,
            opened=summary.opened,
            failed=summary.failed,
            altered=list(summary.altered),
            ends=self._tally.ends_of(conn),
            closes=[(close.side, close.code, close.reason) for close in summary.close],
            findings=[
                Finding(f.problem.section, f.problem.sentence, f.detail, f.problem.severity != "info")
                for f in summary.findings
            ],
            notices=list(summary.notices),
            subprotocol=summary.subprotocol,
            extensions=summary.deflate.header() if summary.deflate else "",
            kinds=self._tally.kinds_of(conn),
            rules=self._tally.rules_of(conn),
            private=tuple(side for side in Side if summary.private[side]),
        )

    def switch_rule(self, rule: str, on: bool) -> None:
        """Raises WsinspectError; so do the three below."""
        self._rules.switch(rule, on)

    def reload_rules(self) -> None:
        """Have the proxy read its rule files anew."""
        self._rules.reload()

    def held_payload(self, held: HeldRow) -> bytes | None:
        """What the proxy's event brought, or the capture has, where nothing was taken out of that."""
        payload = self._rules.payload(held)
        if payload is not None:
            return payload
        with self._lock:
            known = self._index.judged.held.get((held.conn, held.hold))
            summary = self._tally.summary.connections.get(held.conn)
            if known is None or summary is None or summary.private[held.side]:
                return None
            message = self._index.message(known.row)
        whole = message is not None and not message.lost and len(message.payload) == held.size
        return message.payload if message is not None and whole else None

    def hold_end(self, held: HeldRow) -> str:
        """What became of one that is not held any more, in words."""
        return self._rules.end(held)

    def resolve_hold(self, held: HeldRow, how: HoldWord, payload: bytes = b"") -> None:
        """Give a held message its word, or more time."""
        self._rules.resolve(held, how, payload)

    def stop_proxy(self) -> None:
        """Ask the proxy to end, and wait until it is gone or has had its time."""
        if self.control is None:
            return
        try:
            self.control.stop(wait_s=STOP_S)
        except WsinspectError:
            pass


class _Rows(Sequence[int]):
    """The rows of a scope, as far as the index has come."""

    def __init__(self, index: FrameIndex, conn: int | None) -> None:
        self._index = index
        self._conn = conn

    def _now(self) -> Sequence[int]:
        return range(len(self._index)) if self._conn is None else self._index.rows_of(self._conn)

    def __len__(self) -> int:
        return len(self._now())

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._now()[index]


def _flags(flags: RowFlag) -> tuple[str, ...]:
    """The words of what is special; violations have their own, and so has what rules did."""
    return ("truncated",) if flags & RowFlag.TRUNCATED else ()
