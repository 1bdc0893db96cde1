"""A judge that does as a test's script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wsinspect.model import Frame, Message, RuleHit, Side
from wsinspect.model.plans import Plan, Watch

type Verdict = Plan | None | Callable[[bytes], Plan | None]


def plan(rule: str = "r", did: str = "do it", **values: Any) -> Plan:
    """What one rule wants."""
    return Plan((RuleHit(rule, (did,)),), **values)


class Script:
    """Plans by how a payload begins; what is in no line of the script passes."""

    def __init__(
        self,
        lines: Mapping[str, Verdict] | None = None,
        *,
        control: Mapping[str, Verdict] | None = None,
        opening: Plan | None = None,
        sides: tuple[Side, ...] = (Side.CLIENT, Side.SERVER),
        private: bool = False,
        data: bool | None = None,
    ) -> None:
        self._lines = {key.encode(): value for key, value in (lines or {}).items()}
        self._control = {key.encode(): value for key, value in (control or {}).items()}
        self._opening = opening
        self.replacing: Plan | None = None
        self._sides = sides
        self._private = private
        self._data = data if data is not None else lines is not None
        self.seen: list[bytes] = []
        """Payloads of messages and control frames, in order."""
        self.notices: list[tuple[str, str]] = []
        self.fails_at: bytes | None = None
        """A payload at which it raises, as no judge should."""

    def watch(self, side: Side) -> Watch:
        if side not in self._sides:
            return Watch()
        return Watch(data=self._data, control=bool(self._control), private=self._private)

    def opened(self, now_ns: int) -> Plan | None:
        return self._opening

    def message(self, message: Message, now_ns: int) -> Plan | None:
        assert not message.lost
        return self._verdict(self._lines, message.payload)

    def control(self, frame: Frame, now_ns: int) -> Plan | None:
        return self._verdict(self._control, frame.payload)

    def replaced(self, now_ns: int) -> Plan | None:
        return self.replacing

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        return payload

    def take_notices(self) -> list[tuple[str, str]]:
        notices, self.notices = self.notices, []
        return notices

    def _verdict(self, lines: Mapping[bytes, Verdict], payload: bytes) -> Plan | None:
        self.seen.append(payload)
        if payload == self.fails_at:
            raise RuntimeError("sabotage of the judge")
        for start, verdict in lines.items():
            if payload.startswith(start):
                return verdict(payload) if callable(verdict) else verdict
        return None
