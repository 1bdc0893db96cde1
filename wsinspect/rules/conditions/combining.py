"""Conditions made of conditions: all of them, any of them, not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsinspect.rules.conditions.base import Condition, Needles, Sought
from wsinspect.rules.conditions.connection import Host, OneValue, Port, Tls, Url, UrlPath
from wsinspect.rules.conditions.conversation import Index
from wsinspect.rules.conditions.payload import CloseCode, OfDecoded, Size, Text, single_tests
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.predicates import OneOf, Predicate, contradiction
from wsinspect.rules.reach import EVERYWHERE, words

if TYPE_CHECKING:
    from wsinspect.rules.connection_facts import ConnectionFacts
    from wsinspect.rules.view import View

_ONE_VALUED = (Host, Port, UrlPath, Size, Index, CloseCode, Text, OfDecoded)
"""A message has one of each, so that several tests of it must agree."""


class All(Condition):
    """Every one holds: a mapping of `when`, or a list."""

    field = Field("all", Type.CONDITIONS, "Every one of a list of conditions.")
    example = "all: [{text: {contains: a}}, {text: {contains: b}}]"
    value: tuple[Condition, ...]

    def __init__(self, value: Iterable[Condition]) -> None:
        flat: list[Condition] = []
        for each in value:
            flat += each.value if type(each) is All else (each,)
        super().__init__(tuple(sorted(flat, key=lambda each: each.cost)))
        self.reach = EVERYWHERE
        for each in flat:
            self.reach &= each.reach
        self.exact = all(each.exact for each in flat)
        self.cost = max((each.cost for each in flat), default=0)  # type: ignore[misc]
        self.reads_payload = any(each.reads_payload for each in flat)  # type: ignore[misc]

    def test(self, view: View) -> bool:
        for each in self.value:  # noqa: SIM110 - the plain loop takes half the time
            if not each.test(view):
                return False
        return True

    def known(self, facts: ConnectionFacts) -> bool | None:
        found = {each.known(facts) for each in self.value}
        return False if False in found else None if None in found else True

    def children(self) -> tuple[Condition, ...]:
        return self.value

    def explain(self) -> str:
        return " and ".join(each.explain() for each in self.value)

    def needles(self) -> Needles | None:
        return max(self.all_needles(), key=lambda each: each.worth, default=None)

    def all_needles(self) -> tuple[Needles, ...]:
        return tuple(found for each in self.value for found in each.all_needles())

    def sought(self) -> tuple[Sought, ...]:
        return tuple(found for each in self.value for found in each.sought())

    def never(self) -> str:
        return (
            self._meets_nowhere()
            or next(filter(None, (each.never() for each in self.value)), "")
            or (self._disagrees())
        )

    def _meets_nowhere(self) -> str:
        """Two conditions of which each leaves places, and both together none."""
        left = EVERYWHERE
        by: Condition | None = None
        for each in sorted(self.value, key=lambda one: not one.exact):
            if not left & each.reach:
                return f"{_named(by)} and {_named(each)} exclude each other"
            if left & each.reach != left:
                by = each
            left &= each.reach
        return ""

    def _disagrees(self) -> str:
        """Two tests of the same value that no value satisfies."""
        for kind in {type(each) for each in self.value if isinstance(each, _ONE_VALUED)}:
            tests: list[Predicate] = [each.value for each in self.value if type(each) is kind]
            whole = not issubclass(kind, OneValue | OfDecoded) or kind is Port
            if len(tests) > 1 and contradiction(tests, whole=whole):
                return f"no {kind.field.name} satisfies all of its conditions"
        if reason := _contrary_tls(self.value):
            return reason
        for path, tests in single_tests(self.value).items():
            if len(tests) > 1 and contradiction(tests):
                return f"no value of {path} satisfies all of its conditions"
        return ""


def _contrary_tls(conditions: Iterable[Condition]) -> str:
    """Why no connection is both with TLS and without; empty where that is not asked for."""
    wanted = {each: _tls(each) for each in conditions}
    if not {True, False} <= {*wanted.values()}:
        return ""
    for each, tls in wanted.items():
        if isinstance(each, Url):
            has, other = ("wss://", "ws://") if tls else ("ws://", "wss://")
            return f"a URL of {has} is {'with' if tls else 'without'} TLS: write {other}, or leave `tls` out"
    return "`tls` is either true or false"


def _tls(condition: Condition) -> bool | None:
    """Whether it leaves only connections over TLS, or only those without; None: it may leave either."""
    match condition:
        case Tls():
            return condition.value
        case Not(value=Tls(value=tls)):
            return not tls
        case Url():
            found = {start[:3] for start in condition.value.starts()}
            return True if found == {"wss"} else False if found == {"ws:"} else None
        case _:
            return None


def _named(condition: Condition | None) -> str:
    if condition is None:
        return "these conditions"
    name = condition.field.name
    return (
        f"`{name}`"
        if not condition.exact
        else f"`{name}` ({words(condition.reach)})"
        if name != "from"
        else (f"`from: {condition.value.word}`")
    )


class AnyOf(Condition):
    """At least one holds."""

    field = Field("any", Type.CONDITIONS, "At least one of a list of conditions.")
    example = "any: [{kind: ping}, {text: heartbeat}]"
    value: tuple[Condition, ...]

    def __init__(self, value: Iterable[Condition]) -> None:
        super().__init__(tuple(sorted(value, key=lambda each: each.cost)))
        self.reach = 0
        for each in self.value:
            self.reach |= each.reach
        self.exact = all(each.exact for each in self.value)
        self.cost = max((each.cost for each in self.value), default=0)  # type: ignore[misc]
        self.reads_payload = any(each.reads_payload for each in self.value)  # type: ignore[misc]

    def test(self, view: View) -> bool:
        here = view.place
        return any(each.reach & here and each.test(view) for each in self.value)

    def known(self, facts: ConnectionFacts) -> bool | None:
        found = {each.known(facts) for each in self.value}
        return True if True in found else None if None in found else False

    def children(self) -> tuple[Condition, ...]:
        return self.value

    def explain(self) -> str:
        return f"({' or '.join(each.explain() for each in self.value)})"

    def needles(self) -> Needles | None:
        found = [each for each in (one.needles() for one in self.value) if each is not None]
        if len(found) < len(self.value):
            return None
        return Needles(
            frozenset().union(*(each.texts for each in found)),
            any(each.in_tree for each in found),
            frozenset().union(*(each.patterns for each in found)),
            any(each.is_name for each in found),
        )

    def sought(self) -> tuple[Sought, ...]:
        tests = [{found.path: found.test for found in each.sought()} for each in self.value]
        shared = [path for path in tests[0] if all(path in each for each in tests)] if tests else []
        return tuple(Sought(path, OneOf(each[path] for each in tests)) for path in shared)

    def never(self) -> str:
        reasons = [each.never() for each in self.value]
        return reasons[0] if reasons and all(reasons) else ""


class Not(Condition):
    """The one does not hold."""

    field = Field("not", Type.CONDITION, "The conditions do not all hold.")
    example = "not: {text: heartbeat}"
    value: Condition

    def __init__(self, value: Condition) -> None:
        super().__init__(value)
        self.exact = value.exact
        self.reach = EVERYWHERE & ~value.reach if value.exact else EVERYWHERE
        self.cost = value.cost  # type: ignore[misc]
        self.reads_payload = value.reads_payload  # type: ignore[misc]

    def test(self, view: View) -> bool:
        return not (self.value.reach & view.place and self.value.test(view))

    def known(self, facts: ConnectionFacts) -> bool | None:
        found = self.value.known(facts)
        return None if found is None else not found

    def children(self) -> tuple[Condition, ...]:
        return (self.value,)

    def explain(self) -> str:
        return f"not ({self.value.explain()})"
