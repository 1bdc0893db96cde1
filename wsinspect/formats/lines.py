"""Events as lines for people: time, connection, who sent it, kind, size, and how the payload begins."""

from __future__ import annotations

import bisect
import itertools
import time
import unicodedata
from collections.abc import Callable
from typing import assert_never

from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, GapEvent, MessageEvent, RawEvent
from wsinspect.decode.printable import clean
from wsinspect.formats.befores import Befores
from wsinspect.formats.ndjson import address
from wsinspect.formats.verdict_words import (
    judged_words,
    released_words,
    ruled_words,
    sent_marks,
    verdict_marks,
)
from wsinspect.model import (
    Altered,
    Closed,
    Ended,
    Fact,
    Failed,
    Frame,
    Judged,
    Notice,
    Opcode,
    Opened,
    Released,
    Requested,
    Ruled,
    Side,
    Unknown,
    Violation,
    opcode_word,
)
from wsinspect.wire.close_codes import describe, parse_close
from wsinspect.wire.handshake import negotiated

ARROWS = {Side.CLIENT: "→", Side.SERVER: "←", None: " "}
"""→ the client sent it, ← the server did."""

_COLOURS = {
    "": "",
    "client": "36",
    "server": "35",
    "good": "32",
    "warning": "33",
    "error": "31",
    "faint": "2",
}
_BINARY_SHOWN = 24
_NARROW = 100


