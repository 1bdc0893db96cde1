"""The table says of each row whether its limits were reached, and what its captures lack."""

from __future__ import annotations

from bench import report
from bench.measure import Result
from bench.rows import Row

ECHO = Row("echo", "echo", "msg_per_s", "", relay_must=0.5)
PING = Row("ping", "ping", "p50_us", "", relay_must=1.2)
NAMES = ["relay", "wsinspect"]


def table(ours: list[Result]) -> list[str]:
    ping = {"relay": [Result(10)], "wsinspect": [Result(11)]}
    results = {"echo": {"relay": [Result(100)] * len(ours), "wsinspect": ours}, "ping": ping}
    return report.table([ECHO, PING], NAMES, results).splitlines()


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    lines = table([Result(40), Result(60), Result(200)])
    assert lines[2] == "| echo | 100/s | 60.0/s | - | - | 0.6 | 0.5 | must |"
    assert lines[3] == "| ping | 10.0 us | 11.0 us | - | - | 1.1 | 1.2 | must |"
    assert "**missed**" in table([Result(40)])[2]


def test_dropped_reads_are_said_by_row() -> None:
    wrong = "Messages that came back wrong, and connections lost: 0."
    assert table([Result(60)])[-1] == f"Reads dropped from the capture: 0. {wrong}"
    lines = table([Result(60, dropped=1000), Result(60, dropped=242)])
    assert lines[-1] == f"Reads dropped from the capture: 1,242 (echo 1,242). {wrong}"
