"""The deflate window of a direction at a place of its stream, out of the capture that is being written.

With context takeover a compressed message refers to all before it. Who begins to read in the middle, as rules
that come late do, finds what he needs in the capture: the direction from its first byte on.

Several directions are looked for in one pass, since a reload asks for all of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import make_assembler, make_decoder
from wsinspect.model import Gap, Read, Side
from wsinspect.wire.extensions import Negotiated
from wsinspect.wire.messages import MessageAssembler

READ_BYTES = 256 << 10
"""Of the capture, between two rests."""
POLL_S = 0.005
"""How long nothing new is waited for: the writer is that much behind."""
MAX_FRAME = 64 << 20
KEPT_OF_MESSAGE = 64 << 10
"""Nobody wants the messages: what is longer goes through the window alone."""
AHEAD_KEPT = 1 << 20
"""Bytes behind the place that is looked for, in case that the next place is there."""


class WindowSearch:
    """One direction, from its first byte up to a place between two messages."""

    def __init__(self, conn: int, side: Side, agreed: Negotiated, position: int) -> None:
        """`position`: in the side's stream, as it is captured."""
        self.conn = conn
        self.side = side
        self.position = position
        self.assembler: MessageAssembler = make_assembler(side, agreed, KEPT_OF_MESSAGE)
        self._decoder = make_decoder(side, agreed, MAX_FRAME)
        self._failed = False
        self._at = 0
        self._ahead: list[bytes] = []
        self._ahead_bytes = 0

    @property
    def over(self) -> bool:
        """There is nothing to look for any more."""
        return self._failed or self._at >= self.position

    @property
    def found(self) -> bool:
        """`assembler` can read every message from the position on."""
        whole = not (self._failed or self._decoder.blind or self._decoder.mid_frame)
        return whole and self._at == self.position and self.assembler.window_known

    def go_on(self, position: int) -> None:
        """Look for a later place."""
        self.position = position
        ahead, self._ahead, self._ahead_bytes = self._ahead, [], 0
        self._feed(b"".join(ahead))

    def take(self, record: Read | Gap) -> None:
        """The next record of the direction. Where something is missing nothing can be known."""
        if isinstance(record, Gap) or record.offset != self._at + self._ahead_bytes:
            self._failed = True
        elif not self._failed:
            self._feed(record.data)

    def _feed(self, data: bytes) -> None:
        cut = self.position - self._at
        for frame in self._decoder.receive(data[:cut]):
            self.assembler.receive(frame)
        self._at += len(data[:cut])
        if rest := data[cut:]:
            self._ahead.append(rest)
            self._ahead_bytes += len(rest)
            self._failed = self._failed or self._ahead_bytes > AHEAD_KEPT


class WindowPass:
    """One way through a capture. Its methods block: they are for a thread."""

    def __init__(self, path: Path) -> None:
        """Raises what `Reader` does."""
        self._reader = Reader(path)

    def run(self, searches: Sequence[WindowSearch], until_s: float) -> None:
        """Read on until each search is over, or the time (`time.monotonic`) is.

        It rests half of the time, so that the relay's thread gets on.
        """
        wanted = {(each.conn, each.side): each for each in searches}
        while time.monotonic() < until_s and not all(each.over for each in searches):
            began_s = time.monotonic()
            for _, record in self._reader.read(READ_BYTES):
                if isinstance(record, Read | Gap):
                    search = wanted.get((record.conn, record.side))
                    if search is not None:
                        search.take(record)
            time.sleep(max(POLL_S, time.monotonic() - began_s))

    def close(self) -> None:
        self._reader.close()
