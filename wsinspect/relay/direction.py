"""One direction of a relayed connection: what one side sends and the other receives."""

from __future__ import annotations

from wsinspect.model import How, Opcode, Read, ScanState, Sent, Side
from wsinspect.relay.commands import Inject
from wsinspect.relay.ends import Finish, mirrored
from wsinspect.relay.scan import BoundaryScan
from wsinspect.relay.states import Carriage, Turn, turned
from wsinspect.wire.frames import FrameDecoder, encode_frame

type Output = bytes | Finish

TURNING = int(ScanState.CLOSED | ScanState.BLIND)
"""Scan states that change how the direction goes on."""


class Direction:
    """Bytes and an end come in; bytes and finishes go out, in order. No clock, no socket."""

    __slots__ = (
        "_came_on_tls", "_goes_on_tls", "_notified",
        "carriage", "close_injected", "conn", "ended", "known", "out", "scan", "side", "unscanned", "waiting",
    )  # fmt: skip

    def __init__(self, conn: int, side: Side, *, came_on_tls: bool, goes_on_tls: bool, blind: bool) -> None:
        self.conn = conn
        self.side = side
        """Who sends in this direction."""
        self.scan = BoundaryScan(blind=blind)
        self.carriage = Carriage.BLIND if blind else Carriage.CUT
        self.out: list[Output] = []
        """For the other side's leg, in order."""
        self.waiting: list[Inject] = []
        """Injections that wait for a boundary."""
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

    def receive_around(self, data: bytes, now_ns: int) -> tuple[Read, list[Sent]]:
        """The same while injections wait: what can be put in between goes out at its boundary."""
        self.settle()
        start, done, sent = self.scan.offset, 0, list[Sent]()
        probe = self.scan.copy()
        record = self.receive(data, now_ns)
        self.out.pop()
        while self.waiting:
            cut = probe.boundary_in(data[done:], message=self.waiting[0].opcode < 8)
            if cut is None:
                break
            self._append(data[done : done + cut])
            probe.feed(data[done : done + cut])
            done += cut
            if probe.closed:
                break
            sent.append(self._put(self.waiting.pop(0), start + done, now_ns))
            sent += self._put_all_at(probe, start + done, now_ns)
        self._append(data[done:])
        return record, sent

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

    def inject_now(self, now_ns: int) -> list[Sent]:
        """Put in what can go out where the direction stands now."""
        self.settle()
        return self._put_all_at(self.scan, self.scan.offset, now_ns)

    def end(self, how: How) -> None:
        """The sender ended; the receiver's leg gets the same."""
        self.out += mirrored(
            how, came_on_tls=self._came_on_tls, goes_on_tls=self._goes_on_tls, notified=self._notified
        )
        self._notified = self._notified or how is How.CLOSE_NOTIFY
        self.ended = True

    def _put_all_at(self, scan: BoundaryScan, offset: int, now_ns: int) -> list[Sent]:
        sent = []
        while self.waiting:
            data_frame = self.waiting[0].opcode < 8
            if not (scan.at_message_boundary if data_frame else scan.at_boundary):
                break
            sent.append(self._put(self.waiting.pop(0), offset, now_ns))
        return sent

    def _put(self, command: Inject, offset: int, now_ns: int) -> Sent:
        data = encode_frame(command.opcode, command.payload, mask=command.mask)
        self.out.append(data)
        self.close_injected = self.close_injected or command.opcode == Opcode.CLOSE
        return Sent(self.conn, self.side, now_ns, data, offset, command.why)

    def _append(self, data: bytes) -> None:
        if data:
            self.out.append(data)
