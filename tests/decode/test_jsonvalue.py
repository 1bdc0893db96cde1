from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import json_texts
from wsinspect.decode.jsonvalue import parse
from wsinspect.decode.limits import MAX_DEPTH, MAX_VALUES, NotDecoded


@given(json_texts())
def test_it_reads_what_the_library_reads(text: str) -> None:
    assert repr(parse(text)) == repr(json.loads(text))


@given(st.text('[]{}",:1e-. aN\\\n', max_size=20))
def test_it_refuses_what_the_library_refuses(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(NotDecoded):
            parse(text)
    else:
        if expected != expected or (isinstance(expected, float) and "I" in text):
            with pytest.raises(NotDecoded):
                parse(text)
        else:
            assert repr(parse(text)) == repr(expected)


@pytest.mark.parametrize(
    "text",
    ["", " ", "hello", "{", "[1,]", "{a:1}", "'a'", "1 2", "nul", "01", "+1", ".5", "1.", "\ufeff{}",
     "[1]\x00", "\xa0[1]", "[1]\u2003", "NaN", "Infinity", "-Infinity", "-", "- 1", '"\n"', "//c\n1"],
)  # fmt: skip
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(NotDecoded):
        parse(text)


@pytest.mark.parametrize("text", ["1", "-0", '"a"', "null", "true", " \t\r\n[ ] \t\r\n"])
def test_bare_values_and_white_space(text: str) -> None:
    assert parse(text) == json.loads(text)


def test_the_last_of_doubled_names_counts() -> None:
    assert parse('{"a":1,"a":2}') == {"a": 2}


def test_nan_and_infinity_inside_a_container() -> None:
    """Python's json writes them; a document must not become unreadable for one of them."""
    tree = parse('{"x": NaN, "y": [Infinity, -Infinity]}')
    assert math.isnan(tree["x"])
    assert tree["y"] == [math.inf, -math.inf]


def test_integers_of_any_size() -> None:
    digits = "9" * 4300
    assert parse(f"[{digits}]") == [int(digits)]
    assert parse(f"[-{digits}, 1{digits}, -1{digits}, 2]") == [float("-inf"), math.inf, -math.inf, 2]


def test_in_the_middle_of_a_text() -> None:
    assert parse('42["chat"]', 2) == ["chat"]
    with pytest.raises(NotDecoded):
        parse("42", 2)


def test_depth() -> None:
    def nested(depth: int, inner: str = "") -> str:
        return "[" * depth + inner + "]" * depth

    assert parse(nested(MAX_DEPTH))
    with pytest.raises(NotDecoded):
        parse(nested(MAX_DEPTH + 1))
    with pytest.raises(NotDecoded):
        parse('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1))
    with pytest.raises(NotDecoded):
        parse("[" * 100_000)
    assert len(parse("[" + ",".join([nested(MAX_DEPTH - 1)] * 50) + "]")) == 50
    assert parse('["' + "[" * 1000 + '"]') == ["[" * 1000]


def test_values_are_bounded() -> None:
    with pytest.raises(NotDecoded):
        parse("[" + "0," * MAX_VALUES + "0]")
    assert len(parse("[" + "0," * (MAX_VALUES // 4) + "0]")) == MAX_VALUES // 4 + 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("9" * (8 << 20), id="one integer"),
        pytest.param("[" + ",".join(["9" * 4300] * 1500) + "]", id="integers just short of the limit"),
        pytest.param("1." + "9" * (8 << 20), id="one float"),
        pytest.param('"' + "\\u00e9" * (1 << 20) + '"', id="escapes"),
        pytest.param('"' + "\\" * (4 << 20), id="backslashes, not closed"),
        pytest.param(" " * (8 << 20), id="white space"),
        pytest.param("1" + " " * (8 << 20) + "x", id="white space, then more"),
        pytest.param("{" * (1 << 20), id="brackets"),
        pytest.param("[" + '{"a":1},' * 100_000 + "1]", id="small objects"),
        pytest.param('["' + '","' * 300_000 + '"]', id="empty strings"),
    ],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    begin = time.process_time()
    try:
        parse(text)
    except NotDecoded:
        pass
    assert time.process_time() - begin < 2
