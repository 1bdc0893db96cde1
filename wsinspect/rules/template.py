"""Text with `{{…}}` in it, filled in when a rule matches.

    {{name}}            a variable of `vars`, a captured value, or a builtin (`BUILTINS`)
    {{user.name[0]}}    a place in such a value
    {{$.a.b}}           a place in the decoded message
    {{$.a|json}}        through filters (`FILTERS`), from left to right
    {{'{{'}}            quoted text, as it stands: so two braces are written

`Template` gives text, `Value` any value of YAML whose strings are templates: there a string that is one
`{{…}}` and nothing else becomes the value itself, so that a number stays a number.
"""

from __future__ import annotations

import base64
import difflib
import itertools
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wsinspect.rules import jsonpath

if TYPE_CHECKING:
    from wsinspect.rules.handshake_turn import HandshakeTurn
    from wsinspect.rules.turn import Turn

type AnyTurn = Turn | HandshakeTurn

BUILTINS: dict[str, str] = {
    "conn": "the connection's number",
    "n": "the message's number in its direction, from 1",
    "url": "the URL that the client asked for",
    "host": "its host",
    "path": "its path, without the query",
    "client": "the client's IP address",
    "side": "who sent the message: client or server",
    "text": "the message's payload as text",
    "size": "its bytes",
    "now": "the time in seconds since 1970, with a fraction",
    "now_ms": "the time in whole milliseconds since 1970",
    "time": "the time in UTC, as in 2026-01-31T08:15:00.250Z",
    "uuid": "a random UUID (version 4), another one each time",
    "counter": "1, 2, 3 …: one more each time that it is used in the connection",
    "random": "a random number from 0 up to 1",
}
"""Names that are always there, and what they give. `Talk.builtin` knows the first six and `now`."""


CHANGING = frozenset({"now", "now_ms", "time", "uuid", "counter", "random"})
"""Builtins that are other ones each time, whatever the message."""
OF_PAYLOAD = frozenset({"", "text", "size"})
"""Names that look at the message's payload; "" is a place in it."""


class TemplateError(ValueError):
    """What is wrong with a template, and where."""

    def __init__(self, text: str, position: int, sentence: str) -> None:
        self.text = text
        self.position = position
        """Of the first wrong character, from 0."""
        self.sentence = sentence
        super().__init__(sentence)


# ----------------------------------------------------------------------------------------------- values


def compact(value: Any) -> str:
    """A value as JSON on one line. Raises ValueError where JSON cannot say it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"JSON cannot carry this value: {error}") from None


def as_text(value: Any) -> str:
    """A value as it stands in text: strings as they are, all else as JSON."""
    match value:
        case str():
            return value
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise ValueError("bytes that are no text; |base64 or |hex says them in text") from None
        case _:
            return compact(value)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else as_text(value).encode()


FILTERS: dict[str, Callable[[Any], str]] = {
    "json": compact,
    "base64": lambda value: base64.b64encode(_as_bytes(value)).decode(),
    "hex": lambda value: _as_bytes(value).hex(),
    "url": lambda value: urllib.parse.quote(_as_bytes(value), safe=""),
}


# ---------------------------------------------------------------------------------------------- builtins


def _builtin(name: str, turn: AnyTurn) -> Any:
    match name:
        case "uuid":
            return str(uuid.UUID(int=turn.rng.getrandbits(128), version=4))
        case "random":
            return turn.rng.random()
        case "counter":
            memory = turn.memories.setdefault(0, {})  # no action's id is 0
            memory["counter"] = memory.get("counter", 0) + 1
            return memory["counter"]
        case "now_ms":
            return int(turn.talk.builtin("now") * 1000)
        case "time":
            now = datetime.fromtimestamp(turn.talk.builtin("now"), UTC)
            return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "side":
            return turn.side.word
        case "text":
            return turn.payload.decode(errors="replace")
        case "size":
            return len(turn.payload)
        case _:
            return turn.talk.builtin(name)


# ------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between the braces."""

    source: str
    """As it was written, without the braces."""
    position: int
    """Of its first character in the template."""
    name: str
    """"": a place in the decoded message."""
    path: jsonpath.Path
    filters: tuple[str, ...] = ()

    def value(self, turn: AnyTurn) -> Any:
        """Raises ValueError where there is no such value now."""
        value = self._at_path(self._root(turn))
        for name in self.filters:
            value = FILTERS[name](value)
        return value

    def _root(self, turn: AnyTurn) -> Any:
        if not self.name:
            decoded = turn.decoded
            if decoded is None:
                raise ValueError(f"{{{{{self.source}}}}}: no decoder knows this message")
            return decoded.tree
        values = turn.talk.values
        if self.name in values:
            return values[self.name]
        try:
            return _builtin(self.name, turn)
        except KeyError:
            raise ValueError(f"{{{{{self.source}}}}}: {self.name} has no value yet") from None

    def _at_path(self, root: Any) -> Any:
        if not self.path.steps:
            return root
        found = self.path.find(root)
        if not self.path.is_single:
            return found
        if not found:
            raise ValueError(
                f"{{{{{self.source}}}}}: there is no such place in {self.name or 'this message'}"
            )
        return found[0]


_NAME = re.compile(r"[A-Za-z_][\w-]*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\}\}|\|", re.DOTALL)


def _parse(text: str) -> Iterator[str | Expression]:
    at = 0
    while True:
        start = text.find("{{", at)
        if start < 0:
            if at < len(text):
                yield text[at:]
            return
        if start > at:
            yield text[at:start]
        bars, end = _ends(text, start)
        yield _expression(text, start + 2, bars, end)
        at = end + 2


