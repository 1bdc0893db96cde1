from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import speedups

from wsinspect.wire import masking
from wsinspect.wire.masking import apply_mask, apply_mask_python

KEYS = st.binary(min_size=4, max_size=4)
both = pytest.mark.parametrize("mask", [apply_mask, apply_mask_python], ids=["chosen", "python"])


def test_the_c_implementation_is_the_one_chosen() -> None:
    assert masking.apply_mask is speedups.apply_mask


@both
def test_rfc_example(mask) -> None:
    """RFC 6455 5.7: a masked "Hello"."""
    assert mask(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d")) == b"Hello"


@given(st.binary(max_size=200), KEYS)
def test_both_mask_alike_and_twice_is_the_identity(data: bytes, key: bytes) -> None:
    expected = bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert apply_mask(data, key) == apply_mask_python(data, key) == expected
    assert apply_mask(expected, key) == apply_mask_python(expected, key) == data


@both
@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_has_four_bytes(mask, key: bytes) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        mask(b"data", key)
