"""Conditions on one message or frame: who sent it, what it is, what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import re2

from wsinspect.model import Side
from wsinspect.model.decoded import CODECS
from wsinspect.rules import regexes, text_forms
from wsinspect.rules.conditions.base import Condition, Needles, Sought
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.jsonpath import Each, Path
from wsinspect.rules.predicates import Predicate, Regex, contradiction
from wsinspect.rules.reach import DATA, FRAMES, KIND_WORDS, Kind, bit
from wsinspect.rules.reach import reach as places
from wsinspect.rules.spelling import bare, spellings
from wsinspect.rules.template import Expression
from wsinspect.wire.close_codes import close_code, parse_close

if TYPE_CHECKING:
    from wsinspect.rules.view import View


class From(Condition):
    field = Field("from", Type.SIDE, "Who sent it.")
    example = "from: server"
    exact = True
    value: Side

    def __init__(self, value: Side) -> None:
        super().__init__(value)
        self.reach = places(Kind, [value])

    def test(self, view: View) -> bool:
        return view.side is self.value

    def explain(self) -> str:
        return f"it comes from the {self.value.word}"


class KindIs(Condition):
    field = Field(
        "kind",
        Type.KINDS,
        "What it is: `fragment` is a message that came in more than one frame, `any` every message and "
        "control frame; or a list. Without it: messages, unless other conditions or the actions leave only "
        "something else.",
        words=tuple(KIND_WORDS),
    )
    example = "kind: [text, binary]"
    value: tuple[str, ...]

    def __init__(self, value: tuple[str, ...]) -> None:
        super().__init__(value)
        self._kinds = 0
        for word in value:
            if word != "fragment":
                self._kinds |= KIND_WORDS[word]
        self.reach = self._kinds | (DATA if "fragment" in value else 0)
        self.exact = self.reach == self._kinds

    def test(self, view: View) -> bool:
        return bool(self._kinds & bit(view.side, view.kind)) or (view.fragmented and "fragment" in self.value)

    def explain(self) -> str:
        return f"it is {' or '.join(_KIND_NOUNS[word] for word in self.value)}"


_KIND_NOUNS = {
    "handshake": "the handshake",
    "open": "the opening",
    "text": "a text message",
    "binary": "a binary message",
    "ping": "a ping",
    "pong": "a pong",
    "close": "a Close frame",
    "fragment": "a message of several frames",
    "any": "any message or control frame",
}


class Text(Condition):
    field = Field("text", Type.TEXT_TEST, "The payload of a text message, as UTF-8.")
    example = "text: {contains: password}"
    reach = KIND_WORDS["text"]
    reads_payload = True
    cost = 4
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds_bytes(view.payload, view)

    def explain(self) -> str:
        return f"its text {self.value.explain()}"

    def expressions(self) -> Iterator[Expression]:
        return self.value.expressions()

    def needles(self) -> Needles | None:
        found = self.value.literals()
        if isinstance(self.value, Regex):
            # A \Q without its \E would take what is joined to the pattern as text.
            return None if "\\Q" in self.value.text else Needles(patterns=frozenset([self.value.text]))
        if not found or not all(found):
            return None
        return Needles(frozenset(each.encode(errors="replace") for each in found))

    def never(self) -> str:
        return "no text is like that" if contradiction([self.value]) else ""


class Bytes(Condition):
    field = Field(
        "bytes",
        Type.BYTES_TEST,
        "Bytes of the payload in hex, `??` for any one; found anywhere, or as `equals`, `prefix` or "
        "`suffix`.",
    )
    example = "bytes: {prefix: 'de ad ?? ef'}"
    reach = FRAMES
    reads_payload = True
    cost = 4
    value: BytesTest

    def test(self, view: View) -> bool:
        return self.value.found(view.payload)

    def explain(self) -> str:
        return f"its payload {self.value.explain()}"

    def needles(self) -> Needles | None:
        exact = self.value.exact
        return Needles(frozenset([exact])) if exact else None


class BytesTest:
    """A hex pattern, and where it must stand."""

    HOWS = {  # noqa: RUF012
        "contains": (b"%s", "has the bytes"),
        "equals": (rb"\A%s\z", "is the bytes"),
        "prefix": (rb"\A%s", "begins with the bytes"),
        "suffix": (rb"%s\z", "ends with the bytes"),
    }

    def __init__(self, text: str, how: str = "contains") -> None:
        """Raises ValueError for what is not hex."""
        self.text = text
        self.how = how
        pattern, self.exact = regexes.hex_pattern(text)
        self.found = regexes.searcher(regexes.compile_bytes(self.HOWS[how][0] % pattern))

    def explain(self) -> str:
        return f"{self.HOWS[self.how][1]} {self.text}"


class Size(Condition):
    field = Field("size", Type.SIZE_TEST, "Bytes of the payload, inflated.")
    example = 'size: ">4KiB"'
    reach = FRAMES
    reads_payload = True
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(len(view.payload), view)

    def explain(self) -> str:
        return f"its size {self.value.explain()}"

    def never(self) -> str:
        return never_number("size", self.value, 0)


def never_number(noun: str, value: Predicate, least: int) -> str:
    """Why no whole number from `least` on does; empty where one does."""
    bounds = value.bounds()
    if bounds is not None and (bounds.high < least or (bounds.high == least and bounds.high_open)):
        return f"{noun} is never less than {least}"
    return f"no {noun} is like that" if contradiction([value], whole=True) else ""


class Json(Condition):
    field = Field(
        "json",
        Type.JSON_TESTS,
        "Values of the decoded payload, by JSON path, whatever its encoding: JSON, MessagePack, Socket.IO …",
    )
    example = "json: {$.type: ticker, $.price: {gt: 100}}"
    reach = DATA
    reads_payload = True
    cost = 8
    value: Mapping[Path, Predicate]

    def __init__(self, value: Mapping[Path, Predicate]) -> None:
        super().__init__(value)
        self._tests = tuple((path, test.any_of) for path, test in value.items())

    def test(self, view: View) -> bool:
        for path, holds in self._tests:
            if not holds(view.found(path), view):
                return False
        return view.decoded is not None

    def explain(self) -> str:
        return " and ".join(f"{path} {test.explain()}" for path, test in self.value.items())

    def expressions(self) -> Iterator[Expression]:
        for test in self.value.values():
            yield from test.expressions()

    def needles(self) -> Needles | None:
        return max(self.all_needles(), key=lambda each: each.worth, default=None)

    def all_needles(self) -> tuple[Needles, ...]:
        """Of values, and of the names of their places."""
        pairs = [pair for pair in self.value.items() if not pair[1].absent]
        found = [*(_of_value(*pair) for pair in pairs), *(_of_name(path) for path, _ in pairs)]
        return tuple(each for each in found if each is not None)

    def sought(self) -> tuple[Sought, ...]:
        pairs = self.value.items()
        return tuple(Sought(*pair) for pair in pairs if not (pair[1].absent or any(pair[1].expressions())))

    def never(self) -> str:
        for path, test in self.value.items():
            if path.is_single and contradiction([test]):
                return f"no value of {path} is like that"
        return ""


def _of_value(path: Path, test: Predicate) -> Needles | None:
    """Of the tree's texts the value's; or else how it may be spelled behind its name."""
    texts = test.literals()
    exact = test.exactly()
    if texts and exact is not None and set(exact) == set(texts):
        found = [_quoted(text) for text in texts]
    else:
        found = [bare(text).encode() for text in texts or ()]
    if found and all(found):
        return Needles(frozenset(found), in_tree=True)
    name = path.steps[-1] if path.steps else None
    spelled = spellings(test) if isinstance(name, str) and _quoted(name) else None
    if not spelled or not isinstance(name, str):
        return None
    head = re2.escape(f'"{name}"') + r"[ \t\n\r]*:[ \t\n\r]*"
    return Needles(in_tree=True, patterns=frozenset([f"{head}(?:{'|'.join(spelled)})"]))


def _of_name(path: Path) -> Needles | None:
    """The longest name on the way."""
    names = [_quoted(step) for step in path.steps if isinstance(step, str)]
    name = max(names, key=len, default=b"")
    return Needles(frozenset([name]), in_tree=True, is_name=True) if name else None


def _quoted(text: str) -> bytes:
    return f'"{text}"'.encode() if bare(text) or not text else b""


def single_tests(conditions: Sequence[Condition]) -> dict[Path, list[Predicate]]:
    """All tests of each single place of the tree, of conditions that must all hold."""
    found: dict[Path, list[Predicate]] = {}
    for condition in conditions:
        if isinstance(condition, Json):
            for path, test in condition.value.items():
                if not any(isinstance(step, Each) for step in path.steps):
                    found.setdefault(path, []).append(test)
    return found


class OfDecoded(Condition):
    """Base: a text that the decoder gives beside the tree."""

    noun = ""
    reach = DATA
    reads_payload = True
    cost = 8
    value: Predicate

    def text(self, view: View) -> str | None:
        raise NotImplementedError

    def test(self, view: View) -> bool:
        text = self.text(view)
        return self.value.absent if text is None else self.value.holds(text, view)

    def explain(self) -> str:
        return f"{self.noun} {self.value.explain()}"

    def expressions(self) -> Iterator[Expression]:
        return self.value.expressions()

    def never(self) -> str:
        return f"no {self.noun.removeprefix('its ')} is like that" if contradiction([self.value]) else ""


class Codec(OfDecoded):
    field = Field(
        "codec",
        Type.TEXT_TEST,
        f"Which decoder reads the payload: {', '.join(f'`{each}`' for each in CODECS)}.",
        form=text_forms.CODEC,
    )
    example = "codec: msgpack"
    noun = "its codec"

    def text(self, view: View) -> str | None:
        return None if view.decoded is None else view.decoded.codec


class MessageKind(OfDecoded):
    field = Field(
        "message-kind",
        Type.TEXT_TEST,
        "What sort of message it is in its protocol: an event's name, a method …",
    )
    example = "message-kind: subscribe"
    noun = "its kind"

    def text(self, view: View) -> str | None:
        return None if view.decoded is None else view.decoded.kind


class MessageId(OfDecoded):
    field = Field("message-id", Type.TEXT_TEST, "By which an answer finds its question in its protocol.")
    example = 'message-id: "{{id}}"'
    noun = "its id"

    def text(self, view: View) -> str | None:
        return None if view.decoded is None else view.decoded.id


class CloseCode(Condition):
    field = Field("close-code", Type.NUMBER_TEST, "The code of a Close frame.", low=0, high=65535)
    example = "close-code: [1001, 4000..4999]"
    reach = KIND_WORDS["close"]
    reads_payload = True
    value: Predicate

    def test(self, view: View) -> bool:
        code = parse_close(view.payload)[0]
        return self.value.any_of(() if code is None else (code,), view)

    def explain(self) -> str:
        return f"its close code {self.value.explain()}"

    def never(self) -> str:
        return never_number("close code", self.value, 0)

    def unlikely(self) -> str:
        for code in self.value.exactly() or ():
            known = close_code(int(code))
            if not known.may_stand_on_wire:
                return f"{code:.0f} must not stand in a Close frame: {known.sentence} (RFC 6455 7.4)"
        return ""


class CloseReason(Condition):
    field = Field("close-reason", Type.TEXT_TEST, "The reason of a Close frame.")
    example = "close-reason: {contains: idle}"
    reach = KIND_WORDS["close"]
    reads_payload = True
    value: Predicate

    def test(self, view: View) -> bool:
        return self.value.holds(parse_close(view.payload)[1], view)

    def explain(self) -> str:
        return f"its close reason {self.value.explain()}"

    def expressions(self) -> Iterator[Expression]:
        return self.value.expressions()
