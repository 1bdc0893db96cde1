"""What rules ask for beside a message: frames of ours, ends, and a wire that is slow, black or cut.

An effect with `after_ms`, and each repetition of a `Send`, waits in a heap by its time.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from wsinspect.model import How, Opcode, Side
from wsinspect.model.plans import (
    Close,
    Cut,
    Effect,
    Lift,
    LimitData,
    Reset,
    Send,
    Slice,
    SlowClose,
    Stall,
    StopSending,
    Throttle,
)
from wsinspect.relay.commands import Inject
from wsinspect.relay.line import Swallow
from wsinspect.wire.close_codes import encode_close

if TYPE_CHECKING:
    from wsinspect.relay.ruling import Ruling

MAX_TIMED = 1000
"""Effects of a connection that wait for their time."""
MIN_EVERY_MS = 1.0
"""The shortest time between two repetitions."""
AT_ONCE = 1000
"""Frames of one `Send` that go out at the same time."""


@dataclass(frozen=True, slots=True)
class _BothFin:
    """A stall is over, and so is the connection."""

    rule: str


@dataclass(order=True, slots=True)
class _Timed:
    due_ns: int
    order: int
    effect: Effect | _BothFin = field(compare=False)
    left: int | None = field(compare=False, default=None)
    """Of a `Send`: how often it is still to go out; None: until it is stopped."""
    repeats: bool = field(compare=False, default=False)
    """Of a `Send`: it has gone out before."""


class Effects:
    """Of one connection."""

    def __init__(self, ruling: Ruling) -> None:
        self._ruling = ruling
        self._heap: list[_Timed] = []
        self._lasting: dict[tuple[type[Effect], Side], str] = {}
        """What spoils the wire of a side, and by which rule."""
        self._count = 0

    @property
    def next_ns(self) -> int | None:
        return self._heap[0].due_ns if self._heap else None

    def clear(self) -> None:
        self._heap.clear()

    def lift_all(self, now_ns: int) -> None:
        """No rule is left."""
        self.clear()
        for rule in {*self._lasting.values()}:
            self._lift(rule, now_ns)

    def carry(self, effects: tuple[Effect, ...], now_ns: int) -> None:
        """Do what a plan asks for, in its order."""
        for effect in effects:
            match effect:
                case Send() | Close() | Reset() | Stall() if effect.after_ms > 0:
                    self._later(now_ns + round(effect.after_ms * 1e6), effect, now_ns, _times(effect))
                case _:
                    self._do(effect, now_ns, _times(effect))

    def wake(self, now_ns: int) -> None:
        """Do what is due."""
        while self._heap and self._heap[0].due_ns <= now_ns:
            timed = heapq.heappop(self._heap)
            match timed.effect:
                case _BothFin(rule):
                    self._ruling.sever((Side.CLIENT, Side.SERVER), How.FIN, rule, now_ns)
                case Send() as send:
                    again = send.again(now_ns) if timed.repeats and send.again is not None else send
                    if again is not None:
                        self._send(again, now_ns, timed.left, timed.due_ns)
                case effect:
                    self._do(effect, now_ns, None)

    def _do(self, effect: Effect, now_ns: int, times: int | None) -> None:
        ruling = self._ruling
        match effect:
            case Send():
                self._send(effect, now_ns, times, now_ns)
            case StopSending(key):
                self._heap = [each for each in self._heap if not _has_key(each.effect, key)]
                heapq.heapify(self._heap)
            case Close():
                self._close(effect, now_ns)
            case Reset():
                ruling.sever(effect.to, How.RST, effect.rule, now_ns)
            case Stall():
                self._stall(effect, now_ns)
            case Cut():
                pass  # with its message
            case Lift(rule):
                self._heap = [each for each in self._heap if _rule_of(each.effect) != rule]
                heapq.heapify(self._heap)
                self._lift(rule, now_ns)
            case Throttle(sender=sender, bytes_per_s=rate):
                self._lasting[Throttle, sender] = effect.rule
                ruling.path(sender, now_ns).way.line.bytes_per_s = rate
            case Slice(sender=sender):
                self._lasting[Slice, sender] = effect.rule
                ruling.path(sender, now_ns).way.line.set_slice(effect)
            case LimitData(sender=sender, nbytes=nbytes):
                self._lasting[LimitData, sender] = effect.rule
                ruling.path(sender, now_ns).limit(max(nbytes, 0), effect.rule)
            case SlowClose(sender=sender, delay_ms=delay_ms):
                self._lasting[SlowClose, sender] = effect.rule
                ruling.path(sender, now_ns).slow_end_ms = delay_ms
            case _:
                assert_never(effect)

    def _lift(self, rule: str, now_ns: int) -> None:
        """Take back what that rule did to the wire, where no other one did it again since."""
        for what, sender in [key for key, by in self._lasting.items() if by == rule]:
            del self._lasting[what, sender]
            path = self._ruling.path(sender, now_ns)
            line = path.way.line
            line.catch_up()
            if what is Throttle:
                line.bytes_per_s = None
            elif what is Slice:
                line.set_slice(None)
            elif what is LimitData and not line.used_up:
                line.limit_left = None
            elif what is SlowClose:
                path.slow_end_ms = 0.0
            elif what is Stall:
                line.stalled_until_ns = 0
                if not path.way.severed and not line.lift():
                    text = (
                        f"too much of what the {sender.word} sent is lost: it stays stalled, without {rule}"
                    )
                    self._ruling.book.say("stalled", text, now_ns, side=sender, level="warning")

    def _send(self, send: Send, now_ns: int, left: int | None, due_ns: int) -> None:
        """Put it out, and plan the next time."""
        every_ms = max(send.every_ms, MIN_EVERY_MS) if send.every_ms > 0 or left is None else 0.0
        at_once = 1 if every_ms else min(left or 0, AT_ONCE)
        for _ in range(at_once):
            if not self._inject(send, now_ns):
                return
        if every_ms and (left is None or left > 1):
            next_ns = due_ns + round(every_ms * 1e6)
            if next_ns <= now_ns:  # woken late: what was missed is not made up for
                next_ns = now_ns + round(every_ms * 1e6)
            self._later(next_ns, send, now_ns, None if left is None else left - 1, repeats=True)

    def _inject(self, send: Send, now_ns: int) -> bool:
        side = send.to.other
        key = self._ruling.new_key() if side is Side.CLIENT else None
        frame = Inject(side, send.opcode, send.payload, key, rule=send.rule, captured=send.captured)
        return self._ruling.inject(frame, now_ns)

    def _close(self, close: Close, now_ns: int) -> None:
        payload = b"" if close.code is None else encode_close(close.code, close.reason)
        shown = None
        if close.code is not None and close.captured_reason is not None:
            shown = encode_close(close.code, close.captured_reason)
        for to in close.to:
            key = self._ruling.new_key() if to.other is Side.CLIENT else None
            frame = Inject(to.other, Opcode.CLOSE, payload, key, rule=close.rule, captured=shown)
            self._ruling.inject(frame, now_ns)

    def _stall(self, stall: Stall, now_ns: int) -> None:
        for sender in stall.senders:
            line = self._ruling.path(sender, now_ns).way.line
            if stall.for_ms <= 0:
                line.black_out(Swallow.BYTES if stall.ends_pass else Swallow.ALL, keep=True)
            elif line.swallow is Swallow.NOTHING:
                line.stalled_until_ns = max(line.stalled_until_ns, now_ns + round(stall.for_ms * 1e6))
            else:
                continue  # stalled for good by another rule
            self._lasting[Stall, sender] = stall.rule
        if stall.then_fin_ms is not None:
            self._later(now_ns + round(stall.then_fin_ms * 1e6), _BothFin(stall.rule), now_ns, None)

    def _later(
        self, due_ns: int, effect: Effect | _BothFin, now_ns: int, left: int | None, *, repeats: bool = False
    ) -> None:
        if len(self._heap) >= MAX_TIMED:
            text = f"{MAX_TIMED} effects of rules wait for their time already; no more are taken"
            self._ruling.book.say("too-many-effects", text, now_ns, level="warning")
            return
        self._count += 1
        heapq.heappush(self._heap, _Timed(due_ns, self._count, effect, left, repeats))


def _times(effect: Effect) -> int | None:
    return effect.times if isinstance(effect, Send) else None


def _rule_of(effect: Effect | _BothFin) -> str:
    return "" if isinstance(effect, StopSending) else effect.rule


def _has_key(effect: Effect | _BothFin, key: str) -> bool:
    return isinstance(effect, Send) and bool(key) and effect.key == key
