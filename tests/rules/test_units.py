"""Durations, sizes, rates, comparisons: what is written comes out, anything else is refused in a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.rules import units
from wsinspect.rules.units import Bounds


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("200ms", 200), ("1.5s", 1500), ("2m", 120_000), ("1m30s", 90_000), ("1h", 3_600_000), ("90", 90),
        ("0", 0), (".5s", 500), ("250us", 0.25), ("1 s", 1000), ("2min", 120_000), ("1d", 86_400_000),
    ],
)  # fmt: skip
def test_durations(text: str, ms: float) -> None:
    assert units.duration_ms(text) == pytest.approx(ms)


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1:30", "1:02:03", "1x", "ms5", "1s 2", "400d", "1e400s", "inf", "nan", "1_0s"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.duration_ms(text)


@given(st.floats(0, 1e7, allow_nan=False).map(lambda value: round(value, 3)))
def test_any_number_of_any_unit(value: float) -> None:
    for unit, factor in (("ms", 1), ("s", 1000)):
        assert units.duration_ms(f"{value}{unit}") == pytest.approx(value * factor)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64", 64),
        ("64B", 64),
        ("4KiB", 4096),
        ("4 KiB", 4096),
        ("1MB", 1_000_000),
        ("1.5KiB", 1536),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert units.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "4K", "1.5", "-1", "4QB", "1e3", "2000000GiB", "0x10"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.size_bytes(text)


@given(st.integers(0, 1 << 40), st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("KiB", 1024)]))
def test_any_size(count: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    assert units.size_bytes(f"{count}{name}") == count * factor


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("64KB/s", 64_000),
        ("64", 64_000),
        ("1Mbit/s", 125_000),
        ("1KiB/s", 1024),
        ("100B/s", 100),
        ("8bit/s", 1),
    ],
)
def test_rates(text: str, rate: float) -> None:
    assert units.rate_bytes_per_s(text) == rate


@pytest.mark.parametrize("text", ["", "64KB", "0", "64KB/h", "-1KB/s", "1XB/s"])
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.rate_bytes_per_s(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("1", 1), ("0.25", 0.25), ("50%", 0.5), ("100 %", 1)])
def test_chances(text: str, value: float) -> None:
    assert units.chance(text) == value


@pytest.mark.parametrize("text", ["50", "-1", "101%", "x", "1.5"])
def test_no_chances(text: str) -> None:
    with pytest.raises(ValueError, match=r"chance|number"):
        units.chance(text)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("100ms..300ms", 100, 300), ("100..300ms", 100, 300), ("1..2s", 1000, 2000), ("5s", 5000, 5000)],
)
def test_ranges_of_durations(text: str, low: float, high: float) -> None:
    assert units.duration_range(text) == (low, high)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">5", [5.1, 6], [5, 4]),
        (">=5", [5], [4.9]),
        ("<5", [4], [5]),
        ("<= 5", [5], [5.1]),
        ("1..3", [1, 2, 3], [0.9, 3.1]),
        ("-3..-1", [-2], [0]),
        ("7", [7], [7.1]),
    ],
)
def test_comparisons(text: str, inside: list[float], outside: list[float]) -> None:
    bounds = units.bounds(text, units.number)
    assert all(each in bounds for each in inside)
    assert not any(each in bounds for each in outside)


@pytest.mark.parametrize(
    "text", ["=5", "==5", "!=5", "=>5", "=<5", ">", "..5", "5..", "5..1", "1...3", "", "a..b"]
)
def test_no_comparisons(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.bounds(text, units.number)


ends = st.one_of(st.just(-math.inf), st.just(math.inf), st.integers(-5, 5).map(float))
intervals = st.builds(Bounds, ends, ends, st.booleans(), st.booleans())


@given(intervals, intervals, st.integers(-12, 12).map(lambda value: value / 2))
def test_an_intersection_has_what_both_have(one: Bounds, other: Bounds, value: float) -> None:
    both = one.intersection(other)
    assert (value in both) == (value in one and value in other)
    if both.empty:
        assert value not in both


@given(intervals)
def test_whether_a_whole_number_lies_within(bounds: Bounds) -> None:
    within = [value for value in range(-6, 7) if value in bounds]
    if math.isfinite(bounds.low) and math.isfinite(bounds.high):
        assert bounds.no_whole == (not within)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        units.number, units.whole, units.duration_ms, units.size_bytes, units.rate_bytes_per_s, units.chance,
        units.duration_range, lambda each: units.bounds(each, units.number),
    ):  # fmt: skip
        assert _refusal(read, text) != ""


def _refusal(read: Callable[[str], object], text: str) -> str | None:
    """What is said against a text; None where it is taken."""
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return None
