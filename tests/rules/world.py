"""A connection for rules: a small JSON decoder, and messages with few words."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from wsinspect.model import Decoded, Decoder, Frame, Header, Message, Opcode, Opened, Requested, Side
from wsinspect.model.plans import Plan
from wsinspect.rules.engine import ConnectionRules
from wsinspect.rules.loading import load_text
from wsinspect.rules.ruleset import RuleSet

CLIENT, SERVER = Side.CLIENT, Side.SERVER
MS = 1_000_000
S = 1_000_000_000


class JsonDecoder:
    """JSON in text and binary; counts how often it is asked."""

    text_is_json = True

    def __init__(self) -> None:
        self.asked = 0

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        self.asked += 1
        try:
            tree = json.loads(payload.decode())
        except (ValueError, RecursionError):
            return None
        kind = tree.get("event") if isinstance(tree, dict) else None
        number = tree.get("id") if isinstance(tree, dict) else None
        return Decoded(
            "json",
            tree,
            kind=kind if isinstance(kind, str) else None,
            id=None if number is None else str(number),
        )

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        return json.dumps(tree).encode()


class PlainDecoder(JsonDecoder):
    """As one whose trees do not stand in the payload as they are: nothing may be scanned for."""

    text_is_json = False


def rules(text: str, *, folder: Path | None = None, allow_python: bool = False) -> RuleSet:
    """The rules of the items of `rules:`, or of a whole file where it begins with `version`."""
    text = textwrap.dedent(text).strip("\n")
    if not text.startswith("version"):
        text = "version: 1\nrules:\n" + textwrap.indent(text, "  ")
    return load_text(text, folder=folder, allow_python=allow_python)


class World:
    """One connection, and its clock."""

    def __init__(
        self,
        ruleset: RuleSet | str,
        *,
        url: str = "ws://host/ws",
        headers: list[Header] | None = None,
        client: str = "127.0.0.1",
        answer: list[Header] | None = None,
        conn: int = 1,
        decoder: Decoder | None = None,
        shadow: bool = False,
        open: bool = True,
    ) -> None:
        self.ruleset = rules(ruleset) if isinstance(ruleset, str) else ruleset
        self.decoder = decoder if decoder is not None else JsonDecoder()
        requested = Requested(url=url, headers=headers or [], client=(client, 5000))
        self.rules = ConnectionRules(self.ruleset, requested, conn=conn, decoder=self.decoder, shadow=shadow)
        self.now_ns = 1000 * S
        self.frames = [0, 0]
        self.opening: Plan | None = None
        if open:
            self.rules.opened_fact(Opened(headers=answer or []))
            self.opening = self.rules.opened(self.now_ns)

    @property
    def asked(self) -> int:
        """How often the decoder was."""
        assert isinstance(self.decoder, JsonDecoder)
        return self.decoder.asked

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)

    def text(self, side: Side, payload: str | bytes | dict[str, Any], frames: int = 1) -> Plan | None:
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        data = payload.encode() if isinstance(payload, str) else payload
        return self.message(side, data, Opcode.TEXT, frames)

    def binary(self, side: Side, payload: bytes) -> Plan | None:
        return self.message(side, payload, Opcode.BINARY)

    def message(
        self, side: Side, payload: bytes, opcode: int = Opcode.TEXT, frames: int = 1, **more: Any
    ) -> Plan | None:
        first = self.frames[side] + 1
        self.frames[side] += frames
        message = Message(side, opcode, payload, first, first + frames - 1, len(payload) + 2, **more)
        return self.rules.message(message, self.now_ns)

    def control(self, side: Side, opcode: int, payload: bytes = b"") -> Plan | None:
        self.frames[side] += 1
        frame = Frame(side, self.frames[side], 0, True, 0, opcode, None, len(payload), 2, payload)
        return self.rules.control(frame, self.now_ns)

    def ids(self, plan: Plan | None) -> list[str]:
        return [] if plan is None else [hit.rule for hit in plan.hits]

    def hit(self, side: Side, payload: str | bytes | dict[str, Any], frames: int = 1) -> bool:
        """Whether any rule matches a text message."""
        return self.text(side, payload, frames) is not None
