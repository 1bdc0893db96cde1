"""`slicer`: small pieces."""

from __future__ import annotations

from wsinspect.model.plans import Slice
from wsinspect.rules.actions import words
from wsinspect.rules.actions.toxics.toxic import COMMON, Toxic
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Slicer(Toxic):
    word = "slicer"
    doc = "toxiproxy's `slicer`: the stream's bytes go out in small pieces, with a pause between two of them."
    example = "slicer: {average_size: 64, size_variation: 32, delay: 10000}"
    fields = (
        Field("average_size", Type.INT, "Bytes of a piece.", low=1, high=1 << 30),
        Field("size_variation", Type.INT, "At most so many bytes more or less.", 0, low=0, high=1 << 30),
        Field("delay", Type.INT, "Between two pieces, in microseconds.", 0, low=0, high=2**31),
        *COMMON,
    )
    short = "average_size"

    average_size: int
    size_variation: int
    delay: int

    def check(self) -> None:
        if self.size_variation >= self.average_size:
            raise ValueError("size_variation must be smaller than average_size")

    def effect(self) -> str:
        low, high = self.average_size - self.size_variation, self.average_size + self.size_variation
        size = words.size(low) if low == high else f"{low:,} to {words.size(high)}"
        pause = f", {words.duration(self.delay / 1000)} apart" if self.delay else ""
        return f"cut what {self.whose} into pieces of {size}{pause}"

    def attack(self, turn: Turn) -> str:
        seed = self.random_of(turn).getrandbits(32)
        turn.effects += (
            Slice(self.rule, self.sender, self.average_size, self.size_variation, self.delay, seed),
        )
        return f"slicer: pieces of about {words.size(self.average_size)}"
