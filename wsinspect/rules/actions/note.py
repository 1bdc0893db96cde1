"""`note`: a sentence beside a message."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import Template
from wsinspect.rules.turn import Turn

NOTE_CHARS = 500


class Note(Action):
    word = "note"
    doc = "Write a sentence beside the message in the capture. Nothing that passes is changed."
    example = "note: 'order {{$.id}} came late'"
    fields = (Field("text", Type.TEMPLATE, f"The sentence; cut after {NOTE_CHARS} characters."),)
    short = "text"
    on = On.TRAFFIC

    text: Template

    def explain(self) -> str:
        return f"note {words.shown(self.text)}"

    def apply(self, turn: Turn) -> str:
        text = self.text.render(turn)
        turn.notes += (text if len(text) <= NOTE_CHARS else text[: NOTE_CHARS - 1] + "…",)
        return ""
