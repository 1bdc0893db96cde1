"""One direction of a relayed connection: what one side sends and the other receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsinspect.model import How, Read, ScanState, Side
from wsinspect.relay.ends import Finish, mirrored
from wsinspect.relay.scan import BoundaryScan
from wsinspect.relay.states import Carriage, Turn, turned
from wsinspect.wire.frames import FrameDecoder

if TYPE_CHECKING:
    from wsinspect.relay.slow import SlowPath

type Output = bytes | Finish

TURNING = int(ScanState.CLOSED | ScanState.BLIND)
"""Scan states that change how the direction goes on."""


MAX_WAITING = 1000
"""Injections that may wait for a boundary in one direction."""


class Direction:
    """Bytes and an end come in; bytes and finishes go out, in order. No clock, no socket."""

    __slots__ = (
        "_came_on_tls", "_goes_on_tls", "_notified",
        "carriage", "close_injected", "conn", "ended", "hidden_bytes", "known", "out", "path", "scan", "side",
        "unscanned",
    )  # fmt: skip

    def __init__(self, conn: int, side: Side, *, came_on_tls: bool, goes_on_tls: bool, blind: bool) -> None:
        self.conn = conn
        self.side = side
        """Who sends in this direction."""
        self.scan = BoundaryScan(blind=blind)
        self.carriage = Carriage.BLIND if blind else Carriage.CUT
        self.out: list[Output] = []
        """For the other side's leg, in order."""
        self.path: SlowPath | None = None
        """What bytes go through where not all may pass at once; None: they pass as they come."""
        self.hidden_bytes = 0
        """Bytes that came and count in no offset of the capture."""
        self.close_injected = False
        self.ended = False
        """Nothing more can come: FIN, RST or close_notify was seen."""
        self._came_on_tls = came_on_tls
        self._goes_on_tls = goes_on_tls
        self._notified = False
        self.known = self.scan.state & TURNING
        """The turning bits that have been followed."""
        self.unscanned: list[bytes] = []
        """What `receive` let pass and `settle` has not seen yet."""

    def receive(self, data: bytes, now_ns: int) -> Read:
        """Forward the next bytes as they are; `settle` scans them, once they are on their way."""
        scan = self.scan
        record = Read(
            self.conn, self.side, now_ns, data,
            scan.offset, scan.frame, scan.left, len(scan.carry), scan.state,
        )  # fmt: skip
        self.out.append(data)
        self.unscanned.append(data)
        return record

    def settle(self) -> bool:
        """Scan what went out. True where the direction has just become blind, or a first Close has begun."""
        if not self.unscanned:
            return False
        scan = self.scan
        for data in self.unscanned:
            scan.feed(data)
        self.unscanned.clear()
        if scan.state & TURNING == self.known:
            return False
        self.turn()
        return True

    def turn(self) -> None:
        """The scan's turning bits are others now: follow them."""
        self.known = self.scan.state & TURNING
        if self.scan.blind:
            self.carriage = turned(self.carriage, Turn.UNPARSEABLE)

    def go_blind(self) -> None:
        """From here on plain bytes pass: a fault of ours left the scan where it cannot be believed."""
        self.unscanned.clear()
        self.scan.go_blind()
        self.known = self.scan.state & TURNING
        self.carriage = turned(self.carriage, Turn.UNPARSEABLE)

    @property
    def our_stop(self) -> tuple[Finish, ...]:
        """What the receiver's leg gets when wsinspect itself ends the connection."""
        return (Finish.CLOSE_NOTIFY, Finish.FIN) if self._goes_on_tls else (Finish.FIN,)

    def close_frame(self) -> bytes | None:
        """The payload of the first Close frame; None where there was none, or it never became whole."""
        frames = FrameDecoder(self.side).receive(self.scan.close)
        return frames[0].payload if frames else None

    def end(self, how: How) -> tuple[Finish, ...]:
        """The sender ended; what the receiver's leg gets for it."""
        finishes = mirrored(
            how, came_on_tls=self._came_on_tls, goes_on_tls=self._goes_on_tls, notified=self._notified
        )
        self._notified = self._notified or how is How.CLOSE_NOTIFY
        self.ended = True
        return finishes

    def rebase(self, offset: int) -> None:
        """Raw reads go on at another offset than what has come: the capture has had a view until here."""
        self.hidden_bytes += self.scan.offset - offset
        self.scan.offset = offset

    @property
    def wire_bytes(self) -> int:
        """Bytes that have come since the 101."""
        return self.scan.offset + self.hidden_bytes

    @property
    def refusal(self) -> str:
        """Why nothing can be put in; empty where it can."""
        path = self.path
        if self.ended or (path is not None and path.way.severed):
            return f"the {self.side.word} has ended"
        if self.scan.blind:
            return "frames cannot be parsed in this direction, so there is no boundary to inject at"
        if path.way.closed if path is not None else self.scan.closed or self.close_injected:
            return f"a Close frame of the {self.side.word} went by: nothing may follow it (RFC 6455 5.5.1)"
        if path is not None and path.way.waiting >= MAX_WAITING:
            return f"{MAX_WAITING} injections are waiting for a boundary already"
        return ""
