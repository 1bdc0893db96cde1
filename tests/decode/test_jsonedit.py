from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import TREES, edited, json_texts
from wsinspect.decode.edits import same
from wsinspect.decode.jsonedit import COMPACT, Style, edit, write
from wsinspect.decode.jsonvalue import parse
from wsinspect.decode.limits import MAX_DEPTH


@given(json_texts())
def test_an_edit_of_nothing_is_the_identity(text: str) -> None:
    assert edit(text, parse(text)) == text


@given(json_texts().filter(lambda text: "e400" not in text), st.data())
def test_an_edited_text_says_the_tree(text: str, data: st.DataObject) -> None:
    """Without infinite numbers: they stay where they are, and cannot be moved."""
    tree = data.draw(edited(parse(text)))
    result = edit(text, tree)
    assert same(parse(result), tree)
    assert edit(result, tree) == result


@given(json_texts(), TREES)
def test_any_tree_may_take_the_place_of_any(text: str, tree: Any) -> None:
    assert same(parse(edit(text, tree)), tree)


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        ('{"a":1.50,"b":2}', "b", 3, '{"a":1.50,"b":3}'),
        ('{"a": 1.50, "b": 2}', "c", [1, {"x": 2}], '{"a": 1.50, "b": 2, "c": [1, {"x": 2}]}'),
        ('{"a":1e2,"b":2}', "c", [1, 2], '{"a":1e2,"b":2,"c":[1,2]}'),
        ('{"a": 1}', "b", 2, '{"a": 1, "b": 2}'),
        ('{"a":1}', "b", 2, '{"a":1,"b":2}'),
        ("{}", "b", 2, '{"b":2}'),
        ("{ }", "b", 2, '{"b":2}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "c", 3, '{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}'),
        ('{\n\t"a" : 1\n}', "b", {}, '{\n\t"a" : 1,\n\t"b": {}\n}'),
        ('{"a":"\\u00e9","b":"x"}', "b", "ü", '{"a":"\\u00e9","b":"\\u00fc"}'),
        ('{"a":"é","b":"x"}', "b", "ü", '{"a":"é","b":"ü"}'),
        ('{"a":"x\\u001b"}', "b", "ü", '{"a":"x\\u001b","b":"ü"}'),
        (' {"a":1 , "b":2} ', "a", 5, ' {"a":5 , "b":2} '),
        ('{"a":1,"n":12345678901234567890.10,"z":-0.0}', "a", "\ud800", None),
    ],
)  # fmt: skip
def test_setting_a_name(text: str, path: str, value: Any, expected: str | None) -> None:
    tree = parse(text)
    tree[path] = value
    if expected is None:
        expected = text.replace('"a":1', '"a":"\\ud800"')
    assert edit(text, tree) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('{"a": 1, "b": 2, "c": 3}', "a", '{"b": 2, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', "b", '{"a": 1, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', "c", '{"a": 1, "b": 2}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "a", '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
        ('{ "a": 1 }', "a", "{}"),
        ('{"a":1,"b":0,"a":2}', "a", '{"b":0}'),
        ('{"\\u0061":1,"b":0,"a":2}', "a", '{"b":0}'),
    ],
)
def test_removing_a_name(text: str, name: str, expected: str) -> None:
    tree = parse(text)
    del tree[name]
    assert edit(text, tree) == expected


def test_a_doubled_name_that_changes_stands_once() -> None:
    """A peer that reads the first one must not find the old value there."""
    text = '{"token":"first", "b":1.0, "t\\u006fken":"second"}'
    assert edit(text, {"token": "***", "b": 1.0}) == '{"b":1.0, "t\\u006fken":"***"}'
    assert edit(text, {"token": "second", "b": 2}) == '{"token":"first", "b":2, "t\\u006fken":"second"}'
    assert edit('{"a":{"x":1},"a":{"x":2,"y":3.0}}', {"a": {"x": 5, "y": 3.0}}) == '{"a":{"x":5,"y":3.0}}'


@pytest.mark.parametrize(
    ("text", "tree", "expected"),
    [
        ("[1.0, 2.00, 3e0]", [2.0, 3.0], "[2.00, 3e0]"),
        ("[1.0, 2.00, 3e0]", [1.0, 3.0], "[1.0, 3e0]"),
        ("[1.0, 2.00, 3e0]", [1.0, 2.0], "[1.0, 2.00]"),
        ("[1.0, 2.00, 3e0]", [0, 1.0, 2.0, 3.0], "[0, 1.0, 2.00, 3e0]"),
        ("[1.0,2.00,3e0,4.0]", [2.0, 4.0, 5], "[2.00,4.0,5]"),
        ("[1.0, 2.00, 3e0]", [1.0, 9, 3.0], "[1.0, 9, 3e0]"),
        ("[\n  1.0\n]", [1.0, 2], "[\n  1.0,\n  2\n]"),
        ("[]", [1, 2], "[1,2]"),
        ("[1.0]", [], "[]"),
        ('[{"id":1,"v":1.10},{"id":2,"v":2.20}]', [{"id": 2, "v": 2.2}], '[{"id":2,"v":2.20}]'),
        ("[1, 1.0, true]", [True, 1, 1.0], "[true, 1, 1.0]"),
    ],
)
def test_arrays_keep_the_spelling_of_what_stays(text: str, tree: Any, expected: str) -> None:
    assert edit(text, tree) == expected


