"""The encoder made once writes what the library's writes."""

from __future__ import annotations

import json
import json.encoder
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.decode.jsonencoder import encoder

floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | floats | st.text()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
STYLES = [(",", ":", False), (", ", ": ", False), (",", ":", True), (", ", ": ", True)]


@given(trees)
def test_it_writes_as_the_library_does(tree: Any) -> None:
    for comma, colon, ascii_only in STYLES:
        write = encoder(comma=comma, colon=colon, ascii_only=ascii_only)
        assert write(tree) == json.dumps(tree, separators=(comma, colon), ensure_ascii=ascii_only)


def refused(*args: Any) -> Any:
    raise TypeError(args)


@pytest.mark.parametrize("ours", [None, refused, lambda *_: lambda *_: ("?",)])
def test_another_python_gets_the_library_s_own(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = json.encoder.c_make_encoder  # type: ignore[attr-defined]

    def make(markers: Any, *rest: Any) -> Any:
        return ours(markers, *rest) if markers is None else theirs(markers, *rest)

    monkeypatch.setattr(json.encoder, "c_make_encoder", ours and make)
    assert encoder()({"a": [1]}) == '{"a":[1]}'


def test_what_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoder()({"a": float("inf")})
    assert encoder(allow_nan=True)(float("inf")) == "Infinity"
    with pytest.raises(TypeError, match="not JSON serializable"):
        encoder()(b"x")
    assert encoder(default=repr)([b"x"]) == "[\"b'x'\"]"
