"""The rules of one connection at work: handshake, opening, messages and control frames in, plans out.

    rules = ConnectionRules(ruleset, requested, conn=7, decoder=decoder)
    plan = rules.judge_request(now_ns)          HandshakePlan or None
    plan = rules.judge_response(answer, now_ns)
    rules.opened_fact(opened, decoder)          the 101's facts; from here on it is a `model.plans.Judge`
    watch = rules.watch(side)                   what of a direction has to be shown to it
    plan = rules.opened(now_ns), .message(message, now_ns), .control(frame, now_ns)

Nothing raises: a rule whose condition or action does is off for this connection, `take_notices` says so, and
the message goes on as if the rule were not there. A rule that keeps something out of the capture stays on,
and what it failed at is kept out as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wsinspect.model import Decoded, Decoder, Frame, Message, Opened, Requested, RuleHit, Side
from wsinspect.model.plans import Fate, HandshakePlan, Lift, Plan, Watch
from wsinspect.rules import captures
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.carrying_over import carry_over
from wsinspect.rules.conditions import Condition
from wsinspect.rules.connection_facts import ConnectionFacts
from wsinspect.rules.conversation import Conversation
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.hiding import RULES_FAILED, beside, hiders_of, hiding, keep_out, shown
from wsinspect.rules.lanes import Lane, Lanes, Latch
from wsinspect.rules.lasting import Lasting
from wsinspect.rules.notices import Notices
from wsinspect.rules.reach import KIND_OF_OPCODE, Kind
from wsinspect.rules.rule import Rule
from wsinspect.rules.ruleset import RuleSet
from wsinspect.rules.selecting import Selector
from wsinspect.rules.turn import Turn
from wsinspect.rules.view import View


class ConnectionRules:
    """The `Judge` of one connection, and the `Talk` of its actions."""

    def __init__(
        self,
        ruleset: RuleSet,
        requested: Requested,
        *,
        conn: int = 0,
        decoder: Decoder | None = None,
        shadow: bool = False,
        epoch_ns: int = 0,
    ) -> None:
        """`shadow`: plans are marked so, to be recorded, and carried out in the capture alone. `epoch_ns`: to
        be added to `now_ns` for the time since 1970."""
        self.ruleset = ruleset
        self.conn = conn
        self.decoder = decoder
        self.shadow = shadow
        self.facts = ConnectionFacts(requested)
        self.conversation = Conversation(values=dict(ruleset.vars))
        self._epoch_ns = epoch_ns
        self._captured: set[str] = set()
        self._rng: random.Random | None = None
        self._memories: dict[int, dict[str, Any]] = {}
        self._notices = Notices()
        self._lasting = Lasting()
        self._decoded: tuple[bytes, Decoded | None] | None = None
        """The last payload, and what it says: conditions, actions and templates all ask."""
        self._view = View(self, self.facts, self.conversation, self._memories)
        self._lanes: Lanes
        self._compile()

    def _compile(self) -> None:
        """Drop the rules that cannot match this connection; share the rest with connections like it."""
        self.facts.answers.clear()
        alive = self.ruleset.alive(self.facts)
        self._lanes = self.ruleset.lanes(alive, getattr(self.decoder, "text_is_json", False))
        self._by_opcode = self._lanes.by_opcode
        self._extras = self._lanes.extras

    # --------------------------------------------------------------------------------------------- Talk

    @property
    def values(self) -> dict[str, Any]:
        return self.conversation.values

    @property
    def rng(self) -> random.Random:
        """Made when it is first asked for: it takes 2.5 KB."""
        if self._rng is None:
            seed = self.ruleset.seed
            self._rng = random.Random() if seed is None else random.Random(f"{seed}:{self.conn}")
        return self._rng

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        """A payload is decoded once, whoever asks: decoders of some protocols count what they are asked."""
        last = self._decoded
        if last is not None and last[0] is payload:
            return last[1]
        decoded = None if self.decoder is None else self.decoder.decode(side, opcode, payload)
        self._decoded = (payload, decoded)
        return decoded

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        """Raises ValueError for a tree that the codec cannot carry."""
        if self.decoder is None:
            raise ValueError("there is no decoder")
        return self.decoder.encode(decoded, tree)

    def later(self, turn: Turn, rule: str, render: Callable[[], bytes], now_ns: int) -> bytes | None:
        self._view.set(turn.side, KIND_OF_OPCODE[turn.opcode] if turn.opcode else Kind.OPEN, now_ns)
        try:
            return render()
        except Exception as error:
            self._notices.failed(f"rule {rule} stops repeating", error)
            return None
        finally:
            self._release()

    def builtin(self, name: str) -> Any:
        view = self._view
        match name:
            case "conn":
                return self.conn
            case "n":
                return self.conversation.index(view.side, view.kind)
            case "now":
                return (view.now_ns + self._epoch_ns) / 1e9
            case "url" | "host" | "path" | "client":
                return getattr(self.facts, name)
            case _:
                raise KeyError(name)

    # --------------------------------------------------------------------------------------- handshakes

    def judge_request(self, now_ns: int) -> HandshakePlan | None:
        """What is to become of the client's request."""
        return self._handshake(Side.CLIENT, Kind.REQUEST, now_ns)

    def judge_response(self, answer: Opened, now_ns: int) -> HandshakePlan | None:
        """What is to become of the server's answer, of any status."""
        self.facts.opened = answer
        self._compile()
        return self._handshake(Side.SERVER, Kind.RESPONSE, now_ns)

    def _handshake(self, side: Side, kind: Kind, now_ns: int) -> HandshakePlan | None:
        lane = self._lanes.at(side, kind)
        if lane is None:
            return None
        view = self._view
        view.set(side, kind, now_ns)
        turn = HandshakeTurn(self, kind is Kind.RESPONSE, self._memories)
        stopped = False
        for rule, acting in zip(lane.rules, lane.acting, strict=True):
            actions = hiding(rule, lane.on) if stopped else acting
            if (actions or not stopped) and self._matches(rule):
                acted = self._act_handshake(rule, actions, turn)
                stopped = stopped or (acted and rule.stop)
        try:
            plan = turn.plan()
        except Exception as error:
            self._notices.failed("rules", error)
            return None
        if plan is not None:
            plan.shadow = self.shadow
        return plan

    def _act_handshake(self, rule: Rule, actions: Iterable[Action], turn: HandshakeTurn) -> bool:
        before = turn.state()
        try:
            self._capture(rule)
            did = [action.apply_handshake(turn) for action in actions]
        except Exception as error:
            turn.restore(before)
            self._fail(rule, error)
            return False
        turn.hits += (self._acted(rule, did),)
        return True

    def opened_fact(self, opened: Opened, decoder: Decoder | None = None) -> None:
        """The handshake's outcome: rules that it excludes are dropped. `decoder`: for the messages, chosen by
        it; None leaves the one that is there."""
        self.facts.opened = opened
        if decoder is not None:
            self.decoder = decoder
        self._compile()

    # -------------------------------------------------------------------------------------------- Judge

    def watch(self, side: Side) -> Watch:
        """What `side` sends and rules could match."""
        return Watch(*self._lanes.watches(side))

    def opened(self, now_ns: int) -> Plan | None:
        """The 101 went to the client."""
        self.conversation.opened_ns = self.conversation.previous_ns = now_ns
        self._lasting.begin(self._lanes.rules)
        lane = self._lanes.at(Side.SERVER, Kind.OPEN)
        return None if lane is None else self._at_open(lane, lane.all, now_ns)

    def replaced(self, now_ns: int) -> Plan | None:
        """After `replace`, or for rules that come to an open connection: what is over, and what begins."""
        gone, come = self._lasting.change(self._lanes.rules)
        for rule in self.ruleset.rules:
            if rule.id in gone:
                for action in rule.actions:
                    self._memories.pop(id(action), None)  # of one that is off; on again, it begins anew
        lane = self._lanes.at(Side.SERVER, Kind.OPEN)
        rules = () if lane is None else lane.rules
        numbers = [number for number, rule in enumerate(rules) if rule.id in come and rule.standing]
        if not gone and not numbers:
            return None
        return self._at_open(lane, Selector(rules, numbers), now_ns, gone)

    def _at_open(
        self, lane: Lane | None, selector: Selector | None, now_ns: int, gone: Iterable[str] = ()
    ) -> Plan | None:
        self._view.set(Side.SERVER, Kind.OPEN, now_ns)
        try:
            turn = self._turn() if gone else None
            for rule in gone:
                assert turn is not None
                turn.effects += (Lift(rule),)
                turn.hits += (RuleHit(rule, ("over: the rule is gone",)),)
            return self._judge(lane, () if selector is None else selector.numbers(self._view), turn)
        except Exception as error:
            return self._broken(error)
        finally:
            self._release()

    def message(self, message: Message, now_ns: int) -> Plan | None:
        """A data message, whole and inflated, or one whose payload is lost."""
        side, opcode = message.side, message.opcode
        lane = self._by_opcode[side][opcode]
        self.conversation.data_counts[side] += 1
        if lane is None and not self._extras:
            return None
        known = not message.lost and not message.truncated
        sieve = lane.sieve if lane is not None and known and not self._extras else None
        if sieve is not None and not sieve(message.payload):
            return None
        self._view.set_message(message, KIND_OF_OPCODE[opcode], now_ns)
        return self._see(lane, known, found=sieve is not None)

    def control(self, frame: Frame, now_ns: int) -> Plan | None:
        """A ping, pong or close."""
        side, kind = frame.side, KIND_OF_OPCODE[frame.opcode]
        counts = self.conversation.control_counts
        counts[side, kind] = counts.get((side, kind), 0) + 1
        lane = self._by_opcode[side][frame.opcode]
        if lane is None and not self._extras:
            return None
        self._view.set_control(frame, kind, now_ns)
        return self._see(lane, not frame.truncated)

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        """What the capture may have of a payload that no rule judges (`rules.hiding`); None: nothing."""
        lane = self._by_opcode[side][opcode]
        if lane is None or not self.watch(side).private:
            return payload
        message = Message(side, opcode, payload, 0, 0, len(payload))
        self._view.set_message(message, KIND_OF_OPCODE[opcode], now_ns)
        try:
            return shown(lane, self._view, self._turn())
        except Exception as error:
            self._notices.failed("rules", error)
            return None
        finally:
            self._release()

    def take_notices(self) -> list[tuple[str, str]]:
        """(code, sentence) of what went wrong in rules since the last call, each said once."""
        return self._notices.take()

    # ------------------------------------------------------------------------------------------- judging

    def _see(self, lane: Lane | None, known: bool, *, found: bool = False) -> Plan | None:
        """Judge what the view shows. `known`: its payload came whole; `found`: the sieve let it through."""
        try:
            if found and lane is not None and lane.quiet:
                numbers = lane.all.numbers(self._view)
                return self._judge(lane, numbers) if numbers else None
            return self._judge_and_note(lane, known, found)
        except Exception as error:
            return self._broken(error)
        finally:
            self._release()

    def _judge_and_note(self, lane: Lane | None, known: bool, found: bool) -> Plan | None:
        """Judge, then note what later messages are asked about."""
        view, conversation = self._view, self.conversation
        if self._lanes.asks_rate:
            conversation.rates[view.side].add(view.now_ns)
        selector: Selector | None = None
        latches: tuple[Latch, ...] = ()
        if lane is not None and known:
            found = found or lane.scan is None or lane.scan(view.payload)
            selector = lane.all if found else lane.open
            latches = lane.latches if found else lane.open_latches
        elif lane is not None:
            selector = lane.blind
            latches = tuple(each for each in lane.latches if not each.condition.reads_payload)
        came = [latch for latch in latches if self._holds(latch.condition)]
        turn = self._stopped() if self._lanes.stops else None
        plan = self._judge(lane, () if selector is None else selector.numbers(view), turn)
        for latch in came:
            conversation.earlier[id(latch.after)] = view.now_ns
        conversation.previous_ns = view.now_ns
        return plan

    def _judge(self, lane: Lane | None, numbers: Sequence[int], turn: Turn | None = None) -> Plan | None:
        """Let each of these rules see the message as the ones before left it."""
        if lane is not None and numbers:
            turn = self._run(lane, numbers, turn)
        if turn is None:
            return None
        try:
            plan = turn.plan(shadow=self.shadow)
        except Exception as error:
            self._notices.failed("rules", error)
            turn.redactions = ()
            turn.uncaptured = True  # what was to be hidden stays hidden
            plan = turn.plan(shadow=self.shadow)
        if plan is not None and plan.effects and not self.shadow:
            now_ns = self._view.now_ns
            plan.effects = tuple(beside(each, self.captured, now_ns) for each in plan.effects)
            self._lasting.note(plan.effects)
        return plan

    def _broken(self, error: Exception) -> Plan | None:
        """A fault of ours: the message goes on; what could have been private is kept out of the capture."""
        self._notices.failed("rules", error)
        if not self.watch(self._view.side).private:
            return None
        return Plan((RULES_FAILED,), uncaptured=True, shadow=self.shadow)

    def _release(self) -> None:
        self._decoded = None
        self._view.release()

    def _run(self, lane: Lane, numbers: Sequence[int], turn: Turn | None) -> Turn | None:
        view, on = self._view, lane.on
        at, tests, came = 0, lane.tests, view.payload
        hiders: dict[int, Rule] = {}
        while at < len(numbers):
            number = numbers[at]
            at += 1
            rule = lane.rules[number]
            try:
                if not tests[number](view):
                    continue
                hiders.pop(number, None)
                if not self._wants(rule):
                    continue
            except Exception as error:
                self._fail(rule, error)
                if rule.private:
                    turn = turn or self._turn()
                    keep_out(rule, turn)
                continue
            if turn is None:
                turn = self._turn()
            acted = self._act(rule, lane.acting[number], turn)
            if turn.payload is not view.payload and number + 1 < len(tests):
                if view.payload is came:
                    hiders |= hiders_of(lane, numbers[at:], view)
                # Later rules see what this one made of it, so other ones may be candidates now.
                view.payload_is(turn.payload)
                numbers, at = [each for each in lane.all.numbers(view) if each > number], 0
            if turn.fate is Fate.DROP or (acted and rule.stop):
                self._hide([lane.rules[each] for each in numbers[at:] if each not in hiders], on, turn)
                break
        for rule in hiders.values():
            assert turn is not None
            if self._wants(rule):
                self._act(rule, hiding(rule, on), turn)
        return turn

    def _hide(self, rules: Iterable[Rule], on: On, turn: Turn) -> None:
        """What no later rule sees still goes into the capture: of those left, what hides something acts."""
        for rule in rules:
            actions = hiding(rule, on)
            if actions and self._matches(rule):
                self._act(rule, actions, turn)

    def _turn(self) -> Turn:
        view = self._view
        return Turn(
            self, view.now_ns, view.side, self._memories,
            opcode=view.opcode, message=view.message, frame=view.frame, payload=view.payload,
        )  # fmt: skip

    def _matches(self, rule: Rule) -> bool:
        """Whether the rule acts on what the view shows; counts its match."""
        try:
            return rule.dynamic.test(self._view) and self._wants(rule)
        except Exception as error:
            self._fail(rule, error)
            return False

    def _wants(self, rule: Rule) -> bool:
        """Whether a rule that matches acts; counts its match."""
        state = self.conversation.state(rule.id)
        if state.failed:
            return False
        if rule.always:
            state.matched += 1
            return True
        often = rule.often
        if often.over(state.matched, state.acted):
            return False
        state.matched += 1
        return often.wants(state.matched) and (often.chance >= 1 or self.rng.random() < often.chance)

    def _act(self, rule: Rule, actions: Iterable[Action], turn: Turn) -> bool:
        before = turn.state() if turn.hits else None  # where no rule has acted yet, a new turn is the same
        try:
            if rule.captures:
                self._capture(rule)
            did = [action.apply(turn) for action in actions]
        except Exception as error:
            turn.restore(before or self._turn().state())
            if rule.private:
                keep_out(rule, turn)
            self._fail(rule, error)
            return False
        if rule.spares and not any(did):
            return False
        turn.hits += (self._acted(rule, did),)
        return True

    def _acted(self, rule: Rule, did: list[str]) -> RuleHit:
        self.conversation.states[rule.id].acted += 1
        self.ruleset.hits.hit(rule.id)
        return RuleHit(rule.id, tuple(filter(None, did)))

    def _capture(self, rule: Rule) -> None:
        """Keep what the rule wants kept of this message."""
        for name, source in rule.captures.items():
            value = source.take(self._view)
            if value is captures.NOTHING:
                continue
            if captures.small_enough(value):
                self.values[name] = value
                self._captured.add(name)
            else:
                self._notices.add(
                    "rule-capture", f"rule {rule.id} could not keep {name}: the value is too large"
                )

    def _holds(self, condition: Condition) -> bool:
        """A condition that only waits; where it raises it does not hold."""
        try:
            return condition.test(self._view)
        except Exception as error:
            self._notices.failed(condition.explain(), error)
            return False

    def _stopped(self) -> Turn | None:
        """End what actions go on with until such a message comes."""
        view = self._view
        turn: Turn | None = None
        for stop in self._lanes.stops:
            if id(stop.action) not in self._memories or not stop.condition.reach & view.place:
                continue
            try:
                if not stop.action.is_running(turn or view.as_turn()) or not stop.condition.test(view):
                    continue
                turn = turn or self._turn()
                turn.hits += (RuleHit(stop.rule.id, (stop.action.stop(turn),)),)
            except Exception as error:
                self._notices.failed(stop.rule.id, error)
        return turn

    def _fail(self, rule: Rule, error: Exception) -> None:
        state = self.conversation.state(rule.id)
        first = not state.failed and not state.told
        state.told = True
        state.failed = not rule.private
        if first:
            self.ruleset.hits.fail(rule.id)
            self._notices.rule_failed(rule, error)

    # -------------------------------------------------------------------------------------------- reload

    def replace(self, ruleset: RuleSet) -> None:
        """From the next message on other rules judge. What was captured stays, and so does the state of each
        rule whose id and text are the same; to be called between two messages."""
        carry_over(self.ruleset.rules, ruleset.rules, self.conversation, self._memories)
        kept = {name: value for name, value in self.values.items() if name in self._captured}
        self.conversation.values = {**ruleset.vars, **kept}
        self.ruleset = ruleset
        asked_idle = self._lanes.asks_idle
        self._compile()
        if not asked_idle:
            self.conversation.previous_ns = None  # nobody noted what came until now