def test_numbers_that_no_double_holds_stay_beside_an_edit() -> None:
    text = '{"id":123456789012345678901234567890,"p":0.10000000000000000000000001,"f":1e999,"q":1}'
    tree = parse(text)
    tree["q"] = 2
    assert edit(text, tree) == text.replace('"q":1', '"q":2')


def test_digits_beyond_pythons_limit_stay_too() -> None:
    text = '{"n":' + "9" * 5000 + ',"x":NaN,"q":1}'
    tree = parse(text)
    tree["q"] = 2
    assert edit(text, tree) == text.replace('"q":1', '"q":2')


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"x", "cannot carry bytes"),
        (float("nan"), "infinity or NaN"),
        (float("inf"), "infinity or NaN"),
        ({1: 2}, "is text, not 1"),
        ({"a": object()}, "cannot carry a object"),
        ([1, {2, 3}], "cannot carry a set"),
        pytest.param(10**5000, "so many digits", id="a large number"),
    ],
)
def test_what_json_cannot_carry(value: Any, sentence: str) -> None:
    for text in ("1", "[1,2]", '{"a":1}'):
        with pytest.raises(ValueError, match=sentence):
            edit(text, value)
    with pytest.raises(ValueError, match=sentence):
        edit('{"a":1}', {"a": value})
    with pytest.raises(ValueError, match=sentence):
        write(value)


def test_a_tree_in_itself() -> None:
    tree: dict[str, Any] = {"a": 1}
    tree["b"] = tree
    for call in (lambda: edit('{"a":1}', tree), lambda: write(tree)):
        with pytest.raises(ValueError, match="in itself"):
            call()


@given(TREES, st.booleans(), st.booleans())
def test_writing(tree: Any, spaced: bool, ascii_only: bool) -> None:
    style = Style(", ", ": ", ascii_only) if spaced else Style(ascii=ascii_only)
    assert same(json.loads(write(tree, style)), tree)
    assert write(tree, COMPACT) == json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def test_edits_of_a_large_text_take_no_time() -> None:
    rng = random.Random(1)
    rows = [{"id": n, "v": [n, n + 0.5], "same": "x"} for n in range(20_000)]
    text = json.dumps(rows)
    tree = parse(text)
    for row in rng.sample(tree, 5000):
        row["v"] = 0
    del tree[::7]
    begin = time.process_time()
    assert parse(edit(text, tree)) == tree
    doubled = "{" + '"a":1,' * 100_000 + '"a":[' + "1," * 10_000 + "1]}"
    assert edit(doubled, {"a": 2}) == '{"a":2}'
    assert edit(doubled, {**parse(doubled), "b": 1}).endswith(',"b":1}')
    assert time.process_time() - begin < 5


def test_an_edit_in_the_depth_takes_no_time() -> None:
    text = '{"a":' * 99 + json.dumps(list(range(20_000))) + "}" * 99
    tree = parse(text)
    node = tree
    for _ in range(98):
        node = node["a"]
    node["a"] = [1]
    begin = time.process_time()
    assert parse(edit(text, tree)) == tree
    assert time.process_time() - begin < 5


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_tree_that_shares_parts_with_what_was_read_is_checked_where_it_does_not() -> None:
    old = {"kept": {"deep": [1, {"x": 2}]}, "price": 2, "list": [[1], [2]]}
    text = json.dumps(old)

    def edited(new: Any) -> Any:
        return json.loads(edit(text, new, old))

    for new in ({**old, "price": 1}, {**old, "list": [old["list"][0], [3]]}, {"kept": old["kept"]}, [old], 5):
        assert edited(new) == new
        assert edit(text, new, old) == edit(text, new)
    for wrong in (b"x", {"y": b"x"}, [b"x"], {1: 2}, {"y": {1: 2}}, (b"x",)):
        for new in (wrong, {**old, "price": wrong}, {**old, "list": [old["list"][0], wrong]}):
            with pytest.raises(ValueError, match=r"JSON cannot carry bytes|a name in a JSON object is text"):
                edit(text, new, old)


def test_a_changed_part_may_be_as_deep_as_the_whole() -> None:
    old = nested(1, MAX_DEPTH)
    text = json.dumps(old)
    assert json.loads(edit(text, nested(2, MAX_DEPTH), old)) == nested(2, MAX_DEPTH)
    for deeper in (nested([], MAX_DEPTH), nested(old, 1)):
        with pytest.raises(ValueError, match="nested deeper than 100"):
            edit(text, deeper, old)
