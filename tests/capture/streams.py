"""Sessions for the tests of timeline and index: frames, cut into reads, each with its scan state."""

from __future__ import annotations

import random
from collections.abc import Iterable

from wsinspect.capture.timeline import FrameEvent, MessageEvent, Timeline
from wsinspect.model import (
    FactRecord,
    Judged,
    Opened,
    Outcome,
    Read,
    Record,
    Requested,
    RuleHit,
    ScanState,
    Sent,
    Side,
)
from wsinspect.wire.deflate import Deflater
from wsinspect.wire.frames import encode_frame

TAKEOVER = Opened(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
PLAIN = Opened(headers=[("Upgrade", "websocket")])
REQUESTED = Requested(url="ws://server/path")
MASK = b"\x11\x22\x33\x44"


class Scan:
    """A slow boundary scan, byte for byte: the state that stands in each Read."""

    def __init__(self) -> None:
        self.frame, self.left, self.head, self.state = 1, 0, b"", 0
        self.after = 0  # the state once the open frame ends

    def feed(self, data: bytes) -> None:
        for byte in data:
            if self.left:
                self.left -= 1
            else:
                self.head += bytes([byte])
                if not self._header():
                    continue
            if not self.left and not self.head:
                self.frame += 1

    def _header(self) -> bool:
        head = self.head
        if len(head) < 2:
            return False
        length = head[1] & 127
        size = 2 + {126: 2, 127: 8}.get(length, 0) + (4 if head[1] & 128 else 0)
        if len(head) < size:
            return False
        if length >= 126:
            length = int.from_bytes(head[2 : 4 if length == 126 else 10])
        self.left, self.head = length, b""
        opcode, fin = head[0] & 15, head[0] >> 7
        if opcode == 8:
            self.state |= ScanState.CLOSED
        if opcode < 8:
            if opcode:
                message = ScanState.TEXT if opcode == 1 else ScanState.BINARY
                message |= ScanState.COMPRESSED if head[0] & 0x40 else ScanState.NONE
            else:
                message = ScanState(self.state & (ScanState.TEXT | ScanState.BINARY | ScanState.COMPRESSED))
            self.state = (self.state & ScanState.CLOSED) | (0 if fin else message)
        return True


def cut(stream: bytes, sizes: Iterable[int], *, conn: int = 1, side: Side = Side.CLIENT) -> list[Read]:
    """The stream as reads of these sizes, the rest in one."""
    scan, reads, pos = Scan(), [], 0
    sizes = iter(sizes)
    while pos < len(stream):
        data = stream[pos : pos + next(sizes, len(stream))]
        reads.append(
            Read(conn, side, len(reads), data, pos, scan.frame, scan.left, len(scan.head), scan.state)
        )
        scan.feed(data)
        pos += len(data)
    return reads


def talk(
    rng: random.Random, count: int, *, deflate: bool, side: Side = Side.CLIENT
) -> tuple[bytes, list[str]]:
    """Messages with the texts that they carry: some fragmented, pings between, compressed with takeover."""
    mask = MASK if side is Side.CLIENT else None
    deflater = Deflater()
    stream, texts = b"", []
    for number in range(count):
        text = f"message {number} " + rng.choice(["tick ", "tock ", "price=", "ä"]) * rng.randrange(1, 60)
        texts.append(text)
        payload, rsv = text.encode(), 0
        if deflate and rng.random() < 0.8:
            payload, rsv = deflater.deflate(payload), 4
        if rng.random() < 0.2:
            at = rng.randrange(len(payload))
            stream += encode_frame(1, payload[:at], fin=False, rsv=rsv, mask=mask)
            if rng.random() < 0.5:
                stream += encode_frame(9, b"between", mask=mask)
            stream += encode_frame(0, payload[at:], mask=mask)
        else:
            stream += encode_frame(1, payload, rsv=rsv, mask=mask)
        if rng.random() < 0.1:
            stream += encode_frame(10, b"", mask=mask)
    return stream, texts


def judge(rng: random.Random, records: list[Record], share: float = 0.4) -> list[Record]:
    """The records with verdicts on some of their messages and control frames, and what was sent instead."""
    line, judged = Timeline(), list[Record]()
    for record in records:
        events = line.feed(record)
        found = [event for event in events if isinstance(event, MessageEvent | FrameEvent) and not event.ours]
        sent: list[Record] = []
        for event in found:
            if isinstance(event, FrameEvent) and not event.frame.is_control:
                continue
            if rng.random() < share:
                fact = _verdict(rng, event)
                judged.append(FactRecord(event.conn, event.t_ns, fact))
                if fact.outcome is Outcome.CHANGED:
                    sent.append(_instead(rng, event, fact))
        judged += [record, *sent]
    return judged


def _verdict(rng: random.Random, event: MessageEvent | FrameEvent) -> Judged:
    is_frame = isinstance(event, FrameEvent)
    first = event.frame.number if is_frame else event.message.first_frame
    last = event.frame.number if is_frame else event.message.last_frame
    return Judged(
        side=event.side,
        first_frame=first,
        last_frame=last,
        opcode=event.frame.opcode if is_frame else event.message.opcode,
        outcome=rng.choice([Outcome.PASSED, Outcome.DROPPED] + [Outcome.CHANGED] * (not is_frame)),
        hits=[RuleHit(rule=rng.choice(["a", "b"]), did=(f"did {first} to {last}",))],
        delay_ms=rng.choice([0.0, 20.0]),
    )


def _instead(rng: random.Random, event: MessageEvent | FrameEvent, fact: Judged) -> Sent:
    data = encode_frame(fact.opcode, b"changed", mask=None if event.side else MASK)
    first, last = fact.first_frame, fact.last_frame
    return Sent(event.conn, event.side, event.t_ns, data, 0, "modified", fact.hits[0].rule, first, last)


def random_sizes(rng: random.Random, largest: int = 400) -> Iterable[int]:
    while True:
        yield rng.randrange(1, rng.choice([3, 20, largest]))
