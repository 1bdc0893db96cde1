"""`reply`: an answer in the place of the other side's."""

from __future__ import annotations

from wsinspect.model.plans import Fate, Send
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.content import (
    BASE64_FIELD,
    HEX_FIELD,
    JSON_FIELD,
    PONG_FIELD,
    Content,
)
from wsinspect.rules.actions.seeded import SEED_FIELD
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import Value
from wsinspect.rules.turn import Turn


class Reply(Action):
    word = "reply"
    doc = (
        "Answer the sender, and let the message go no further. `tree` is encoded as the message was: as "
        "MessagePack, as a Socket.IO event, or whatever it came in."
    )
    example = "reply: {json: {id: '{{$.id}}', result: ok}, after: 50ms..80ms}"
    fields = (
        Field("text", Type.TEMPLATES, "A text message, or several.", None),
        JSON_FIELD,
        Field("tree", Type.JSON, "Any value, encoded as the message is that it answers.", None),
        BASE64_FIELD,
        HEX_FIELD,
        PONG_FIELD,
        Field("after", Type.DURATION_RANGE, "How long after the message.", (0.0, 0.0)),
        SEED_FIELD,
    )
    short = "text"
    on = On.FRAMES
    terminal = True

    tree: Value | None
    after: tuple[float, float]

    def check(self) -> None:
        name = words.exactly_one(self, "text", "json", "tree", "base64", "hex", "pong")
        self._contents = [] if name == "tree" else Content.all_of(self, name)
        if not self._contents and self.tree is None:
            raise ValueError("nothing to answer: the list of texts is empty")

    def _what(self) -> str:
        if self.tree is not None:
            return f"{words.shown(self.tree)}, encoded as it came"
        return words.listed(content.explain() for content in self._contents)

    def explain(self) -> str:
        after = f" after {words.span(*self.after)}" if self.after[1] else ""
        return f"answer its sender{after} with {self._what()}, and drop it"

    def apply(self, turn: Turn) -> str:
        low, high = self.after
        after_ms = low if low == high else self.random_of(turn).uniform(low, high)
        turn.effects += tuple(
            Send(self.rule, turn.side, opcode, payload, after_ms=after_ms)
            for opcode, payload in self._payloads(turn)
        )
        turn.fate = Fate.DROP
        return f"reply {self._what()}"

    def _payloads(self, turn: Turn) -> list[tuple[int, bytes]]:
        if self.tree is None:
            return [(int(content.opcode), content.render(turn)) for content in self._contents]
        if turn.decoded is None:
            raise ValueError("`tree` is encoded as the message was, and no decoder knows this one")
        return [(turn.opcode, turn.talk.encode(turn.decoded, self.tree.render(turn)))]
