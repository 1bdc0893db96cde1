"""The bytes of a capture: an 8-byte magic, then records. docs/capture-format.md says the same at length.

A record is a header of 24 bytes, little-endian, and a payload:

    at  0  check   u32   low 32 bits of xxh3_64(record[48:], seed = xxh3_64(record[4:48]))
    at  4  length  u32   bytes of the payload, which follows the header
    at  8  type    u8    `RecordType`
    at  9  side    u8    0 client, 1 server (0 where the record has no side)
    at 10  carry   u8    `Read.carry`
    at 11  state   u8    `Read.state`
    at 12  conn    u32   connection, 0 for the capture as a whole
    at 16  t_ns    u64   monotonic clock

    type         payload
    SEGMENT      JSON {format, wsinspect, segment, wall_ns, mono_ns, pid, host, …}: a file or process begins
    READ         offset u64, frame u64, left u64, then the data
    FACT         JSON {"fact": kind, …}
    SENT         offset u64, n u16, n bytes JSON {why, rule, frames, wire}, then the data
    GAP          offset u64, nbytes u64, then the reason in UTF-8
    CLOCK        wall_ns u64
    CHECKPOINT   JSON {"facts": [{conn, t_ns, fact: {…}}, …]}: what opened each connection that lives now
    END          JSON {frames, connections, highest}: this segment is complete; the capture's counts so far

The check covers every byte of the record but its own four. It is split at byte 48, the end of a READ's fixed
fields, so that the writer hashes 44 fresh bytes and the data where it lies, and copies nothing large.
"""

from __future__ import annotations

import enum
import functools
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

from xxhash import xxh3_64_intdigest as digest

from wsinspect.capture import facts
from wsinspect.model import Clock, Fact, FactRecord, Gap, Read, ReadFields, Record, Sent, Side

VERSION = 1
MAGIC = b"WSCAP" + bytes([VERSION]) + b"\r\n"

HEADER = struct.Struct("<IIBBBBIQ")
"""check, length, type, side, carry, state, conn, t_ns"""
READ_FIELDS = struct.Struct("<QQQ")
"""offset, frame, left"""
SPLIT = HEADER.size + READ_FIELDS.size
"""Where the two hashes of the check meet."""
MAX_DATA = 64 << 20
"""The most that one record carries; the writer turns anything longer into a gap."""
MAX_LENGTH = MAX_DATA + (64 << 10)
"""A payload length beyond this is not a record."""
MAX_CARRY = 13
_FARTHEST = 1 << 61
"""No capture has more bytes: positions stay within 63 bits."""

_SEALED = struct.Struct("<IBBBBIQ")
_SEALED_READ = struct.Struct("<IBBBBIQQQQ")
_GAP_FIELDS = struct.Struct("<QQ")
_SENT_FIELDS = struct.Struct("<QH")
_CLOCK_FIELDS = struct.Struct("<Q")
_SIDES = (Side.CLIENT, Side.SERVER)


class RecordType(enum.IntEnum):
    SEGMENT = 1
    READ = 2
    FACT = 3
    SENT = 4
    GAP = 5
    CLOCK = 6
    CHECKPOINT = 7
    END = 8


@dataclass(frozen=True, slots=True)
class Counts:
    """What a capture has held from its beginning up to some place in it."""

    frames: int | None = None
    """Frames of all connections; None where they were not counted."""
    connections: int = 0
    """Connections that were over."""
    highest: int = 0
    """The highest connection number."""


@dataclass(slots=True)
class Segment:
    """A file of a capture begins, or a process goes on with it. Its pair of clocks holds like a `Clock`'s."""

    wall_ns: int
    mono_ns: int
    pid: int = 0
    host: str = ""
    wsinspect: str = ""
    segment: int = 1
    """Counted from 1 in this capture."""
    base: int = 0
    """Bytes of the capture in the segments before this one, whether they are still there or not."""
    continues: bool = False
    """The same process wrote the segment before: its connections go on."""
    checkpoints: int = 0
    """CHECKPOINT records that follow at once: all connections that live."""
    before: Counts = Counts()
    """Of the segments before this one."""


@dataclass(frozen=True, slots=True)
class End:
    """A segment is complete: the next one goes on."""

    counts: Counts


@dataclass(slots=True)
class Checkpoint:
    """The facts that opened each living connection, repeated."""

    facts: list[FactRecord]


# ----------------------------------------------------------------------------------------- encoding


def encode(record: Record) -> tuple[bytes, bytes]:
    """The record as two chunks, to be written one after the other; the second is a Read's own data.

    Raises struct.error where a number does not fit its field: a programmer's mistake.
    """
    if isinstance(record, Read):
        return read_head(fields_of(record)), record.data
    return pack_record(record), b""


