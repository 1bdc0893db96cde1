"""Text into cells: widths, units, times."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from wsinspect.tui.cells import age, fit, number, plain, size, span, sparkline


@pytest.mark.parametrize(
    "text", ["", "abc", "abcdefghij", "明日の会議は", "a\u0301" * 9, "\x1b[31m", "👋👋👋👋👋"]
)
@pytest.mark.parametrize("width", [1, 2, 5, 7, 20])
def test_fit_is_exact(text, width):
    fitted = fit(text, width)
    assert cell_len(fitted) == width
    assert fitted.isprintable()


def test_fit_cuts_with_an_ellipsis():
    assert fit("abcdef", 4) == "abc…"
    assert fit("ab", 4, right=True) == "  ab"
    assert fit("anything", 0) == ""


def test_plain_lets_nothing_through():
    text = plain("".join(map(chr, range(0x300))))
    assert not [c for c in text if ord(c) < 32 or 0x7F <= ord(c) < 0xA0]


@pytest.mark.parametrize(
    ("nbytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (12 << 10, "12 KiB"),
        (1023 << 10, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_size(nbytes, words):
    assert size(nbytes) == words


def test_size_and_number_stay_short():
    for power in range(50):
        for near in (-1, 0, 1):
            value = max(0, 2**power + near)
            assert len(size(value)) <= 7
            assert len(number(value)) <= 4


def test_span_and_age():
    assert span(320_000_000) == "320 ms"
    assert span(4_200_000_000) == "4.2 s"
    assert span(187_000_000_000) == "3m07s"
    assert span(7_500_000_000_000) == "2h05m"
    assert age(59_940_000_000) == "59s"
    assert age(60_000_000_000) == "1m00s"


def test_sparkline_shows_small_values():
    assert sparkline([0, 1, 1000], 5) == "   ▁▇"
