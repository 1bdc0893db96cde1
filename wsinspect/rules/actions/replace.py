"""`replace`: text or bytes within a payload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import Template, as_text
from wsinspect.rules.turn import Turn

MAX_GROWN_BYTES = 64 << 20
"""A message that a rule makes longer than this is refused."""

_REFERENCE = re.compile(r"\\(?:(\d{1,2})|g<(\w+)>|(\\)|(.?))", re.DOTALL)
_NOTHING = Template.parse("")


class Replace(Action):
    word = "replace"
    doc = (
        "Replace text or bytes within the payload as it stands in the message: JSON is text here. `set` "
        "changes single values of a decoded message."
    )
    example = "replace: {regex: 'price\":(\\d+)', with: 'price\":\\g<1>00', count: 1}"
    fields = (
        Field("text", Type.TEMPLATE, "What to replace: this text.", None),
        Field("regex", Type.REGEX, "What to replace: all that it matches (RE2).", None),
        Field("bytes", Type.BYTES, "What to replace: these bytes.", None),
        Field(
            "with",
            Type.TEMPLATE,
            "What comes instead. With regex, \\1 and \\g<name> are what groups matched, \\\\ is a backslash.",
            _NOTHING,
        ),
        Field("with-bytes", Type.BYTES, "What comes instead, in hex.", None),
        Field("count", Type.INT, "How many, from the left; 0: all.", 0, low=0),
    )

    text: Template | None
    regex: Any
    with_: Template
    bytes_: bytes | None
    with_bytes: bytes | None
    count: int

    def check(self) -> None:
        words.exactly_one(self, "text", "regex", "bytes")
        if self.with_bytes is not None and self.with_.text:
            raise ValueError("`with` and `with-bytes` cannot both stand here")
        if (self.text is not None and not self.text.text) or self.bytes_ == b"":
            raise ValueError("nothing to replace: the text is empty")
        self._pieces = tuple(self._compiled()) if self.regex is not None else ()
        self._done = f"replace {self._change()}"

    def _compiled(self) -> Iterator[Any]:
        """The replacement as bytes, numbers of groups and expressions; only what the rule says is read."""
        if self.with_bytes is not None:
            yield self.with_bytes
            return
        for part in self.with_.parts:
            if not isinstance(part, str):
                yield part
                continue
            at = 0
            for found in _REFERENCE.finditer(part):
                yield part[at : found.start()].encode()
                yield self._reference(found)
                at = found.end()
            yield part[at:].encode()

    def _reference(self, found: re.Match[str]) -> Any:
        number, name, backslash, other = found.groups()
        if backslash:
            return b"\\"
        if other is not None:
            raise ValueError(
                f"`with`: \\{other} means nothing; \\1 and \\g<name> are groups, \\\\ a backslash"
            )
        reference = number or name
        group = int(reference) if reference.isdecimal() else self.regex.groupindex.get(reference)
        if group is None or group > self.regex.groups:
            known = [*map(str, range(1, self.regex.groups + 1)), *self.regex.groupindex]
            there = f"there are {words.listed(known)}" if known else "it has none"
            raise ValueError(f"`with`: the regex has no group {reference}: {there}")
        return group

    def _what(self) -> str:
        if self.regex is not None:
            return words.pattern_text(self.regex)
        return words.shown(self.text if self.text is not None else self.bytes_)

    def _change(self) -> str:
        new = words.shown(self.with_ if self.with_bytes is None else self.with_bytes)
        return f"{self._what()} with {new}"

    def explain(self) -> str:
        first = "" if not self.count else "the first " if self.count == 1 else f"the first {self.count} of "
        return f"replace {first}{self._change()}"

    def apply(self, turn: Turn) -> str:
        payload, count = self._replaced(turn)
        if not count:
            return f"nothing replaced: no {self._what()}"
        turn.set_payload(payload)
        return f"{self._done} ({words.times(count)})" if count > 1 else self._done

    def _replaced(self, turn: Turn) -> tuple[bytes, int]:
        if self.regex is not None:
            return self._replaced_matches(turn)
        old = self.bytes_ if self.text is None else self.text.render(turn).encode()
        assert old is not None
        new = self.with_.render(turn).encode() if self.with_bytes is None else self.with_bytes
        if not old:
            return turn.payload, 0
        count = turn.payload.count(old)
        if self.count:
            count = min(count, self.count)
        _check_size(len(turn.payload) + count * (len(new) - len(old)))
        return turn.payload.replace(old, new, count), count

    def _replaced_matches(self, turn: Turn) -> tuple[bytes, int]:
        pieces = [
            each if isinstance(each, bytes | int) else as_text(each.value(turn)).encode()
            for each in self._pieces
        ]
        grown = [len(turn.payload)]

        def new(match: Any) -> bytes:
            made = b"".join(each if isinstance(each, bytes) else match.group(each) or b"" for each in pieces)
            grown[0] += len(made) - len(match.group())
            _check_size(grown[0])
            return made

        payload, count = self.regex.subn(new, turn.payload, self.count)
        return bytes(payload), int(count)


def _check_size(nbytes: int) -> None:
    if nbytes > MAX_GROWN_BYTES:
        raise ValueError(f"the message would grow beyond {words.size(MAX_GROWN_BYTES)}")
