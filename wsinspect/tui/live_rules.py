"""The rules and held messages of a proxy, kept up to date by its events; of a file, what the capture says."""

from __future__ import annotations

import time
from collections.abc import Callable

from wsinspect.capture.judged import JudgedRows
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import Event, HeldEvent, HeldMessage, ReleasedEvent, RulesEvent, RulesStatus
from wsinspect.errors import Unavailable, WsinspectError
from wsinspect.tui.ruling import HeldRow, HoldWord, RuleRow, RulesView
from wsinspect.tui.words import payload_words

MAX_HELD = 4096
"""Held messages that are remembered; each blocks a direction, so there are few."""


class LiveRules:
    """`take` each event in one thread; ask for the rest from others."""

    def __init__(self, control: ControlClient | None, judged: JudgedRows) -> None:
        self._control = control
        self._judged = judged
        self._status: RulesStatus | None = None
        self._held: dict[tuple[int, int], tuple[HeldRow, HeldMessage]] = {}
        self._ends: dict[tuple[int, int], str] = {}
        """What became of those that were held, in words."""
        self.gone = control is None
        """No proxy is there (any more)."""

    def start(self) -> None:
        """Ask once. A proxy that knows no rules yet, or is older, has none to show."""
        if self._control is not None:
            self._ask(self._control.rules)

    def take(self, event: Event) -> None:
        """An event of the proxy."""
        match event:
            case RulesEvent() if self._control is not None:
                self._ask(self._control.rules)
            case HeldEvent(message):
                self._held[message.conn, message.hold] = (_held_row(message), message)
                if len(self._held) > MAX_HELD:
                    del self._held[next(iter(self._held))]
            case ReleasedEvent():
                self._held.pop((event.conn, event.hold), None)
                self._ends[event.conn, event.hold] = _end_words(event)
                if len(self._ends) > MAX_HELD:
                    del self._ends[next(iter(self._ends))]
            case _:
                pass

    def leave(self) -> None:
        """The proxy has gone, and what it held."""
        self.gone = True
        self._held.clear()

    def _ask(self, ask: Callable[[], RulesStatus]) -> None:
        try:
            self._status = ask()
        except WsinspectError:
            pass  # what is known stays; where the proxy has gone, that is said otherwise

    # --------------------------------------------------------------------------------------- what is shown

    def held(self) -> tuple[HeldRow, ...]:
        """The oldest first."""
        return tuple(row for row, _ in list(self._held.values()))

    def view(self) -> RulesView:
        """The rules with what the capture says that they did."""
        status, ruled = self._status, self._judged.ruled
        if status is not None:
            rules = tuple(
                self._row(each.id, None if self.gone else each.enabled, each.explain, each.place, each.failed)
                for each in status.rules
            )
            live = not self.gone and bool(status.files)
            return RulesView(rules, status.files, status.shadow, status.error, status.left_out, live)
        ids = list(ruled.rules) if ruled is not None else []
        ids += [rule for rule in list(self._judged.rules.rules) if rule not in ids]
        rules = tuple(self._row(rule) for rule in ids)
        files = tuple(ruled.files) if ruled is not None else ()
        return RulesView(rules, files, ruled is not None and ruled.shadow, self._judged.rules_error)

    def _row(
        self, rule: str, enabled: bool | None = None, explain: str = "", place: str = "", failed: int = 0
    ) -> RuleRow:
        counts = self._judged.rules.rules.get(rule)
        hits, words = (counts.hits, counts.words()) if counts is not None else (0, "no hit")
        return RuleRow(rule, enabled, hits, words, explain, place, failed)

    # --------------------------------------------------------------------------------------- what is asked

    def switch(self, rule: str, on: bool) -> None:
        """Raises WsinspectError."""
        control = self._proxy()
        control.switch_rules([rule], on)
        self._ask(control.rules)

    def reload(self) -> None:
        """Raises WsinspectError, with every mistake in the files."""
        control = self._proxy()
        try:
            self._status = control.reload()
        finally:
            self._ask(control.rules)

    def payload(self, held: HeldRow) -> bytes | None:
        """A held message's payload where the event brought all of it."""
        found = self._held.get((held.conn, held.hold))
        whole = found is not None and len(found[1].payload) == found[1].payload_bytes
        return found[1].payload if found is not None and whole else None

    def end(self, held: HeldRow) -> str:
        """What became of one that is not held any more; empty where that is not known."""
        return "the proxy has gone" if self.gone else self._ends.get((held.conn, held.hold), "")

    def resolve(self, held: HeldRow, how: HoldWord, payload: bytes = b"") -> None:
        """Raises WsinspectError, also where somebody or the time limit was first."""
        control = self._proxy()
        match how:
            case "release":
                control.release(held.conn, held.hold)
            case "edit":
                control.edit(held.conn, held.hold, payload)
            case "drop":
                control.drop(held.conn, held.hold)
            case "wait":
                control.wait_for_word(held.conn, held.hold)

    def _proxy(self) -> ControlClient:
        if self._control is None:
            raise Unavailable("this is a capture file: no proxy runs these rules")
        if self.gone:
            raise Unavailable("the proxy has gone")
        return self._control


def _end_words(event: ReleasedEvent) -> str:
    default = ", by its default" if event.by == "default" else ""
    match event.how:
        case "release":
            return f"it went on as it came{default}"
        case "drop":
            return f"it was dropped{default}"
        case "edit":
            return "it went on as somebody else wrote it"
        case "discard":
            return "its connection ended"


def _held_row(message: HeldMessage) -> HeldRow:
    return HeldRow(
        conn=message.conn,
        hold=message.hold,
        side=message.side,
        rule=message.rule,
        opcode=message.opcode,
        size=message.payload_bytes,
        preview=payload_words(message.opcode, message.payload),
        since_ns=time.monotonic_ns() - int(message.held_ms * 1e6),
        limit_ms=message.limit_ms,
        default=message.default,
    )
