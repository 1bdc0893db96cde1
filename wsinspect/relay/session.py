"""The relay of one connection, sans-I/O: a test of it reads like a transcript.

    session.receive(side, data, now_ns)      bytes of one read, after TLS
    session.end(side, how, now_ns, …)        that side's stream ended
    session.command(command, now_ns)         somebody asks for an injection, or decides about what is held
    session.set_judge(judge, now_ns, …)      rules for what comes from here on
    session.wake(now_ns)                     the time of `next_wake_ns` has come

    session.take_records()                   for the capture, and *before* the output goes out
    session.take_output(side)                bytes and finishes for that side's leg
    session.settle()                         scan what went out (kept off the critical path)

After each of the first five, call the last three in that order. Where the session is `ruled`, then look at
`next_wake_ns` and `wants_reading`.
"""

from __future__ import annotations

from typing import assert_never

from wsinspect.model import Closed, Ended, FactRecord, How, Notice, ReadFields, Record, Released, Sent, Side
from wsinspect.model.plans import Judge
from wsinspect.relay.commands import Answer, Command, DropHeld, Edit, Inject, Release, Wait
from wsinspect.relay.direction import MAX_WAITING, TURNING, Direction, Output
from wsinspect.relay.holds import HeldMessage
from wsinspect.relay.judging import Rules
from wsinspect.relay.ruling import Ruling
from wsinspect.relay.shaping import NewKey
from wsinspect.wire.extensions import Negotiated
from wsinspect.wire.messages import MessageAssembler

__all__ = ["MAX_WAITING", "Session"]

ABRUPT = frozenset({How.RST, How.TIMEOUT, How.UNREACHABLE, How.ALERT})
"""Ends after which nothing reaches the side any more."""


