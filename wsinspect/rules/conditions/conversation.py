"""Conditions on the conversation so far: counts, clocks, rates, what was captured, what came before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsinspect.rules.conditions.base import Condition
from wsinspect.rules.conditions.payload import never_number
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.predicates import Predicate, contradiction
from wsinspect.rules.reach import EVERYWHERE, FRAMES, OPEN, REQUEST, RESPONSE
from wsinspect.rules.template import Expression

if TYPE_CHECKING:
    from wsinspect.rules.view import View

_OPEN = EVERYWHERE & ~REQUEST & ~RESPONSE


class Index(Condition):
    field = Field(
        "index",
        Type.NUMBER_TEST,
        "The number of the message in its direction of the connection, from 1; each kind of control frame "
        "counts on its own. Where a reload brings the first rule that looks at a direction, counting begins "
        "there.",
    )
    example = "index: 1"
    reach = FRAMES
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(view.conversation.index(view.side, view.kind), view)

    def explain(self) -> str:
        return f"its number {self.value.explain()}"

    def never(self) -> str:
        return never_number("index", self.value, 1)


class Age(Condition):
    field = Field("age", Type.DURATION_TEST, "How long ago the connection opened.")
    example = 'age: ">30s"'
    reach = _OPEN
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(view.conversation.age_ms(view.now_ns), view)

    def explain(self) -> str:
        return f"the connection's age {self.value.explain()}"

    def never(self) -> str:
        return never_number("age", self.value, 0)


class Idle(Condition):
    field = Field("idle", Type.DURATION_TEST, "How long nothing came, from either side, before this message.")
    example = 'idle: ">60s"'
    reach = FRAMES
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(view.conversation.idle_ms(view.now_ns), view)

    def explain(self) -> str:
        return f"the silence before it {self.value.explain()}"

    def never(self) -> str:
        return never_number("silence", self.value, 0)


class RateOf(Condition):
    field = Field(
        "rate",
        Type.NUMBER_TEST,
        "Messages and control frames of this direction in the last second, this one included.",
    )
    example = 'rate: ">100"'
    reach = FRAMES
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(view.conversation.rates[view.side].per_second(view.now_ns), view)

    def explain(self) -> str:
        return f"its direction's rate {self.value.explain()} a second"

    def never(self) -> str:
        return never_number("rate", self.value, 1)


class Counter(Condition):
    field = Field(
        "counter",
        Type.COUNTERS,
        "How often other rules have acted in this connection, by their id. A rule without actions only "
        "counts.",
    )
    example = 'counter: {login-failed: ">=3"}'
    value: Mapping[str, Predicate]

    def test(self, view: View) -> bool:
        states = view.conversation.states
        for rule, test in self.value.items():
            state = states.get(rule)
            if not test.holds(0 if state is None else state.acted, view):
                return False
        return True

    def explain(self) -> str:
        return " and ".join(f"the count of {rule} {test.explain()}" for rule, test in self.value.items())

    def never(self) -> str:
        found = (never_number(f"count of {rule}", test, 0) for rule, test in self.value.items())
        return next(filter(None, found), "")


class Captured(Condition):
    field = Field(
        "captured",
        Type.CAPTURED_TESTS,
        "Values that rules captured in this connection (`capture`), or `vars`, by name.",
    )
    example = "captured: {user: {exists: true}}"
    value: Mapping[str, Predicate]

    def test(self, view: View) -> bool:
        values = view.conversation.values
        return all(
            test.any_of((values[name],) if name in values else (), view) for name, test in self.value.items()
        )

    def explain(self) -> str:
        return " and ".join(f"the captured {name} {test.explain()}" for name, test in self.value.items())

    def expressions(self) -> Iterator[Expression]:
        for test in self.value.values():
            yield from test.expressions()

    def never(self) -> str:
        for name, test in self.value.items():
            if contradiction([test]):
                return f"no {name} is like that"
        return ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The value of `after`."""

    condition: Condition
    within_ms: float | None = None


class After(Condition):
    field = Field(
        "after",
        Type.AFTER,
        "Conditions that an earlier message of this connection met, of whichever side; with `within: 5s` at "
        "most so long ago.",
    )
    example = "after: {from: client, json: {$.type: login}, within: 5s}"
    reach = FRAMES
    value: Earlier

    def test(self, view: View) -> bool:
        last = view.conversation.earlier.get(id(self))
        if last is None:
            return False
        within = self.value.within_ms
        return within is None or view.now_ns - last <= within * 1e6

    def explain(self) -> str:
        within = self.value.within_ms
        limit = "" if within is None else f" in the last {within / 1000:g} s"
        return f"an earlier message was such that {self.value.condition.explain()}{limit}"

    def children(self) -> tuple[Condition, ...]:
        return ()  # what is below holds of another message

    def expressions(self) -> Iterator[Expression]:
        for each in self.value.condition.walk():
            yield from each.expressions()

    def never(self) -> str:
        mask = self.value.condition.reach
        if not mask & FRAMES:
            place = "an opening" if mask & OPEN else "a handshake" if mask else ""
            return (
                f"{place} is no message: `after` looks at messages and control frames"
                if place
                else ("its own conditions contradict each other")
            )
        return self.value.condition.never()
