"""The table, as Markdown, from this run's rows and those of earlier runs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.autobahn.verdicts import Comparison, Outcome, in_order
from wsinspect.model import Side


@dataclass(kw_only=True)
class Row:
    """One comparison: a set of cases, one side played by the suite, one proxy."""

    proxy: str
    cases: list[str]
    """Groups (`4`) or patterns, as they were asked for."""
    plays: str
    tls: bool
    straight_runs: int
    compared: int = 0
    words: dict[str, int] = field(default_factory=dict)
    """How often the straight runs said what."""
    changed: dict[str, str] = field(default_factory=dict)
    flapping: dict[str, str] = field(default_factory=dict)
    """By case, the verdicts counted."""

    @property
    def key(self) -> tuple[bool, list[int], str, str]:
        numbers = [int(word.split(".")[0]) for word in self.cases]
        return (self.tls, numbers, self.proxy, self.plays)

    def fill(self, comparison: Comparison) -> None:
        self.compared = len(comparison.cases)
        self.words = dict(comparison.behaviors().most_common())
        self.changed, self.flapping = (
            {name: str(case) for name, case in comparison.named(outcome).items()}
            for outcome in (Outcome.CHANGED, Outcome.FLAPPING)
        )

    def __str__(self) -> str:
        words = ", ".join(f"{count} {word}" for word, count in self.words.items())
        lines = [
            f"{self.proxy}, {'TLS' if self.tls else 'plain'}, groups {' '.join(self.cases)}, "
            f"wstest as {self.plays}: {self.compared} verdicts compared ({words}), "
            f"{len(self.changed)} changed, {len(self.flapping)} flapping"
        ]
        for word, cases in (("changed", self.changed), ("flapping", self.flapping)):
            lines += [f"  {word} {name}: {told}" for name, told in cases.items()]
        return "\n".join(lines)


def load(path: Path) -> list[Row]:
    return [Row(**values) for values in json.loads(path.read_text())] if path.exists() else []


def keep(path: Path, row: Row) -> None:
    """Put `row` in the place of an earlier one of the same kind."""
    by_key = {json.dumps(each.key): each for each in [*load(path), row]}
    rows = sorted(by_key.values(), key=lambda each: each.key)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(each) for each in rows], indent=1))


def table(rows: list[Row]) -> str:
    head = ["groups", "legs", "wstest is the", "straight runs", "proxy", "compared", "changed", "flapping"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    told: dict[str, list[str]] = {}
    for row in rows:
        legs = "TLS" if row.tls else "plain"
        cells = [
            _ranges(row.cases), legs, row.plays, str(row.straight_runs),
            row.proxy, str(row.compared), str(len(row.changed)), _names(row.flapping),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        for name, verdicts in row.changed.items():
            where = f"`{row.proxy}`, {legs}, wstest as {row.plays}: {verdicts}"
            told.setdefault(where, []).append(name)
    if told:
        lines += ["", "Changed:", "", *(f"- {where}: {', '.join(names)}" for where, names in told.items())]
    return "\n".join(lines)


def _ranges(words: list[str]) -> str:
    """`1 to 7, 10`; of a long list of cases, how many of each group."""
    if len(words) > 20:
        groups = Counter(word.split(".")[0] for word in words)
        return ", ".join(f"{group} ({count} cases)" for group, count in groups.items())
    runs: list[list[str]] = []
    for word in words:
        if runs and word.isdigit() and runs[-1][-1].isdigit() and int(word) == int(runs[-1][-1]) + 1:
            runs[-1].append(word)
        else:
            runs.append([word])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _names(cases: dict[str, str]) -> str:
    return f"{len(cases)} ({', '.join(in_order(cases))})" if cases else "0"


SIDES = {side.word: side for side in (Side.CLIENT, Side.SERVER)}
