"""The table, as Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from bench.measure import Result
from bench.rows import Row

type Results = Mapping[str, Mapping[str, list[Result]]]
"""By row key, then by proxy."""


UNITS = {"mb_per_s": " MB/s", "p50_us": " us", "p99_us": " us", "msg_per_s": "/s", "lag_ms": " ms"}


def figure(row: Row, results: Results, name: str) -> float | None:
    """The median of the rounds; of what a kill costs, the worst."""
    values = [result.value for result in results[row.key].get(name, [])]
    if not values:
        return None
    return max(values) if row.measure == "lag_ms" else statistics.median(values)


def ratio(row: Row, results: Results, baseline: str) -> float | None:
    """wsinspect's figure over the baseline's, a moment before: the median of the rounds."""
    ours, theirs = results[row.key].get("wsinspect", []), results[row.key].get(baseline, [])
    if not ours or len(ours) != len(theirs) or not all(each.value for each in theirs):
        return None
    return statistics.median(our.value / their.value for our, their in zip(ours, theirs, strict=True))


def verdict(row: Row, results: Results) -> str:
    """`aim`, `must`, or `**missed**`."""
    checks = [
        (ratio(row, results, "stock"), row.stock_must, row.stock_aim),
        (ratio(row, results, "relay"), row.relay_must, row.relay_aim),
        (figure(row, results, "wsinspect"), row.most, row.most_aim),
    ]
    words = {"missed"} if any(each.faults for each in results[row.key].get("wsinspect", [])) else set()
    if row.mockttp_aim is not None:
        beaten = ratio(row, results, "mockttp")
        words.add("aim" if beaten is not None and beaten >= row.mockttp_aim else "must")
    for found, must, aim in checks:
        if found is None or must is None:
            continue
        reached = (lambda limit, found=found: found <= limit) if row.small_is_good else (
            lambda limit, found=found: found >= limit
        )  # fmt: skip
        words.add("missed" if not reached(must) else "aim" if aim is not None and reached(aim) else "must")
    if "missed" in words:
        return "**missed**"
    return "must" if "must" in words else "aim" if words else "-"


def table(rows: list[Row], names: list[str], results: Results) -> str:
    """The whole report."""
    head = ["row", *names, "x stock", "must", "of the relay", "must", "reached"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [_figure(row, results, name) for name in names]
        against = [
            _ratio(ratio(row, results, "stock")), _limit(row.stock_must),
            _ratio(ratio(row, results, "relay")), _limit(row.relay_must),
        ]  # fmt: skip
        lines.append(f"| {row.title} | {' | '.join([*cells, *against, verdict(row, results)])} |")
    faults = sum(result.faults for row in results.values() for each in row.values() for result in each)
    wrong = f"Messages that came back wrong, and connections lost: {faults}."
    return "\n".join([*lines, "", f"Reads dropped from the capture: {_dropped(rows, results)}. {wrong}"])


def _dropped(rows: list[Row], results: Results) -> str:
    """`0`, or `242 (echo1M 242)`."""
    by_row = {row.key: sum(each.dropped for each in results[row.key].get("wsinspect", [])) for row in rows}
    where = ", ".join(f"{key} {count:,}" for key, count in by_row.items() if count)
    return f"{sum(by_row.values()):,}" + (f" ({where})" if where else "")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor()
    return f"{date.today()}, {os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def _figure(row: Row, results: Results, name: str) -> str:
    value = figure(row, results, name)
    if value is None:
        return "-"
    alive = [each.alive for each in results[row.key][name] if each.alive is not None]
    lived = f", {min(alive):,} alive" if alive else ""
    unit = UNITS.get(row.measure, " KiB")
    return f"{value:,.0f}{unit}{lived}" if value >= 100 else f"{value:,.1f}{unit}{lived}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _limit(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
