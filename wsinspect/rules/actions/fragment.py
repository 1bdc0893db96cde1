"""`fragment`: the same message in other frames."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.actions.shape import reshape
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn

MAX_FRAMES = 65_536


class Fragment(Action):
    word = "fragment"
    doc = (
        "Cut the message into frames of these sizes; the last size is repeated up to its end. Where the "
        "message is compressed, the sizes are those of the compressed bytes."
    )
    example = "fragment: [10, 0, 1KiB]"
    fields = (
        Field("sizes", Type.SIZES, "Payload bytes of each frame; 0 makes an empty one.", None),
        Field("size", Type.SIZE, "Payload bytes of all frames alike.", None, low=1),
    )
    short = "sizes"

    sizes: tuple[int, ...] | None
    size: int | None

    def check(self) -> None:
        words.exactly_one(self, "sizes", "size")
        self._sizes = (self.size,) if self.size is not None else self.sizes or ()
        if not self._sizes:
            raise ValueError("the list of sizes is empty")
        if self._sizes[-1] < 1:
            raise ValueError("the last size is repeated up to the end of the message, so it cannot be 0")
        if len(self._sizes) > MAX_FRAMES:
            raise ValueError(f"more than {MAX_FRAMES:,} sizes")

    def explain(self) -> str:
        if len(self._sizes) == 1:
            return f"cut it into frames of {words.size(self._sizes[0])}"
        return f"cut it into frames of {words.listed(map(words.size, self._sizes[:20]))}"

    def apply(self, turn: Turn) -> str:
        if len(turn.payload) // self._sizes[-1] > MAX_FRAMES:
            raise ValueError(f"{words.size(len(turn.payload))} would be more than {MAX_FRAMES:,} frames")
        reshape(turn, sizes=self._sizes, merge=False)
        return f"fragment into {words.listed(map(words.size, self._sizes[:5]))}"
