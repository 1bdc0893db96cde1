"""What conditions look at: one message, frame, opening or handshake, each part of it worked out once.

One `View` serves a connection: it is set anew for each message, since making an object costs more than most
conditions do.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from wsinspect.model import Decoded, Frame, Message, Side
from wsinspect.rules.connection_facts import ConnectionFacts
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.reach import Kind, bit
from wsinspect.rules.turn import Talk

if TYPE_CHECKING:
    from wsinspect.rules.actions.base import Action
    from wsinspect.rules.conversation import Conversation

MAX_DECODED_BYTES = 16 << 20
"""A longer payload is not decoded for conditions."""

_UNSET: Any = object()


class View:
    """Attributes are for conditions to read; `set` and `payload_is` are the engine's."""

    __slots__ = (
        "_decoded",
        "_found",
        "conversation",
        "facts",
        "fragmented",
        "frame",
        "kind",
        "memories",
        "message",
        "now_ns",
        "opcode",
        "payload",
        "side",
        "talk",
    )

    def __init__(
        self, talk: Talk, facts: ConnectionFacts, conversation: Conversation, memories: dict[int, Any]
    ) -> None:
        self.talk = talk
        self.facts = facts
        self.conversation = conversation
        self.memories = memories
        self.now_ns = 0
        self.side = Side.CLIENT
        self.kind = Kind.REQUEST
        self.opcode = 0
        self.payload = b""
        """As it stands: what earlier rules made of it."""
        self.message: Message | None = None
        self.frame: Frame | None = None
        self.fragmented = False
        self._decoded: Decoded | None = None
        self._found: dict[str, list[Any]] = {}

    def set(self, side: Side, kind: Kind, now_ns: int) -> None:
        """A handshake or an opening."""
        self.now_ns, self.side, self.kind = now_ns, side, kind
        self.message = self.frame = None
        self.opcode = 0
        self.fragmented = False
        self.payload_is(b"")

    def set_message(self, message: Message, kind: Kind, now_ns: int) -> None:
        self.now_ns, self.side, self.kind = now_ns, message.side, kind
        self.message, self.frame = message, None
        self.opcode = message.opcode
        self.fragmented = message.first_frame != message.last_frame
        self.payload_is(message.payload)

    def set_control(self, frame: Frame, kind: Kind, now_ns: int) -> None:
        self.now_ns, self.side, self.kind = now_ns, frame.side, kind
        self.message, self.frame = None, frame
        self.opcode = frame.opcode
        self.fragmented = False
        self.payload_is(frame.payload)

    def release(self) -> None:
        """Keep nothing of the message: it may be large, and the next may be long in coming."""
        self.message = self.frame = None
        self.payload, self._decoded, self._found = b"", _UNSET, {}

    def payload_is(self, payload: bytes) -> None:
        """From here on conditions see this payload."""
        self.payload, self._decoded, self._found = payload, _UNSET, {}

    @property
    def place(self) -> int:
        """Side and kind as a bit of `reach`."""
        return bit(self.side, self.kind)

    def memory(self, action: Action) -> dict[str, Any]:
        """What an action remembers of this connection."""
        memory: dict[str, Any] = self.memories.setdefault(id(action), {})
        return memory

    @property
    def rng(self) -> random.Random:
        return self.talk.rng

    @property
    def decoded(self) -> Decoded | None:
        """The payload as a tree; None where no decoder knows it, or for what is no data message."""
        found = self._decoded
        if found is _UNSET:
            known = self.message is not None and len(self.payload) <= MAX_DECODED_BYTES
            found = self.talk.decode(self.side, self.opcode, self.payload) if known else None
            self._decoded = found
        return found

    def found(self, path: Path) -> list[Any]:
        """All values at a path of the decoded payload; several conditions that ask share one search."""
        found = self._found.get(path.text)
        if found is None:
            decoded = self.decoded
            found = [] if decoded is None else path.find(decoded.tree)
            self._found[path.text] = found
        return found

    def as_turn(self) -> Any:
        """For templates, which read what a `Turn` and a view both have."""
        return self
