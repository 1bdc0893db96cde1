"""The nouns of wsinspect: what is on the wire, what the capture holds, and the words for both.

A *frame* is what is on the wire; a *message* is reassembled and inflated; a *read* is one receive from
TCP (after TLS); a *side* is who sent it; a *fact* is what the proxy knows beside the bytes; a *plan* is what
rules ask of the relay, and a *verdict* what they decided.

    frames     Side Opcode Violation Frame Message Header
    facts      Fact = Requested | Opened | Failed | Altered | Ended | Closed | Notice | Judged | Released | …
    records    Record = Read | Sent | Gap | Clock | FactRecord
    plans      Plan, its Effects, Judge: between the rules and the relay
    decoded    Decoded, Decoder: between payloads and those who look into them

Times named `t_ns` are of the monotonic clock, in nanoseconds; a `Clock` record pairs it with the wall clock.
"""

from __future__ import annotations

from wsinspect.model.decoded import Decoded, Decoder, Source
from wsinspect.model.facts import (
    AT_OPENING,
    AT_RELOAD,
    Altered,
    Closed,
    ConnectionState,
    Ended,
    Fact,
    Failed,
    How,
    Judged,
    Notice,
    Opened,
    Outcome,
    Released,
    Requested,
    Ruled,
    RuleHit,
    TlsInfo,
    Unknown,
)
from wsinspect.model.frames import (
    OPCODE_WORDS,
    Address,
    Frame,
    Header,
    Message,
    Opcode,
    Side,
    Violation,
    opcode_word,
)
from wsinspect.model.records import Clock, FactRecord, Gap, Read, ReadFields, Record, ScanState, Sent

__all__ = [
    "AT_OPENING",
    "AT_RELOAD",
    "OPCODE_WORDS",
    "Address",
    "Altered",
    "Clock",
    "Closed",
    "ConnectionState",
    "Decoded",
    "Decoder",
    "Ended",
    "Fact",
    "FactRecord",
    "Failed",
    "Frame",
    "Gap",
    "Header",
    "How",
    "Judged",
    "Message",
    "Notice",
    "Opcode",
    "Opened",
    "Outcome",
    "Read",
    "ReadFields",
    "Record",
    "Released",
    "Requested",
    "RuleHit",
    "Ruled",
    "ScanState",
    "Sent",
    "Side",
    "Source",
    "TlsInfo",
    "Unknown",
    "Violation",
    "opcode_word",
]