def pack_record(record: FactRecord | Sent | Gap | Clock) -> bytes:
    """`encode` of all but a Read: in one piece."""
    match record:
        case FactRecord():
            return fact_record(record.conn, record.t_ns, facts.dumps(record.fact))
        case Sent():
            about = _about(record)
            payload = b"%b%b%b" % (_SENT_FIELDS.pack(record.offset, len(about)), about, record.data)
            return pack(RecordType.SENT, payload, record.t_ns, record.conn, record.side)
        case Gap():
            reason = record.reason.encode("utf-8", "replace")
            payload = _GAP_FIELDS.pack(record.offset, record.nbytes) + reason
            return pack(RecordType.GAP, payload, record.t_ns, record.conn, record.side)
        case Clock():
            return pack(RecordType.CLOCK, _CLOCK_FIELDS.pack(record.wall_ns), record.t_ns)


def _about(sent: Sent) -> bytes:
    """What a SENT says of its bytes."""
    reason = _reason(sent.why, sent.rule)
    frames = b',"frames":[%d,%d]' % (sent.first_frame, sent.last_frame) if sent.last_frame else b""
    wire = b',"wire":%d' % sent.wire_bytes if sent.wire_bytes else b""
    return b"%b%b%b}" % (reason, frames, wire)


@functools.lru_cache(maxsize=256)
def _reason(why: str, rule: str | None) -> bytes:
    """The beginning of a SENT's JSON; it is the same for all that a rule does."""
    return json.dumps({"why": why, "rule": rule}, separators=(",", ":"))[:-1].encode("ascii")


def fields_of(read: Read) -> ReadFields:
    """The same as a tuple."""
    return (
        read.conn, read.side, read.t_ns, read.data, read.offset, read.frame, read.left, read.carry, read.state
    )  # fmt: skip


def read_head(
    read: ReadFields,
    # Bound as defaults: this runs once per read of the relay, and global look-ups are a tenth of it.
    _pack: Any = _SEALED_READ.pack,
    _digest: Any = digest,
) -> bytes:
    """Header and fixed fields (48 bytes) of a Read; its data follows them."""
    conn, side, t_ns, data, offset, frame, left, carry, state = read
    sealed: bytes = _pack(len(data) + 24, 2, side, carry, state, conn, t_ns, offset, frame, left)
    check: int = _digest(data, _digest(sealed)) & 0xFFFFFFFF
    return check.to_bytes(4, "little") + sealed


def fact_record(conn: int, t_ns: int, payload: bytes) -> bytes:
    """A FACT record around a fact's JSON."""
    return pack(RecordType.FACT, payload, t_ns, conn)


def segment_record(segment: Segment) -> bytes:
    values: dict[str, Any] = {
        "format": VERSION,
        "wsinspect": segment.wsinspect,
        "segment": segment.segment,
        "wall_ns": segment.wall_ns,
        "mono_ns": segment.mono_ns,
        "pid": segment.pid,
        "host": segment.host,
    }
    if segment.base:
        values["base"] = segment.base
    if segment.continues:
        values["continues"] = True
    if segment.checkpoints:
        values["checkpoints"] = segment.checkpoints
    if segment.before != Counts():
        values["before"] = asdict(segment.before)
    return pack(RecordType.SEGMENT, json.dumps(values).encode("ascii"), segment.mono_ns)


def end_record(t_ns: int, counts: Counts) -> bytes:
    """The last record of a complete segment."""
    return pack(RecordType.END, json.dumps(asdict(counts)).encode("ascii"), t_ns)


def checkpoint_record(t_ns: int, entries: list[tuple[int, int, bytes]]) -> bytes:
    """A CHECKPOINT of (conn, t_ns, the fact's JSON)."""
    parts = [b'{"conn":%d,"t_ns":%d,"fact":%b}' % entry for entry in entries]
    return pack(RecordType.CHECKPOINT, b'{"facts":[' + b",".join(parts) + b"]}", t_ns)


def pack(kind: int, payload: bytes, t_ns: int, conn: int = 0, side: int = 0) -> bytes:
    """A whole record in one piece."""
    sealed = _SEALED.pack(len(payload), kind, side, 0, 0, conn, t_ns) + payload
    check: int = digest(sealed[SPLIT - 4 :], digest(sealed[: SPLIT - 4])) & 0xFFFFFFFF
    return check.to_bytes(4, "little") + sealed


# ----------------------------------------------------------------------------------------- decoding


