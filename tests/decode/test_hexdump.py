from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.decode.hexdump import hexdump


def test_lines() -> None:
    assert list(hexdump(b"Hello world\n\x00\xff\x1b[2J", start=0x10)) == [
        "00000010  48 65 6c 6c 6f 20 77 6f  72 6c 64 0a 00 ff 1b 5b  |Hello world....[|",
        "00000020  32 4a                                             |2J|",
    ]


def test_nothing() -> None:
    assert list(hexdump(b"")) == []


def test_narrow() -> None:
    assert list(hexdump(b"abcde", width=4)) == ["00000000  61 62 63 64  |abcd|", "00000004  65           |e|"]


def test_a_line_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        next(hexdump(b"x", width=0))


@given(st.binary(max_size=70), st.integers(1, 33), st.integers(0, 1 << 36))
def test_the_bytes_can_be_read_back_and_the_columns_align(data: bytes, width: int, start: int) -> None:
    lines = list(hexdump(data, start=start, width=width))
    numbers = [line.partition("  ")[2].partition("  |")[0] for line in lines]
    assert bytes.fromhex(" ".join(numbers)) == data
    assert len({line.index("|") - len(line.split()[0]) for line in lines}) <= 1
    assert all(line.isprintable() for line in lines)


def test_a_memoryview_will_do() -> None:
    assert list(hexdump(memoryview(b"abc"))) == list(hexdump(b"abc"))  # type: ignore[arg-type]
