"""The relay of one connection, sans-I/O: a test of it reads like a transcript.

    session.receive(side, data, now_ns)      bytes of one read, after TLS
    session.end(side, how, now_ns, …)        that side's stream ended
    session.command(command, now_ns)         somebody asks for an injection
    session.take_records()                   for the capture, and *before* the output goes out
    session.take_output(side)                bytes and finishes for that side's leg
    session.settle()                         scan what went out (kept off the critical path)

After each of the first three, call the last three in that order.
"""

from __future__ import annotations

from collections.abc import Callable

from wsinspect.model import Closed, Ended, FactRecord, How, Notice, Record, Sent, Side
from wsinspect.relay.commands import Answer, Inject
from wsinspect.relay.direction import TURNING, Direction, Output

type AppendRead = Callable[[int, Side, int, bytes, int, int, int, int, int], None]
"""Takes the fields of a `Read`, in order: an object for each read would be a tenth of its cost [measured]."""

MAX_WAITING = 1000
"""Injections that may wait for a boundary in one direction."""


class Session:
    """Both directions of one connection from the 101 on."""

    __slots__ = ("_closed", "_directions", "_records", "conn", "first_close", "first_end", "stopped")

    def __init__(
        self, conn: int, *, client_tls: bool = False, server_tls: bool = False, blind: bool = False
    ) -> None:
        """`blind`: the 101 leads to a protocol other than WebSocket, so that there are no frames."""
        self.conn = conn
        self._directions = (
            Direction(conn, Side.CLIENT, came_on_tls=client_tls, goes_on_tls=server_tls, blind=blind),
            Direction(conn, Side.SERVER, came_on_tls=server_tls, goes_on_tls=client_tls, blind=blind),
        )
        self._records: list[Record] = []
        self.stopped = False
        """`stop` was called."""
        self._closed = False
        self.first_close: Side | None = None
        """Who sent the first Close frame."""
        self.first_end: Side | None = None
        """Who ended first."""

    def direction(self, side: Side) -> Direction:
        """What `side` sends."""
        return self._directions[side]

    def pass_on(self, side: Side, data: bytes, now_ns: int, append: AppendRead) -> bool:
        """The common case in one step: `data` goes on as it is, once its record is handed to `append`.

        Then the caller writes it to the other side's leg, and calls `passed`. False where it wants `receive`:
        nothing has happened then.
        """
        direction = self._directions[side]
        if self._records or direction.waiting or direction.out or direction.unscanned:
            return False
        scan = direction.scan
        append(self.conn, side, now_ns, data, scan.offset, scan.frame, scan.left, len(scan.carry), scan.state)
        return True

    def passed(self, side: Side, data: bytes, now_ns: int) -> bool:
        """What `pass_on` let through is on its way: scan it. True where that left a record to take."""
        direction = self._directions[side]
        scan = direction.scan
        scan.feed(data)
        if scan.state & TURNING == direction.known:
            return False
        direction.turn()
        self._turned(direction, now_ns)
        return bool(self._records)

    def receive(self, side: Side, data: bytes, now_ns: int) -> None:
        direction = self._directions[side]
        if not direction.waiting:
            self._records.append(direction.receive(data, now_ns))
            return
        record, sent = direction.receive_around(data, now_ns)
        self._records.append(record)
        self._records += sent

    def end(
        self,
        side: Side,
        how: How,
        now_ns: int,
        *,
        errno: str | None = None,
        detail: str = "",
        discarded_bytes: int = 0,
        tcp_info: dict[str, int] | None = None,
    ) -> None:
        """`side` ended; the other leg gets the same. After a reset nothing goes back to `side` either."""
        direction = self._directions[side]
        self.settle(now_ns)
        if self.first_end is None:
            self.first_end = side
        ended = Ended(
            side=side,
            how=how,
            errno=errno,
            detail=detail,
            discarded_bytes=discarded_bytes,
            tcp_info=tcp_info,
        )
        self._fact(now_ns, ended)
        if direction.waiting:
            text = (
                f"{len(direction.waiting)} injection(s) never found a boundary before the {side.word} ended"
            )
            self._fact(now_ns, Notice(code="injection-lost", text=text, level="warning", side=side))
            direction.waiting.clear()
        if not self.stopped:
            direction.end(how)

    def stop(self, now_ns: int, tcp_info: tuple[dict[str, int] | None, ...] = (None, None)) -> None:
        """wsinspect itself ends the connection: FIN both ways, and it says so. `tcp_info` by side."""
        if self.stopped:
            return
        self.stopped = True
        self.settle(now_ns)
        for direction in self._directions:
            cut = "" if direction.scan.at_boundary or direction.scan.blind else "in the middle of a frame"
            info = tcp_info[direction.side]
            self._fact(now_ns, Ended(side=direction.side, how=How.INSPECTOR, detail=cut, tcp_info=info))
            direction.out += direction.our_stop

    def closed(self, now_ns: int) -> None:
        """Both legs are gone: the last fact, with the scan's totals."""
        if self._closed:
            return
        self._closed = True
        self.settle(now_ns)
        client, server = (direction.scan for direction in self._directions)
        self._fact(
            now_ns, Closed(frames=(client.frames, server.frames), wire_bytes=(client.offset, server.offset))
        )

    def go_blind(self, side: Side, now_ns: int, text: str) -> None:
        """The shell met a fault of ours: what `side` sends passes as plain bytes from now on."""
        self._directions[side].go_blind()
        self._fact(now_ns, Notice(code="fault", text=text, level="error", side=side))

    def sent(self, sent: Sent) -> None:
        """The shell itself put these frames out (where another's word decides about messages)."""
        self._records.append(sent)

    def notice(self, notice: Notice, now_ns: int) -> None:
        """A fact that the shell found."""
        self._fact(now_ns, notice)

    @property
    def frames(self) -> int:
        """Frames seen in both directions."""
        return sum(direction.scan.frames for direction in self._directions)

    @property
    def wire_bytes(self) -> int:
        """Bytes seen in both directions since the 101."""
        return sum(direction.scan.offset for direction in self._directions)

    def command(self, command: Inject, now_ns: int) -> Answer:
        """Put a frame in, now or at the next boundary of its direction."""
        self.settle(now_ns)
        direction = self._directions[command.side]
        refusal = self.refusal(command)
        if refusal:
            return Answer(False, refusal)
        direction.waiting.append(command)
        sent = direction.inject_now(now_ns)
        self._records += sent
        return Answer(True, "waiting for a boundary" if direction.waiting else "sent")

    def take_records(self) -> list[Record]:
        records, self._records = self._records, []
        return records

    def take_output(self, side: Side) -> list[Output]:
        """What goes out on that side's leg, in order."""
        direction = self._directions[1 - side]
        out, direction.out = direction.out, []
        return out

    def settle(self, now_ns: int) -> bool:
        """Scan what went out since the last call. True where that left a record to take."""
        for direction in self._directions:
            if direction.settle():
                self._turned(direction, now_ns)
        return bool(self._records)

    def _turned(self, direction: Direction, now_ns: int) -> None:
        """The scan saw a first Close, or cannot go on."""
        if direction.scan.closed and self.first_close is None:
            self.first_close = direction.side
        if direction.scan.blind:
            text = f"the {direction.side.word}'s frames cannot be parsed any more; its bytes pass"
            self._fact(now_ns, Notice(code="blind", text=text, level="warning", side=direction.side))

    def refusal(self, command: Inject) -> str:
        """Why nothing can be put in; empty where it can."""
        direction = self._directions[command.side]
        if direction.ended or self.stopped:
            return f"the {command.side.word} has ended"
        if direction.scan.blind:
            return "frames cannot be parsed in this direction, so there is no boundary to inject at"
        if direction.scan.closed or direction.close_injected:
            return f"a Close frame of the {command.side.word} went by: nothing may follow it (RFC 6455 5.5.1)"
        if len(direction.waiting) >= MAX_WAITING:
            return f"{MAX_WAITING} injections are waiting for a boundary already"
        return ""

    def _fact(self, now_ns: int, fact: Ended | Closed | Notice) -> None:
        self._records.append(FactRecord(self.conn, now_ns, fact))
