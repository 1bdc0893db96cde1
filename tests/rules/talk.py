"""A connection that rules believe in: variables, a clock that stands, and a decoder for JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wsinspect.model import Decoded, Frame, Message, Opcode, Side
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.turn import Turn

NOW = 1_767_225_600.25  # 2026-01-01T00:00:00.250Z


@dataclass
class FakeTalk:
    values: dict[str, Any] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    memories: dict[int, dict[str, Any]] = field(default_factory=dict)
    decoded: int = 0
    """How often a payload was decoded."""

    def decode(self, side: Side, opcode: int, payload: bytes) -> Decoded | None:
        self.decoded += 1
        try:
            return Decoded("json", json.loads(payload)) if opcode == Opcode.TEXT else None
        except ValueError:
            return None

    def encode(self, decoded: Decoded, tree: Any) -> bytes:
        try:
            return json.dumps(tree).encode()
        except TypeError as error:
            raise ValueError(str(error)) from None

    def later(self, turn: Turn, rule: str, render: Callable[[], bytes], now_ns: int) -> bytes | None:
        return render()

    def builtin(self, name: str) -> Any:
        known = {"conn": 7, "n": 3, "now": NOW, "client": "10.0.0.9", "host": "shop.test", "path": "/ws"}
        return {**known, "url": "wss://shop.test/ws?token=s3cret"}[name]

    def turn(self, payload: str | bytes | Any = "", side: Side = Side.CLIENT, now_ns: int = 0) -> Turn:
        """A text message (of JSON, where it is neither str nor bytes), or a binary one of bytes."""
        opcode = Opcode.BINARY if isinstance(payload, bytes) else Opcode.TEXT
        if not isinstance(payload, str | bytes):
            payload = json.dumps(payload)
        data = payload.encode() if isinstance(payload, str) else payload
        message = Message(side, opcode, data, 1, 1, len(data) + 6)
        return Turn(self, now_ns, side, self.memories, opcode=opcode, message=message, payload=data)

    def control(self, opcode: int, payload: bytes = b"", side: Side = Side.CLIENT) -> Turn:
        frame = Frame(side, 1, 0, True, 0, opcode, None, len(payload), 2, payload)
        return Turn(self, 0, side, self.memories, opcode=opcode, frame=frame, payload=payload)

    def opening(self, now_ns: int = 0) -> Turn:
        return Turn(self, now_ns, Side.SERVER, self.memories)

    def handshake(self, *, answer: bool = False) -> HandshakeTurn:
        return HandshakeTurn(self, answer, self.memories)
