"""What the rules want of each message and control frame of one direction, and what its capture has of it.

Asks the judge, records the verdicts, and prepares the units that go out. What rules cannot see passes; in a
direction that is captured after them it is a gap, so that nothing gets in that they might have kept out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from wsinspect.model import Gap, Notice, Violation
from wsinspect.model.plans import Cut, Fate, Judge, Plan, Watch
from wsinspect.relay.book import Book
from wsinspect.relay.direction import Direction
from wsinspect.relay.encoder import plain_frames
from wsinspect.relay.gate import INSPECT_LIMIT, Control, Held
from wsinspect.relay.holds import HeldMessage, Holds
from wsinspect.relay.outlet import Unit
from wsinspect.relay.shaping import NewKey, frames_of
from wsinspect.relay.verdicts import judged, rule_of
from wsinspect.relay.view import View
from wsinspect.relay.way import look_at
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.extensions import Negotiated

TOO_LARGE = "no-capture: too large for rules to look into"
UNREADABLE = "no-capture: rules cannot read this message"


@dataclass(slots=True)
class Rules:
    """What the rules of a connection need to be carried out."""

    judge: Judge
    agreed: Negotiated | None
    """What the handshake agreed to; None: nothing."""
    new_key: NewKey

    @property
    def deflate(self) -> DeflateParams | None:
        return self.agreed.deflate if self.agreed is not None else None

    @property
    def rsv_allowed(self) -> int:
        return self.agreed.rsv_allowed if self.agreed is not None else 0


class Judging:
    """The rules of one direction at work."""

    def __init__(self, direction: Direction, book: Book, holds: Holds) -> None:
        self._direction = direction
        self._book = book
        self._holds = holds
        self._unread = ""
        """Why the rules did not see the last message, for the gap in its place."""
        self.rules: Rules | None = None
        self.watch = Watch()
        self.view: View | None = None
        """What the capture has in the place of raw reads."""
        self._compressed = False
        """Messages may be compressed: what the view leaves out is missing in the windows of readers."""

    def set_rules(self, rules: Rules | None, now_ns: int) -> None:
        """None: there are none (any more)."""
        direction, side = self._direction, self._direction.side
        self.rules = rules
        watch = rules.judge.watch(side) if rules is not None else Watch()
        self.watch = Watch() if watch.nothing else watch
        if rules is not None:
            self._compressed = rules.deflate is not None
        if self.watch.private and self.view is None:
            self.view = View(direction.conn, side, direction.scan, self._book.reads)
            text = f"what the {side.word} sends is captured as whole frames, after the rules have seen them"
            self._book.say("private", text, now_ns, side=side)

    def give_up(self) -> None:
        """No rule sees anything any more; what they might have kept out of the capture stays out."""
        self.rules, self.watch = None, Watch(private=self.view is not None)

    def leave_view(self, now_ns: int) -> None:
        """Raw reads from here on, at the offsets that the capture has reached."""
        assert self.view is not None
        direction, scan = self._direction, self.view.scan
        direction.rebase(scan.offset)
        if self._compressed:
            text = "no-capture: earlier text was kept out of the capture, and compressed messages refer to it"
            self._book.reads.append(Gap(direction.conn, direction.side, now_ns, scan.offset, 0, text))
        self.view = None

    # ------------------------------------------------------------------------------------------- verdicts

    def message_plan(self, held: Held, now_ns: int, *, fixed: bool) -> Plan | None:
        """What is to be done with a message; None: nothing. One in shadow is for `show` alone.

        `fixed`: later messages may refer to it that cannot be read yet, so that it must pass as it came.
        """
        message = held.message
        self._unread = ""
        if not self.watch.data or self.rules is None:
            return None
        if message.lost:
            self._unread = UNREADABLE
            self._say_waiting(now_ns)
            return None
        if message.truncated or len(message.payload) > INSPECT_LIMIT:
            self._unread = TOO_LARGE
            if Violation.BAD_DEFLATE not in message.violations:
                self.say_oversize(now_ns)
            return None
        plan = self.rules.judge.message(message, now_ns)
        if plan is None:
            return None
        if fixed and _moves(plan):
            self._say_waiting(now_ns)
            plan = _without_moves(plan)
        return self._judged(plan, held, now_ns)

    def control_plan(self, control: Control, now_ns: int) -> Plan | None:
        """What is to be done with a control frame, as `message_plan` says it."""
        self._unread = ""
        if not self.watch.control or self.rules is None:
            return None
        if control.frame.truncated:
            self._unread = TOO_LARGE
            return None
        plan = self.rules.judge.control(control.frame, now_ns)
        return None if plan is None else self._judged(plan, control, now_ns)

    def _judged(self, plan: Plan, item: Held | Control, now_ns: int) -> Plan:
        """Record a verdict that nobody carries out."""
        if plan.shadow:
            self._book.fact(judged(plan, self._direction.side, self.numbers(item), _opcode(item)), now_ns)
        return plan

    def apply(self, plan: Plan, unit: Unit, item: Held | Control, now_ns: int) -> None:
        """Prepare a unit as its plan says, and record the verdict."""
        side, opcode = self._direction.side, _opcode(item)
        unit.payload = plan.payload
        unit.dropped = plan.fate is Fate.DROP
        unit.due_ns = now_ns + round(plan.delay_ms * 1e6) if plan.delay_ms > 0 else 0
        if plan.effects:
            unit.cut = next((each for each in plan.effects if isinstance(each, Cut)), None)
        hold = plan.hold if not unit.dropped else None
        number = self._holds.next_number() if hold is not None else 0
        self._book.fact(judged(plan, side, unit.numbers, opcode, hold=number), now_ns)
        if hold is not None:
            came = item.message.payload if isinstance(item, Held) else item.frame.payload
            payload = came if plan.payload is None else plan.payload
            message = HeldMessage(
                number, side, hold.rule, opcode, payload, now_ns, hold.limit_ms, hold.default, *unit.numbers
            )
            self._holds.add(unit, message, self.rewrite)

    def rewrite(self, unit: Unit, payload: bytes, now_ns: int) -> None:
        """Somebody wants a held unit to have this payload; the capture has of it what rules leave."""
        unit.payload, plan = payload, unit.plan
        assert isinstance(unit.what, Held | Control)
        assert plan is not None
        shown = self.written(_opcode(unit.what), payload, now_ns)
        if shown is not None and plan.hide is not None:
            shown = plan.hide(shown)
        unit.plan = replace(
            plan,
            captured_after=None if shown == payload else shown,
            uncaptured=plan.uncaptured or shown is None,
        )

    def written(self, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        """What the capture has of a payload that is somebody's own; None: nothing."""
        if self.rules is None or not self.watch.private:
            return payload
        return self.rules.judge.captured(self._direction.side, opcode, payload, now_ns)

    def numbers(self, item: Held | Control) -> tuple[int, int]:
        """Its first and last frame, as the capture will count them."""
        if isinstance(item, Control):
            number = item.frame.number if self.view is None else self.view.scan.frame
            return number, number
        if self.view is None:
            return item.message.first_frame, item.message.last_frame
        first = self.view.scan.frame
        return first, first + len(item.frames) - 1

    # ---------------------------------------------------------------------------------------- the capture

    def show(self, item: Held | Control, plan: Plan | None, now_ns: int, *, alone: bool) -> None:
        """Let the capture have what the rules leave of it. `alone`: it can be inflated by itself."""
        view = self.view
        assert view is not None
        if plan is not None and plan.uncaptured:
            view.hide(item.raw, f"no-capture: {rule_of(plan)}", now_ns)
            return
        if self._unread and self.watch.private:
            view.hide(item.raw, self._unread, now_ns)
            return
        captured = plan.captured if plan is not None else None
        if captured is None and alone:
            view.show(item.raw, now_ns)
        elif isinstance(item, Control):
            payload = item.frame.payload if captured is None else captured
            view.show(frames_of(payload, look_at(item), rsv1=False, shape=None, new_key=bytes), now_ns)
        else:
            payload = item.message.payload if captured is None else captured
            view.show(plain_frames(item, payload, None, bytes), now_ns)

    def capture(self, data: bytes, hidden: str, now_ns: int, *, of_data: bool) -> None:
        """Bytes that no rule sees. `of_data`: rules look into what they are part of, or might."""
        if self.view is None:
            return
        if of_data:
            self.view.hide(data, hidden, now_ns)
        else:
            self.view.show(data, now_ns)

    def take_notices(self, now_ns: int) -> None:
        """What went wrong in the rules themselves."""
        if self.rules is not None:
            for code, text in self.rules.judge.take_notices():
                self._book.fact(Notice(code=code, text=text, level="warning"), now_ns)

    def say_oversize(self, now_ns: int) -> None:
        """Once: rules do not see all."""
        text = f"messages above {INSPECT_LIMIT >> 20} MiB pass unseen by rules"
        self._book.say("oversize", text, now_ns, side=self._direction.side, level="warning")

    def _say_waiting(self, now_ns: int) -> None:
        side = self._direction.side
        text = (
            f"the {side.word}'s messages refer to compressed ones from before the rules, which have to wait"
        )
        self._book.say("rules-wait", text, now_ns, side=side)


def _opcode(item: Held | Control) -> int:
    return item.message.opcode if isinstance(item, Held) else item.frame.opcode


def _moves(plan: Plan) -> bool:
    """It asks for what would part the windows."""
    return bool(
        plan.fate is not Fate.FORWARD or plan.payload is not None or plan.behind or plan.copies != 1
        or plan.hold or plan.shape
    )  # fmt: skip


def _without_moves(plan: Plan) -> Plan:
    """What can be done about a message that must pass as it came."""
    return Plan(
        plan.hits,
        delay_ms=plan.delay_ms,
        captured=plan.captured,
        uncaptured=plan.uncaptured,
        tags=plan.tags,
        notes=(*plan.notes, "not carried out: compressed messages from before the rules are not known"),
        shadow=plan.shadow,
    )
