"""The language of the control socket: JSON lines, both ways, version 1. Sans-I/O; client and server share it.

    request   {"id": 1, "do": "send", "conn": 3, "to": "server", "opcode": "text", "text": "hi"}
    answer    {"id": 1, "ok": true, ...}
    refusal   {"id": 1, "ok": false, "error": "sentence", "code": "not-found"}
    event     {"event": "notice", "level": "warning", "text": "...", "conn": 3}     only after `watch`

    requests   Hello Status Stop Watch Send Close · Rules SwitchRules Reload · Holds ResolveHold
    answers    ProxyInfo ProxyStatus, and of `ruling` RulesStatus HoldsStatus
    events     NoticeEvent CaptureMoved Stopping · RulesEvent · HeldEvent ReleasedEvent · UnknownEvent
    lines      how a line is cut, read and refused

A server is a loop over `Lines.receive`, `parse_request`, and `encode_answer` or `encode_refusal`; unknown
fields are ignored, so that a newer client can talk to it.
"""

from __future__ import annotations

from wsinspect.control.protocol.answers import (
    PROTOCOL,
    Listener,
    ProxyInfo,
    ProxyStatus,
    RulesBrief,
    answer_values,
    encode_answer,
    encode_hello,
    encode_refusal,
)
from wsinspect.control.protocol.events import (
    CaptureMoved,
    Event,
    HeldEvent,
    NoticeEvent,
    ReleasedEvent,
    RulesEvent,
    Stopping,
    UnknownEvent,
    encode_event,
    event_values,
    parse_event,
)
from wsinspect.control.protocol.lines import (
    MAX_LINE_BYTES,
    ControlError,
    ErrorCode,
    Lines,
    encode_line,
    parse_line,
)
from wsinspect.control.protocol.requests import (
    Close,
    Hello,
    Holds,
    Reload,
    Request,
    ResolveHold,
    Rules,
    Send,
    Status,
    Stop,
    SwitchRules,
    Watch,
    encode_request,
    parse_request,
    request_values,
)
from wsinspect.control.protocol.ruling import (
    HOLD_WORDS,
    LIST_PREVIEW_BYTES,
    PREVIEW_BYTES,
    HeldMessage,
    HoldsStatus,
    HoldWord,
    RulesStatus,
    RuleStatus,
)

__all__ = [
    "HOLD_WORDS",
    "LIST_PREVIEW_BYTES",
    "MAX_LINE_BYTES",
    "PREVIEW_BYTES",
    "PROTOCOL",
    "CaptureMoved",
    "Close",
    "ControlError",
    "ErrorCode",
    "Event",
    "HeldEvent",
    "HeldMessage",
    "Hello",
    "HoldWord",
    "Holds",
    "HoldsStatus",
    "Lines",
    "Listener",
    "NoticeEvent",
    "ProxyInfo",
    "ProxyStatus",
    "ReleasedEvent",
    "Reload",
    "Request",
    "ResolveHold",
    "RuleStatus",
    "Rules",
    "RulesBrief",
    "RulesEvent",
    "RulesStatus",
    "Send",
    "Status",
    "Stop",
    "Stopping",
    "SwitchRules",
    "UnknownEvent",
    "Watch",
    "answer_values",
    "encode_answer",
    "encode_event",
    "encode_hello",
    "encode_line",
    "encode_refusal",
    "encode_request",
    "event_values",
    "parse_event",
    "parse_line",
    "parse_request",
    "request_values",
]
