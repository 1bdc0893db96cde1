"""Events as NDJSON, one a line: for pipes, for scripts, and complete enough to replay a session from.

    open     the handshake: url, mode, path, transport, subprotocol, extensions, client, server, both halves
    message  a data message, reassembled and inflated: frames (first and last number)
    frame    where asked for: number, offset, fin, rsv, masked, mask, read (first and last ordinal)
    ping pong close     control frames; close has code and reason; where asked for also the fields of `frame`
    end      one side's end: side, how, errno, detail, discarded, tcp_info
    error    a set-up that failed: phase, message, errno, status, reason, what the client asked, the answer
    note     code, level, text: what the proxy noticed; and `gap`, `altered`, `closed`, `raw`, `unknown`,
             `released`, `rules`, and `judged` for a verdict that no message carries

Every line has v, t (epoch seconds, null without a clock), t_ns (monotonic), conn, seq (counts the lines of
the connection) and kind. Payloads stand in `text` where they are text in UTF-8, else in `b64`; a payload that
cannot be known (flags `window-lost`, `gap`) stands in neither, and its `len` is null. What rules decided
about a message is in its `verdict`; what went out for it instead says `of` which frames.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any, assert_never

from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, GapEvent, MessageEvent, RawEvent
from wsinspect.formats.verdict_words import judged_words, released_words, ruled_words
from wsinspect.model import (
    Address,
    Altered,
    Closed,
    Ended,
    Fact,
    Failed,
    Frame,
    Header,
    Judged,
    Notice,
    Opcode,
    Opened,
    Released,
    Requested,
    Ruled,
    Side,
    TlsInfo,
    Unknown,
    Violation,
)
from wsinspect.wire.close_codes import encode_close, parse_close
from wsinspect.wire.extensions import header_values, negotiated, parse_extensions

VERSION = 1

type Line = dict[str, Any]

_CONTROL_KINDS: dict[int, str] = {Opcode.CLOSE: "close", Opcode.PING: "ping", Opcode.PONG: "pong"}

_HARMFUL = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""What JSON lets through and a terminal obeys: DEL, C1, bidi controls, zero width, lone surrogates."""


class NdjsonLines:
    """Turns events into lines. It keeps what it must know of connections until they are closed.

    `wall_ns` gives the epoch's nanoseconds at a monotonic time, 0 where no clock is known. With `frames`
    each frame has a line, before the line of its message. Call `finish` after the last event.
    """

    def __init__(self, wall_ns: Callable[[int], int], *, frames: bool = False) -> None:
        self._wall_ns = wall_ns
        self._frames = frames
        self._seq: dict[int, int] = {}
        self._asked: dict[int, tuple[int, Requested]] = {}

    def feed(self, event: Event) -> list[str]:
        """The lines of one event, without newlines."""
        before: list[str] = []
        match event:
            case FrameEvent():
                line = self._frame(event)
            case MessageEvent():
                line = _message(event)
            case FactEvent():
                if isinstance(event.fact, Notice) and event.fact.code == "segment":
                    before = self.finish()  # another process writes now: nobody will answer these
                line = self._fact(event.conn, event.t_ns, event.fact)
            case GapEvent():
                line = _gap(event)
            case RawEvent():
                line = _raw(event)
            case _:
                assert_never(event)
        if line is None:
            return []
        text = self._line(event.conn, event.t_ns, line)
        if isinstance(event, FactEvent) and isinstance(event.fact, Closed | Failed):
            self._seq.pop(event.conn, None)
        return [*before, text]

    def finish(self) -> list[str]:
        """Lines for handshakes that nothing answered in this capture."""
        waiting, self._asked = self._asked, {}
        lines = []
        for conn, (t_ns, asked) in waiting.items():
            note: Line = {"kind": "note", "code": "connecting", "level": "info"}
            note |= {"text": "the handshake has no answer in this capture", "url": asked.url}
            lines.append(self._line(conn, t_ns, note | _request(asked)))
        return lines

    def _line(self, conn: int, t_ns: int, values: Line) -> str:
        seq = self._seq[conn] = self._seq.get(conn, 0) + 1
        wall_ns = self._wall_ns(t_ns)
        head = {"v": VERSION, "t": round(wall_ns / 1e9, 6) if wall_ns else None, "t_ns": t_ns}
        return dump(head | {"conn": str(conn), "seq": seq} | values)

    def _frame(self, event: FrameEvent) -> Line | None:
        frame = event.frame
        kind = _CONTROL_KINDS.get(frame.opcode, "frame")
        if kind == "frame" and not self._frames and not (_stands_alone(frame) or _is_cut(event)):
            return None
        line = {"kind": kind, "dir": _direction(event.side), "opcode": frame.opcode, "len": frame.length}
        line["wire"] = frame.wire_bytes
        if kind == "close":
            line |= _close(frame)
        else:
            as_text = frame.is_control or (frame.opcode == Opcode.TEXT and not frame.rsv & 4)
            line |= _payload(frame.payload, as_text=as_text)
        if kind == "frame" or self._frames:
            mask = None if frame.mask is None else frame.mask.hex()
            line |= {"number": frame.number, "offset": frame.offset, "fin": frame.fin, "rsv": frame.rsv}
            line |= {"masked": frame.mask is not None, "mask": mask, "read": list(event.reads)}
        flags = [*event.flags, *(["truncated"] if frame.truncated else [])]
        verdict = event.verdict if kind != "frame" or _stands_alone(frame) else None
        return line | _marks(flags, event, frame.violations) | _verdict(verdict)

    def _fact(self, conn: int, t_ns: int, fact: Fact) -> Line | None:
        match fact:
            case Requested():
                self._asked[conn] = (t_ns, fact)
                return None
            case Opened():
                asked_ns, asked = self._asked.pop(conn, (None, None))
                return _open(asked_ns, asked, fact)
            case Failed():
                asked_ns, asked = self._asked.pop(conn, (None, None))
                return _error(asked_ns, asked, fact)
            case Ended():
                return _end(fact)
            case Closed():
                self._asked.pop(conn, None)
                return _note("closed", "info", "both sides are gone") | {"totals": _totals(fact)}
            case Altered():
                text = f"{fact.what}: {fact.before!r} became {fact.after!r}"
                values = {"what": fact.what, "before": fact.before, "after": fact.after}
                return _note("altered", "info", text) | values
            case Notice():
                side = {} if fact.side is None else {"side": fact.side.word}
                return _note(fact.code, fact.level, fact.text) | side
            case Judged():
                return _judged(fact)
            case Released():
                return _released(fact)
            case Ruled():
                return _ruled(fact)
            case Unknown():
                text = f"a fact of a newer version: {fact.name}"
                return _note("unknown", "info", text) | {"name": fact.name, "values": fact.values}
            case _:
                assert_never(fact)


