"""Sessions for the tests of timeline and index: frames, cut into reads, each with its scan state."""

from __future__ import annotations

import random
from collections.abc import Iterable

from wsinspect.model import Opened, Read, Requested, ScanState, Side
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


def random_sizes(rng: random.Random, largest: int = 400) -> Iterable[int]:
    while True:
        yield rng.randrange(1, rng.choice([3, 20, largest]))