def _ends(text: str, start: int) -> tuple[list[int], int]:
    """Where the bars and the closing braces are, quoted ones left out."""
    bars: list[int] = []
    for token in _TOKEN.finditer(text, start + 2):
        if token[0] == "}}":
            return bars, token.start()
        if token[0] == "|":
            bars.append(token.start())
    raise TemplateError(text, start, "{{ without }}; two braces as text are written {{'{{'}}")


def _expression(text: str, start: int, bars: list[int], end: int) -> str | Expression:
    cuts = [start - 1, *bars, end]
    pieces = [text[a + 1 : b].strip() for a, b in itertools.pairwise(cuts)]
    source, filters = pieces[0], tuple(pieces[1:])
    position = start + len(text[start:]) - len(text[start:].lstrip())
    for name in filters:
        if name not in FILTERS:
            sentence = f"there is no filter {name!r}{nearest(name, FILTERS)}"
            raise TemplateError(text, text.index(name, bars[0]) if name else bars[0], sentence)
    if not source:
        raise TemplateError(text, start, "nothing stands between the braces; text is written {{'{{'}}")
    if _QUOTED.fullmatch(source) and not filters:
        return source[1:-1]
    found = _NAME.match(source)
    if found is None and not source.startswith("$"):
        raise TemplateError(text, position, f"{source!r} is neither a name nor a path ($.a.b)")
    name = found[0] if found else ""
    start_of_path = position + len(name) - 1 if name else position
    path = _path(text, start_of_path, "$" + source[len(name) :] if name else source)
    return Expression(text[start:end].strip(), position, name, path, filters)


def _path(text: str, position: int, path: str) -> jsonpath.Path:
    try:
        return jsonpath.parse(path)
    except jsonpath.PathError as error:
        raise TemplateError(text, position + error.position, error.sentence) from None


def nearest(name: str, known: Collection[str]) -> str:
    """`; did you mean X?`, or all of them where they are few, or nothing."""
    close = difflib.get_close_matches(name, known, 1, 0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(sorted(known))}" if 0 < len(known) <= 8 else ""


def check_names(
    expressions: Iterable[Expression], known: Collection[str], fixed: Mapping[str, Any] | None = None
) -> None:
    """Raise TemplateError for the first name that is neither known (`vars`, captured) nor a builtin.

    `fixed`: values that are known beforehand; a place that they have not is wrong too.
    """
    for each in expressions:
        if each.name and each.name not in known and each.name not in BUILTINS:
            guess = nearest(each.name, {*known, *BUILTINS})
            raise TemplateError(
                each.source, each.position, f"{{{{{each.source}}}}}: nothing defines {each.name}{guess}"
            )
        if fixed is not None and each.name in fixed and each.path.is_single:
            _check_place(each, fixed[each.name])


def _check_place(expression: Expression, value: Any) -> None:
    """Raise TemplateError where a value that never changes has not the place that is asked for."""
    for step in expression.path.steps:
        found = jsonpath.Path("", (step,)).find(value)
        if not found:
            guess = nearest(step, value) if isinstance(step, str) and isinstance(value, dict) else ""
            sentence = f"{{{{{expression.source}}}}}: there is no such place in {expression.name}{guess}"
            raise TemplateError(expression.source, expression.position, sentence)
        value = found[0]


# --------------------------------------------------------------------------------------------- templates


@dataclass(frozen=True, slots=True)
class Template:
    """Text, ready to be filled in. `str()` gives it as it was written."""

    text: str
    parts: tuple[str | Expression, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises TemplateError."""
        return cls(text, tuple(_parse(text)))

    def __str__(self) -> str:
        return self.text

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def constant(self) -> str | None:
        """The text, where nothing has to be filled in."""
        return None if self.expressions else "".join(str(part) for part in self.parts)

    def render(self, turn: AnyTurn) -> str:
        """The text for a message. Raises ValueError where a value is missing."""
        return "".join(part if isinstance(part, str) else as_text(part.value(turn)) for part in self.parts)

    def value(self, turn: AnyTurn) -> Any:
        """The value itself of a template that is one `{{…}}`, else the text. Raises ValueError."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].value(turn)
        return self.render(turn)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of YAML whose strings are templates. `str()` gives it as compact JSON."""

    source: Any
    """As YAML gives it."""
    templates: tuple[Template, ...]
    """Those with something to fill in."""
    render: Callable[[AnyTurn], Any]
    """Gives the value for a message. Raises ValueError where a value is missing."""

    @classmethod
    def parse(cls, source: Any) -> Value:
        """Raises TemplateError. Names of maps are taken as they are."""
        templates: list[Template] = []
        render = _compiled(source, templates)
        return cls(source, tuple(templates), render)

    def __str__(self) -> str:
        return compact(self.source)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(each for template in self.templates for each in template.expressions)


def _compiled(source: Any, templates: list[Template]) -> Callable[[AnyTurn], Any]:
    match source:
        case str():
            template = Template.parse(source)
            text = template.constant
            if text is not None:
                return _constant(text)
            templates.append(template)
            return template.value
        case list():
            items = [_compiled(item, templates) for item in source]
            return lambda turn: [item(turn) for item in items]
        case dict():
            pairs = [(key, _compiled(item, templates)) for key, item in source.items()]
            return lambda turn: {key: item(turn) for key, item in pairs}
        case _:
            pass
    return _constant(source)


def _constant(value: Any) -> Callable[[AnyTurn], Any]:
    return lambda turn: value