def dump(line: Line) -> str:
    """Compact JSON in which nothing can do harm to a terminal; other scripts stay readable."""
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and "\x7f" not in text:
        return text
    return _HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def address(value: Address | None) -> str | None:
    """`127.0.0.1:80`, `[::1]:80`."""
    if value is None:
        return None
    host, port = value
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stands_alone(frame: Frame) -> bool:
    """Whether no message will stand for the frame, so that it must not be left out."""
    lonely = (Violation.UNEXPECTED_CONTINUATION, Violation.LENGTH_OVERFLOW)
    return frame.is_control or any(violation in lonely for violation in frame.violations)


def _is_cut(event: FrameEvent) -> bool:
    """What went out of a message before the line was cut: no message stands for it."""
    return event.ours and "cut" in event.flags and event.frame.truncated


def _direction(side: Side) -> str:
    return "c2s" if side is Side.CLIENT else "s2c"


def _message(event: MessageEvent) -> Line:
    message = event.message
    line: Line = {"kind": "message", "dir": _direction(event.side), "opcode": message.opcode}
    line |= {"len": None if message.lost else len(message.payload), "wire": message.wire_bytes}
    if not message.lost:
        line |= _payload(message.payload, as_text=message.opcode == Opcode.TEXT)
    line["frames"] = [message.first_frame, message.last_frame]
    flags = list(event.flags)
    flags += ["compressed"] if message.compressed else []
    flags += [message.lost] if message.lost else []
    flags += ["truncated"] if message.truncated else []
    return line | _marks(flags, event, message.violations) | _verdict(event.verdict)


def _payload(payload: bytes, *, as_text: bool) -> Line:
    if as_text:
        try:
            return {"text": payload.decode()}
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(payload).decode()}


def _close(frame: Frame) -> Line:
    code, reason, _ = parse_close(frame.payload)
    line: Line = {"code": code, "reason": reason}
    if encode_close(code, reason if code is not None else "") != frame.payload:
        line["b64"] = base64.b64encode(frame.payload).decode()
    return line


def _marks(flags: list[str], event: FrameEvent | MessageEvent, violations: tuple[Violation, ...]) -> Line:
    line: Line = {"flags": list(dict.fromkeys(flags))}
    if event.rule is not None:
        line["rule"] = event.rule
    if event.of[1]:
        line["of"] = list(event.of)
    if violations:
        line["violations"] = [violation.slug for violation in violations]
    return line


def _verdict(fact: Judged | None) -> Line:
    """What rules decided; values that say nothing are left out."""
    if fact is None:
        return {}
    line: Line = {"outcome": fact.outcome.value}
    line["hits"] = [{"rule": hit.rule, "did": hit.did} for hit in fact.hits]
    values: Line = {
        "delay_ms": _number(fact.delay_ms),
        "behind": fact.behind,
        "hold": fact.hold,
        "limit_ms": fact.limit_ms,
    }
    values |= {"tags": fact.tags, "notes": fact.notes, "shadow": fact.shadow}
    line |= {name: value for name, value in values.items() if value}
    return {"verdict": line if fact.captured == "whole" else line | {"captured": fact.captured}}


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def _judged(fact: Judged) -> Line:
    """A verdict that no message carries."""
    values = {"side": fact.side.word, "opcode": fact.opcode, "frames": [fact.first_frame, fact.last_frame]}
    return _note("judged", "info", judged_words(fact)) | values | _verdict(fact)


