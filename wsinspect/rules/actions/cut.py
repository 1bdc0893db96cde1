"""`cut`: the line breaks in the middle of a frame."""

from __future__ import annotations

from wsinspect.model.plans import Cut, CutHow
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class CutAction(Action):
    word = "cut"
    doc = (
        "Send the beginning of the message's frames, then end both connections: a line that is cut in the "
        "middle of a frame. At least one byte goes out, and at least one does not."
    )
    example = "cut: {at: 50%, how: rst}"
    fields = (
        Field("at", Type.CHANCE, "What part of its bytes goes out; without it and `bytes` the half.", None),
        Field("bytes", Type.SIZE, "How many of its bytes go out, headers included.", None, low=1),
        Field("how", Type.WORD, "How both connections end.", "rst", words=tuple(CutHow)),
    )
    short = "at"
    on = On.FRAMES
    terminal = True

    at: float | None
    bytes_: int | None
    how: str

    def check(self) -> None:
        if self.at is not None and self.bytes_ is not None:
            raise ValueError("`at` and `bytes` cannot both stand here: choose one")
        self._share = 0.5 if self.at is None else self.at

    def _where(self) -> str:
        if self.bytes_ is not None:
            return f"after {words.size(self.bytes_)}"
        return f"after {words.number(self._share * 100)} % of it"

    def explain(self) -> str:
        return f"cut the line {self._where()}, with {self.how.upper()} to both sides"

    def apply(self, turn: Turn) -> str:
        if self.bytes_ is not None:
            turn.effects += (Cut(self.rule, self.bytes_, CutHow(self.how)),)
        else:
            turn.effects += (Cut(self.rule, 0, CutHow(self.how), self._share),)
        return f"cut {self._where()}"
