from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import TREES
from wsinspect.decode.brief import SUMMARY_CHARS, brief, shorten


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("hello", 5, "hello"),
        ("hello!", 5, "hell…"),
        ("a\n  b\t c", 10, "a b c"),
        ("\n" * 1000 + "x", 10, "…"),
        ("", 5, ""),
        ("   ", 5, "   "),
    ],
)
def test_shorten(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


@given(st.text(max_size=60), st.integers(1, 30))
def test_a_short_text_is_one_short_line(text: str, limit: int) -> None:
    line = shorten(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": [1, None, True, "é"]}, '{"a":[1,null,true,"é"]}'),
        ({}, "{}"),
        ([], "[]"),
        ("a\nb", '"a\\nb"'),
        (b"abc", "‹3 bytes›"),
        (1 << 4000, "‹a large number›"),
        ({1: 2, b"k": (3,)}, "{1:2,‹1 bytes›:[3]}"),
    ],
)
def test_brief(tree: Any, expected: str) -> None:
    assert brief(tree) == expected


@given(TREES, st.integers(2, 40))
def test_a_brief_tree_keeps_to_its_limit(tree: Any, limit: int) -> None:
    assert len(brief(tree, limit)) <= limit


def test_a_large_tree_is_looked_at_no_farther_than_shown() -> None:
    begin = time.process_time()
    for tree in ([[1] * 1_000_000] * 50, {"a": "x" * 10_000_000}, {n: [n] for n in range(100_000)}):
        for _ in range(100):
            assert len(brief(tree)) <= SUMMARY_CHARS
    assert time.process_time() - begin < 1
