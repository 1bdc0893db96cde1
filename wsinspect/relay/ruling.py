"""What a session needs beyond passing bytes on: rules, and whatever waits in either direction.

Session ──▶ Ruling ──▶ SlowPath ×2     what each side sends
              ├──────▶ Holds           what waits for somebody's word
              ├──────▶ Effects         what rules do beside messages, now or later
              └──────▶ Book            the records of it all, in order
"""

from __future__ import annotations

from dataclasses import replace

from wsinspect.model import AT_OPENING, AT_RELOAD, Ended, How, Notice, Side
from wsinspect.model.plans import CutHow, Plan
from wsinspect.relay.book import Book
from wsinspect.relay.commands import Answer, Inject, Word
from wsinspect.relay.direction import Direction, Output
from wsinspect.relay.effects import Effects
from wsinspect.relay.ends import Finish
from wsinspect.relay.holds import Holds
from wsinspect.relay.judging import Rules
from wsinspect.relay.line import Swallow
from wsinspect.relay.slow import REENCODE_LIMIT, SlowPath
from wsinspect.relay.verdicts import judged
from wsinspect.wire.messages import MessageAssembler


class Ruling:
    """Of one connection, from the moment on when something in it is not plain."""

    def __init__(self, conn: int, directions: tuple[Direction, Direction]) -> None:
        self.book = Book(conn)
        self.holds = Holds(self.book)
        self._directions = directions
        self._rules: Rules | None = None
        self._effects = Effects(self)
        self._severed: set[Side] = set()
        """Legs that got their end from a rule."""
        self.window_wishes: list[tuple[Side, int]] = []
        """Where in a direction's stream, as it is captured, its deflate window is wanted."""

    # ----------------------------------------------------------------------------------------------- rules

    def set_rules(self, rules: Rules | None, now_ns: int) -> None:
        """Other rules from the next message of each direction on. The session is settled."""
        self._rules = rules
        if rules is None:
            self._effects.lift_all(now_ns)
            self._follow(now_ns)
        for direction in self._directions:
            watched = rules is not None and not rules.judge.watch(direction.side).nothing
            if direction.path is not None or watched:
                path = self.path(direction.side, now_ns)
                path.set_rules(rules, now_ns)
                self._tidy(direction)

    def open(self, now_ns: int) -> None:
        """The 101 went to the client: ask the rules what they do at once."""
        assert self._rules is not None
        self._at_once(self._rules.judge.opened(now_ns), AT_OPENING, now_ns)

    def replaced(self, now_ns: int) -> None:
        """Other rules judge an open connection: what those that are gone left is over, new ones begin."""
        assert self._rules is not None
        self._at_once(self._rules.judge.replaced(now_ns), AT_RELOAD, now_ns)

    def _at_once(self, plan: Plan | None, when: int, now_ns: int) -> None:
        assert self._rules is not None
        if plan is not None:
            self.book.fact(judged(plan, Side.SERVER, (0, 0), when), now_ns)
            if not plan.shadow:
                self._effects.carry(plan.effects, now_ns)
        for code, text in self._rules.judge.take_notices():
            self.book.fact(Notice(code=code, text=text, level="warning"), now_ns)
        self._follow(now_ns)
        for direction in self._directions:
            self._tidy(direction)

    def new_key(self) -> bytes:
        """A masking key for a client's frame."""
        assert self._rules is not None
        return self._rules.new_key()

    def path(self, side: Side, now_ns: int) -> SlowPath:
        """What `side` sends goes the slow path from here on."""
        direction = self._directions[side]
        if direction.path is None:
            direction.path = SlowPath(
                direction, self.book, self.holds, self._effects.carry, self._want_window
            )
            if self._rules is not None:
                direction.path.set_rules(self._rules, now_ns)
        return direction.path

    def _want_window(self, side: Side, position: int) -> None:
        self.window_wishes.append((side, position))

    def window_found(
        self, side: Side, position: int, assembler: MessageAssembler | None, now_ns: int
    ) -> int | None:
        """See `SlowPath.window_found`."""
        path = self._directions[side].path
        return path.window_found(position, assembler, now_ns) if path is not None else None

    # ------------------------------------------------------------------------------------- bytes and time

    def receive(self, side: Side, data: bytes, now_ns: int) -> None:
        """Bytes of a direction with a slow path. The session is settled."""
        direction = self._directions[side]
        path = direction.path
        assert path is not None
        path.pending = data
        path.fit(now_ns)
        if self._tidy(direction):
            self.book.reads.append(direction.receive(data, now_ns))
            return
        path.receive(data, now_ns)
        self._follow(now_ns)

    @property
    def next_wake_ns(self) -> int | None:
        """When `wake` is due; None: nothing waits for time alone."""
        times = [self._effects.next_ns, self.holds.next_ns]
        times += [each.path.way.next_ns for each in self._directions if each.path is not None]
        return min((each for each in times if each is not None), default=None)

    def wake(self, now_ns: int) -> None:
        """Do what is due."""
        self.holds.expire(now_ns)
        self._effects.wake(now_ns)
        self._follow(now_ns)
        for direction in self._directions:
            if direction.path is not None:
                direction.path.fit(now_ns)
                self._tidy(direction)

    @property
    def active(self) -> bool:
        """Something may be left for either side after each step."""
        client, server = self._directions
        return client.path is not None or server.path is not None or self._effects.next_ns is not None

    def wants_reading(self, side: Side) -> bool:
        """Not too much of what `side` sends waits."""
        path = self._directions[side].path
        return path is None or path.wants_reading

    # ------------------------------------------------------------------------------------------- commands

    def inject(self, frame: Inject, now_ns: int) -> bool:
        """A rule's frame, for the next boundary; whether it can go."""
        direction = self._directions[frame.side]
        path = self.path(frame.side, now_ns)
        if refusal := direction.refusal:
            self.book.say("not-sent", f"a rule's frame was not sent: {refusal}", now_ns, side=frame.side)
            return False
        self._put(path, frame, now_ns)
        return True

    def _put(self, path: SlowPath, frame: Inject, now_ns: int) -> None:
        if frame.last:
            path.close(frame)
        else:
            path.way.inject(frame)
        path.pump(now_ns)

    def put_in(self, frame: Inject, now_ns: int) -> bool:
        """Somebody's frame, for the next boundary; whether it went out at once."""
        path = self.path(frame.side, now_ns)
        self._put(path, self.shown(frame, now_ns), now_ns)
        return path.way.closed if frame.last else not path.way.waiting

    def shown(self, frame: Inject, now_ns: int) -> Inject:
        """Somebody's frame, and what the capture may have of it."""
        path = self._directions[frame.side].path
        shown = frame.payload if path is None else path.judging.written(frame.opcode, frame.payload, now_ns)
        return frame if shown == frame.payload else replace(frame, captured=shown or b"")

    def command(self, word: Word, now_ns: int) -> Answer:
        """Somebody's word about a held message."""
        answer = self.holds.decide(word, now_ns)
        self._follow(now_ns)
        return answer

    def attend(self, there: bool, now_ns: int) -> None:
        """Somebody is there who can decide about held messages, or nobody any more."""
        self.holds.attend(there, now_ns)
        self._follow(now_ns)

    # ------------------------------------------------------------------------------------------------ ends

    def end(self, side: Side, finishes: tuple[Finish, ...], now_ns: int, *, abrupt: bool) -> None:
        """`side` ended; the other leg gets `finishes`, in its turn."""
        direction = self._directions[side]
        path = direction.path
        if path is None:
            direction.out += finishes
        else:
            if waiting := path.way.drop_waiting():
                text = f"{waiting} injection(s) never found a boundary before the {side.word} ended"
                self.book.fact(Notice(code="injection-lost", text=text, level="warning", side=side), now_ns)
            if lost := path.end(finishes, now_ns, abrupt=abrupt):
                text = f"{lost:,} bytes of the {side.word} waited, and were discarded with its reset"
                self.book.fact(Notice(code="discarded", text=text, level="warning", side=side), now_ns)
            if abrupt and path.way.line.swallow is Swallow.ALL:
                # Nobody hears of it, and what the other side sends on goes nowhere either.
                self.path(side.other, now_ns).way.line.black_out(Swallow.BYTES)
        self._follow(now_ns)
        if all(each.ended for each in self._directions) and any(
            each.path is not None and (each.path.alone or each.path.way.line.swallowed_end)
            for each in self._directions
        ):
            for each in self._directions:  # both are gone, though neither heard of the other
                each.out += each.our_stop

    def lost_to(self, side: Side, now_ns: int) -> int:
        """`side` was reset: what waits for it is discarded; returns how many bytes that were."""
        path = self._directions[side.other].path
        return path.way.discard(now_ns) if path is not None else 0

    def owes_end(self, side: Side) -> bool:
        """The end of the other leg is still to be passed on to `side`, or never will be."""
        path = self._directions[side.other].path
        return path is not None and (path.alone or path.way.owes_end)

    @property
    def severed(self) -> bool:
        """Rules have ended both legs."""
        return len(self._severed) == 2

    def sever(self, to: tuple[Side, ...], how: How, rule: str, now_ns: int, *, detail: str = "") -> None:
        """A rule ends these legs, FIN or RST, behind what was written before. `detail`: why, else."""
        for side in to:
            if side in self._severed:
                continue
            self._severed.add(side)
            verb = "reset" if how is How.RST else "ended"
            said = detail or f"{verb} by rule {rule}"
            self.book.fact(Ended(side=side, how=How.INSPECTOR, detail=said), now_ns)
            direction, back = self._directions[side.other], self._directions[side]
            self.path(side.other, now_ns).way.sever(now_ns)
            direction.out += (Finish.RST,) if how is How.RST else direction.our_stop
            if how is How.RST:
                back.ended = True
                if len(to) == 1:
                    self.path(side, now_ns).alone = True
        if self.severed:
            self._effects.clear()

    def stop(self, now_ns: int) -> None:
        """wsinspect itself ends the connection: what waits goes out now, then FIN both ways."""
        self._effects.clear()
        for direction in self._directions:
            if direction.path is not None:
                direction.path.stop(direction.our_stop, now_ns)
            else:
                direction.out += direction.our_stop

    def over(self, now_ns: int) -> None:
        """Both legs are gone: nothing that waits will go out."""
        self._effects.clear()
        for direction in self._directions:
            if direction.path is None:
                continue
            if lost := direction.path.way.discard(now_ns):
                text = f"{lost:,} bytes of the {direction.side.word} were still waiting at the end"
                notice = Notice(code="discarded", text=text, level="warning", side=direction.side)
                self.book.fact(notice, now_ns)

    # -------------------------------------------------------------------------------------------- a fault

    def take_back(self, side: Side, now_ns: int) -> list[Output]:
        """What `side` sent and has not gone out, as it came; its path is not to be used any more."""
        path = self._directions[side].path
        return path.take_back(now_ns) if path is not None else []

    def go_blind(self, side: Side, now_ns: int) -> None:
        """From here on bytes pass; those that rules might have kept out of the capture stay out."""
        direction = self._directions[side]
        if direction.path is not None:
            direction.path.go_blind(now_ns)
            if not direction.path.private:
                direction.path = None

    # ------------------------------------------------------------------------------------------------------

    def _follow(self, now_ns: int) -> None:
        """Let out what may go, and do what follows from it."""
        for direction in self._directions:
            path = direction.path
            if path is None:
                continue
            path.pump(now_ns)
            way = path.way
            if way.cut is not None:
                cut, way.cut = way.cut, None
                how = How.FIN if cut.how is CutHow.FIN else How.RST
                self.sever((Side.CLIENT, Side.SERVER), how, cut.rule, now_ns)
            elif way.broken_off:
                way.broken_off = False
                text = f"a compressed message above {REENCODE_LIMIT >> 20} MiB cannot follow a changed one"
                self.book.say("broken-off", text, now_ns, side=direction.side, level="error")
                self.sever((Side.CLIENT, Side.SERVER), How.FIN, "", now_ns, detail=text)
            elif way.line.used_up:
                way.line.limit_left = None
                self.sever((Side.CLIENT, Side.SERVER), How.FIN, path.limited_by, now_ns)

    def _tidy(self, direction: Direction) -> bool:
        """Take the slow path away where it is not needed; whether there is none now."""
        if direction.path is not None and direction.path.idle:
            direction.path = None
        return direction.path is None
