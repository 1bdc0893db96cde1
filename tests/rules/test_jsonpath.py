import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.rules.jsonpath import MAX_STEPS, Each, Path, PathError, parse, together

TREE = {
    "a": {"b": [10, 20, 30]},
    "x y": "spaced",
    "items": [{"id": 1, "tags": ["p"]}, {"id": 2}, "odd"],
    "": {"'": "quote"},
    5: "five",
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$", [TREE]),
        ("$.a.b[0]", [10]),
        ("$.a.b[-1]", [30]),
        ("$.a.b[3]", []),
        ("$.a.b[-4]", []),
        ("$['x y']", ["spaced"]),
        ('$["x y"]', ["spaced"]),
        ("$[''][\"'\"]", ["quote"]),
        (r"$['']['\'']", ["quote"]),
        ("$.items[*].id", [1, 2]),
        ("$.items[*].tags[*]", ["p"]),
        ("$.a.*", [[10, 20, 30]]),
        ("$.a.b.c", []),
        ("$.a[0]", []),
        ("$.nothing.at.all", []),
        ("$[5]", ["five"]),
        ("$.items[2].id", []),
    ],
)
def test_find(path: str, values: list[Any]) -> None:
    assert parse(path).find(TREE) == values
    assert parse(path).exists(TREE) is bool(values)


DEEP = {
    "token": {"token": 1},
    "user": {"id": 7, "token": "b"},
    "list": [{"token": None, "id": 8}, [{"token": ["c", {"id": 9}]}], "token"],
    "x y": 0,
    5: {"token": "d"},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$..token", [{"token": 1}, 1, "b", None, ["c", {"id": 9}], "d"]),
        ("$..['x y']", [0]),
        ("$.user..token", ["b"]),
        ("$.list..token[0]", ["c"]),
        ("$.list[*]..id", [8, 9]),
        ("$..token..id", [9]),
        ("$..nothing", []),
    ],
)
def test_a_name_at_any_depth(path: str, values: list[Any]) -> None:
    parsed = parse(path, deep=True)
    assert parsed.find(DEEP) == values
    assert not parsed.is_single
    before = copy.deepcopy(DEEP)
    _, count = parsed.replace(DEEP, lambda _: "*")
    assert (count > 0) is bool(values)
    assert before == DEEP


def test_what_is_changed_at_any_depth_is_not_looked_into() -> None:
    path = parse("$..token", deep=True)
    tree, count = path.replace(DEEP, lambda _: "*")
    assert (tree, count) == (
        {
            "token": "*",
            "user": {"id": 7, "token": "*"},
            "list": [{"token": "*", "id": 8}, [{"token": "*"}], "token"],
            "x y": 0,
            5: {"token": "*"},
        },
        5,
    )
    assert parse("$..a[0].b", deep=True).replace({"a": [{"b": 1, "a": [{"b": 2}]}]}, str) == (
        {"a": [{"b": "1", "a": [{"b": "2"}]}]},
        2,
    )
    tree, count = path.remove(DEEP)
    assert (tree["list"], count) == ([{"id": 8}, [{}], "token"], 5)
    nothing = {"a": [1, {"b": 2}]}
    assert path.replace(nothing, str)[0] is nothing


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("$..", 3, "name is missing"),
        ("$...a", 3, "name is missing"),
        ("$..*", 3, "a name stands after `..`"),
        ("$.a..[0]", 5, "a name stands after `..`"),
        ("$..[*]", 3, "a name stands after `..`"),
        ("$..['a','b']", 7, "one path for each"),
        ("$..2fa", 3, "quoted: ['2fa']"),
    ],
)
def test_what_is_no_name_at_any_depth(text: str, position: int, words: str) -> None:
    with pytest.raises(PathError) as caught:
        parse(text, deep=True)
    assert (caught.value.position, words in str(caught.value)) == (position, True), str(caught.value)


@given(st.text(alphabet="$.[]'*a0-", max_size=12))
def test_any_text_with_depth_is_a_path_or_a_path_error(text: str) -> None:
    try:
        path = parse(text, deep=True)
    except PathError as error:
        place = error.position
    else:
        place = 0
        tree = {"a": [{"a": {"a0": 1}, "-": 2}], "a0": 3}
        found = path.find(tree)
        assert (path.replace(tree, lambda _: "✓")[1] > 0) is bool(found)
    assert 0 <= place <= len(text)


