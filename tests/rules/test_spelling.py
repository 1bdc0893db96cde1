"""What passes a test is spelled as its patterns say, whoever writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsinspect.decode.jsonvalue import parse
from wsinspect.rules import regexes
from wsinspect.rules.predicates import AllOf, Contains, Equals, Exists, Glob, OneOf, Predicate, Regex, Within
from wsinspect.rules.spelling import spellings
from wsinspect.rules.units import OPERATORS, Bounds

DIGITS = st.text("0123456789", max_size=18)
ENDS = st.sampled_from(
    [0, 1, -1, 10, 99, 100, 1000, 0.5, 0.01, -0.5, 9.99, 1_000_000, 999_999, 12345.678, 1e15]
) | st.integers(-(10**7), 10**7)


@st.composite
def numerals(draw: st.DrawFn) -> str:
    """Numbers as any peer may write them, many of them at powers of ten."""
    whole = draw(st.sampled_from(["0", "1", "9", "10", "99", "100", "999999", "1000000", "9" * 15]))
    if draw(st.booleans()):
        whole = draw(DIGITS).lstrip("0") or "0"
    part = draw(st.sampled_from(["", ".0", ".5", ".01", ".99999999999999999999", ".000"]))
    power = draw(st.sampled_from(["", "", "", "e0", "E5", "e-3", "e+2", "e400"]))
    return draw(st.sampled_from(["", "-"])) + whole + part + power


intervals = st.one_of(
    st.builds(lambda operator, value: OPERATORS[operator](value), st.sampled_from([*OPERATORS]), ENDS),
    st.builds(Bounds, ENDS, ENDS, st.booleans(), st.booleans()),
    ENDS.map(lambda value: Bounds(value, value)),
)


def spelled_in(test: Predicate, written: str) -> bool | None:
    """Whether one of the patterns fits where the value begins; None where nothing is known of it."""
    found = spellings(test)
    if found is None:
        return None
    head = r'"name"[ \t\n\r]*:[ \t\n\r]*'
    search = regexes.searcher(regexes.compile_union(f"{head}(?:{'|'.join(found)})"))
    return search(f'{{"name": {written}, "other":[1]}}'.encode())


@settings(max_examples=400)
@given(intervals, numerals())
def test_no_number_within_is_left_out(interval: Bounds, written: str) -> None:
    test = Within(interval, str)
    if test.holds(parse(written), None):  # type: ignore[arg-type]
        assert spelled_in(test, written) is not False


@given(
    st.recursive(
        st.sampled_from(["a", "ab", "x-1", "", 1, 0, 1.5, -3, True, False, None]).map(Equals)
        | st.sampled_from(["^a", "b$", "^(a|x)$", "a|b", "[^a]b", r"\bx", "(?i)A", r"\d", "a^", r"\Aa"]).map(
            Regex
        )
        | intervals.map(lambda each: Within(each, str)),
        lambda inner: st.lists(inner, min_size=1, max_size=3).map(OneOf)
        | st.lists(inner, min_size=1, max_size=2).map(AllOf),
        max_leaves=4,
    ),
    st.sampled_from(
        ["a", "ab", "xb", "x-1", "b", "", "a b", "A", "7", 1, 1.0, 0, 1.5, -3, True, False, None, [1]]
    ),
)
def test_no_value_that_passes_is_left_out(test: Predicate, value: Any) -> None:
    if test.holds(value, None):  # type: ignore[arg-type]
        assert spelled_in(test, json.dumps(value)) is not False


@pytest.mark.parametrize(
    ("test", "left_out", "let_in"),
    [
        (
            Within(OPERATORS["gt"](1_000_000), str),
            ["62942.3", "999999", "-5000000", '"x"'],
            ["1000001", "2e3"],
        ),
        (Within(OPERATORS["lt"](0), str), ["0", "0.5", "17"], ["-1", "-0.5"]),
        (Within(OPERATORS["lt"](0.01), str), ["1", "100.5"], ["0.001", "-1"]),
        (Within(Bounds(500, 600), str), ["99.9", "5000", "-550"], ["555", "999"]),
        (Equals(True), ["false", "1", '"true"'], ["true"]),
        (Equals(7), ["77", "0.7", '"7"', "-7"], ["7", "7.0", "8"]),
        (Regex("^(eve|trent)$"), ['"alice"', "1"], ['"eve"', '"steve"']),
        (OneOf([Equals("a"), Equals(5)]), ['"b"', "55"], ['"a"', "5"]),
    ],
)
def test_what_is_told_apart(test: Predicate, left_out: list[str], let_in: list[str]) -> None:
    assert not any(spelled_in(test, written) for written in left_out)
    assert all(spelled_in(test, written) for written in let_in)


@pytest.mark.parametrize(
    "test",
    [
        Exists(True), Contains("a"), Glob("a*"), Equals([1]), Equals("é"), Equals('"'), Regex("a$|b"),
        Regex("(^a)"), Within(OPERATORS["gt"](1e16), str), OneOf([Equals("a"), Exists(True)]),
        OneOf(map(Equals, range(200))),
    ],
)  # fmt: skip
def test_what_nothing_is_known_of(test: Predicate) -> None:
    assert spellings(test) is None
