"""What waits to go out in one direction: messages and frames whole, in order, each with its time.

    data ──────▶ ▢ ▢ ▢ ▢ ──▶   messages, bytes that pass unseen, Close, the end: none overtakes another,
                 └ behind      so a delay or a hold of the first holds up all; but a message can be put
                               aside until so many later ones have gone, or a time
    ping, pong ▶ ▢ ▢ ──▶       go between messages that wait, never into one (RFC 6455 5.4 lets them)

Of those that may go the one that came first goes first. A Close and an end wait for the pings before them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from wsinspect.model import Opcode
from wsinspect.model.plans import Cut, Plan
from wsinspect.relay.commands import Inject
from wsinspect.relay.ends import Finish
from wsinspect.relay.gate import Control, Held

UNIT_COST = 512
FRAME_COST = 256
"""Bytes of memory that a unit, or a frame of it, takes beside its own: many small ones count too."""


@dataclass(slots=True)
class Ending:
    """The sender's end, as the other leg gets it."""

    finishes: tuple[Finish, ...]


@dataclass(slots=True)
class Unit:
    """One thing that goes out whole, in its turn."""

    what: Held | Control | bytes | Inject | Ending
    end: int = 0
    """Position behind it in the sender's own stream, as it is captured."""
    numbers: tuple[int, int] = (0, 0)
    """Its first and last frame there."""
    plan: Plan | None = None
    payload: bytes | None = None
    """Instead of the one that came."""
    due_ns: int = 0
    hold: int = 0
    """Number of the hold that it waits for; 0: none."""
    dropped: bool = False
    """It goes nowhere when its turn comes."""
    cut: Cut | None = None
    compressed: bool = False
    """Bytes of a compressed message that pass unseen."""
    order: int = 0
    nbytes: int = 0
    """That it keeps in memory."""

    @property
    def came_bytes(self) -> int:
        """Of the sender's bytes."""
        match self.what:
            case Held() | Control() as whole:
                return whole.stop - whole.start
            case bytes() as data:
                return len(data)
            case _:
                return 0

    @property
    def waits_for_pings(self) -> bool:
        """Nothing that came before it may come after it."""
        match self.what:
            case Ending():
                return True
            case Control(frame=frame):
                return frame.opcode == Opcode.CLOSE
            case Inject(opcode=opcode):
                return opcode == Opcode.CLOSE
            case _:
                return False


@dataclass(slots=True)
class _Aside:
    """A message that lets later ones go first."""

    unit: Unit
    left: int
    until_ns: int


@dataclass(slots=True)
class Outlet:
    """The queue of one direction."""

    kept_bytes: int = 0
    _data: deque[Unit] = field(default_factory=deque)
    _pings: deque[Unit] = field(default_factory=deque)
    _aside: list[_Aside] = field(default_factory=list)
    _count: int = 0

    @property
    def empty(self) -> bool:
        return not (self._data or self._pings or self._aside)

    @property
    def has_end(self) -> bool:
        """The sender's end is still to go out."""
        return bool(self._data) and isinstance(self._data[-1].what, Ending)

    def add(self, unit: Unit, now_ns: int) -> None:
        """At the end of the queue; a message by `plan.behind` later."""
        self._enter(unit)
        plan = unit.plan
        if unit.waits_for_pings or unit.compressed:  # a part of the window, as what was put aside may be
            self._data += [each.unit for each in self._aside]
            self._aside.clear()
        elif plan is not None and plan.behind > 0 and isinstance(unit.what, Held):
            self._aside.append(_Aside(unit, plan.behind, now_ns + round(plan.behind_ms * 1e6)))
            return
        self._data.append(unit)
        if self._aside and isinstance(unit.what, Held):
            self._pass_by()

    def add_ping(self, unit: Unit) -> None:
        """A control frame that need not wait for data."""
        self._enter(unit)
        self._pings.append(unit)

    def next(self, now_ns: int, *, between: bool) -> Unit | None:
        """What goes out now; `gone` takes it away. `between`: a control frame may be put in here."""
        if self._aside:
            self._overdue(now_ns)
        data, ping = self._heads()
        if data is not None and (data.hold or data.due_ns > now_ns):
            data = None
        if ping is not None and (ping.hold or ping.due_ns > now_ns or not between):
            ping = None
        if data is not None and ping is not None:
            return data if data.order < ping.order else ping
        return data or ping

    def gone(self, unit: Unit) -> None:
        """It went out."""
        queue = self._data if self._data and self._data[0] is unit else self._pings
        queue.popleft()
        self.kept_bytes -= unit.nbytes

    def next_ns(self, *, between: bool) -> int | None:
        """When something is due by time alone; None: never. `between`: as for `next`."""
        times = [each.until_ns for each in self._aside]
        data, ping = self._heads()
        if data is not None and not data.hold:
            times.append(data.due_ns)
        if ping is not None and not ping.hold and between:
            times.append(ping.due_ns)
        return min(times, default=None)

    def take_all(self) -> list[Unit]:
        """Everything, in the order in which it came; nothing is left."""
        units = [*self._data, *self._pings, *(each.unit for each in self._aside)]
        self._data.clear()
        self._pings.clear()
        self._aside.clear()
        self.kept_bytes = 0
        return sorted(units, key=lambda unit: unit.order)

    def _heads(self) -> tuple[Unit | None, Unit | None]:
        """The first of each queue; no data that has to wait for a ping."""
        data = self._data[0] if self._data else None
        ping = self._pings[0] if self._pings else None
        if ping is not None and data is not None and data.waits_for_pings and ping.order < data.order:
            data = None
        return data, ping

    def _enter(self, unit: Unit) -> None:
        self._count += 1
        unit.order = self._count
        match unit.what:
            case Held() as held:
                held.keep()
                unit.nbytes = len(held.data) + len(held.message.payload) + FRAME_COST * len(held.frames)
            case Control() as control:
                control.keep()
                unit.nbytes = len(control.data)
            case bytes() as data:
                unit.nbytes = len(data)
            case Inject() as ours:
                unit.nbytes = len(ours.payload)
            case Ending():
                pass
        unit.nbytes += UNIT_COST + len(unit.payload or b"")
        self.kept_bytes += unit.nbytes

    def _pass_by(self) -> None:
        """A later message has taken its place: those that let it go first are nearer to theirs."""
        for each in self._aside:
            each.left -= 1
        for each in [each for each in self._aside if each.left <= 0]:
            self._aside.remove(each)
            self._data.append(each.unit)

    def _overdue(self, now_ns: int) -> None:
        for each in [each for each in self._aside if each.until_ns <= now_ns]:
            self._aside.remove(each)
            self._data.append(each.unit)
