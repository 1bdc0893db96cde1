"""The Autobahn test suite gives each case the same verdict through wsinspect as without it.

Needs wstest (bench/autobahn/README.md). Of the compression groups 12 and 13, which take an hour, a sample
runs here; `python -m bench.autobahn 12 13` runs them whole.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.autobahn.compare import compare
from bench.autobahn.suite import Suite, find_wstest, versions
from bench.autobahn.verdicts import Comparison, Outcome
from bench.tools import BenchError
from tests.e2e.program import tell
from wsinspect.model import Side

pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.timeout(3600)]

FRAMING = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7)]
SAMPLED = (1, 5, 11)
"""Of each parameter set of groups 12 and 13: 16 bytes, 4 KiB, and 8 KiB in fragments of 256 bytes."""
COMPRESSION = [f"12.{data}.{size}" for data in range(1, 6) for size in SAMPLED] + [
    f"13.{parameters}.{size}" for parameters in range(1, 8) for size in SAMPLED
]


@pytest.fixture(scope="module")
def wstest() -> Path:
    """Skips without it, whatever WSINSPECT_REQUIRE_ALL says: it wants a Python 2.7."""
    try:
        found = find_wstest()
        if found is None:
            pytest.skip("no wstest: neither WSTEST names one nor is it on PATH")
        versions(found)
    except BenchError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(params=[Side.CLIENT, Side.SERVER], ids=["wstest-is-client", "wstest-is-server"])
def suite(request: pytest.FixtureRequest, wstest: Path, tmp_path: Path) -> Suite:
    return Suite(wstest, tmp_path, request.param)


def unchanged(suite: Suite, cases: list[str], capsys: pytest.CaptureFixture[str]) -> Comparison:
    comparison = compare(suite, cases, "wsinspect")
    assert {name: str(case) for name, case in comparison.named(Outcome.CHANGED).items()} == {}
    flapping = " ".join(comparison.named(Outcome.FLAPPING)) or "none"
    tell(capsys, f"{len(comparison.cases)} verdicts equal, flapping: {flapping}")
    return comparison


def test_framing_control_frames_utf8_and_close(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = unchanged(suite, [*FRAMING, "10.*"], capsys)
    assert comparison.behaviors()["OK"] > 200


def test_the_same_over_tls(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    suite.tls = True
    comparison = unchanged(suite, FRAMING, capsys)
    assert comparison.behaviors()["OK"] > 200


def test_large_messages_and_small_fragments(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = unchanged(suite, ["9.*"], capsys)
    assert comparison.behaviors().keys() == {"OK"}


def test_compression_with_each_set_of_parameters(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = unchanged(suite, COMPRESSION, capsys)
    assert comparison.behaviors() == {"OK": len(COMPRESSION)}, "compression was negotiated in each case"
