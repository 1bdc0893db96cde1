"""The usual edit puts scalars where they belong, or says that it cannot."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import TREES, edited, json_texts
from wsinspect.decode.edits import same
from wsinspect.decode.jsonedit import edit
from wsinspect.decode.jsonsplice import splice
from wsinspect.decode.jsonvalue import parse

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)


@st.composite
def rescaled(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with other scalars at some names, its parts shared where nothing differs."""
    tree = copy.deepcopy(tree) if draw(st.booleans()) else tree
    if not isinstance(tree, dict):
        return draw(scalars)
    tree = {**tree}
    for name, value in tree.items():
        if isinstance(value, dict) and draw(st.booleans()):
            tree[name] = draw(rescaled(value))
        elif draw(st.booleans()):
            tree[name] = draw(scalars)
    return tree


@given(json_texts(), st.data())
def test_what_is_spliced_says_the_tree(text: str, data: st.DataObject) -> None:
    old = parse(text)
    tree = data.draw(rescaled(old))
    spliced = splice(text, tree, old)
    if spliced is None:
        return
    assert same(parse(spliced), tree)


@given(json_texts(), st.data())
def test_any_edit_with_what_was_read_at_hand_says_the_tree(text: str, data: st.DataObject) -> None:
    old = parse(text)
    tree = data.draw(edited(old) | rescaled(old) | TREES)
    if any("Infinity" in json.dumps(each) for each in (old, tree)):
        return
    assert same(parse(edit(text, tree, old)), tree)


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ('{"a":1.50,"b":2}', {"b": 3}, '{"a":1.50,"b":3}'),
        ('{ "a" : 1.50 ,\n"b"\t:\r2 }', {"a": "é", "b": None}, '{ "a" : "é" ,\n"b"\t:\rnull }'),
        ('{"a":1.50,"b":2}', {"a": 1.5}, '{"a":1.50,"b":2}'),
        ('{"a":1,"b":{"c":2}}', {"b": {"c": True}}, '{"a":1,"b":{"c":true}}'),
        ('{"a":"x","b":2}', {"a": 'say "x"'}, '{"a":"say \\"x\\"","b":2}'),
        ('{",":1,"b":2}', {",": 3}, '{",":3,"b":2}'),
        # The name stands there twice, or something does that looks like it.
        ('{"a":1,"a":2}', {"a": 3}, None),
        ('{"a":1,"b":"a"}', {"a": 3}, None),
        ('{"a":1,"b":{"a":1}}', {"a": 3}, None),
        ('{":":":"}', {":": "x"}, None),
        ('{",":1,"b":",","c":3}', {",": 3}, None),
        (r'{"\u0061":1,"b":2}', {"a": 3}, None),
        # More than scalars at names.
        ('{"a":1}', {"b": 2}, None),
        ('{"a":[1]}', {"a": [2]}, None),
        ('{"a":1}', {"a": []}, None),
        ('{"a":1}', {"a": float("inf")}, None),
        ('{"a":1}', {"a": "\ud800"}, None),
    ],
)
def test_which_edits_are_so_simple(text: str, changes: dict[str, Any], expected: str | None) -> None:
    old = parse(text)
    tree = {**old, **changes}
    assert splice(text, tree, old) == expected
    if expected is not None:
        assert same(parse(expected), tree)


def test_a_removed_name_is_not_so_simple() -> None:
    assert splice('{"a":1,"b":2}', {"a": 1}, {"a": 1, "b": 2}) is None
    assert splice('{"a":1,"b":2}', {"a": 1, "c": 2}, {"a": 1, "b": 2}) is None
