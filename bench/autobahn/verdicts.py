"""What the suite said about each case, straight and through a proxy, and what follows from it.

Some cases flap: their verdict depends on how fast a peer answers. So a case is only *changed* where no
verdict through the proxy was ever given without it; one that was given more than one verdict is *flapping*.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Verdict(NamedTuple):
    """The suite's own words: of the case (`OK`, `NON-STRICT`, `FAILED` …), and of its connection's close."""

    behavior: str
    close: str

    def __str__(self) -> str:
        return self.behavior if self.behavior == self.close else f"{self.behavior} / {self.close}"


MISSING = Verdict("no verdict", "no verdict")

type Verdicts = Mapping[str, Verdict]
"""Of one run, by case id (`4.1.5`)."""


class Outcome(enum.Enum):
    SAME = "same"
    FLAPPING = "flapping"
    CHANGED = "changed"


@dataclass
class Case:
    """All verdicts that one case was given, in the order of the runs."""

    straight: list[Verdict] = field(default_factory=list)
    proxied: list[Verdict] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        if not set(self.straight) & set(self.proxied):
            return Outcome.CHANGED
        return Outcome.FLAPPING if len({*self.straight, *self.proxied}) > 1 else Outcome.SAME

    def __str__(self) -> str:
        return f"straight {_counted(self.straight)}; proxied {_counted(self.proxied)}"


class Comparison:
    """The runs of one set of cases, as they come in."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}

    def add_straight(self, verdicts: Verdicts) -> None:
        for case, verdict in verdicts.items():
            self.cases.setdefault(case, Case()).straight.append(verdict)

    def add_proxied(self, verdicts: Verdicts, expected: Iterable[str] | None = None) -> None:
        """`expected`: the cases that were asked for (default: all); one without a verdict is MISSING."""
        for case in {*verdicts, *(self.cases if expected is None else expected)}:
            self.cases.setdefault(case, Case()).proxied.append(verdicts.get(case, MISSING))

    def named(self, outcome: Outcome) -> dict[str, Case]:
        """The cases with that outcome, in the suite's order."""
        return {
            name: self.cases[name] for name in in_order(self.cases) if self.cases[name].outcome is outcome
        }

    def behaviors(self) -> Counter[str]:
        """How often each word was the first straight verdict of a case."""
        return Counter(case.straight[0].behavior for case in self.cases.values() if case.straight)


def in_order(cases: Iterable[str]) -> list[str]:
    """By number: 9.1.2 before 10.1.1."""
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def _counted(verdicts: list[Verdict]) -> str:
    return ", ".join(
        f"{verdict} x{count}" if count > 1 else str(verdict) for verdict, count in Counter(verdicts).items()
    )
