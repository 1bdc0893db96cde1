"""Verdicts on the way to the messages they are about, what they mean as flags, and counts by rule.

A `Judged` fact comes before the read with its message's last byte:

    add ──▶ of(frame) ──▶ it goes with the message's row or events
     │
     └────▶ missed()      its message did not come (a gap, the end): it is shown as a fact of its own
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import NamedTuple

from wsinspect.model import FactRecord, Judged, Outcome

MAX_WAITING = 1 << 15
"""Verdicts of one direction that wait: those of the messages of one read. Beyond it the oldest is missed."""
MAX_RULES = 1000
"""Rules counted by name; a capture that names more has the rest under `OTHERS`."""
OTHERS = "(others)"
_LOOKED_AT = 64


class Waiting(NamedTuple):
    """A verdict whose message is still to come."""

    fact: Judged
    record: FactRecord
    position: int
    """Of the record, in the file."""


class Verdicts:
    """The verdicts of one direction that wait for their messages."""

    __slots__ = ("_missed", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._missed: list[Waiting] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._missed)

    def add(self, fact: Judged, record: FactRecord, position: int = 0) -> None:
        """A verdict came. Its frame numbers are not 0."""
        self._waiting.append(Waiting(fact, record, position))
        if len(self._waiting) > MAX_WAITING:
            self._missed.append(self._waiting.popleft())

    def of(self, number: int, *, control: bool) -> Waiting | None:
        """What was decided about the message (or control frame) that the frame of this number belongs to.

        To be asked in the order of the frames: the message's last one takes the verdict away.
        """
        waiting = self._waiting
        while waiting and waiting[0].fact.last_frame < number:
            self._missed.append(waiting.popleft())
        for place, each in enumerate(waiting):
            fact = each.fact
            if fact.first_frame > number or place >= _LOOKED_AT:
                break
            if (fact.opcode >= 8) is control and number <= fact.last_frame:
                if number == fact.last_frame:
                    del waiting[place]
                return each
        return None

    def missed(self) -> list[Waiting]:
        """Those whose messages went by without them."""
        missed, self._missed = self._missed, []
        return missed

    def kept_out(self) -> list[Waiting]:
        """A gap came: those whose messages are in it, because a rule kept them out of the capture."""
        kept_out = [each for each in self._waiting if each.fact.captured == "nothing"]
        for each in kept_out:
            self._waiting.remove(each)
        return kept_out

    def flush(self) -> list[Waiting]:
        """All that are left: nothing more will come."""
        self._missed += self._waiting
        self._waiting.clear()
        return self.missed()


def verdict_flags(fact: Judged) -> tuple[str, ...]:
    """What became of a message, in the words that events and lines carry.

    `replaced`: other bytes went out, which follow with the flag `modified`. In shadow nothing was done but
    in the capture.
    """
    tags = tuple(f"tag:{tag}" for tag in fact.tags)
    redacted = ("redacted",) if fact.captured == "redacted" else ()
    if fact.shadow:
        return ("shadow", *redacted, *tags)
    words = {
        Outcome.PASSED: (),
        Outcome.CHANGED: ("replaced",),
        Outcome.DROPPED: ("dropped",),
        Outcome.HELD: ("held",),
    }[fact.outcome]
    delayed = ("delayed",) if fact.delay_ms else ()
    reordered = ("reordered",) if fact.behind else ()
    return (*words, *delayed, *reordered, *redacted, *tags)


def rule_of(fact: Judged) -> str | None:
    """The rule that stands for the verdict where there is room for one: the first that matched."""
    return fact.hits[0].rule if fact.hits else None


@dataclass(slots=True)
class RuleCounts:
    """What one rule did. Where several rules matched, a drop or a hold is the last one's doing."""

    hits: int = 0
    """Messages, frames and handshakes that it matched."""
    changed: int = 0
    dropped: int = 0
    delayed: int = 0
    held: int = 0
    sent: int = 0
    """Frames that it put on the wire beside."""
    shadow: int = 0
    """Hits that were only recorded."""

    def words(self) -> str:
        """`3 hits, 2 changed, 1 dropped`."""
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        hits = counts.pop("hits")
        parts = [f"{hits:,} hit{'' if hits == 1 else 's'}"]
        parts += [f"{count:,} {name}" for name, count in counts.items() if count and name != "shadow"]
        return ", ".join([*parts, *([f"{self.shadow:,} in shadow"] if self.shadow else [])])


class RuleTally:
    """Counts by rule, in the order of their first hits."""

    __slots__ = ("rules",)

    def __init__(self) -> None:
        self.rules: dict[str, RuleCounts] = {}

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def hits(self) -> int:
        return sum(counts.hits for counts in self.rules.values())

    def judged(self, fact: Judged) -> None:
        """Count a verdict."""
        last = len(fact.hits) - 1
        for place, hit in enumerate(fact.hits):
            counts = self._of(hit.rule)
            counts.hits += 1
            if fact.shadow:
                counts.shadow += 1
                continue
            counts.changed += fact.outcome is Outcome.CHANGED and (bool(hit.did) or last == 0)
            counts.dropped += fact.outcome is Outcome.DROPPED and place == last
            counts.held += fact.outcome is Outcome.HELD and place == last
            counts.delayed += fact.delay_ms > 0 and (bool(hit.did) or last == 0)

    def sent(self, rule: str | None, why: str) -> None:
        """Count a frame that went out for a rule."""
        if rule is not None and why == "injected":
            self._of(rule).sent += 1

    def _of(self, rule: str) -> RuleCounts:
        counts = self.rules.get(rule)
        if counts is None:
            name = rule if len(self.rules) < MAX_RULES else OTHERS
            counts = self.rules.setdefault(name, RuleCounts())
        return counts
