"""A direction in which not every byte passes at once: the slow path, which CUT never sees.

    read ──▶ Gate ──▶ Judging ──▶ WayOut ──▶ direction.out
              │          └ verdicts, then reads (or a view of them), then what goes out instead or beside
              └ keeps a message until it is whole

It is there while rules watch the direction, something waits in it, or its wire is spoiled; where nothing of
that is left the session takes it away.
"""

from __future__ import annotations

from collections.abc import Callable

from wsinspect.model import Opcode, Side
from wsinspect.model.plans import Effect, Plan
from wsinspect.relay.book import Book
from wsinspect.relay.commands import Inject
from wsinspect.relay.direction import Direction, Output
from wsinspect.relay.encoder import Encoder
from wsinspect.relay.ends import Finish
from wsinspect.relay.gate import INSPECT_LIMIT, Control, Gate, Held
from wsinspect.relay.holds import Holds
from wsinspect.relay.judging import TOO_LARGE, Judging, Rules
from wsinspect.relay.outlet import Ending, Unit
from wsinspect.relay.scan import BoundaryScan
from wsinspect.relay.states import Carriage, Turn, turned
from wsinspect.relay.way import WayOut
from wsinspect.wire.messages import MessageAssembler

KEPT_LIMIT = 16 << 20
"""Bytes that may wait in a direction; above it reading from the sender pauses, until it is half of that."""
REENCODE_LIMIT = 64 << 20
"""Bytes of a message that is kept to be compressed anew: in the bytes that came nobody could read it."""

TOO_LATE = "no-capture: the rules came in the middle of this message"
UNPARSED = "no-capture: not to be parsed, so that rules see nothing of it"
UNFINISHED = "no-capture: this message never became whole"