def _released(fact: Released) -> Line:
    values: Line = {"side": fact.side.word, "frames": [fact.first_frame, fact.last_frame], "hold": fact.hold}
    values |= {"how": fact.how, "by": fact.by, "held_ms": _number(fact.held_ms)}
    return _note("released", "info", released_words(fact)) | values


def _ruled(fact: Ruled) -> Line:
    values = {"files": fact.files, "rules": fact.rules, "shadow": fact.shadow}
    error = {"error": fact.error} if fact.error else {}
    return _note("rules", "error" if fact.error else "info", ruled_words(fact)) | values | error


def _open(asked_ns: int | None, asked: Requested | None, opened: Opened) -> Line:
    agreed = negotiated(opened.headers)
    line: Line = {"kind": "open", "url": asked.url if asked else None}
    line |= {"subprotocol": agreed.subprotocol, "extensions": _extensions(opened)}
    line |= {"client": address(asked.client) if asked else None, "server": address(opened.server)}
    line |= {"mode": asked.mode if asked else None, "path": opened.path, "transport": opened.transport}
    line["asked_t_ns"] = asked_ns
    line |= _request(asked)
    response: Line = {"status": opened.status, "reason": opened.reason, "http_version": opened.http_version}
    response |= {"headers": _headers(opened.headers)}
    return (
        line | {"response": response, "tls": _both_tls(asked, opened.tls)} | _legs(asked, opened.server_leg)
    )


def _extensions(opened: Opened) -> list[str]:
    """What was agreed, parameters included, one extension each."""
    agreed = parse_extensions(header_values(opened.headers, "Sec-WebSocket-Extensions"))
    return [
        "; ".join([name, *(param if value is None else f"{param}={value}" for param, value in params)])
        for name, params in agreed
    ]


def _error(asked_ns: int | None, asked: Requested | None, failed: Failed) -> Line:
    line: Line = {"kind": "error", "url": asked.url if asked else None, "phase": failed.phase}
    line |= {"message": failed.message, "errno": failed.errno, "status": failed.status}
    line |= {"client": address(asked.client) if asked else None, "mode": asked.mode if asked else None}
    line["asked_t_ns"] = asked_ns
    line |= _request(asked)
    if failed.status is not None:
        response: Line = {"status": failed.status, "reason": failed.reason}
        response |= {"headers": _headers(failed.headers)}
        line["response"] = response | _payload(failed.body, as_text=True)
        line["flags"] = ["truncated"] if failed.truncated else []
    return line


def _request(asked: Requested | None) -> Line:
    if asked is None:
        return {"request": None}
    request: Line = {"method": asked.method, "target": asked.target, "http_version": asked.http_version}
    return {"request": request | {"headers": _headers(asked.headers)}, "listener": address(asked.listener)}


def _headers(headers: list[Header]) -> list[list[str]]:
    return [[name, value] for name, value in headers]


def _both_tls(asked: Requested | None, server: TlsInfo | None) -> Line:
    return {"client": _tls(asked.tls if asked else None), "server": _tls(server)}


def _tls(tls: TlsInfo | None) -> Line | None:
    if tls is None:
        return None
    return {"version": tls.version, "cipher": tls.cipher, "alpn": tls.alpn, "sni": tls.sni}


def _legs(asked: Requested | None, server_leg: str) -> Line:
    return {"legs": {"client": asked.client_leg if asked else "", "server": server_leg}}


def _end(ended: Ended) -> Line:
    line: Line = {"kind": "end", "side": ended.side.word, "how": ended.how.value, "errno": ended.errno}
    line |= {"detail": ended.detail, "discarded": ended.discarded_bytes}
    return line if ended.tcp_info is None else line | {"tcp_info": ended.tcp_info}


def _totals(closed: Closed) -> Line:
    return {side.word: {"frames": closed.frames[side], "wire": closed.wire_bytes[side]} for side in Side}


def _gap(event: GapEvent) -> Line:
    text = f"{event.nbytes} bytes of the {event.side.word} are not in the capture: {event.reason}"
    values = {"dir": _direction(event.side), "nbytes": event.nbytes, "reason": event.reason, "flags": ["gap"]}
    return _note("gap", "warning", text) | values


def _raw(event: RawEvent) -> Line:
    text = f"{len(event.data)} bytes of the {event.side.word} that are not WebSocket frames"
    values: Line = {"dir": _direction(event.side), "len": len(event.data), "wire": len(event.data)}
    return _note("raw", "info", text) | values | _payload(event.data, as_text=False)


def _note(code: str, level: str, text: str) -> Line:
    return {"kind": "note", "code": code, "level": level, "text": text}
