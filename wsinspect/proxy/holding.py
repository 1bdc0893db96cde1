"""Messages that rules hold, over all connections, and those who are there to decide about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, assert_never

from wsinspect.control import protocol
from wsinspect.control.protocol import (
    LIST_PREVIEW_BYTES,
    PREVIEW_BYTES,
    ControlError,
    ErrorCode,
    HeldEvent,
    ReleasedEvent,
    ResolveHold,
)
from wsinspect.model import Opcode, Released
from wsinspect.proxy.relays import Relays
from wsinspect.relay.commands import DropHeld, Edit, Release, Wait, Word
from wsinspect.relay.holds import HeldMessage
from wsinspect.relay.session import Session


class Holding:
    """What the control socket knows and does of held messages. `CONN.HOLD` names one."""

    def __init__(self, relays: Relays, url_of: Callable[[int], str]) -> None:
        """`url_of`: of a connection's request."""
        self.tell: Callable[[protocol.Event], None] = lambda _: None
        """An event for those who watch."""
        self._relays = relays
        self._url_of = url_of
        relays.on_holds = self._changed

    def attend(self, there: bool) -> None:
        """Somebody is there who can decide; or nobody any more, and what is held takes its default."""
        self._relays.attend(there)

    def listed(self, most_bytes: int = LIST_PREVIEW_BYTES) -> tuple[protocol.HeldMessage, ...]:
        """The oldest first, with so much of each payload."""
        now_ns = time.monotonic_ns()
        held = [
            (each.since_ns, conn, each)
            for conn, relay in self._relays.live.items()
            for each in relay.session.holds()
        ]
        held.sort(key=lambda entry: entry[:2])
        return tuple(self._shown(conn, each, now_ns, most_bytes) for _, conn, each in held)

    @property
    def count(self) -> int:
        return sum(len(relay.session.holds()) for relay in self._relays.live.values())

    def resolve(self, request: ResolveHold) -> dict[str, Any]:
        """Somebody's word. Raises ControlError where another one was first, or it cannot be done."""
        name = f"{request.conn}.{request.hold}"
        relay = self._relays.live.get(request.conn)
        if relay is None:
            raise ControlError(ErrorCode.NOT_FOUND, f"no live connection has the number {request.conn}")
        held = any(each.hold == request.hold for each in relay.session.holds())
        answer = relay.command(_word(request))
        if answer.ok:
            return {"result": answer.text}
        if held:
            raise ControlError(ErrorCode.BAD_REQUEST, f"{name}: {answer.text}")
        code = ErrorCode.ALREADY_RELEASED if answer.text.startswith("already") else ErrorCode.NOT_FOUND
        raise ControlError(code, f"{name}: {answer.text}")

    def _changed(self, session: Session) -> None:
        """What has become held in a connection or waits longer, and what is not held any more."""
        now_ns = time.monotonic_ns()
        for each in session.take_hold_news():
            match each:
                case HeldMessage():
                    shown = self._shown(session.conn, each, now_ns, PREVIEW_BYTES)
                    self.tell(HeldEvent(shown))
                case Released():
                    self.tell(ReleasedEvent(session.conn, each.hold, each.how, each.by))
                case _:
                    assert_never(each)

    def _shown(self, conn: int, held: HeldMessage, now_ns: int, most_bytes: int) -> protocol.HeldMessage:
        return protocol.HeldMessage(
            conn=conn,
            hold=held.hold,
            side=held.side,
            rule=held.rule,
            opcode=held.opcode,
            payload=_beginning(held.payload, held.opcode, most_bytes),
            payload_bytes=len(held.payload),
            limit_ms=held.limit_ms,
            held_ms=(now_ns - held.since_ns) / 1e6,
            default=held.default.value,
            first_frame=held.first_frame,
            last_frame=held.last_frame,
            url=self._url_of(conn),
        )


def _word(request: ResolveHold) -> Word:
    match request.how:
        case "release":
            return Release(request.hold)
        case "edit":
            return Edit(request.hold, request.payload)
        case "drop":
            return DropHeld(request.hold)
        case "wait":
            return Wait(request.hold)
        case _:
            assert_never(request.how)


def _beginning(payload: bytes, opcode: int, most_bytes: int) -> bytes:
    """So much of it; of a text no half of a character."""
    if len(payload) <= most_bytes or opcode != Opcode.TEXT:
        return payload[:most_bytes]
    return payload[:most_bytes].decode(errors="ignore").encode()
