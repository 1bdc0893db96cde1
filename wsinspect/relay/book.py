"""The records of one step of the relay, in the order in which a capture has them.

    verdicts and notices ──▶ reads ──▶ bytes that go out instead or beside

A verdict stands before the read with its message's last byte, and all of them before any output.
"""

from __future__ import annotations

from typing import Literal

from wsinspect.model import Fact, FactRecord, Gap, Notice, Read, Record, Sent, Side


class Book:
    """Of both directions of a connection."""

    __slots__ = ("_said", "conn", "facts", "reads", "sent")

    def __init__(self, conn: int) -> None:
        self.conn = conn
        self.facts: list[Record] = []
        self.reads: list[Read | Gap] = []
        self.sent: list[Sent] = []
        self._said: set[tuple[str, Side | None]] = set()

    def fact(self, fact: Fact, now_ns: int) -> None:
        self.facts.append(FactRecord(self.conn, now_ns, fact))

    def say(
        self,
        code: str,
        text: str,
        now_ns: int,
        *,
        side: Side | None = None,
        level: Literal["info", "warning", "error"] = "info",
    ) -> None:
        """A notice; each code once for a side."""
        if (code, side) not in self._said:
            self._said.add((code, side))
            self.fact(Notice(code=code, text=text, level=level, side=side), now_ns)

    def take(self) -> list[Record]:
        """All of it, in order."""
        records: list[Record] = [*self.facts, *self.reads, *self.sent]
        self.facts.clear()
        self.reads.clear()
        self.sent.clear()
        return records
