"""`capture`: values taken from a message or the handshake when a rule matches, used later as `{{name}}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wsinspect.rules import regexes
from wsinspect.rules.jsonpath import Path

if TYPE_CHECKING:
    from wsinspect.rules.view import View

MAX_CAPTURED = 64 << 10
"""Characters, bytes or values of what is captured: it stays for the life of the connection."""

NOTHING: Final = object()
"""There is no such value in this message."""


@dataclass(frozen=True, slots=True)
class FromTree:
    """A place of the decoded message."""

    path: Path

    def take(self, view: View) -> Any:
        found = view.found(self.path)
        if not found:
            return NOTHING
        return found[0] if self.path.is_single else list(found)

    def explain(self) -> str:
        return str(self.path)


class FromText:
    """The first group of a pattern in the payload, or all that it matched."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pattern = regexes.compile_regex(text)

    def take(self, view: View) -> Any:
        match = self.pattern.search(view.payload)
        if match is None:
            return NOTHING
        found = match.group(1 if self.pattern.groups else 0)
        return NOTHING if found is None else found.decode(errors="replace")

    def explain(self) -> str:
        return f"what /{self.text}/ finds"


@dataclass(frozen=True, slots=True)
class FromHandshake:
    """A header, a cookie or a parameter of the query."""

    what: str
    """`header`, `cookie` or `query`."""
    name: str

    def take(self, view: View) -> Any:
        facts = view.facts
        match self.what:
            case "header":
                found = facts.headers.get(self.name.lower())
            case "cookie":
                found = facts.cookies.get(self.name)
            case _:
                found = facts.query.get(self.name)
        return found[0] if found else NOTHING

    def explain(self) -> str:
        return f"the {self.what} {self.name}"


type Source = FromTree | FromText | FromHandshake


def small_enough(value: Any) -> bool:
    """Whether a value may be kept: no more than MAX_CAPTURED of anything in it."""
    left = MAX_CAPTURED
    stack = [value]
    while stack:
        each = stack.pop()
        left -= 1
        match each:
            case str() | bytes():
                left -= len(each)
            case list():
                left -= len(each)
                if left > 0:
                    stack += each
            case dict():
                left -= len(each) + sum(len(key) for key in each if isinstance(key, str))
                if left > 0:
                    stack += each.values()
            case int():
                left -= each.bit_length() >> 3
            case _:
                pass
        if left < 0:
            return False
    return True
