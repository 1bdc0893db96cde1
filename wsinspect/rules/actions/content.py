"""What `payload`, `send` and `reply` have in common: a payload said in one of several ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsinspect.model import Opcode
from wsinspect.rules.actions import words
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import (
    BUILTINS,
    CHANGING,
    OF_PAYLOAD,
    AnyTurn,
    Template,
    Value,
    compact,
)

if TYPE_CHECKING:
    from wsinspect.rules.turn import Turn

MAX_KEPT_BYTES = 64 << 10
"""Of a payload that templates look at again."""
MAX_CONTROL_BYTES = 125
"""RFC 6455 5.5."""

JSON_FIELD = Field("json", Type.JSON, "Any value, which goes out as JSON; strings in it are templates.", None)
BASE64_FIELD = Field("base64", Type.BASE64, "Bytes in base64.", None)
HEX_FIELD = Field("hex", Type.BYTES, "Bytes in hex.", None)
PING_FIELD = Field("ping", Type.TEMPLATE, "A ping with this payload, which may be empty.", None)
PONG_FIELD = Field("pong", Type.TEMPLATE, "A pong with this payload, which may be empty.", None)


@dataclass(frozen=True, slots=True)
class Content:
    """One payload to be made, and of what kind."""

    opcode: Opcode
    source: bytes | Template | Value

    @classmethod
    def all_of(cls, action: object, name: str) -> list[Content]:
        """The payloads that a field says; raises ValueError for a control frame that is too long."""
        value: Any = getattr(action, Field.name_in_python(name))
        match name:
            case "text":
                texts = value if isinstance(value, tuple) else (value,)
                return [cls(Opcode.TEXT, text) for text in texts]
            case "json":
                return [cls(Opcode.TEXT, value)]
            case "base64" | "hex":
                return [cls(Opcode.BINARY, value)]
            case "ping" | "pong":
                if value.constant is not None:
                    check_control(value.constant.encode())
                return [cls(Opcode.PING if name == "ping" else Opcode.PONG, value)]
            case _:
                raise AssertionError(name)

    def render(self, turn: AnyTurn) -> bytes:
        """Raises ValueError where a value is missing, or a control frame gets too long."""
        match self.source:
            case bytes():
                return self.source
            case Template():
                payload = self.source.render(turn).encode()
            case Value():
                payload = compact(self.source.render(turn)).encode()
        if self.opcode >= Opcode.CLOSE:
            check_control(payload)
        return payload

    def later(self, turn: Turn, rule: str) -> Callable[[int], bytes | None] | None:
        """Renders it anew at a time, for the same message; None: that gives the same again.

        A large payload is not kept for that.
        """
        if isinstance(self.source, bytes):
            return None
        names = {each.name for each in self.source.expressions}
        asks = not OF_PAYLOAD.isdisjoint(names)
        if not any(name in CHANGING or name not in BUILTINS for name in names - {""}):
            return None
        if asks and len(turn.payload) > MAX_KEPT_BYTES:
            return None
        kept = turn.kept(payload=asks)
        return lambda now_ns: kept.talk.later(kept, rule, lambda: self.render(kept), now_ns)

    def explain(self) -> str:
        """`the text "hello"`, `a ping`."""
        match self.opcode:
            case Opcode.PING | Opcode.PONG:
                kind = f"a {self.opcode.name.lower()}"
                empty = isinstance(self.source, Template) and not self.source.text
                return kind if empty else f"{kind} of {words.shown(self.source)}"
            case Opcode.BINARY:
                return f"the bytes {words.shown(self.source)}"
            case _ if isinstance(self.source, Value):
                return f"the JSON {words.shown(self.source)}"
            case _:
                return f"the text {words.shown(self.source)}"


def check_control(payload: bytes) -> None:
    if len(payload) > MAX_CONTROL_BYTES:
        size = words.plural(len(payload), "byte")
        raise ValueError(
            f"{size} are too many for a control frame: it takes {MAX_CONTROL_BYTES} (RFC 6455 5.5)"
        )