def test_names_at_any_depth_take_one_walk_together() -> None:
    paths = [parse(text, deep=True) for text in ("$..a", "$.c", "$..b", "$..a.d")]
    one, *others = together(paths)
    assert [str(each) for each in others] == ["$.c", "$..a.d"]
    assert one.find({"a": 1, "x": [{"b": 2}], "c": 3}) == [1, 2]
    assert together(others[:1]) == (others[0],)


def test_a_path_is_shown_as_written_and_knows_if_it_is_single() -> None:
    assert str(parse("$.a['b']")) == "$.a['b']"
    assert parse("$.a['b'][-2]").steps == ("a", "b", -2)
    assert parse("$.a").is_single
    assert not parse("$.a[*].b").is_single


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "empty"),
        ("a.b", 0, "begins with $: $.a.b"),
        ("[0]", 0, "begins with $: $[0]"),
        ("$a", 1, "cannot stand here"),
        ("$.", 2, "name is missing"),
        ("$.a.", 4, "name is missing"),
        ("$..a", 1, "`..` (any depth) is for redact and remove alone"),
        ("$.0", 2, "written [0]"),
        ("$.2fa", 2, "quoted: ['2fa']"),
        ("$.a b", 3, "cannot stand here"),
        ("$[", 1, "never closed"),
        ("$[0", 1, "never closed"),
        ("$['a", 2, "never closed"),
        ("$['a'", 1, "never closed"),
        ("$[a]", 2, "quoted: ['a']"),
        ("$[]", 2, "a number, a quoted name, or *"),
        ("$[01]", 2, "write 1"),
        ("$[-0]", 2, "write 0"),
        ("$[0,1]", 3, "one path for each"),
        ("$['a','b']", 5, "one path for each"),
        ("$[1:2]", 3, "slices"),
        ("$[:2]", 2, "slices"),
        ("$[?(@.a)]", 2, "filters"),
        (r"$['\q']", 3, r"\q is no escape"),
        (r"$['\u12']", 3, "four hex digits"),
        (r"$['\ud83d']", 2, "half a surrogate"),
        ("$[99999999999999999999]", 2, "so many"),
        ("$" + ".a" * (MAX_STEPS + 1), 1 + 2 * MAX_STEPS, "more than 64 steps"),
    ],
)
def test_a_bad_path_says_what_and_where(text: str, position: int, words: str) -> None:
    with pytest.raises(PathError) as caught:
        parse(text)
    assert caught.value.position == position
    assert words in caught.value.sentence
    assert f"character {position + 1}" in str(caught.value)


def test_escapes_in_a_quoted_name() -> None:
    assert parse(r"$['\u00e9\n\\\/\ud83d\ude00']").steps == ("é\n\\/😀",)


def test_set_makes_the_last_name_and_nothing_above_it() -> None:
    assert parse("$.a.new").set({"a": {}}, 1) == ({"a": {"new": 1}}, 1)
    tree: Any = {"a": 1}
    for missing in ("$.b.c", "$.a.b", "$.a[0]", "$[0]"):
        new, count = parse(missing).set(tree, 1)
        assert new is tree
        assert count == 0
    assert parse("$[2]").set([1, 2], 3) == ([1, 2], 0)
    assert parse("$").set(tree, 5) == (5, 1)


def test_set_counts_each_place_even_where_the_value_is_the_same() -> None:
    assert parse("$.l[*].p").set({"l": [{"p": 1}, {}, 3]}, 1) == ({"l": [{"p": 1}, {"p": 1}, 3]}, 2)
    assert parse("$.m.*").set({"m": {"x": 1, "y": 2}}, 0) == ({"m": {"x": 0, "y": 0}}, 2)


