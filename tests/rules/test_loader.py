"""YAML as it was written: the same nodes and places from libyaml's parser and from pyyaml's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.rules.loader import compose
from wsinspect.rules.marked import Node, Place

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


def slowly(text: str, patch: pytest.MonkeyPatch) -> tuple[Node | None, list[Any]]:
    with patch.context() as without:
        without.delattr(yaml, "CSafeLoader")
        return compose("f", text)


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_both_parsers_agree_on_broken_files(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compose("f", file.read_text()) == slowly(file.read_text(), monkeypatch)


@given(values, st.booleans())
def test_both_parsers_agree_on_any_value(value: Any, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert compose("f", text) == slowly(text, pytest.MonkeyPatch())


@given(st.text("abc:-[]{},#&*!|>'\"%@ \n\t?~é", max_size=30))
def test_any_text_is_composed_or_refused_with_a_place(text: str) -> None:
    node, problems = compose("f", text)
    assert node is None or isinstance(node.place, Place)
    for each in problems:
        assert each.line >= 1
        assert each.column >= 1


def test_what_is_refused_is_said_by_pyyamls_own_parser() -> None:
    _, problems = compose("f", "a: b: c\n")
    assert [str(each) for each in problems] == [
        "f:1:5: not YAML: mapping values are not allowed here; a text with a colon and a blank in it must "
        "stand in quotes, a mapping on lines of its own"
    ]
