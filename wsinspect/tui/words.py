"""Facts, ends and payloads in a few words: what a row of the log or of the connections has room for."""

from __future__ import annotations

from typing import assert_never

from wsinspect.capture.summary import CloseSeen, ConnectionSummary
from wsinspect.formats.verdict_words import judged_words, released_words, ruled_words
from wsinspect.model import (
    Altered,
    Closed,
    Ended,
    Fact,
    Failed,
    How,
    Judged,
    Notice,
    Opened,
    Released,
    Requested,
    Ruled,
    Unknown,
)
from wsinspect.tui.cells import size
from wsinspect.tui.source import Level
from wsinspect.wire.close_codes import parse_close

PREVIEW_BYTES = 640
"""Of a payload, for the log: more than the widest terminal shows."""
HEX_BYTES = 96

HOW_WORDS = {
    How.FIN: "FIN",
    How.RST: "RST",
    How.CLOSE_NOTIFY: "close_notify",
    How.ALERT: "TLS alert",
    How.TIMEOUT: "timed out",
    How.UNREACHABLE: "unreachable",
    How.INSPECTOR: "ended by wsinspect",
}


def fact_words(fact: Fact) -> tuple[str, Level]:
    """A fact in one line, and how bad it is."""
    match fact:
        case Requested():
            return f"{fact.method} {fact.url}", "info"
        case Opened():
            extensions = [value for name, value in fact.headers if name.lower() == "sec-websocket-extensions"]
            words = [f"{fact.status} {fact.reason}".strip(), *extensions]
            if fact.path == "layer":
                words.append("through mitmproxy's layers")
            return ", ".join(words), "info"
        case Failed():
            return failed_words(fact), "error"
        case Altered():
            return f"{fact.what}: {fact.before} → {fact.after}", "info"
        case Ended():
            return ended_words(fact), "info" if fact.how in (How.FIN, How.CLOSE_NOTIFY) else "warning"
        case Closed():
            frames, nbytes = fact.frames, fact.wire_bytes
            sent = [
                f"{n:,} frame{'' if n == 1 else 's'}, {size(b)}" for n, b in zip(frames, nbytes, strict=True)
            ]
            return f"→ {sent[0]}  ← {sent[1]}", "info"
        case Notice():
            return fact.text, fact.level
        case Judged():
            return judged_words(fact), "info"
        case Released():
            return released_words(fact), "info"
        case Ruled():
            return ruled_words(fact), "error" if fact.error else "info"
        case Unknown():
            return f"{fact.name} {fact.values}", "info"
        case _:
            assert_never(fact)


def failed_words(fact: Failed) -> str:
    """`connect: ECONNREFUSED`, `http: 403 Forbidden`."""
    what = f"{fact.status} {fact.reason}".strip() if fact.status is not None else fact.errno or fact.message
    return f"{fact.phase}: {what}"


def ended_words(fact: Ended) -> str:
    """`server RST ECONNRESET`."""
    words = [fact.side.word, HOW_WORDS[fact.how]]
    if fact.errno and fact.how is not How.FIN:
        words.append(fact.errno)
    if fact.detail:
        words.append(f"({fact.detail})")
    if fact.discarded_bytes:
        words.append(f"· {size(fact.discarded_bytes)} undelivered")
    return " ".join(words)


def end_words(summary: ConnectionSummary) -> str:
    """How a connection ended: why it failed, its Close, or what came instead of one."""
    if summary.failed is not None:
        return failed_words(summary.failed)
    if summary.close:
        return _close_words(summary.close[0])
    first = summary.ended_first
    if first is not None:
        return f"{ended_words(first)}, no Close"
    return "" if summary.is_live else "no Close, no end seen"


def _close_words(close: CloseSeen) -> str:
    code = "no code" if close.code is None else str(close.code)
    by = "injected" if close.injected else close.side.word
    return f"{code} {close.reason}".strip() + f" · {by}"


def payload_words(opcode: int, payload: bytes) -> str:
    """The beginning of a payload: text as text, a Close as its code and reason, the rest as hex."""
    if opcode == 8:
        code, reason, _ = parse_close(payload)
        return "no code" if code is None else f"{code} {reason}".strip()
    head = payload[:PREVIEW_BYTES]
    if opcode == 1 or (opcode != 2 and _is_text(head)):
        return head.decode("utf-8", "replace")
    return head[:HEX_BYTES].hex(" ")


def _is_text(head: bytes) -> bool:
    try:
        return head.decode().isprintable()
    except UnicodeDecodeError:
        return False
