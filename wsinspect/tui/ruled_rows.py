"""What rules did, by row of a capture: for a line of the log, and for its detail."""

from __future__ import annotations

import bisect
import itertools

from wsinspect.capture.columns import KINDS, RowFlag
from wsinspect.capture.index import FrameIndex
from wsinspect.errors import DamagedInput
from wsinspect.formats.diff import json_changes
from wsinspect.formats.verdict_words import row_flags, rules_of
from wsinspect.model import Judged, Outcome, Released
from wsinspect.tui.source import RuleDetail

RELEASE_LOOKED_FOR = 1 << 14
"""Rows of a connection behind a held message in which its release is looked for."""
AFTERS_SHOWN = 8
"""Copies of one message that are read back."""

_RELEASED = KINDS.index("released")


class RuledRows:
    """Over an index; `detail` and `change` may reassemble messages, and need its lock."""

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._judged = index.judged

    def marks(self, row: int) -> tuple[tuple[str, ...], str | None]:
        """Flags and rule of a frame's row."""
        if self._index.columns.flags(row) & RowFlag.INJECTED:
            sent = self._judged.sent(row)
            return ((sent.why,), sent.rule) if sent is not None else (("injected",), None)
        verdict = self._judged.verdict(row)
        return (row_flags(verdict), rules_of(verdict)) if verdict is not None else ((), None)

    def change(self, row: int) -> str:
        """`$.price 100 → 1 · ` for a row that went out instead of another; empty where that is not known."""
        sent = self._judged.sent(row)
        if sent is None or sent.why != "modified":
            return ""
        before, after = self._before(row), self._payload(row)
        changes = json_changes(before, after) if before is not None and after is not None else None
        return f"{', '.join(changes)} · " if changes else ""

    def detail(self, row: int) -> RuleDetail | None:
        """All that is known; None where rules did nothing about the row."""
        sent = self._judged.sent(row)
        if sent is not None:
            detail = RuleDetail(why=sent.why, rule=sent.rule, of=(sent.first_frame, sent.last_frame))
            detail.before = self._before(row)
            detail.after = [payload for payload in [self._payload(row)] if payload is not None]
            return detail
        verdict = self._judged.verdict(row)
        if verdict is None:
            return None
        detail = RuleDetail(verdict)
        if verdict.outcome is not Outcome.PASSED and not verdict.shadow:
            sent_rows = self._judged.sent_for(row)[:AFTERS_SHOWN]
            detail.before = self._payload(row) if sent_rows else None
            detail.after = [p for p in map(self._payload, sent_rows) if p is not None]
        if verdict.outcome is Outcome.HELD:
            detail.released = self._release(row, verdict)
        return detail

    def _before(self, row: int) -> bytes | None:
        original = self._judged.original(row)
        return None if original is None else self._payload(original)

    def _payload(self, row: int) -> bytes | None:
        """The message's payload, or the control frame's; None where it cannot be known."""
        try:
            if self._index.columns.kind(row) >= 8:
                return self._index.payload(row)
            message = self._index.message(row)
        except DamagedInput:
            return None
        return None if message is None or message.lost else message.payload

    def _release(self, row: int, verdict: Judged) -> Released | None:
        rows = self._index.rows_of(self._index.columns.conn[row])
        start = bisect.bisect_right(rows, row)
        for each in itertools.islice(rows, start, start + RELEASE_LOOKED_FOR):
            if self._index.columns.kind(each) == _RELEASED:
                fact = self._index.fact(each)
                if isinstance(fact, Released) and fact.hold == verdict.hold:
                    return fact
        return None
