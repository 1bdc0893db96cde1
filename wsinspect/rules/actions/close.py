"""`close`: a Close frame."""

from __future__ import annotations

from wsinspect.model import Side
from wsinspect.model.plans import BOTH, Close
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import Template
from wsinspect.rules.turn import Turn
from wsinspect.wire.close_codes import close_code

MAX_REASON_BYTES = 123


class CloseAction(Action):
    word = "close"
    doc = (
        "Send a Close frame, as a server or client would that ends the connection. Nothing but the end "
        "follows it to that side (RFC 6455 5.5.1). Codes that must not stand on the wire can be sent too."
    )
    example = "close: {code: 1012, reason: restarting, to: client, after: 2s}"
    fields = (
        Field("code", Type.CLOSE_CODE, "The close code.", 1000),
        Field("reason", Type.TEMPLATE, "The reason, of at most 123 bytes.", Template.parse("")),
        Field("to", Type.SIDES, "Who gets it; without it both.", BOTH),
        Field("after", Type.DURATION, "How long after the match.", 0.0, low=0),
        Field("empty", Type.BOOL, "A Close frame without a code.", default=False),
    )
    short = "code"
    on = On.TRAFFIC
    once = True

    code: int
    reason: Template
    to: tuple[Side, ...]
    after: float
    empty: bool

    def check(self) -> None:
        if self.empty and (self.code != 1000 or self.reason.text):
            raise ValueError("an empty Close frame has neither code nor reason")
        if self.reason.constant is not None:
            _check_reason(self.reason.constant)

    def _what(self) -> str:
        if self.empty:
            return "an empty Close"
        reason = f" {words.shown(self.reason)}" if self.reason.text else ""
        return f"{self.code} ({close_code(self.code).name}){reason}"

    def explain(self) -> str:
        return f"close {words.sides(self.to)} with {self._what()}{words.later(self.after)}"

    def apply(self, turn: Turn) -> str:
        reason = self.reason.render(turn)
        _check_reason(reason)
        code = None if self.empty else self.code
        turn.effects += (Close(self.rule, code, reason, self.to, self.after),)
        return f"close {words.sides(self.to)} with {self._what()}{words.later(self.after)}"


def _check_reason(reason: str) -> None:
    if len(reason.encode()) > MAX_REASON_BYTES:
        raise ValueError(f"a reason of more than {MAX_REASON_BYTES} bytes does not fit into a Close frame")
