"""What a message was before rules changed it, for as long as what went out instead is still to come."""

from __future__ import annotations

from collections import OrderedDict

from wsinspect.capture.timeline import MessageEvent
from wsinspect.formats.diff import json_changes
from wsinspect.model import Opcode, Outcome, Side

_KEPT = 256
_KEPT_BYTES = 16 << 10
"""Of one payload; a longer one is not remembered."""
_SHORT = 40
"""Bytes of a text that is no JSON, up to which it is shown before what went out instead."""


class Befores:
    """Payloads that something else went out for, until that comes: to say what changed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, Side, int], bytes] = OrderedDict()

    def note(self, event: MessageEvent) -> None:
        """Remember it, where another may follow in its place."""
        message, verdict = event.message, event.verdict
        if verdict is None or verdict.outcome not in (Outcome.CHANGED, Outcome.HELD) or verdict.shadow:
            return
        if not message.lost and len(message.payload) <= _KEPT_BYTES:
            self._kept[event.conn, event.side, message.last_frame] = message.payload
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def change(self, event: MessageEvent) -> str:
        """`$.price 100 → 1 ·` for a message that went out instead of another; "" where that is not known."""
        before = self._kept.get((event.conn, event.side, event.of[1])) if event.of[1] else None
        after = event.message.payload
        if before is None or "modified" not in event.flags or event.message.lost:
            return ""
        changes = json_changes(before, after)
        if changes is not None:
            return f"{', '.join(changes)} ·" if changes else ""
        if event.message.opcode == Opcode.TEXT and len(before) <= _SHORT:
            return f"{before.decode(errors='replace')} →"
        return ""