class Session:
    """Both directions of one connection from the 101 on."""

    __slots__ = (
        "_closed", "_directions", "_records", "_ruling", "conn", "first_close", "first_end", "stopped",
    )  # fmt: skip

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
        self._ruling: Ruling | None = None
        """There since something was not plain: rules, or a frame that had to be put in."""
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

    def pass_on(self, side: Side, data: bytes, now_ns: int) -> ReadFields | None:
        """The common case in one step: `data` goes on as it is. Returns its record.

        The caller appends that, writes `data` to the other side's leg, and calls `passed`. None where it
        wants `receive`: nothing has happened then.
        """
        direction = self._directions[side]
        if self._records or direction.path is not None or direction.out or direction.unscanned:
            return None
        scan = direction.scan
        return self.conn, side, now_ns, data, scan.offset, scan.frame, scan.left, len(scan.carry), scan.state

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
        if direction.path is None:
            self._records.append(direction.receive(data, now_ns))
            return
        self.settle(now_ns)
        ruling = self._ruled()
        try:
            ruling.receive(side, data, now_ns)
        finally:
            self._records += ruling.book.take()

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
        direction, ruling = self._directions[side], self._ruling
        self.settle(now_ns)
        if self.first_end is None:
            self.first_end = side
        abrupt = how in ABRUPT
        if abrupt and ruling is not None:
            discarded_bytes += ruling.lost_to(side, now_ns)
        ended = Ended(
            side=side,
            how=how,
            errno=errno,
            detail=detail,
            discarded_bytes=discarded_bytes,
            tcp_info=tcp_info,
        )
        self._fact(now_ns, ended)
        finishes = direction.end(how) if not self.stopped else ()
        if ruling is None:
            direction.out += finishes
            return
        try:
            ruling.end(side, finishes, now_ns, abrupt=abrupt)
        finally:
            self._records += ruling.book.take()

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
        if self._ruling is not None:
            self._ruling.stop(now_ns)
            self._records += self._ruling.book.take()
            return
        for direction in self._directions:
            direction.out += direction.our_stop

    def closed(self, now_ns: int) -> None:
        """Both legs are gone: the last fact, with the scan's totals."""
        if self._closed:
            return
        self._closed = True
        self.settle(now_ns)
        if self._ruling is not None:
            self._ruling.over(now_ns)
            self._records += self._ruling.book.take()
        client, server = self._directions
        frames = client.scan.frames, server.scan.frames
        self._fact(now_ns, Closed(frames=frames, wire_bytes=(client.wire_bytes, server.wire_bytes)))

    def take_back(self, side: Side, now_ns: int, data: bytes = b"") -> list[Output]:
        """After a fault of ours: all that `side` sent and that is not out yet, as it came, for the other leg.

        `data`: the read in whose midst it happened. Then the shell calls `go_blind`.
        """
        out = self.take_output(side.other)
        if self._ruling is None or self._directions[side].path is None:
            return [data] if data else out
        back = self._ruling.take_back(side, now_ns)
        self._records += self._ruling.book.take()
        return [*out, *back]

    def go_blind(self, side: Side, now_ns: int, text: str) -> None:
        """The shell met a fault of ours: what `side` sends passes as plain bytes from now on."""
        self._directions[side].go_blind()
        self._fact(now_ns, Notice(code="fault", text=text, level="error", side=side))
        if self._ruling is not None:
            self._ruling.go_blind(side, now_ns)
            self._records += self._ruling.book.take()

    def shown(self, frame: Inject, now_ns: int) -> Inject:
        """Somebody's frame that the shell itself puts out, with what the capture may have of it."""
        return frame if self._ruling is None else self._ruling.shown(frame, now_ns)

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
        return sum(direction.wire_bytes for direction in self._directions)

    def command(self, command: Command, now_ns: int) -> Answer:
        """Put a frame in, now or at the next boundary of its direction; or a word about a held message."""
        self.settle(now_ns)
        ruling = self._ruled()
        match command:
            case Inject():
                if refusal := self.refusal(command):
                    return Answer(False, refusal)
                sent = ruling.put_in(command, now_ns)
                later = "waiting for what is before it" if command.last else "waiting for a boundary"
                answer = Answer(True, "sent" if sent else later)
            case Release() | Edit() | DropHeld() | Wait():
                answer = ruling.command(command, now_ns)
            case _:
                assert_never(command)
        self._records += ruling.book.take()
        return answer

    # ----------------------------------------------------------------------------------------------- rules

    def set_judge(
        self,
        judge: Judge | None,
        now_ns: int,
        *,
        agreed: Negotiated | None,
        new_key: NewKey,
        opening: bool = False,
    ) -> None:
        """Rules for each direction from its next message on, in the place of those before; None: none.

        `agreed`: what the handshake agreed to. `new_key`: four random bytes at each call. `opening`: the 101
        went to the client just now, so ask `judge.opened`; else `judge.replaced`. Leaves records and output
        to take.
        """
        if judge is None and self._ruling is None:
            return
        self.settle(now_ns)
        ruling = self._ruled()
        ruling.set_rules(None if judge is None else Rules(judge, agreed, new_key), now_ns)
        if judge is not None:
            if opening:
                ruling.open(now_ns)
            else:
                ruling.replaced(now_ns)
        self._records += ruling.book.take()

    @property
    def attended(self) -> bool:
        """Somebody is there who can decide about held messages; else each takes its default at once."""
        return self._ruling is not None and self._ruling.holds.attended

    def attend(self, there: bool, now_ns: int) -> None:
        """Somebody is there who can decide about held messages; or not any more, and what is held goes on.

        Leaves records and output to take.
        """
        if not there and self._ruling is None:
            return
        self.settle(now_ns)
        ruling = self._ruled()
        ruling.attend(there, now_ns)
        self._records += ruling.book.take()

    @property
    def ruled(self) -> bool:
        """Something waits for time, or did: look at `next_wake_ns` and `wants_reading` after each step."""
        return self._ruling is not None

    def holds(self) -> list[HeldMessage]:
        """The messages that are held now, by number."""
        return self._ruling.holds.listed() if self._ruling is not None else []

    @property
    def has_hold_news(self) -> bool:
        """`take_hold_news` has something."""
        return self._ruling is not None and bool(self._ruling.holds.news)

    def take_hold_news(self) -> list[HeldMessage | Released]:
        """What has become held since the last call, and what is not held any more, in order."""
        if self._ruling is None or not self._ruling.holds.news:
            return []
        news, self._ruling.holds.news = self._ruling.holds.news, []
        return news

    @property
    def wants_windows(self) -> bool:
        """`take_window_wishes` has something."""
        return self._ruling is not None and bool(self._ruling.window_wishes)

    def take_window_wishes(self) -> list[tuple[Side, int]]:
        """Where rules want to know a side's deflate window, in its stream as it is captured: `window_found`.

        Rules that come late cannot read messages that refer to earlier ones.
        """
        if self._ruling is None:
            return []
        wishes, self._ruling.window_wishes = self._ruling.window_wishes, []
        return wishes

    def window_found(
        self, side: Side, position: int, assembler: MessageAssembler | None, now_ns: int
    ) -> int | None:
        """`assembler` has read all of `side` up to there; None: that cannot be.

        Returns a later position where it is wanted instead; None: nowhere, and it may have been taken. Leaves
        records to take.
        """
        if self._ruling is None:
            return None
        later = self._ruling.window_found(side, position, assembler, now_ns)
        self._records += self._ruling.book.take()
        return later

    @property
    def next_wake_ns(self) -> int | None:
        """When `wake` is to be called; None: nothing waits for time. May change with every call."""
        return self._ruling.next_wake_ns if self._ruling is not None else None

    def wake(self, now_ns: int) -> None:
        """Do what is due by now. Leaves records and output to take, of both sides."""
        if self._ruling is None:
            return
        self.settle(now_ns)
        try:
            self._ruling.wake(now_ns)
        finally:
            self._records += self._ruling.book.take()

    def inspects(self, side: Side) -> bool:
        """What `side` sends is looked into, or waits: each byte costs far more than one that is cut."""
        return self._directions[side].path is not None

    def wants_reading(self, side: Side) -> bool:
        """Whether `side` is to be read; False while too much of what it sent waits."""
        return self._ruling is None or self._ruling.wants_reading(side)

    def owes_end(self, side: Side) -> bool:
        """The other leg may be gone, yet this one lives on: its end waits here, or never comes."""
        return self._ruling is not None and self._ruling.owes_end(side)

    @property
    def severed(self) -> bool:
        """Rules have ended both legs."""
        return self._ruling is not None and self._ruling.severed

    def private(self, side: Side) -> bool:
        """What `side` sends is captured as rules leave it: its bytes are for no other record."""
        path = self._directions[side].path
        return path is not None and path.private

    def take_records(self) -> list[Record]:
        records, self._records = self._records, []
        return records

    def take_output(self, side: Side) -> list[Output]:
        """What goes out on that side's leg, in order."""
        direction = self._directions[1 - side]
        out, direction.out = direction.out, []
        if len(out) > 1 and direction.path is not None and direction.path.way.line.plain:
            return _joined(out)
        return out

    def settle(self, now_ns: int) -> bool:
        """Scan what went out since the last call. True where something is left to take, for either side."""
        for direction in self._directions:
            if direction.settle():
                self._turned(direction, now_ns)
        return bool(self._records) or (self._ruling is not None and self._ruling.active)

    def _turned(self, direction: Direction, now_ns: int) -> None:
        """The scan saw a first Close, or cannot go on."""
        if direction.scan.closed and self.first_close is None:
            self.first_close = direction.side
        if direction.scan.blind:
            text = f"the {direction.side.word}'s frames cannot be parsed any more; its bytes pass"
            self._fact(now_ns, Notice(code="blind", text=text, level="warning", side=direction.side))

    def refusal(self, command: Inject) -> str:
        """Why nothing can be put in; empty where it can."""
        if self.stopped:
            return f"the {command.side.word} has ended"
        return self._directions[command.side].refusal

    def _ruled(self) -> Ruling:
        if self._ruling is None:
            self._ruling = Ruling(self.conn, self._directions)
        return self._ruling

    def _fact(self, now_ns: int, fact: Ended | Closed | Notice) -> None:
        self._records.append(FactRecord(self.conn, now_ns, fact))


def _joined(out: list[Output]) -> list[Output]:
    """The same in as few pieces as can be: each is a call of the system."""
    joined: list[Output] = []
    run: list[bytes] = []
    for each in out:
        if isinstance(each, bytes):
            run.append(each)
            continue
        if run:
            joined.append(b"".join(run))
            run = []
        joined.append(each)
    return [*joined, b"".join(run)] if run else joined
