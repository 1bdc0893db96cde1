from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.decode.jsontext import pretty

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_layout() -> None:
    assert pretty('{"a":[1,{"b":null}],"c":{},"d":[ ]}') == (
        '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {},\n  "d": []\n}'
    )


def test_the_peers_own_words_stay() -> None:
    text = '{"n": 1.50e3, "n": 12345678901234567890.0, "s": "\\u00e9\\/\\u001b", "big": ' + "9" * 5000 + "}"
    shown = pretty(text)
    assert shown is not None
    assert shown.split() == text.replace("{", "{ ").replace("}", " }").split()


@pytest.mark.parametrize(
    "text", ["", " ", "{", "{a: 1}", "[1,]", "1 2", '"a', "'a'", "[1}", "nul", '"\n"', "\x00"]
)
def test_what_is_not_json(text: str) -> None:
    assert pretty(text) is None


@pytest.mark.parametrize("text", ["1", '"a"', "null", "NaN", " true "])
def test_a_bare_value(text: str) -> None:
    assert pretty(text) == text.strip()


@given(VALUES, st.sampled_from([None, 1]))
def test_the_layout_means_the_same(value: object, indent: int | None) -> None:
    shown = pretty(json.dumps(value, indent=indent, ensure_ascii=False))
    assert shown is not None
    assert json.loads(shown) == value
    assert shown == json.dumps(value, indent=2, ensure_ascii=False)


@given(st.text('[]{}",:1 ae\\\n', max_size=30))
def test_json_is_what_the_library_takes(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        assert pretty(text) is None
    else:
        assert pretty(text) is not None


def test_limits() -> None:
    assert pretty("[[1]]", max_depth=2) is not None
    assert pretty("[[[1]]]", max_depth=2) is None
    assert pretty("[" * 100_000, max_depth=1 << 30) is None
    assert pretty("[1234]", max_bytes=6) is not None
    assert pretty('"éé"', max_bytes=5) is None
    assert pretty("[12345]", max_bytes=6) is None


def test_indentation_that_would_outgrow_the_text_by_far() -> None:
    deep = "[" * 99 + "1" + "]" * 99
    assert pretty("[" + ",".join([deep] * 1000) + "]", max_bytes=1 << 18) is None
