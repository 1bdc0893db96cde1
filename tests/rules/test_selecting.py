"""How candidates are found: in order, each once, and with memory that is bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.world import SERVER, World, rules
from wsinspect.rules import selecting
from wsinspect.rules.jsonpath import parse
from wsinspect.rules.predicates import Equals, Glob, Predicate, Within
from wsinspect.rules.selecting import Node, Table, proves
from wsinspect.rules.units import Bounds

ends = st.sampled_from([-1.0, 0, 0.5, 1, 2, 10**20, float("-inf"), float("inf")])
bounds = st.builds(Bounds, ends, ends, st.booleans(), st.booleans())
numbers = st.sampled_from([-2, -1.0, 0, -0.0, 0.25, 0.5, 1, 1.0, 2, 3, 10**20, 10**20 + 1, float("inf")])


@given(st.lists(bounds, max_size=8), st.lists(numbers, min_size=1, max_size=4))
def test_no_interval_that_has_a_number_is_left_out(intervals: list[Bounds], values: list[float]) -> None:
    tests = [Within(each, str) for each in intervals]
    table = Table(enumerate(tests))
    for value in values:
        wanted = {number for number, test in enumerate(tests) if test.holds(value, None)}  # type: ignore[arg-type]
        assert wanted <= set(table.numbers(value))
        finite = [each for each in table.numbers(value) if abs(intervals[each].low) < float("inf")]
        assert not [each for each in finite if not intervals[each].low <= value <= intervals[each].high]


def test_many_intervals_do_not_take_memory_without_measure() -> None:
    table = Table((number, Within(Bounds(low=number), str)) for number in range(1000))
    kept = sum(len(numbers) for _, rules in table._ranges for numbers in rules)
    assert kept <= 1000 * 2 * selecting.RANGES_A_TABLE
    assert table.numbers(500.5) == list(range(501))


def test_texts_that_come_again_are_remembered_and_others_forgotten() -> None:
    class Counted(Glob):
        asked = 0

        def holds(self, value: Any, view: Any) -> bool:
            self.asked += 1
            return super().holds(value, view)

    test = Counted("*-EUR")
    table = Table([(7, test)])
    assert [table.numbers("ETH-EUR"), table.numbers("ETH-EUR"), table.numbers("x")] == [[7], [7], []]
    assert test.asked == 2
    for number in range(3 * selecting.MAX_TEXTS):
        assert table.numbers(f"{number}-EUR") == [7]
        assert len(table.texts) <= selecting.MAX_TEXTS
    long = "x" * selecting.MAX_TEXT_CHARS + "-EUR"
    assert table.numbers(long) == [7]
    assert long not in table.texts


def found(path: str, test: Predicate, tree: Any) -> list[int]:
    root = Node()
    root.add(parse(path), (1, test))
    root.compile()
    numbers: list[int] = []
    root.find(tree, numbers)
    return numbers


def test_a_place_is_found_where_the_path_finds_it() -> None:
    one = Equals(1)
    assert found("$", one, 1) == [1]
    assert found("$.a.b", one, {"a": {"b": 1}}) == [1]
    assert found("$.a.b", one, {"a": {"b": 2}}) == found("$.a.b", one, {"a": [1]}) == []
    assert found("$[-1]", one, [0, 1]) == found("$[5]", one, {5: 1}) == [1]
    assert found("$[*]", one, [1, 2, 1]) == [1, 1], "the caller takes each once"
    assert found("$.a", Equals(None), {"a": None}) == [1]
    assert found("$.a", Equals(None), {}) == []


def test_a_rule_that_is_found_twice_acts_once() -> None:
    world = World('- {id: each, when: {json: {"$.list[*]": x}}, then: []}')
    assert world.ids(world.text(SERVER, {"list": ["x", "y", "x"]})) == ["each"]


def test_of_several_places_the_one_that_tells_the_most_finds_the_rule() -> None:
    text = "\n".join(
        f"- {{id: r{n}, when: {{json: {{$.type: ticker, $.symbol: s{n}, $.price: {{gt: 0}}}}}}, then: []}}"
        for n in range(9)
    )
    world = World(text)
    assert world.ids(world.text(SERVER, {"type": "ticker", "symbol": "s3", "price": 1})) == ["r3"]
    lane = world.rules._lanes.by_opcode[SERVER][1]
    assert lane is not None
    tree = {"type": "ticker", "symbol": "s3", "price": 1}
    assert lane.all.numbers(SimpleNamespace(decoded=SimpleNamespace(tree=tree))) == [3]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("when", "proved"),
    [
        ("{$.type: ticker}", True),
        ("{$.a: 1, $.b: null}", True),
        ("{'$.list[*]': x}", True),
        ("{$.a: 1, '$.list[*]': x}", False),
        ("{$.a: 1, $.b: 2, $.c: 3}", False),
        ("{$.a: {gt: 1}}", False),
        ("{$.a: [1, {glob: x*}]}", False),
        ("{$.a: {equals: x, contains: x}}", False),
        ("{$.a: 'x-{{conn}}'}", False),
        ("{$.a: {exists: false}}", False),
    ],
)
def test_where_only_single_values_are_asked_for_being_found_is_the_proof(when: str, proved: bool) -> None:
    (rule,) = rules(f"- {{id: r, when: {{json: {when}}}, then: []}}").rules
    assert proves(rule) is proved
    (both,) = rules(f"- {{id: r, when: {{json: {when}, size: '>3'}}, then: []}}").rules
    assert not proves(both)
