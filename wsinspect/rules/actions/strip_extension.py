"""`strip-extension`: nobody agrees to it."""

from __future__ import annotations

import re

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class StripExtension(Action):
    word = "strip-extension"
    doc = (
        "Take extensions out of what the client offers, so that the server cannot agree to them: without "
        "permessage-deflate, messages are not compressed."
    )
    example = "strip-extension: permessage-deflate"
    fields = (Field("names", Type.TEXTS, "A name, or several; `*`: all.", ("*",)),)
    short = "names"
    on = On.REQUEST

    names: tuple[str, ...]

    def check(self) -> None:
        if not self.names:
            raise ValueError("nothing to strip: write the name of an extension, or *")
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an extension, such as permessage-deflate")

    def _what(self) -> str:
        return "all extensions" if "*" in self.names else words.listed(self.names)

    def explain(self) -> str:
        return f"take {self._what()} out of the client's offer"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        turn.strip_extensions += self.names
        return f"strip {self._what()}"