class TextLines:
    """Turns events into lines of at most `width` cells (None: as long as they are, payloads cut at 200).

    `wall_ns` gives the epoch's nanoseconds at a monotonic time. No character of a payload, a header or a URL
    reaches the line before `clean` has made it harmless.
    """

    def __init__(
        self,
        wall_ns: Callable[[int], int],
        *,
        frames: bool = False,
        width: int | None = None,
        colour: bool = False,
    ) -> None:
        self._wall_ns = wall_ns
        self._frames = frames
        self._width = width
        self._colour = colour
        self._befores = Befores()

    def feed(self, event: Event) -> list[str]:
        """The lines of one event, without newlines: none or one."""
        match event:
            case FrameEvent():
                alone = event.frame.is_control or event.frame.violations or "cut" in event.flags
                if not (self._frames or alone):
                    return []
                return [self._frame(event)]
            case MessageEvent():
                return [self._message(event)]
            case FactEvent():
                return [self._fact(event)]
            case GapEvent():
                text = f"{event.nbytes:,} bytes are not in the capture: {event.reason}"
                return [self._line(event, event.side, "gap", None, text, (), "warning")]
            case RawEvent():
                text = self._payload(event.data, None)
                return [self._line(event, event.side, "raw", len(event.data), text, (), "")]
            case _:
                assert_never(event)

    def finish(self) -> list[str]:
        """Nothing is held back."""
        return []

    def _frame(self, event: FrameEvent) -> str:
        frame = event.frame
        kind = opcode_word(frame.opcode) if frame.is_control else "frame"
        facts = []
        if self._frames or not frame.is_control:
            facts = [f"{frame.number}", opcode_word(frame.opcode), "fin" if frame.fin else "…"]
            facts += [f"rsv {frame.rsv}"] if frame.rsv else []
            facts += ["masked"] if frame.mask is not None else []
        text = " ".join([*facts, self._control(frame) if frame.is_control else ""]).strip()
        marks = self._marks(event, frame.violations, truncated=frame.truncated)
        tint = "error" if frame.violations else "faint" if kind == "frame" else ""
        return self._line(event, event.side, kind, frame.length, text, marks, tint)

    def _control(self, frame: Frame) -> str:
        if frame.opcode == Opcode.CLOSE:
            code, reason, _ = parse_close(frame.payload)
            said = describe(code)
            return said if reason in said else f"{said} · {self._clean(reason)}"
        return self._payload(frame.payload, None)

    def _message(self, event: MessageEvent) -> str:
        message = event.message
        self._befores.note(event)
        marks = self._marks(event, message.violations, truncated=message.truncated)
        if message.lost:
            marks = (*marks, message.lost)
            return self._line(event, event.side, opcode_word(message.opcode), None, "", marks, "warning")
        text = self._payload(message.payload, message.opcode)
        if change := self._befores.change(event):
            text = f"{self._clean(change)} {text}"
            if self._width is not None and self._width < _NARROW:  # the line it replaces names the rule
                marks = tuple(mark.partition(" by ")[0] for mark in marks)
        size = len(message.payload)
        touched = event.ours or (event.verdict is not None and bool(event.flags))
        tint = "error" if message.violations else "warning" if touched else ""
        return self._line(event, event.side, opcode_word(message.opcode), size, text, marks, tint)

    def _fact(self, event: FactEvent) -> str:
        kind, text, tint = self._said(event.fact)
        side = event.fact.side if isinstance(event.fact, Ended | Notice | Judged | Released) else None
        return self._line(event, side, kind, None, text, (), tint)

    def _said(self, fact: Fact) -> tuple[str, str, str]:
        """Kind, text and tint of a fact."""
        match fact:
            case Requested():
                who = f" from {address(fact.client)}" if fact.client else ""
                return "connect", self._clean(f"{fact.url}{who} {fact.mode}".rstrip()), ""
            case Opened():
                return "open", self._clean(_opened(fact)), "good"
            case Failed():
                answer = f"{fact.status} {fact.reason}: " if fact.status is not None else ""
                errno = f" ({fact.errno})" if fact.errno else ""
                return "failed", self._clean(f"{answer}{fact.message} [{fact.phase}]{errno}"), "error"
            case Ended():
                lost = f", {fact.discarded_bytes:,} bytes discarded" if fact.discarded_bytes else ""
                why = " ".join(word for word in (fact.how.value, fact.errno, fact.detail) if word)
                return "end", self._clean(f"{fact.side.word}: {why}{lost}"), "warning"
            case Closed():
                sent = f"frames: {fact.frames[0]:,} of the client, {fact.frames[1]:,} of the server"
                return "closed", sent, "faint"
            case Altered():
                return "altered", self._clean(f"{fact.what}: {fact.before!r} → {fact.after!r}"), "faint"
            case Notice():
                return "note", self._clean(fact.text), "" if fact.level == "info" else fact.level
            case Judged():
                return "rule", self._clean(judged_words(fact).removeprefix("rule ")), ""
            case Released():
                return "rule", self._clean(released_words(fact)), ""
            case Ruled():
                return "rules", self._clean(ruled_words(fact)), "error" if fact.error else ""
            case Unknown():
                return "note", self._clean(f"{fact.name} (of a newer version)"), "faint"
            case _:
                assert_never(fact)

    def _payload(self, payload: bytes, opcode: int | None) -> str:
        """How it begins: text (of a control frame: if it is some), else hex."""
        if opcode in (Opcode.TEXT, None):
            shown = payload[: 4 * (self._width or 200)]
            text = shown.decode(errors="ignore" if len(shown) < len(payload) else "replace")
            if opcode == Opcode.TEXT or (text.isprintable() and "\ufffd" not in text):
                return self._clean(text)
        more = " …" if len(payload) > _BINARY_SHOWN else ""
        return payload[:_BINARY_SHOWN].hex(" ") + more

    def _clean(self, text: str) -> str:
        limit = self._width or 200
        return clean(text[:limit]) + ("…" if len(text) > limit else "")

    def _marks(
        self, event: FrameEvent | MessageEvent, violations: tuple[Violation, ...], *, truncated: bool
    ) -> tuple[str, ...]:
        if event.verdict is not None:
            words = verdict_marks(event.verdict)
        else:
            words = sent_marks(event.flags, event.rule) if event.ours else list(event.flags)
        extra = ("truncated",) if truncated and "truncated" not in event.flags else ()
        return (*map(self._clean, words), *extra, *(violation.slug for violation in violations))

    def _line(
        self,
        event: Event,
        side: Side | None,
        kind: str,
        size: int | None,
        text: str,
        marks: tuple[str, ...],
        tint: str,
    ) -> str:
        clock = _clock(self._wall_ns(event.t_ns))
        conn = f"#{event.conn}" if event.conn else ""
        volume = "" if size is None else human_size(size)
        middle = f"{conn:>5} {ARROWS[side]} {kind:<8} {volume:>9}  "
        tail = " ".join(f"[{mark}]" for mark in marks)
        if self._width is not None:
            room = max(0, self._width - len(clock) - 1 - len(middle))
            tail = fit(tail, room if len(text) < room // 3 else room * 2 // 3)
            text = fit(text, max(0, room - (sum(map(_cells, tail)) + 1 if tail else 0)))
        body = f"{middle}{text}{' ' if text and tail else ''}{tail}".rstrip()
        if not self._colour:
            return f"{clock} {body}"
        code = _COLOURS[tint] or (_COLOURS[side.word] if side is not None else "")
        return f"\x1b[2m{clock}\x1b[0m " + (f"\x1b[{code}m{body}\x1b[0m" if code else body)


def human_size(nbytes: int) -> str:
    """`64 B`, `1.4 KiB`, `12 MiB`."""
    if nbytes < 1000:
        return f"{nbytes} B"
    value = float(nbytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{value / 1024:.1f} TiB"


def fit(text: str, cells: int) -> str:
    """Cut to so many terminal cells, with an ellipsis."""
    ends = list(itertools.accumulate(map(_cells, text)))
    if not ends or ends[-1] <= cells:
        return text
    kept = bisect.bisect_right(ends, cells - 1)
    return text[:kept] + "…" if cells else ""


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _opened(fact: Opened) -> str:
    agreed = negotiated(fact.headers)
    words = [str(fact.status), address(fact.server) or ""]
    words += [f"subprotocol {agreed.subprotocol}"] if agreed.subprotocol else []
    words += [", ".join(agreed.extensions)] if agreed.extensions else []
    words += [f"({fact.transport})"] if fact.transport != "websocket" else []
    words += ["(driven through mitmproxy's layers)"] if fact.path == "layer" else []
    return " ".join(word for word in words if word)


def _clock(wall_ns: int) -> str:
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03}"
