"""`limit_data`: so much and no more."""

from __future__ import annotations

from wsinspect.model.plans import LimitData
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class LimitDataToxic(Toxic):
    word = "limit_data"
    doc = "toxiproxy's `limit_data`: the connection is closed once so many bytes of the stream have passed."
    example = "limit_data: {bytes: 100000}"
    fields = (Field("bytes", Type.INT, "How many, of frames with their headers.", 0, low=0), *COMMON)
    short = "bytes"

    bytes_: int

    def effect(self) -> str:
        return f"end the connection after {words.size(self.bytes_)} that {self.whose}"

    def attack(self, turn: Turn) -> str:
        turn.effects += (LimitData(self.rule, self.sender, self.bytes_),)
        return f"limit_data {words.size(self.bytes_)}"
