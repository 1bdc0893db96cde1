"""`payload`: another payload altogether."""

from __future__ import annotations

from pathlib import Path

from wsinspect.model import Opcode
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.content import BASE64_FIELD, HEX_FIELD, JSON_FIELD, Content, check_control
from wsinspect.rules.actions.shape import reshape
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.template import Expression, Template, Value
from wsinspect.rules.turn import Turn

MAX_FILE_BYTES = 16 << 20
_OPCODES = {"text": Opcode.TEXT, "binary": Opcode.BINARY}


class Payload(Action):
    word = "payload"
    doc = (
        "The message, or the ping, pong or close frame, goes on with another payload. It stays the kind that "
        "it is unless `as` says otherwise."
    )
    example = "payload: {json: {type: price, value: 1, id: '{{$.id}}'}}"
    fields = (
        Field("text", Type.TEMPLATE, "Text.", None),
        JSON_FIELD,
        BASE64_FIELD,
        HEX_FIELD,
        Field("file", Type.FILE, "What is in this file, read when the rules are loaded.", None),
        Field("template", Type.BOOL, "The file is a template, with {{…}} to fill in.", default=False),
        Field("as", Type.WORD, "Makes it a text or a binary message.", None, words=("text", "binary")),
    )
    short = "text"
    on = On.FRAMES

    text: Template | None
    json: Value | None
    base64: bytes | None
    hex_: bytes | None
    file: Path | None
    template: bool
    as_: str | None

    def check(self) -> None:
        name = words.exactly_one(self, "text", "json", "base64", "hex", "file")
        if self.template and self.file is None:
            raise ValueError("`template` belongs to `file`; text and JSON are templates anyway")
        if self.file is None:
            (self._content,) = Content.all_of(self, name)
        else:
            data = _read(self.file)
            source = Template.parse(_decoded(self.file, data)) if self.template else data
            self._content = Content(Opcode.BINARY, source)
        self._opcode = _OPCODES[self.as_] if self.as_ else None

    def expressions(self) -> tuple[Expression, ...]:
        source = self._content.source
        return source.expressions if self.template and isinstance(source, Template) else super().expressions()

    def _what(self) -> str:
        return f"what {self.file.name} holds" if self.file is not None else self._content.explain()

    def explain(self) -> str:
        kind = f" in a {self._opcode.name.lower()} message" if self._opcode else ""
        return f"send {self._what()} instead{kind}"

    def apply(self, turn: Turn) -> str:
        payload = self._content.render(turn)
        if turn.opcode >= Opcode.CLOSE:
            check_control(payload)
        turn.set_payload(payload)
        if self._opcode and self._opcode != turn.opcode and turn.opcode < Opcode.CLOSE:
            reshape(turn, opcode=int(self._opcode))
        return f"payload: {self._what()}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} is larger than {words.size(MAX_FILE_BYTES)}")
    return data


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8, so it cannot be a template") from None
