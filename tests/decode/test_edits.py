from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.decode.edits import align, check_depth, same
from wsinspect.decode.limits import MAX_DEPTH

ITEMS = st.lists(st.sampled_from([0, 1, 2, True, "1", 1.0, [1], [2], {"a": 1}]), max_size=12)


@pytest.mark.parametrize(
    ("old", "new"),
    [(1, True), (1, 1.0), (0, False), (0.0, -0.0), (None, False), ("1", 1), (b"a", "a"), ([1], [True]),
     ([1], {"0": 1}), ({"a": 1}, {"a": 1.0}), ({"a": 1}, {"b": 1}), ({}, []), ([1], [1, 2])],
)  # fmt: skip
def test_what_python_takes_for_equal_may_differ_on_the_wire(old: Any, new: Any) -> None:
    assert not same(old, new)
    assert not same(new, old)
    assert same(old, old)


def test_the_same_in_another_order_or_as_a_tuple() -> None:
    assert same({"a": 1, "b": [2]}, {"b": (2,), "a": 1})
    assert same(float("nan"), float("nan"))


@given(ITEMS, ITEMS)
def test_alignment_rises_and_finds_what_stayed(old: list[Any], new: list[Any]) -> None:
    pairs = align(old, new)
    assert len(pairs) == len(new)
    used = [index for index in pairs if index is not None]
    assert used == sorted(set(used))
    assert all(0 <= index < len(old) for index in used)


@given(ITEMS.filter(bool), st.data())
def test_what_stays_beside_one_change_is_found(old: list[Any], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(old)))
    assert [old[index] for index in align(old, old[:at] + old[at + 1 :]) if index is not None] == (
        old[:at] + old[at + 1 :]
    )
    longer = [*old[:at], "new", *old[at:]]
    pairs = align(old, longer)
    assert sum(
        index is not None and same(old[index], item) for index, item in zip(pairs, longer, strict=True)
    ) == len(old)


def test_several_removed_and_one_changed() -> None:
    assert align(["a", "b", "c", "d", "e"], ["b", "d!", "e"]) == [1, 2, 4]
    assert align(["a", "b"], ["x", "a", "y", "b", "z"]) == [None, 0, None, 1, None]
    assert align([1, 2, 3], [7, 8, 9]) == [0, 1, 2]
    assert align([], [1]) == [None]
    assert align([1], []) == []


def test_alignment_is_linear() -> None:
    begin = time.process_time()
    align([0] * 100_000, [1, *[0] * 99_000, 2])
    align(list(range(100_000)), list(range(99_999, 0, -1)))
    align([0, 1] * 50_000, [1, 0, 0] * 30_000)
    assert time.process_time() - begin < 3


@pytest.mark.slow
def test_depth_and_size_of_trees() -> None:
    def nested(depth: int) -> Any:
        tree: Any = []
        for n in range(depth - 1):
            tree = [tree] if n % 2 else {"a": tree}
        return tree

    check_depth(1)
    check_depth(nested(MAX_DEPTH))
    with pytest.raises(ValueError, match="deeper than 100"):
        check_depth(nested(MAX_DEPTH + 1))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="in itself"):
        check_depth(loop)
    many: Any = []
    for _ in range(40):
        many = [many, many]
    with pytest.raises(ValueError, match="too large"):
        check_depth(many)