class SlowPath:
    """Of one direction: `receive` and `end` in the place of the direction's own."""

    def __init__(
        self,
        direction: Direction,
        book: Book,
        holds: Holds,
        carry: Callable[[tuple[Effect, ...], int], None],
        want_window: Callable[[Side, int], None],
    ) -> None:
        """`direction`: settled. `carry`: does what a plan asks for beside its message. `want_window`: asks
        for what compressed messages refer to, at a position.
        """
        self.judging = Judging(direction, book, holds)
        self.way = WayOut(direction, book, holds)
        self.slow_end_ms = 0.0
        """The sender's end is passed on that much later."""
        self.limited_by = ""
        """The rule that limits what may go out."""
        self.alone = False
        """The sender is gone by a rule's doing, and the receiver does not know."""
        self._direction = direction
        self._book = book
        self._holds = holds
        self._carry_effects = carry
        self._want_window = want_window
        self._gate: Gate | None = None
        self._full = False
        # Of the read under way, so that a fault loses nothing:
        self.pending = b""
        """Not in the gate yet; set by who calls `receive`."""
        self._current: Held | Control | bytes | None = None
        """Out of the gate, and not on its way out."""
        self._data = b""
        """In the gate."""
        self._base = direction.scan.offset
        """Position of `_data` in the sender's stream, as it is captured."""
        self._run_start = self._run_stop = 0
        """What of `_data` goes out as it came, in one piece."""

    # ------------------------------------------------------------------------------------------- the rules

    def set_rules(self, rules: Rules | None, now_ns: int) -> None:
        """From the next message on; None: no rules."""
        if rules is not None:
            self.way.new_key = rules.new_key
        self.judging.set_rules(rules, now_ns)
        self.fit(now_ns)

    def fit(self, now_ns: int) -> None:
        """Between two reads: take the gate and the view that the rules want, where that can be."""
        gate, watch, scan = self._gate, self.judging.watch, self._direction.scan
        if gate is not None and (watch.nothing or gate.keeps_data is not watch.data):
            if not scan.blind and (self.way.encoder.parted or not (gate.empty and self.way.clear)):
                return
            self._gate = None
            self._direction.carriage = turned(self._direction.carriage, Turn.NO_RULE_LEFT)
        between = scan.blind or (scan.at_message_boundary and (self._gate is None or self._gate.empty))
        if not between:
            return
        if self.private and not watch.private:
            self.judging.leave_view(now_ns)
            self.way.at = scan.offset
        if self._gate is None and not watch.nothing and not scan.blind:
            self._open_gate(scan)

    def _open_gate(self, scan: BoundaryScan) -> None:
        rules, side = self.judging.rules, self._direction.side
        assert rules is not None
        self._gate = Gate(
            side,
            rules.deflate,
            rsv_allowed=rules.rsv_allowed,
            limit=INSPECT_LIMIT,
            data=self.judging.watch.data,
            after=scan,
        )
        self.way.encoder = Encoder(side, rules.deflate, rules.new_key)
        self._direction.carriage = turned(self._direction.carriage, Turn.RULE_COULD_MATCH)
        if self._gate.keeps_data and not self._gate.window_known:
            self._want_window(side, self._gate.remember())

    def window_found(self, position: int, assembler: MessageAssembler | None, now_ns: int) -> int | None:
        """`assembler` knows the window there; None: nobody does. Returns where it is wanted instead."""
        gate = self._gate
        if gate is None or gate.past_from is None:
            return None
        if assembler is None or gate.window_known:
            gate.forget()
            return None
        if position == gate.past_from and gate.catch_up(assembler):
            side = self._direction.side
            text = f"the {side.word}'s earlier messages are in the capture: rules see all from here on"
            self._book.say("window-found", text, now_ns, side=side)
            return None
        if self.private:
            gate.forget()  # the capture has other bytes behind the place where they began
        return gate.past_from

    @property
    def private(self) -> bool:
        """The capture has what the rules leave of it."""
        return self.judging.view is not None

    @property
    def idle(self) -> bool:
        """All may go at once, and nobody looks: the direction needs no slow path."""
        unseen = self._direction.scan.blind or (self._gate is None and self.judging.watch.nothing)
        return unseen and self.way.idle and not (self.private or self.slow_end_ms or self.alone)

    @property
    def wants_reading(self) -> bool:
        """What waits has not grown too large: false from `KEPT_LIMIT` down to half of it."""
        kept = self.way.kept_bytes
        self._full = kept > KEPT_LIMIT // 2 if self._full else kept > KEPT_LIMIT
        return not self._full

    # ----------------------------------------------------------------------------------------------- reads

    def receive(self, data: bytes, now_ns: int) -> None:
        """The direction's next bytes, settled and fit; what goes out of them is in `direction.out`."""
        read = self._direction.receive(data, now_ns)
        self._direction.out.pop()  # the way out decides
        self._base = read.offset
        if not self.private:
            self._book.reads.append(read)
        if self._gate is None:
            data = self._before_gate(data, now_ns)
        if data:
            self._through_gate(data, now_ns)
        if self.judging.view is not None:
            self.judging.view.flush()
        self.pump(now_ns)
        self._tell(now_ns)

    def pump(self, now_ns: int) -> None:
        """Let out what may go by now."""
        self.way.pump(now_ns)
        self._follow_windows(now_ns)

    def limit(self, nbytes: int, rule: str) -> None:
        """After that many more bytes nothing follows."""
        self.way.line.limit_left = nbytes
        self.limited_by = rule

    def close(self, frame: Inject) -> None:
        """A Close frame of ours goes out behind what waits; nothing but the end follows it."""
        self.way.outlet.add(Unit(frame, self.way.at), 0)

    def _before_gate(self, data: bytes, now_ns: int) -> bytes:
        """Bytes that no rule sees, up to the message boundary where rules begin; returns the rest."""
        scan = self._direction.scan.copy()
        cut = None if self.judging.watch.nothing or scan.blind else scan.boundary_in(data, message=True)
        head = data if cut is None else data[:cut]
        self._current, self.pending = head, data[len(head) :]
        self._base += len(head)
        hidden = UNPARSED if scan.blind else TOO_LATE
        self.judging.capture(head, hidden, now_ns, of_data=self.judging.watch.private)
        self._add_piece(head, now_ns)
        if cut is not None:
            scan.feed(head)
            self._open_gate(scan)
        return self.pending

    def _through_gate(self, data: bytes, now_ns: int) -> None:
        gate, way, judging = self._gate, self.way, self.judging
        assert gate is not None
        self.pending, self._data, self._run_start, self._run_stop = b"", data, 0, 0
        clear = way.clear
        for item in gate.receive(data):
            self._current = item
            if isinstance(item, bytes):
                self._piece(item, now_ns)
                clear = way.clear
                continue
            if isinstance(item, Held):
                fixed = bool(item.number) and way.encoder.in_window(item) and not gate.window_known
                plan = judging.message_plan(item, now_ns, fixed=fixed)
            else:
                plan = judging.control_plan(item, now_ns)
            carried = None if plan is None or plan.shadow else plan
            if carried is not None or not clear or (isinstance(item, Held) and item.message.truncated):
                self._flush_run(now_ns)
                clear = self._carry(item, plan, now_ns, clear=clear)
                continue
            if judging.view is not None:
                judging.show(item, plan, now_ns, alone=self._is_alone(item))
            if not isinstance(item, Held) or way.encoder.passes(item):
                self._extend_run(item, now_ns)
            else:
                self._flush_run(now_ns)
                way.put(way.encoder.encoded(item), now_ns)
                way.say_recompressed(now_ns)
                self._gone(item.stop)
            self._current = None
        self._flush_run(now_ns)
        self._data, self._base = b"", self._base + len(data)

    def _extend_run(self, item: Held | Control, now_ns: int) -> None:
        """It goes out at once and as it came: with what stands before it in the same read, where it can."""
        if isinstance(item, Control) and item.frame.opcode == Opcode.CLOSE:
            self.way.note_close()
        if item.before is None and item.start == self._run_stop:
            self._run_stop = item.stop
            return
        self._flush_run(now_ns)
        if item.before is None:
            self._run_start = item.start
        else:
            self.way.put(item.raw, now_ns)
            self._run_start = item.stop
            self._gone(item.stop)
        self._run_stop = item.stop

    def _flush_run(self, now_ns: int) -> None:
        start, stop = self._run_start, self._run_stop
        if start < stop:
            whole = stop - start == len(self._data)
            self.way.put(self._data if whole else self._data[start:stop], now_ns)
            self._run_start = stop
            self._gone(stop)

    def _gone(self, stop: int) -> None:
        """The read under way has gone out so far."""
        view = self.judging.view
        self.way.at = max(self.way.at, self._base + stop if view is None else view.scan.offset)

    def _carry(self, item: Held | Control, plan: Plan | None, now_ns: int, *, clear: bool) -> bool:
        """It does not go out at once and as it came: by a plan, or since something waits before it.

        `clear`: nothing waits. Returns the same, as it is then.
        """
        judging, way = self.judging, self.way
        numbers = judging.numbers(item)
        if judging.view is not None:
            judging.show(item, plan, now_ns, alone=self._is_alone(item))
        if plan is not None and plan.shadow:
            plan = None
        unit = Unit(item, self._position(), numbers, plan)
        if plan is not None:
            judging.apply(plan, unit, item, now_ns)
        clear = clear and way.send(unit, now_ns)
        if not clear:
            if isinstance(item, Held) or item.frame.opcode == Opcode.CLOSE:
                way.outlet.add(unit, now_ns)
            else:
                way.outlet.add_ping(unit)
            self._current = None
            way.pump(now_ns)
        self._current = None
        if plan is not None and plan.effects:
            self._carry_effects(plan.effects, now_ns)
            clear = False
        return clear or way.clear

    def _piece(self, data: bytes, now_ns: int) -> None:
        """Bytes that pass unseen: of what is too large, or cannot be parsed, or of no interest."""
        gate = self._gate
        assert gate is not None
        self._flush_run(now_ns)
        of_data = gate.keeps_data or gate.blind
        self.judging.capture(data, UNPARSED if gate.blind else TOO_LARGE, now_ns, of_data=of_data)
        self._add_piece(data, now_ns, compressed=gate.passing_compressed)

    def _add_piece(self, data: bytes, now_ns: int, *, compressed: bool = False) -> None:
        self.way.outlet.add(Unit(data, self._position(), compressed=compressed), now_ns)
        self._current = None
        self.way.pump(now_ns)

    def _is_alone(self, item: Held | Control) -> bool:
        return not (isinstance(item, Held) and self.way.encoder.in_window(item))

    def _position(self) -> int:
        """Behind what the gate has handed out, in the sender's stream as it is captured."""
        if self.judging.view is not None:
            return self.judging.view.scan.offset
        kept = self._gate.kept_bytes if self._gate is not None else 0
        return self._base + len(self._data) - kept

    # ------------------------------------------------------------------------------------------------ ends

    def end(self, finishes: tuple[Finish, ...], now_ns: int, *, abrupt: bool) -> int:
        """The sender ended. What is not whole passes as it came; after a reset nothing that waits goes out.

        Returns the bytes that were discarded.
        """
        way, lost = self.way, 0
        rest = self._rest(now_ns)
        if abrupt and way.kept_bytes:
            lost = way.discard(now_ns) + sum(map(len, rest))
            rest = []
        for part in rest:
            self._add_piece(part, now_ns)
        if finishes:
            due_ns = now_ns + round(self.slow_end_ms * 1e6) if self.slow_end_ms else 0
            way.outlet.add(Unit(Ending(finishes), self._position(), due_ns=due_ns), now_ns)
        self.pump(now_ns)
        return lost

    def stop(self, finishes: tuple[Finish, ...], now_ns: int) -> None:
        """wsinspect itself ends: what waits goes out now, then the end."""
        rest = self._rest(now_ns)
        if not self.way.severed:
            self.way.hurry(now_ns)
            self._direction.out += rest
        self._direction.out += finishes
        self.way.sever(now_ns)

    def _rest(self, now_ns: int) -> list[bytes]:
        """What never became a whole message."""
        rest = self._gate.rest() if self._gate is not None else []
        for part in rest:
            self.judging.capture(part, UNFINISHED, now_ns, of_data=True)
        if self.judging.view is not None:
            self.judging.view.flush()
        return rest

    def take_back(self, now_ns: int) -> list[Output]:
        """After a fault of ours: all that has come and not gone out, as it came."""
        back = self.way.take_back(now_ns)
        back.append(self._data[self._run_start : self._run_stop])
        current, self._current = self._current, None
        if current is not None:
            back.append(current if isinstance(current, bytes) else current.raw)
        back += self._gate.rest() if self._gate is not None else []
        back.append(self.pending)
        self.pending, self._data = b"", b""
        self._run_start = self._run_stop = 0
        return [each for each in back if each != b""]

    def go_blind(self, now_ns: int) -> None:
        """From here on plain bytes pass, unseen; in a capture that keeps things out they are a gap."""
        for unit in self.way.outlet.take_all():
            self._holds.discarded(unit, now_ns)
        self.way = WayOut(self._direction, self._book, self._holds)
        self._gate, self.slow_end_ms = None, 0.0
        self.judging.give_up()

    # --------------------------------------------------------------------------------------------- notices

    def _follow_windows(self, now_ns: int) -> None:
        """The windows have parted, or met again."""
        direction, encoder = self._direction, self.way.encoder
        if encoder.parted is not (direction.carriage is Carriage.REENCODE):
            turn = Turn.WINDOWS_PARTED if encoder.parted else Turn.WINDOWS_MET
            direction.carriage = turned(direction.carriage, turn)
            if self._gate is not None:
                self._gate.set_limit(REENCODE_LIMIT if encoder.parted else INSPECT_LIMIT)
        if encoder.broken:
            text = "a compressed message that cannot be read passed as it came, behind one that was changed"
            self._book.say("window-broken", text, now_ns, side=direction.side, level="error")

    def _tell(self, now_ns: int) -> None:
        """Each once: what rules could not see, what went wrong in them, what goes nowhere."""
        side, gate = self._direction.side, self._gate
        self.judging.take_notices(now_ns)
        if gate is not None and gate.oversize:
            self.judging.say_oversize(now_ns)
        if self.way.line.swallowed_bytes:
            text = f"what the {side.word} sends goes nowhere any more"
            self._book.say("discarded", text, now_ns, side=side, level="warning")
        if not self.wants_reading:
            text = f"more than {KEPT_LIMIT >> 20} MiB of the {side.word} wait: reading from it pauses"
            self._book.say("held-full", text, now_ns, side=side, level="warning")
