"""`remove-header`: from the handshake."""

from __future__ import annotations

from wsinspect.rules.actions import headers, words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn


class RemoveHeader(Action):
    word = "remove-header"
    doc = (
        "Take headers out of the handshake: all of that name, of the client's request or the server's answer."
    )
    example = "remove-header: [Origin, Cookie]"
    fields = (Field("names", Type.HEADER_NAMES, "A name, or several."),)
    short = "names"
    on = On.HANDSHAKE

    names: tuple[str, ...]

    def check(self) -> None:
        if not self.names:
            raise ValueError("nothing to remove: write the name of a header")
        headers.check_names(self.names)

    def explain(self) -> str:
        return f"remove the header{'s' * (len(self.names) > 1)} {words.listed(self.names)}"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        turn.remove_headers += self.names
        return f"remove {words.listed(self.names)}"
