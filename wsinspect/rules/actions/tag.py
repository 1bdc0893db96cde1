"""`tag`: words on a message, to find it again."""

from __future__ import annotations

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Tag(Action):
    word = "tag"
    doc = "Put tags on the message in the capture, to see and find it by. Nothing that passes is changed."
    example = "tag: [login, slow]"
    fields = (Field("tags", Type.TEXTS, "A tag, or several."),)
    short = "tags"
    on = On.TRAFFIC

    tags: tuple[str, ...]

    def check(self) -> None:
        if not self.tags:
            raise ValueError("a tag is missing")
        for tag in self.tags:
            if not tag or tag.split() != [tag] or not tag.isprintable():
                raise ValueError(f"{tag!r} is no tag: a tag is one word, without spaces")

    def explain(self) -> str:
        return f"tag it {words.listed(self.tags)}"

    def apply(self, turn: Turn) -> str:
        new = [tag for tag in self.tags if tag not in turn.tags]
        turn.tags += tuple(new)
        return f"tag {words.listed(new)}" if new else ""
