"""What changed between two payloads: by path and line by line, bounded whatever they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.formats import diff
from wsinspect.formats.diff import Mark, json_changes, line_diff, payload_diff

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ('{"price":100,"a":1}', '{"price":1,"a":1}', ["$.price 100 → 1"]),
        ('{"a":{"b":[1,{"c":"x"}]}}', '{"a":{"b":[1,{"c":"y"}]}}', ['$.a.b[1].c "x" → "y"']),
        ('{"a":1}', '{"b":true}', ["$.a gone", "$.b new: true"]),
        ("[1,2]", "[1,2,3]", ["$ 2 → 3 elements"]),
        ('{"a":1.0}', '{"a":1.00}', ["$.a 1.0 → 1.00"]),
        ('{"a":"1"}', '{"a":1}', ['$.a "1" → 1']),
        ('{"a":{}}', '{"a":[]}', ["$.a {} → []"]),
        ('{"two words":1}', '{"two words":2}', ['$["two words"] 1 → 2']),
        ("1", "2", ["$ 1 → 2"]),
        ('{"a":true}', '{"a":1}', ["$.a true → 1"]),
        ('{"a":1}', '{"a":1 }', []),
        ("[1,2,3,4,5]", "[9,9,9,9,9]", ["$[0] 1 → 9", "$[1] 2 → 9", "$[2] 3 → 9", "and more"]),
    ],
)
def test_json_by_path(before: str, after: str, changes: list[str]) -> None:
    assert json_changes(before.encode(), after.encode()) == changes


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"\xff",
        b"[" * 100_000,
        b"[" * 60 + b"1" + b"]" * 60,
        b'"' + b"x" * diff.JSON_BYTES + b'"',
    ],
)
def test_what_is_not_to_be_compared(payload: bytes) -> None:
    other = payload.replace(b"1", b"2") if b"1" in payload else b"1"
    assert json_changes(payload, other) is None


def test_long_values_are_cut() -> None:
    (change,) = json_changes(b'{"a":"%s"}' % (b"x" * 999), b'{"a":1}') or []
    assert len(change) < 60
    assert change.endswith("… → 1")


@given(json_values, json_values)
def test_equal_where_and_only_where_nothing_changed(before: object, after: object) -> None:
    texts = json.dumps(before), json.dumps(after)
    changes = json_changes(texts[0].encode(), texts[1].encode(), most=1000)
    assert changes is not None
    assert (changes == []) == (texts[0] == texts[1] or sorted_json(before) == sorted_json(after))


def sorted_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_a_diff_leads_from_one_to_the_other(before: list[str], after: list[str]) -> None:
    found = diff._edits(before, after)
    assert found is not None
    assert [line for mark, line in found if mark is not Mark.CAME] == before
    assert [line for mark, line in found if mark is not Mark.GONE] == after
    shown = list(line_diff(before, after))
    assert any(mark in (Mark.GONE, Mark.CAME) for mark, _ in shown) == (before != after)
    gone = [line for mark, line in found if mark is Mark.GONE]
    assert len([line for mark, line in shown if mark is Mark.GONE]) == len(gone)


def test_json_is_compared_as_it_is_laid_out() -> None:
    before, after = b'{"op":"tick","price":100}', b'{"op":"tick","price":1}'
    assert [f"{mark}{line}" for mark, line in payload_diff(before, after)] == [
        " {", '   "op": "tick",', '-  "price": 100', '+  "price": 1', " }",
    ]  # fmt: skip


def test_text_and_bytes() -> None:
    assert payload_diff(b"one\ntwo", b"one\n2") == [
        (Mark.SAME, "one"),
        (Mark.GONE, "two"),
        (Mark.CAME, "2"),
    ]
    (gone, came) = payload_diff(b"\xff\x00", b"\xff\x01")
    assert (gone[0], came[0]) == (Mark.GONE, Mark.CAME)
    assert "ff 00" in gone[1]
    assert payload_diff(b"", b"x") == [(Mark.CAME, "x")]


def test_equal_lines_far_from_a_change_are_left_out() -> None:
    before = [str(n) for n in range(100)]
    after = [*before[:50], "changed", *before[51:]]
    assert list(line_diff(before, after)) == [
        (Mark.LEFT_OUT, "47 equal lines"),
        *((Mark.SAME, str(n)) for n in (47, 48, 49)),
        (Mark.GONE, "50"),
        (Mark.CAME, "changed"),
        *((Mark.SAME, str(n)) for n in (51, 52, 53)),
        (Mark.LEFT_OUT, "46 equal lines"),
    ]
    two = [*before[:20], "x", *before[21:80], "y", *before[81:]]
    assert (Mark.LEFT_OUT, "53 equal lines") in list(line_diff(before, two))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a"] * 5000, ["a", "b"] * 2500),
        (["a", "b", "c"] * 2000, ["b", "a"] * 3000),
        ([str(n) for n in range(9000)], [str(-n) for n in range(9000)]),
    ],
)
def test_little_in_common_costs_little(before: list[str], after: list[str]) -> None:
    """difflib took minutes for lines that repeat."""
    shown = list(line_diff(before, after))
    assert len(shown) <= 2 * diff.MOST_LINES + 10
    assert {Mark.GONE, Mark.CAME} <= {mark for mark, _ in shown}