def is_intact(record: bytes) -> bool:
    """Whether the check of a whole record is right."""
    check: int = digest(record[SPLIT:], digest(record[4:SPLIT])) & 0xFFFFFFFF
    return int.from_bytes(record[:4], "little") == check


def is_plausible(length: int, kind: int, side: int, carry: int) -> bool:
    """Whether a header could be one. Types up to 63 pass: a newer version may have added some."""
    return length <= MAX_LENGTH and 0 < kind < 64 and side <= 1 and carry <= MAX_CARRY


def decode(record: bytes) -> Record | Segment | Checkpoint | End | None:
    """A whole record whose check is right; None where its type is unknown or its payload makes no sense."""
    _, _, kind, side, carry, state, conn, t_ns = HEADER.unpack_from(record)
    payload = record[HEADER.size :]
    if side > 1:
        return None
    try:
        match kind:
            case RecordType.READ:
                offset, frame, left = READ_FIELDS.unpack_from(payload)
                data = payload[READ_FIELDS.size :]
                return Read(conn, _SIDES[side], t_ns, data, offset, frame, left, carry, state)
            case RecordType.FACT:
                fact = facts.loads(payload)
                return None if fact is None else FactRecord(conn, t_ns, fact)
            case RecordType.SENT:
                return _decode_sent(payload, conn, _SIDES[side], t_ns)
            case RecordType.GAP:
                offset, nbytes = _GAP_FIELDS.unpack_from(payload)
                reason = payload[_GAP_FIELDS.size :].decode("utf-8", "replace")
                return Gap(conn, _SIDES[side], t_ns, offset, nbytes, reason)
            case RecordType.CLOCK:
                return Clock(t_ns, *_CLOCK_FIELDS.unpack_from(payload))
            case RecordType.SEGMENT:
                return _decode_segment(payload, t_ns)
            case RecordType.CHECKPOINT:
                return _decode_checkpoint(payload)
            case RecordType.END:
                values = facts.load_object(payload)
                return None if values is None else End(_counts_from(values))
    except struct.error:
        pass  # shorter than its fixed fields
    return None


def _decode_sent(payload: bytes, conn: int, side: Side, t_ns: int) -> Sent:
    offset, size = _SENT_FIELDS.unpack_from(payload)
    start = _SENT_FIELDS.size
    about = facts.load_object(payload[start : start + size]) or {}
    why, rule, wire = about.get("why"), about.get("rule"), about.get("wire")
    match about.get("frames"):
        case [first, last] if _is_count(first) and _is_count(last) and first <= last:
            pass
        case _:
            first = last = 0
    return Sent(
        conn,
        side,
        t_ns,
        payload[start + size :],
        offset,
        why if isinstance(why, str) else "injected",
        rule if isinstance(rule, str) else None,
        first,
        last,
        wire if _is_count(wire) else 0,
    )


def _decode_segment(payload: bytes, t_ns: int) -> Segment | None:
    values = facts.load_object(payload)
    if values is None or not _is_count(values.get("wall_ns")):
        return None
    pid, number = values.get("pid"), values.get("segment")
    base, checkpoints, before = values.get("base"), values.get("checkpoints"), values.get("before")
    return Segment(
        wall_ns=values["wall_ns"],
        mono_ns=t_ns,
        pid=pid if _is_count(pid) else 0,
        host=str(values.get("host", "")),
        wsinspect=str(values.get("wsinspect", "")),
        segment=number if _is_count(number) else 1,
        base=base if _is_count(base) and base <= _FARTHEST else 0,
        continues=values.get("continues") is True,
        checkpoints=checkpoints if _is_count(checkpoints) else 0,
        before=_counts_from(before) if isinstance(before, dict) else Counts(),
    )


def _counts_from(values: dict[str, Any]) -> Counts:
    frames, connections, highest = values.get("frames"), values.get("connections"), values.get("highest")
    return Counts(
        frames if _is_count(frames) else None,
        connections if _is_count(connections) else 0,
        highest if _is_count(highest) and highest < 1 << 32 else 0,
    )


def _decode_checkpoint(payload: bytes) -> Checkpoint | None:
    values = facts.load_object(payload)
    entries = None if values is None else values.get("facts")
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("fact"), dict):
            continue
        conn, t_ns = entry.get("conn"), entry.get("t_ns")
        fact: Fact | None = facts.from_values(entry["fact"])
        if fact is not None and _is_count(conn) and conn < 1 << 32 and _is_count(t_ns):
            found.append(FactRecord(conn, t_ns, fact))
    return Checkpoint(found)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 64
