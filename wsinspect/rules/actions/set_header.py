"""`set-header`: on the handshake."""

from __future__ import annotations

from wsinspect.rules.actions import headers, words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.template import Template


class SetHeader(Action):
    word = "set-header"
    doc = (
        "Set headers of the handshake, each in the place of all of that name: of the client's request, or of "
        "the server's answer."
    )
    example = "set-header: {Origin: 'https://shop.example', X-Trace: '{{uuid}}'}"
    fields = (Field("headers", Type.HEADERS, "Values by name."),)
    short = "headers"
    whole = True
    on = On.HANDSHAKE

    headers: dict[str, Template]

    def check(self) -> None:
        if not self.headers:
            raise ValueError("nothing to set: write a name and its value")
        headers.check_values(self.headers)

    def explain(self) -> str:
        each = (f"{name} to {words.shown(value)}" for name, value in self.headers.items())
        return f"set the header{'s' * (len(self.headers) > 1)} {words.listed(each)}"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        turn.set_headers += tuple(
            (name, headers.check_value(name, value.render(turn))) for name, value in self.headers.items()
        )
        return f"set {words.listed(self.headers)}"