def test_remove() -> None:
    assert parse("$.l[*]").remove({"l": [1, 2, 3]}) == ({"l": []}, 3)
    assert parse("$.l[-1]").remove({"l": [1, 2, 3]}) == ({"l": [1, 2]}, 1)
    assert parse("$.l[*].x").remove({"l": [{"x": 1, "y": 2}, {}]}) == ({"l": [{"y": 2}, {}]}, 1)
    tree = {"a": 1}
    new, count = parse("$.b").remove(tree)
    assert new is tree
    assert count == 0
    with pytest.raises(ValueError, match="whole message"):
        parse("$").remove(tree)


def test_append_concerns_lists_alone() -> None:
    assert parse("$.l").append({"l": [1]}, 2) == ({"l": [1, 2]}, 1)
    assert parse("$.*").append({"l": [1], "m": 3, "n": []}, 2) == ({"l": [1, 2], "m": 3, "n": [2]}, 2)
    assert parse("$").append([], {}) == ([{}], 1)
    assert parse("$.no").append({"l": [1]}, 2) == ({"l": [1]}, 0)


def test_replace_hands_each_value_over() -> None:
    assert parse("$[*].t").replace([{"t": "a"}, {"t": "b"}], str.upper) == ([{"t": "A"}, {"t": "B"}], 2)


# ------------------------------------------------------------------------------------------- properties

KEYS = st.text(max_size=4)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
PLACES = st.lists(KEYS | st.integers(-4, 4) | st.just(Each()), max_size=4)


def written(steps: list[str | int | Each]) -> str:
    """The path of these steps, each name quoted and escaped."""
    out = "$"
    for step in steps:
        match step:
            case Each():
                out += "[*]"
            case int():
                out += f"[{step}]"
            case str():
                name = step.replace("\\", "\\\\").replace("'", "\\'")
                out += f"['{name}']"
    return out


def aimed(tree: Any, data: st.DataObject) -> Path:
    """A path to somewhere in the tree."""
    steps: list[str | int | Each] = []
    while isinstance(tree, dict | list) and tree and data.draw(st.booleans() if steps else st.just(True)):
        step = data.draw(
            st.sampled_from(list(tree)) if isinstance(tree, dict) else st.integers(0, len(tree) - 1)
        )
        steps.append(step)
        tree = tree[step]
    return parse(written(steps))


@pytest.mark.slow
@given(PLACES)
def test_every_name_can_be_written(steps: list[str | int | Each]) -> None:
    assert parse(written(steps)).steps == tuple(steps)


@given(st.text(alphabet="$.[]'\"*a0-1\\ u?:,", max_size=12))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        path = parse(text)
    except PathError as error:
        place = error.position
    else:
        place = 0
        assert parse(written(list(path.steps))).steps == path.steps
    assert 0 <= place <= len(text)


@given(TREES, PLACES, TREES)
def test_the_original_is_never_changed(tree: Any, steps: list[str | int | Each], value: Any) -> None:
    path = parse(written(steps))
    before = copy.deepcopy(tree)
    path.set(tree, value)
    path.append(tree, value)
    path.replace(tree, lambda _: value)
    if steps:
        path.remove(tree)
    assert tree == before


@given(TREES, st.data())
def test_what_is_set_is_found(tree: Any, data: st.DataObject) -> None:
    path = aimed(tree, data)
    new, count = path.set(tree, "✓")
    assert count == 1
    assert path.find(new) == ["✓"]


@given(TREES, PLACES)
def test_counts_agree_with_what_is_found(tree: Any, steps: list[str | int | Each]) -> None:
    path = parse(written(steps))
    found = path.find(tree)
    new, count = path.replace(tree, lambda _: "✓")
    assert count == len(found)
    assert path.find(new) == ["✓"] * count
    assert path.append(tree, 0)[1] == sum(isinstance(value, list) for value in found)
    if steps:
        after, removed = path.remove(tree)
        assert removed == len(found)
        assert (after is tree) is (not found)


@given(TREES, st.data())
def test_what_lies_beside_the_path_is_shared(tree: Any, data: st.DataObject) -> None:
    """Copy on write: a change costs the path, not the message."""
    path = aimed({"here": tree, "beside": [tree]}, data)
    root: Any = {"here": tree, "beside": [tree]}
    new, _ = path.set(root, "✓")
    for key in root:
        if path.steps and key != path.steps[0]:
            assert new[key] is root[key]
