"""Messages that wait for somebody's word: who is held, until when, and what was decided.

Numbered per connection from 1. The first word counts; with nobody there, and when its time is over, a message
takes its default. `Wait` begins that time anew, and decides nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

from wsinspect.model import Opcode, Released, Side
from wsinspect.model.plans import HoldDefault
from wsinspect.relay.book import Book
from wsinspect.relay.commands import Answer, DropHeld, Edit, Release, Wait, Word
from wsinspect.relay.gate import Held
from wsinspect.relay.outlet import Unit


@dataclass(slots=True)
class HeldMessage:
    """One that is held now, as somebody who decides sees it."""

    hold: int
    side: Side
    """Who sent it."""
    rule: str
    opcode: int
    payload: bytes
    """Inflated, and as earlier actions have left it."""
    since_ns: int
    limit_ms: int
    """Since `since_ns`, in all: it grows where the limit began anew."""
    default: HoldDefault
    first_frame: int
    last_frame: int

    @property
    def until_ns(self) -> int:
        """When its default is taken."""
        return self.since_ns + self.limit_ms * 1_000_000


type Rewrite = Callable[[Unit, bytes, int], None]
"""Gives a unit another payload, at a time."""


@dataclass(slots=True)
class _Entry:
    message: HeldMessage
    unit: Unit
    rewrite: Rewrite
    rule_ms: int
    """The limit of the rule's own."""


class Holds:
    """Of both directions of a connection."""

    def __init__(self, book: Book) -> None:
        self.attended = False
        """Somebody is there who can decide."""
        self.news: list[HeldMessage | Released] = []
        """What has become held, or waits longer now, and what is not held any more, since it was taken."""
        self._book = book
        self._entries: dict[int, _Entry] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._last = 0

    def next_number(self) -> int:
        self._last += 1
        return self._last

    def add(self, unit: Unit, message: HeldMessage, rewrite: Rewrite) -> None:
        """Hold a unit; `message.hold` is its `next_number`, and an edit of it is done by `rewrite`."""
        unit.hold = message.hold
        self._entries[message.hold] = _Entry(message, unit, rewrite, message.limit_ms)
        heapq.heappush(self._deadlines, (message.until_ns, message.hold))
        if self.attended:
            self.news.append(message)
        else:
            self._by_default(message.hold, message.since_ns)

    def attend(self, there: bool, now_ns: int) -> None:
        """Somebody is there, or nobody any more: then each takes its default."""
        if not there:
            for number in list(self._entries):
                self._by_default(number, now_ns)
        self.attended = there

    def listed(self) -> list[HeldMessage]:
        """Those that are held now, in the order of their numbers."""
        return [entry.message for entry in self._entries.values()]

    @property
    def next_ns(self) -> int | None:
        """When the next default is taken."""
        while self._deadlines and self._deadlines[0][1] not in self._entries:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def expire(self, now_ns: int) -> None:
        """Take the default of those whose time is over."""
        while (due := self.next_ns) is not None and due <= now_ns:
            self._by_default(self._deadlines[0][1], now_ns)

    def decide(self, word: Word, now_ns: int) -> Answer:
        """Somebody's word about a held message."""
        entry = self._entries.get(word.hold)
        if entry is None:
            known = 1 <= word.hold <= self._last
            return Answer(False, "already released" if known else f"there is no hold {word.hold}")
        match word:
            case Release():
                self._let_go(word.hold, "release", "user", now_ns)
                return Answer(True, "released")
            case DropHeld():
                self._let_go(word.hold, "drop", "user", now_ns)
                return Answer(True, "dropped")
            case Edit(payload=payload):
                if refusal := _refusal(entry.unit, payload):
                    return Answer(False, refusal)
                entry.rewrite(entry.unit, payload, now_ns)
                self._let_go(word.hold, "edit", "user", now_ns)
                return Answer(True, "edited")
            case Wait():
                self._begin_anew(word.hold, now_ns)
                return Answer(True, "waiting")
            case _:
                assert_never(word)

    def _begin_anew(self, hold: int, now_ns: int) -> None:
        """Its limit, and of those behind it, which wait for it anyway, where half of theirs is over."""
        first = self._entries[hold].message
        for entry in self._entries.values():
            message = entry.message
            half_over = message.until_ns - now_ns < entry.rule_ms * 500_000
            if message is first or (half_over and _is_behind(message, first)):
                message.limit_ms = (now_ns - message.since_ns) // 1_000_000 + entry.rule_ms
                if self.attended:
                    self.news.append(message)
        self._deadlines = [(each.message.until_ns, number) for number, each in self._entries.items()]
        heapq.heapify(self._deadlines)  # with a second deadline for one message it would grow with each word

    def discarded(self, unit: Unit, now_ns: int) -> None:
        """It will not go out any more, whatever was decided."""
        if unit.hold in self._entries:
            self._let_go(unit.hold, "discard", "reset", now_ns)

    def overtaken(self, unit: Unit, now_ns: int) -> None:
        """It goes out now, since nothing is held any more in its direction."""
        if unit.hold in self._entries:
            self._by_default(unit.hold, now_ns)

    def _by_default(self, number: int, now_ns: int) -> None:
        dropped = self._entries[number].message.default is HoldDefault.DROP
        self._let_go(number, "drop" if dropped else "release", "default", now_ns)

    def _let_go(
        self,
        number: int,
        how: Literal["release", "edit", "drop", "discard"],
        by: Literal["user", "default", "reset"],
        now_ns: int,
    ) -> None:
        entry = self._entries.pop(number)
        entry.unit.hold = 0
        entry.unit.dropped = how == "drop" or entry.unit.dropped
        message = entry.message
        released = Released(
            side=message.side,
            hold=number,
            how=how,
            by=by,
            first_frame=message.first_frame,
            last_frame=message.last_frame,
            held_ms=(now_ns - message.since_ns) / 1e6,
        )
        self._book.fact(released, now_ns)
        if self.attended:
            self.news.append(released)


def _is_behind(message: HeldMessage, first: HeldMessage) -> bool:
    """Whether the later one waits for the other: control frames do not wait for data."""
    same_kind = (message.opcode >= Opcode.CLOSE) is (first.opcode >= Opcode.CLOSE)
    return message.hold > first.hold and message.side is first.side and same_kind


def _refusal(unit: Unit, payload: bytes) -> str:
    """Why a held message cannot have this payload; empty where it can."""
    if not isinstance(unit.what, Held):
        return "a control frame carries at most 125 bytes (RFC 6455 5.5)" if len(payload) > 125 else ""
    if unit.what.message.opcode == Opcode.TEXT:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return "a text message must be UTF-8 (RFC 6455 8.1)"
    return ""
