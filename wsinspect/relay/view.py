"""What the capture has of a direction in which rules could keep something out of it.

Whole frames, once their verdict is known: as they came, with another payload, or a gap in their place. So the
direction has a stream of its own in the capture, whose offsets count what is captured; the frames keep their
numbers, since what stands for a message has as many frames.
"""

from __future__ import annotations

from wsinspect.model import Gap, Read, Side
from wsinspect.relay.scan import BoundaryScan

type Captured = Read | Gap


class View:
    """One direction as its capture has it."""

    def __init__(self, conn: int, side: Side, scan: BoundaryScan, records: list[Captured]) -> None:
        """`scan`: where the direction stands; `records`: where reads and gaps go."""
        self._conn = conn
        self._side = side
        self.scan = scan.copy()
        """Of the stream that is captured."""
        self._records = records
        self._shown: list[bytes] = []
        self._read: Read | None = None
        """What is shown and not yet in `records`; its data are `_shown`."""

    def show(self, data: bytes, now_ns: int) -> None:
        """The next bytes, as they shall be captured."""
        scan = self.scan
        if self._read is None:
            self._read = Read(
                self._conn, self._side, now_ns, b"",
                scan.offset, scan.frame, scan.left, len(scan.carry), scan.state,
            )  # fmt: skip
        self._shown.append(data)
        scan.feed(data)

    def hide(self, data: bytes, reason: str, now_ns: int) -> None:
        """The next bytes; nothing but their number, and the frames in them, is known of them."""
        self.flush()
        last = self._records[-1] if self._records else None
        offset = self.scan.offset
        if (
            isinstance(last, Gap)
            and (last.side, last.reason) == (self._side, reason)
            and last.offset + last.nbytes == offset
        ):
            last.nbytes += len(data)
        else:
            self._records.append(Gap(self._conn, self._side, now_ns, offset, len(data), reason))
        self.scan.feed(data)

    def flush(self) -> None:
        """What is shown becomes a read."""
        if self._read is not None:
            self._read.data = b"".join(self._shown)
            self._records.append(self._read)
            self._read = None
            self._shown.clear()
