"""Straight runs, a run through the proxy, and more of both for the cases that differ.

The further runs without the proxy go through a relay that changes no byte, but is late: octets that are sent
one by one then arrive in bunches, as they do behind any proxy that has a handshake to work on. What differs
by that alone counts as flapping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.autobahn.suite import Suite
from bench.autobahn.verdicts import Comparison, Outcome, Verdicts, in_order
from bench.tools import BenchError

LATE = "late"
STRAIGHT_RUNS = 2
MORE_RUNS = 8


def compare(
    suite: Suite,
    cases: Sequence[str],
    proxy: str,
    *,
    straight_runs: int = STRAIGHT_RUNS,
    more_runs: int = MORE_RUNS,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Compare the verdicts on `cases` with and without `proxy`. Raises BenchError."""
    comparison = Comparison()
    for number in range(straight_runs):
        tell(f"straight, run {number + 1}")
        comparison.add_straight(_straight(suite, cases, comparison))
    tell(f"through {proxy}")
    comparison.add_proxied(suite.run(cases, proxy))
    for _ in range(more_runs):
        differing = in_order(comparison.named(Outcome.CHANGED))
        if not differing:
            break
        tell(f"again, late and through {proxy}: {' '.join(differing)}")
        comparison.add_straight(_straight(suite, differing, comparison, LATE))
        comparison.add_proxied(suite.run(differing, proxy), differing)
    return comparison


def _straight(suite: Suite, cases: Sequence[str], before: Comparison, way: str | None = None) -> Verdicts:
    """Without a proxy each case has a verdict, or the comparison is worth nothing."""
    verdicts = suite.run(cases, way)
    asked = {case for case in cases if "*" not in case}
    known = set(before.cases) if asked != set(cases) else asked
    if missing := in_order(known - set(verdicts)):
        raise BenchError(f"the suite gave no verdict on {' '.join(missing)}, even without a proxy")
    if not verdicts:
        raise BenchError(f"the suite has no case like {' '.join(cases)}")
    return verdicts
