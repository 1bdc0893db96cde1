"""What plain scalars mean, and the traps of YAML 1.1."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.rules.loader import compose
from wsinspect.rules.marked import Pairs, Scalar
from wsinspect.rules.scalars import json_value, text_value


def scalar(written: str) -> Scalar:
    node, problems = compose("f", f"a: {written}\n")
    assert not problems
    assert isinstance(node, Pairs)
    value = node.pairs[0][1]
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", 12), ("-3", -3), ("+4", 4), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0),
        ("-1.5e-3", -0.0015), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("text", "text"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1.2.3", "1.2.3"),
        ("y", "y"), ("n", "n"), ("0x", "0x"), ("'no'", "no"), ('"010"', "010"), ("'~'", "~"),
        ('""', ""), ("1 2", "1 2"),
        ("e3", "e3"), ("nan", "nan"), ("12345678901234567890", 12345678901234567890),
    ],
)  # fmt: skip
def test_values(written: str, value: Any) -> None:
    found = json_value(scalar(written))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "written",
    [
        "yes",
        "No",
        "on",
        "OFF",
        "010",
        "-010",
        "0o10",
        "0x1F",
        "0b1",
        "1_000",
        ".inf",
        "-.INF",
        ".nan",
        "00",
        "1e999",
    ],
)
def test_traps(written: str) -> None:
    with pytest.raises(ValueError, match=r"in quotes|too large"):
        json_value(scalar(written))


@pytest.mark.parametrize("written", ["no", "010", "1:30", "1e3", "true", "2024-01-01", "0x1F", "'~'"])
def test_a_text_is_what_is_written(written: str) -> None:
    assert text_value(scalar(written)) == written.strip("'")


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_what_yaml_writes_is_read_as_it_was(value: Any) -> None:
    written = yaml.safe_dump(value).partition("\n")[0]
    assert json_value(scalar(written)) == value


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12))
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    assert json_value(scalar(yaml.safe_dump(text, default_style='"', width=1000).rstrip("\n"))) == text
