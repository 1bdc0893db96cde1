"""Which cases of the Autobahn suite count as changed: the comparison, with a suite that reads from a list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.autobahn import report
from bench.autobahn.compare import compare
from bench.autobahn.report import Row
from bench.autobahn.suite import Suite, find_wstest
from bench.autobahn.verdicts import MISSING, Comparison, Outcome, Verdict, Verdicts
from bench.tools import BenchError
from wsinspect.model import Side

OK, LAX, BAD = Verdict("OK", "OK"), Verdict("NON-STRICT", "OK"), Verdict("FAILED", "UNCLEAN")


class ListedSuite(Suite):
    """Answers run by run from two lists, and notes what it was asked for."""

    def __init__(self, straight: list[Verdicts], proxied: list[Verdicts]) -> None:
        super().__init__(Path("wstest"), Path(), Side.CLIENT)
        self.straight, self.proxied = straight, proxied
        self.asked: list[tuple[str | None, list[str]]] = []

    def run(self, cases: Sequence[str], proxy: str | None) -> Verdicts:
        self.asked.append((proxy, list(cases)))
        return (self.proxied if proxy == "p" else self.straight).pop(0)


def outcomes(comparison: Comparison) -> dict[str, str]:
    return {name: case.outcome.value for name, case in comparison.cases.items()}


def test_equal_verdicts_need_three_runs() -> None:
    all_ok = {"1.1.1": OK, "4.1.5": LAX}
    suite = ListedSuite([all_ok, all_ok], [all_ok])
    assert outcomes(compare(suite, ["1.*", "4.*"], "p")) == {"1.1.1": "same", "4.1.5": "same"}
    assert suite.asked == [(None, ["1.*", "4.*"])] * 2 + [("p", ["1.*", "4.*"])]


def test_a_case_that_flaps_without_a_proxy_is_not_changed() -> None:
    suite = ListedSuite([{"4.1.5": OK}, {"4.1.5": LAX}], [{"4.1.5": LAX}])
    assert outcomes(compare(suite, ["4.*"], "p")) == {"4.1.5": "flapping"}


def test_a_case_that_differs_is_run_again_until_the_verdicts_meet() -> None:
    both = {"1.1.1": OK, "4.1.5": OK}
    suite = ListedSuite(
        [both, both, {"4.1.5": OK}, {"4.1.5": LAX}], [both | {"4.1.5": LAX}, {"4.1.5": LAX}] * 2
    )
    comparison = compare(suite, ["1.*", "4.*"], "p")
    assert outcomes(comparison) == {"1.1.1": "same", "4.1.5": "flapping"}
    again = [("late", ["4.1.5"]), ("p", ["4.1.5"])]
    assert suite.asked[3:] == again * 2, "the others are not run again"
    assert str(comparison.cases["4.1.5"]) == "straight OK x3, NON-STRICT / OK; proxied NON-STRICT / OK x3"


def test_a_case_whose_verdicts_never_meet_is_changed() -> None:
    suite = ListedSuite([{"7.1.1": OK}] * 5, [{"7.1.1": BAD}, {"7.1.1": LAX}] * 2)
    comparison = compare(suite, ["7.*"], "p", more_runs=3)
    assert list(comparison.named(Outcome.CHANGED)) == ["7.1.1"]
    assert (suite.straight, suite.proxied) == ([], []), "three more runs each, and no fourth"


def test_a_case_without_a_verdict_through_the_proxy_is_changed() -> None:
    both = {"1.1.1": OK, "1.1.2": OK}
    comparison = compare(
        ListedSuite([both, both, {"1.1.2": OK}], [{"1.1.1": OK}, {}]), ["1.*"], "p", more_runs=1
    )
    assert list(comparison.named(Outcome.CHANGED)) == ["1.1.2"]
    assert comparison.cases["1.1.2"].proxied == [MISSING, MISSING]


@pytest.mark.parametrize("straight", [[{}], [{"1.1.1": OK, "1.1.2": OK}, {"1.1.1": OK}]])
def test_the_straight_runs_must_be_whole(straight: list[Verdicts]) -> None:
    with pytest.raises(BenchError, match=r"no case like|no verdict on 1\.1\.2"):
        compare(ListedSuite(straight, []), ["1.*"], "p")


def test_cases_stand_in_the_order_of_their_numbers() -> None:
    comparison = Comparison()
    comparison.add_straight({"10.1.1": OK, "9.1.2": OK, "2.11": OK, "2.2": OK})
    comparison.add_proxied({"10.1.1": OK, "9.1.2": OK, "2.11": OK, "2.2": OK})
    assert list(comparison.named(Outcome.SAME)) == ["2.2", "2.11", "9.1.2", "10.1.1"]


def test_a_row_takes_the_place_of_its_earlier_self(tmp_path: Path) -> None:
    def row(proxy: str, *flapping: str) -> Row:
        comparison = Comparison()
        comparison.add_straight({"4.1.5": OK, "4.2.5": OK})
        comparison.add_straight(dict.fromkeys(flapping, LAX))
        comparison.add_proxied({"4.1.5": OK, "4.2.5": BAD if proxy == "stock" else OK})
        made = Row(
            proxy=proxy,
            cases=["1", "2", "3", "4", "9", "10", "4.1.*"],
            plays="client",
            tls=False,
            straight_runs=2,
        )
        made.fill(comparison)
        return made

    kept = tmp_path / "results.json"
    for each in (row("wsinspect"), row("stock"), row("wsinspect", "4.1.5")):
        report.keep(kept, each)
    assert len(json.loads(kept.read_text())) == 2
    assert report.table(report.load(kept)).splitlines()[2:] == [
        "| 1 to 4, 9, 10, 4.1.* | plain | client | 2 | stock | 2 | 1 | 0 |",
        "| 1 to 4, 9, 10, 4.1.* | plain | client | 2 | wsinspect | 2 | 0 | 1 (4.1.5) |",
        "",
        "Changed:",
        "",
        "- `stock`, plain, wstest as client: straight OK; proxied FAILED / UNCLEAN: 4.2.5",
    ]


def test_wstest_is_the_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "wstest"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WSTEST", raising=False)
    assert find_wstest() == program
    monkeypatch.setenv("WSTEST", str(tmp_path / "none"))
    with pytest.raises(BenchError, match="there is no such program"):
        find_wstest()
    monkeypatch.delenv("WSTEST")
    program.unlink()
    assert find_wstest() is None
