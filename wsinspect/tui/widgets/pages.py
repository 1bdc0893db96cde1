"""What the detail pane can show of a row or a connection: each page a list of lines, hex a virtual one.

Text that came over the wire is cut at 256 KiB, and says so; hex shows every byte: it costs what is seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wsinspect.decode.hexdump import hexdump
from wsinspect.decode.jsontext import pretty
from wsinspect.formats.verdict_words import judged_words, released_words, ruled_words
from wsinspect.model import (
    Altered,
    Closed,
    Ended,
    Fact,
    Failed,
    Frame,
    Header,
    Judged,
    Message,
    Notice,
    Opened,
    Released,
    Requested,
    Ruled,
    TlsInfo,
    Unknown,
    opcode_word,
)
from wsinspect.tui.cells import size, span, wall
from wsinspect.tui.source import ConnectionDetail, Detail
from wsinspect.tui.widgets.page import Line, Page, pair, wrapped
from wsinspect.tui.widgets.rule_pages import rules_lines, verdict_page
from wsinspect.wire.close_codes import describe, parse_close

SHOWN_TEXT = 256 << 10
SHOWN_JSON = 256 << 10


def pages_of(detail: Detail) -> list[Page]:
    """The tabs for a row of the log, the most telling first."""
    pages: list[Page] = []
    if detail.fact is not None:
        pages.append(wrapped("Fact", fact_lines(detail.fact)))
    elif detail.frame is None:
        pages.append(wrapped("Note", [[(detail.note or "nothing is known of this row", "warning")]]))
    else:
        if detail.rules is not None:
            pages.append(verdict_page(detail.rules))
        pages += _payload_pages(detail, detail.frame)
        pages.append(wrapped("Frame", frame_lines(detail, detail.frame)))
    if detail.connection is not None:
        pages += connection_pages(detail.connection)
    return pages


def connection_pages(connection: ConnectionDetail) -> list[Page]:
    """The tabs that every row of a connection shares."""
    pages = [
        wrapped("Handshake", handshake_lines(connection)),
        wrapped("Ends", ends_lines(connection)),
    ]
    if connection.rules or connection.private:
        pages.append(wrapped("Rules", rules_lines(connection)))
    return pages


# ------------------------------------------------------------------------------------------------ payload


def _payload_pages(detail: Detail, frame: Frame) -> list[Page]:
    if frame.opcode == 8:
        return [wrapped("Close", close_lines(frame)), hex_page(frame.payload)]
    message = detail.message
    payload = message.payload if message is not None and not message.lost else frame.payload
    heads = _payload_heads(frame, message)
    pages: list[Page] = []
    if message is not None and message.lost:
        heads.append(
            [(f"⚠ {message.lost}: the text cannot be known; these are the bytes of the wire", "warning")]
        )
    text = _text(payload)
    if text is not None and not (message is None and frame.rsv & 4 and not frame.is_control):
        shaped = pretty(text, max_bytes=SHOWN_JSON, max_depth=200) if text[:1] in '{[" \t\r\n' else None
        if shaped is not None:
            pages.append(wrapped("JSON", heads + json_lines(shaped)))
        pages.append(wrapped("Text", heads + text_lines(text)))
        pages.append(hex_page(payload))
        return pages
    return [hex_page(payload, heads)]


def _payload_heads(frame: Frame, message: Message | None) -> list[Line]:
    heads: list[Line] = []
    if message is not None and message.first_frame != message.last_frame:
        count = message.last_frame - message.first_frame + 1
        heads.append([(f"message of {count} frames, {message.first_frame} to {message.last_frame}", "muted")])
    if message is not None and message.compressed and not message.lost:
        heads.append(
            [
                (
                    f"inflated: {size(message.wire_bytes)} on the wire, {size(len(message.payload))} here",
                    "muted",
                )
            ]
        )
    if frame.truncated or (message is not None and message.truncated):
        heads.append([("✂ truncated: the rest is not kept", "warning")])
    return heads


def _text(payload: bytes) -> str | None:
    """The payload as text where it is UTF-8 and mostly printable."""
    try:
        text = payload[:SHOWN_TEXT].decode() if len(payload) <= SHOWN_TEXT else _cut_text(payload)
    except UnicodeDecodeError:
        return None
    sample = text[:1024]
    strange = sum(not (c.isprintable() or c in "\r\n\t") for c in sample)
    return text if strange * 4 <= len(sample) else None


def _cut_text(payload: bytes) -> str:
    head = payload[:SHOWN_TEXT]
    for trim in range(4):
        try:
            return head[: len(head) - trim].decode() + f"\n… {size(len(payload) - SHOWN_TEXT)} more, see Hex"
        except UnicodeDecodeError as error:
            if error.start < len(head) - 4:
                raise
    return head.decode()


def text_lines(text: str) -> list[Line]:
    """Text, line by line."""
    return [[(line, "text")] for line in re.split(r"\r\n|\n|\r", text)]


_JSON = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)|(?P<mark>[^\w\"]+|.)",
    re.DOTALL,
)


def json_lines(text: str) -> list[Line]:
    """Pretty JSON with its parts in their colours."""
    lines: list[Line] = []
    for source in text.split("\n"):
        line: Line = [(match.group(), f"json-{match.lastgroup}") for match in _JSON.finditer(source)]
        lines.append(line)
    return lines


def hex_page(data: bytes, heads: Sequence[Line] = ()) -> Page:
    """Every byte, drawn line by line as they come into view."""
    width = 16

    def layout(cells: int) -> int:
        nonlocal width
        width = 16 if cells >= 78 else 8 if cells >= 46 else 4
        return len(heads) + max(1, -(-len(data) // width))

    def line(index: int) -> Line:
        if index < len(heads):
            return heads[index]
        start = (index - len(heads)) * width
        if not data:
            return [("empty", "muted")]
        text = next(iter(hexdump(data[start : start + width], start=start, width=width)))
        numbers, bar, characters = text.partition("|")
        return [(numbers[:8], "faint"), (numbers[8:], "text"), (bar + characters, "accent")]

    return Page("Hex", layout, line)


def close_lines(frame: Frame) -> list[Line]:
    """A Close frame in words."""
    code, reason, violations = parse_close(frame.payload)
    lines = [
        pair("code", "none" if code is None else describe(code), "accent-strong"),
        pair("reason", reason or "none"),
        pair("from", frame.side.word, frame.side.word),
    ]
    return lines + [_violation(v.slug, v.section, v.sentence) for v in violations]


# -------------------------------------------------------------------------------------------------- frame


def frame_summary(detail: Detail) -> str:
    """The wire facts in one line."""
    frame = detail.frame
    if frame is None:
        return ""
    bits = ["FIN" if frame.fin else "fragment"] + [
        f"RSV{n}" for n, bit in ((1, 4), (2, 2), (3, 1)) if frame.rsv & bit
    ]
    words = [
        " ".join(bits),
        "masked" if frame.mask else "not masked",
        f"{size(frame.wire_bytes)} on the wire",
    ]
    private = detail.connection is not None and frame.side in detail.connection.private
    if detail.reads is not None and not private:
        words.append(f"read {detail.reads[1]:,}")
    return " · ".join(words)


def frame_lines(detail: Detail, frame: Frame) -> list[Line]:
    """The wire facts."""
    rsv = " ".join(f"RSV{n}" for n, bit in ((1, 4), (2, 2), (3, 1)) if frame.rsv & bit)
    mask = "not masked" if frame.mask is None else f"masked, key {frame.mask.hex(' ')}"
    lines = [
        pair("frame", f"{frame.number} of the {frame.side.word}", frame.side.word),
        pair("time", wall(detail.line.wall_ns)),
        pair("opcode", f"{frame.opcode}  {opcode_word(frame.opcode)}"),
        pair("FIN", "set" if frame.fin else "not set: more fragments follow"),
        pair("RSV", rsv or "none"),
        pair("mask", mask),
        pair("payload", f"{frame.length:,} bytes" + (" (truncated here)" if frame.truncated else "")),
        pair("header", f"{frame.header_bytes} bytes"),
        pair("on the wire", f"{frame.wire_bytes:,} bytes, from offset {frame.offset:,}"),
    ]
    if detail.connection is not None and frame.side in detail.connection.private and frame.number:
        lines.append(pair("captured", "as a whole frame, after the rules: one could keep something out"))
    elif detail.reads is not None:
        first, last = detail.reads
        lines.append(pair("TCP reads", f"{first}" if first == last else f"{first} to {last}"))
    if detail.message is not None:
        message = detail.message
        kind = "compressed" if message.compressed else "plain"
        first, last = message.first_frame, message.last_frame
        lines.append(
            pair("message", f"{'this frame' if first == last else f'frames {first} to {last}'}, {kind}")
        )
    if detail.line.flags:
        lines.append(pair("flags", ", ".join(detail.line.flags), "warning"))
    if detail.line.rule:
        lines.append(pair("rule", detail.line.rule, "accent"))
    found = list(frame.violations)
    if detail.message is not None:
        found += [v for v in detail.message.violations if v not in found]
    if found:
        lines += [[], *(_violation(v.slug, v.section, v.sentence) for v in found)]
    return lines


# --------------------------------------------------------------------------------------------- connection


def handshake_lines(connection: ConnectionDetail) -> list[Line]:
    """Request and response as they stood on the wire, findings first."""
    lines: list[Line] = [
        _violation(f.sentence, f.section, f.detail)
        if f.is_problem
        else [("i ", "accent"), (f.sentence, "text"), (f"  {f.detail}  {f.section}", "muted")]
        for f in connection.findings
    ]
    if lines:
        lines.append([])
    asked, opened, failed = connection.requested, connection.opened, connection.failed
    if asked is not None:
        lines.append([(asked.url, "title")])
        if asked.client or asked.mode:
            lines.append(pair("client", f"{_address(asked.client)} to {_address(asked.listener)}"))
            lines.append(pair("mode", asked.mode or "unknown"))
        if opened is not None and opened.server:
            lines.append(pair("server", _address(opened.server)))
        lines += _tls("client TLS", asked.tls) + _tls("server TLS", opened.tls if opened else None)
        if connection.subprotocol:
            lines.append(pair("subprotocol", connection.subprotocol))
        if connection.extensions:
            lines.append(pair("extensions", connection.extensions))
        if opened is not None:
            lines.append(
                pair("carried by", "own sockets" if opened.path == "takeover" else "mitmproxy's layers")
            )
        lines += [[], [("→ ", "client"), (f"{asked.method} {asked.target} {asked.http_version}", "strong")]]
        lines += _headers(asked.headers)
    if opened is not None:
        lines += [
            [],
            [("← ", "server"), (f"{opened.http_version} {opened.status} {opened.reason}", "strong")],
        ]
        lines += _headers(opened.headers)
    if failed is not None:
        lines += [[], *fact_lines(failed)]
    for altered in connection.altered:
        lines += [[], *fact_lines(altered)]
    return lines or [[("the handshake is not in this capture", "muted")]]


def ends_lines(connection: ConnectionDetail) -> list[Line]:
    """State, totals, and how each side ended, with the evidence."""
    row = connection.row
    lines: list[Line] = [pair("state", row.state.value, "accent-strong")]
    if row.end:
        lines.append(pair("end", row.end))
    if connection.wall_started_ns:
        lines.append(pair("began", wall(connection.wall_started_ns)))
    if row.ended_ns is not None:
        lines.append(pair("lasted", span(row.ended_ns - row.started_ns)))
    for side, arrow in ((0, "→ client"), (1, "← server")):
        lines.append(
            pair(
                arrow,
                f"{row.frames[side]:,} frames, {size(row.wire_bytes[side])}",
                ("client", "server")[side],
            )
        )
    if connection.kinds:
        lines.append(
            pair("frames", ", ".join(f"{count:,} {kind}" for kind, count in connection.kinds.items()))
        )
    for side_of_close, code, reason in connection.closes:
        words = ("none" if code is None else describe(code)) + (f", “{reason}”" if reason else "")
        lines.append(pair("Close", f"from the {side_of_close.word}: {words}", side_of_close.word))
    for t_ns, ended in connection.ends:
        lines += [[], [(f"after {span(t_ns - row.started_ns)}", "muted")], *fact_lines(ended)]
    for notice in connection.notices:
        lines += [[], *fact_lines(notice)]
    if not connection.ends and row.live:
        lines += [[], [("both sides are still there", "muted")]]
    return lines


HOW = {
    "fin": "FIN: it closed its TCP stream in order",
    "rst": "RST: it reset the connection",
    "close_notify": "TLS close_notify: it closed its TLS stream in order",
    "alert": "a fatal TLS alert",
    "timeout": "the kernel gave up: nothing came back",
    "unreachable": "the network says: unreachable",
    "inspector": "wsinspect ended it",
}


def fact_lines(fact: Fact) -> list[Line]:
    """Any fact in words."""
    match fact:
        case Requested():
            return [
                pair("asks for", fact.url),
                pair("client", _address(fact.client)),
                *_headers(fact.headers),
            ]
        case Opened():
            status = f"{fact.status} {fact.reason}".strip()
            return [pair("answer", status), pair("server", _address(fact.server)), *_headers(fact.headers)]
        case Failed():
            lines = [pair("failed", fact.message, "error"), pair("phase", fact.phase)]
            if fact.errno:
                lines.append(pair("errno", fact.errno))
            if fact.status is not None:
                lines.append(pair("answer", f"{fact.status} {fact.reason}".strip(), "warning"))
            body = text_lines(fact.body.decode("utf-8", "replace")) if fact.body else []
            return [*lines, *_headers(fact.headers), *([[]] if body else []), *body]
        case Altered():
            return [
                pair("altered", fact.what, "accent"),
                pair("before", fact.before),
                pair("after", fact.after),
            ]
        case Ended():
            lines = [pair(f"{fact.side.word} ended", HOW[fact.how.value], fact.side.word)]
            if fact.errno or fact.detail:
                lines.append(pair("evidence", " ".join(filter(None, (fact.errno, fact.detail)))))
            if fact.discarded_bytes:
                lines.append(pair("undelivered", f"{fact.discarded_bytes:,} bytes", "warning"))
            return lines + [
                pair(name, f"{value:,}", "muted") for name, value in (fact.tcp_info or {}).items()
            ]
        case Closed():
            both = zip(("→ client", "← server"), fact.frames, fact.wire_bytes, strict=True)
            return [pair(name, f"{frames:,} frames, {size(nbytes)}") for name, frames, nbytes in both]
        case Notice():
            role = "text" if fact.level == "info" else fact.level
            return [pair(fact.level, fact.text, role), pair("code", fact.code, "muted")]
        case Judged():
            return [pair("rules", judged_words(fact), "accent")]
        case Released():
            return [pair("held", released_words(fact), "accent")]
        case Ruled():
            return [pair("rules", ruled_words(fact), "error" if fact.error else "accent")]
        case Unknown():
            return [pair("fact", fact.name), *(pair(k, str(v)) for k, v in fact.values.items())]


# ------------------------------------------------------------------------------------------------- pieces


def _violation(what: str, section: str, sentence: str) -> Line:
    return [
        ("⚠ ", "error-strong"),
        (what, "error"),
        (f"  {sentence}" if sentence else "", "text"),
        (f"  {section}", "muted"),
    ]


def _headers(headers: Sequence[Header]) -> list[Line]:
    return [[(f"{name}: ", "json-key"), (value, "text")] for name, value in headers]


def _address(address: tuple[str, int] | None) -> str:
    if address is None:
        return "unknown"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tls(name: str, tls: TlsInfo | None) -> list[Line]:
    if tls is None:
        return []
    parts = [tls.version, tls.cipher, tls.alpn and f"ALPN {tls.alpn}", tls.sni and f"SNI {tls.sni}"]
    return [pair(name, ", ".join(part for part in parts if part) or "yes")]
