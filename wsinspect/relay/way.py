"""The way out of one direction: what waits its turn, what bytes it goes out as, and the wire it goes out on.

add(unit) ──▶ Outlet ──▶ Encoder ──▶ Line ──▶ direction.out
              whose turn  as it came,   slow,
                          or ours       cut, black
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from wsinspect.model import Opcode, Sent
from wsinspect.model.plans import Cut, Shape
from wsinspect.relay.book import Book
from wsinspect.relay.commands import Inject
from wsinspect.relay.direction import Direction, Output
from wsinspect.relay.encoder import Encoder, becomes_control, plain_frames
from wsinspect.relay.gate import Control, Held
from wsinspect.relay.holds import Holds
from wsinspect.relay.line import Line, Swallow
from wsinspect.relay.outlet import Ending, Outlet, Unit
from wsinspect.relay.shaping import Look, NewKey, frames_of
from wsinspect.relay.verdicts import rule_of
from wsinspect.wire.frames import encode_frame

MOST_COPIES = 1000
"""How often a message goes out; each copy is written out in full."""


class WayOut:
    """Of one direction. After each call that may bring something out, `pump` is called."""

    def __init__(self, direction: Direction, book: Book, holds: Holds) -> None:
        self._direction = direction
        self._book = book
        self._holds = holds
        self._waiting: list[Inject] = []
        """Injections that wait for a boundary."""
        self._went = direction.scan.copy()
        """Scans what went out as it came in pieces: whole frames leave it where it stands."""
        self.outlet = Outlet()
        self.line = Line()
        self.encoder = Encoder(direction.side, None, _no_key)
        self.new_key: NewKey = _no_key
        self.at = direction.scan.offset
        """Position in the sender's own stream, as it is captured, behind what has gone out."""
        self.cut: Cut | None = None
        """A cut that has happened: both legs end now."""
        self.broken_off = False
        """A message could not go out rightly: both legs end now."""
        self.severed = False
        """The receiver has got its end from us: nothing more follows."""
        self._final = False
        """Something has gone out that nothing but an end may follow."""
        self._close_went = False

    @property
    def closed(self) -> bool:
        """A Close frame has gone out."""
        return self._close_went or self._went.closed or self._direction.close_injected

    @property
    def clear(self) -> bool:
        """What comes may go out at once."""
        return self.outlet.empty and not self._waiting

    @property
    def idle(self) -> bool:
        """It need not be there."""
        return self.clear and self.line.plain and not self.severed

    @property
    def kept_bytes(self) -> int:
        return self.outlet.kept_bytes + self.line.kept_bytes

    @property
    def waiting(self) -> int:
        """Injections that wait for a boundary."""
        return len(self._waiting)

    @property
    def owes_end(self) -> bool:
        """The receiver's end is still to come from here, or never comes though the sender is gone."""
        return not self.severed and (self.outlet.has_end or self.line.has_end or self.line.swallowed_end)

    @property
    def next_ns(self) -> int | None:
        """When something is due by time alone."""
        times = (self.outlet.next_ns(between=self._went.at_boundary), self.line.next_ns)
        return min((each for each in times if each is not None), default=None)

    # ------------------------------------------------------------------------------------------- bytes in

    def inject(self, command: Inject) -> None:
        """A frame of ours for the next boundary, before all that waits for its time."""
        self._waiting.append(command)

    def drop_waiting(self) -> int:
        """Give up the injections that found no boundary; returns how many."""
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def pump(self, now_ns: int) -> None:
        """Let out what may go by now."""
        self._fill(now_ns)
        if self._final:
            self._end_here(now_ns)
        while (unit := self.outlet.next(now_ns, between=self._went.at_boundary)) is not None:
            self._go(unit, now_ns)
            self.outlet.gone(unit)
            if self._waiting:
                self._fill(now_ns)
            if self._final:
                self._end_here(now_ns)
        if not self.line.plain:
            self.line.flow(now_ns, self._direction.out)

    def send(self, unit: Unit, now_ns: int) -> bool:
        """Let out a message at once, where nothing holds it; whether that was so. Nothing is before it."""
        plan = unit.plan
        if (
            not isinstance(unit.what, Held)
            or unit.due_ns > now_ns
            or unit.hold
            or (plan is not None and plan.behind > 0)
        ):
            return False
        self._go(unit, now_ns)
        if self._final:
            self._end_here(now_ns)
        return True

    def put(self, output: Output, now_ns: int) -> None:
        """Onto the wire."""
        if self.line.plain:
            self._direction.out.append(output)
        else:
            self.line.put(output)
            self.line.flow(now_ns, self._direction.out)

    # ------------------------------------------------------------------------------------------- giving up

    def note_close(self) -> None:
        """A Close frame went out as it came."""
        self._close_went = True

    def discard(self, now_ns: int) -> int:
        """What waits goes nowhere; returns how many bytes that were."""
        lost = self.line.kept_bytes
        for unit in self.outlet.take_all():
            lost += unit.came_bytes
            self._holds.discarded(unit, now_ns)
        self.line.rest()
        return lost

    def sever(self, now_ns: int) -> None:
        """The receiver gets its end otherwise: nothing goes out here any more."""
        self.discard(now_ns)
        self.severed = True
        self._waiting.clear()
        self.line.black_out(Swallow.ALL)

    def hurry(self, now_ns: int) -> None:
        """Let out all that waits, now: what is held by its default."""
        for unit in self.outlet.take_all():
            self._holds.overtaken(unit, now_ns)
            self._go(unit, now_ns)
        self._direction.out += self.line.rest()

    def take_back(self, now_ns: int) -> list[Output]:
        """What waits, as it came, in the order in which it came."""
        self.line.lift()
        back = self.line.rest()
        for unit in self.outlet.take_all():
            self._holds.overtaken(unit, now_ns)
            match unit.what:
                case bytes() as data:
                    back.append(data)
                case Held() | Control() as whole:
                    back += [] if unit.dropped else [whole.raw]
                case Ending(finishes):
                    back += finishes
                case Inject():
                    pass
        return back

    # --------------------------------------------------------------------------------------------- units

    def _go(self, unit: Unit, now_ns: int) -> None:
        match unit.what:
            case bytes() if unit.compressed and self.encoder.parted:
                self._break_off()
            case bytes() as data:
                self._pass_piece(data, unit.end - len(data), now_ns)
            case Held() as held if not unit.dropped and unit.payload is None and self.encoder.breaks(held):
                self._break_off()
            case Held() as held:
                self._message(held, unit, now_ns)
            case Control() as control:
                self._control(control, unit, now_ns)
            case Inject() as ours:
                if self._went.at_boundary:
                    self._put_ours(ours, now_ns)
                else:
                    self._waiting.insert(0, ours)
            case Ending(finishes):
                for finish in finishes:
                    self.put(finish, now_ns)
            case _:
                assert_never(unit.what)
        if unit.end > self.at:
            self.at = unit.end

    def _pass_piece(self, data: bytes, start: int, now_ns: int) -> None:
        """Bytes as they came; what waits for a boundary is put in between."""
        done = 0
        while self._waiting:
            cut = self._went.boundary_in(data[done:], message=self._waiting[0].opcode < 8)
            if cut is None:
                break
            self._went.feed(data[done : done + cut])
            self.put(data[done : done + cut], now_ns)
            done += cut
            self.at = start + done
            if self._went.closed:
                break  # nothing may follow a Close
            self._fill(now_ns)
            if self._final:
                return
        if done < len(data):
            self._went.feed(data[done:])
            self.put(data[done:] if done else data, now_ns)

    def _break_off(self) -> None:
        """In the bytes in which it came the receiver would take it for other text."""
        self.broken_off = self._final = True

    def _message(self, held: Held, unit: Unit, now_ns: int) -> None:
        encoder, plan = self.encoder, unit.plan
        if unit.dropped:
            encoder.skipped(held)
            wire = b""
        elif unit.payload is not None or (plan is not None and plan.shape is not None):
            wire = encoder.changed(held, unit.payload, plan.shape if plan is not None else None)
            if unit.cut is None:
                self._record(unit, wire, "modified", now_ns)
        elif encoder.passes(held):
            wire = held.raw
        else:
            wire = encoder.encoded(held)
            self.say_recompressed(now_ns)
        if unit.cut is not None:
            self._cut(wire, unit, unit.cut, now_ns)
        elif wire:
            self.put(wire, now_ns)
            for _ in range(min(plan.copies if plan is not None else 1, MOST_COPIES) - 1):
                wire = encoder.again(held, unit.payload, plan.shape if plan is not None else None)
                self._record(unit, wire, "duplicate", now_ns)
                self.put(wire, now_ns)

    def _control(self, control: Control, unit: Unit, now_ns: int) -> None:
        plan, frame = unit.plan, control.frame
        if unit.dropped:
            if unit.cut is not None:
                self._cut(b"", unit, unit.cut, now_ns)
            return
        shape = plan.shape if plan is not None else None
        wire = control.raw
        if unit.payload is not None or shape is not None:
            payload = frame.payload if unit.payload is None else unit.payload
            wire = frames_of(payload, look_at(control), rsv1=False, shape=shape, new_key=self.new_key)
            if unit.cut is None:
                self._record(unit, wire, "modified", now_ns)
        if unit.cut is not None:
            self._cut(wire, unit, unit.cut, now_ns)
            return
        self._close_went = self._close_went or frame.opcode == Opcode.CLOSE
        self.put(wire, now_ns)
        for _ in range(min(plan.copies if plan is not None else 1, MOST_COPIES) - 1):
            self._record(unit, wire, "duplicate", now_ns)
            self.put(wire, now_ns)

    def _cut(self, wire: bytes, unit: Unit, cut: Cut, now_ns: int) -> None:
        """The line breaks in the middle of it."""
        nbytes = cut.nbytes if cut.share is None else round(cut.share * len(wire))
        wire = wire[: max(1, min(nbytes, len(wire) - 1))]
        plan, direction = unit.plan, self._direction
        if wire:
            if plan is None or not (plan.uncaptured or plan.captured or plan.captured_after):
                sent = Sent(direction.conn, direction.side, now_ns, wire, self.at, "cut", cut.rule)
                sent.first_frame, sent.last_frame = unit.numbers
                self._book.sent.append(sent)
            self.put(wire, now_ns)
            if not self.line.stalled_until_ns:
                direction.out += self.line.rest()
        self.cut = cut
        self._final = True

    # ---------------------------------------------------------------------------------------------- ours

    def _fill(self, now_ns: int) -> None:
        """Put in what waits for a boundary, where there is one."""
        while self._waiting and not self._final:
            data_frame = self._waiting[0].opcode < 8
            if not (self._went.at_message_boundary if data_frame else self._went.at_boundary):
                break
            self._put_ours(self._waiting.pop(0), now_ns)

    def _put_ours(self, command: Inject, now_ns: int) -> None:
        data = encode_frame(command.opcode, command.payload, mask=command.mask)
        shown, direction = data, self._direction
        if command.captured is not None:
            shown = encode_frame(command.opcode, command.captured, mask=command.mask)
        self._book.sent.append(
            Sent(direction.conn, direction.side, now_ns, shown, self.at, command.why, command.rule)
        )
        direction.close_injected = direction.close_injected or command.opcode == Opcode.CLOSE
        self._final = self._final or command.last
        self.put(data, now_ns)

    def _end_here(self, now_ns: int) -> None:
        """Nothing but the sender's end follows what went out last."""
        self._final = False
        self._waiting.clear()
        self.line.finish()
        for unit in self.outlet.take_all():
            if isinstance(unit.what, Ending):
                self.outlet.add(unit, now_ns)
            else:
                self._holds.discarded(unit, now_ns)
                self.line.swallowed_bytes += unit.came_bytes

    # ------------------------------------------------------------------------------------------- records

    def _record(self, unit: Unit, wire: bytes, why: str, now_ns: int) -> None:
        """Other bytes than those that came go out for a unit."""
        plan = unit.plan
        if plan is not None and plan.uncaptured:
            return
        captured = None
        if plan is not None:
            captured = plan.captured if unit.payload is None else plan.captured_after
        shape = plan.shape if plan is not None else None
        data, compressed = wire, 0
        match unit.what:
            case Held() as held if held.number or captured is not None:
                shown = captured if captured is not None else unit.payload
                shown = held.message.payload if shown is None else shown
                data = plain_frames(held, shown, _without_rsv1(shape), self.new_key)
                compressed = len(wire) if held.number and not becomes_control(shape) else 0
            case Control() as control if captured is not None:
                data = frames_of(captured, look_at(control), rsv1=False, shape=shape, new_key=self.new_key)
            case _:
                pass
        rule = rule_of(plan) if plan is not None else None
        direction = self._direction
        sent = Sent(
            direction.conn, direction.side, now_ns, data, unit.end, why, rule, *unit.numbers, compressed
        )
        self._book.sent.append(sent)

    def say_recompressed(self, now_ns: int) -> None:
        """Once: text is the same from here on, and its bytes are not."""
        text = "since a message was changed, compressed ones are compressed anew"
        self._book.say("recompressed", text, now_ns, side=self._direction.side)


def look_at(control: Control) -> Look:
    """How a control frame came."""
    frame = control.frame
    return Look(frame.opcode, [frame.length], [frame.mask], frame.rsv)


def _without_rsv1(shape: Shape | None) -> Shape | None:
    """For the frames as they would be without compression."""
    if shape is None or shape.rsv is None:
        return shape
    return replace(shape, rsv=shape.rsv & 3)


def _no_key() -> bytes:
    raise AssertionError("rules came without a source of masking keys")
