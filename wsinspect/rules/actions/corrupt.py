"""`corrupt`: what no peer may send, to see how the other one takes it."""

from __future__ import annotations

import enum
from typing import assert_never

from wsinspect.model import Opcode, Side
from wsinspect.model.plans import MaskFault
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action
from wsinspect.rules.actions.content import MAX_CONTROL_BYTES
from wsinspect.rules.actions.seeded import SEED_FIELD
from wsinspect.rules.actions.shape import reshape
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn


class Fault(enum.StrEnum):
    """What is broken; in the sentences, what a peer that follows RFC 6455 should make of it."""

    FLIP_BITS = "flip-bits"
    """Bits of the payload."""
    TRUNCATED = "truncated"
    """The payload's end is missing, in a frame that is whole."""
    BAD_UTF8 = "bad-utf8"
    """8.1: fail with 1007."""
    WRONG_MASK = "wrong-mask"
    """5.3: the payload is garbage; a client must fail a masked frame of the server's."""
    NO_MASK = "no-mask"
    """5.1: a server must fail it."""
    RESERVED_BITS = "reserved-bits"
    """5.2: fail."""
    RESERVED_OPCODE = "reserved-opcode"
    """5.2: fail."""
    STRAY_CONTINUATION = "stray-continuation"
    """5.4: a continuation of no message."""
    UNFINISHED = "unfinished"
    """5.4: no frame of the message has FIN, and the next message begins."""
    LONG_CONTROL = "long-control"
    """5.5: a ping of more than 125 bytes."""
    FRAGMENTED_CONTROL = "fragmented-control"
    """5.5: a ping in two frames."""
    WIDE_LENGTH = "wide-length"
    """5.2: a length that is not in its shortest form."""


_EXPLAINED = {
    Fault.TRUNCATED: "cut off part of its payload",
    Fault.BAD_UTF8: "break its UTF-8",
    Fault.WRONG_MASK: "mask it with another key than its header says",
    Fault.NO_MASK: "send it without a mask",
    Fault.STRAY_CONTINUATION: "send it as a continuation of no message",
    Fault.UNFINISHED: "send it without its FIN",
    Fault.LONG_CONTROL: "send it as a ping that is too long",
    Fault.FRAGMENTED_CONTROL: "send it as a ping in two frames",
    Fault.WIDE_LENGTH: "write its length in a longer form than allowed",
}


class Corrupt(Action):
    word = "corrupt"
    doc = (
        "Break the message on purpose, against RFC 6455, to see how the other side takes it. What is random "
        "(which bits, how much is cut off) repeats with its seed."
    )
    example = "corrupt: {how: flip-bits, bits: 3, seed: 7}"
    fields = (
        Field("how", Type.WORD, "What is broken.", words=tuple(Fault)),
        Field("bits", Type.INT, "With flip-bits: how many are flipped.", None, low=1, high=1_000_000),
        Field(
            "rsv",
            Type.INT,
            "With reserved-bits: RSV1, RSV2, RSV3 as 4, 2, 1; otherwise 2.",
            None,
            low=1,
            high=7,
        ),
        Field(
            "opcode", Type.INT, "With reserved-opcode: 3 to 7 or 11 to 15; otherwise 3.", None, low=3, high=15
        ),
        SEED_FIELD,
    )
    short = "how"

    how: str
    bits: int | None
    rsv: int | None
    opcode: int | None

    def check(self) -> None:
        self._fault = Fault(self.how)
        wanted = {Fault.FLIP_BITS: "bits", Fault.RESERVED_BITS: "rsv", Fault.RESERVED_OPCODE: "opcode"}
        for fault, name in wanted.items():
            if getattr(self, name) is not None and self._fault is not fault:
                raise ValueError(f"`{name}` belongs to {fault}, not to {self._fault}")
        if self.opcode is not None and 8 <= self.opcode <= 10:
            raise ValueError(f"the opcode {self.opcode} is not reserved: 3 to 7 and 11 to 15 are")

    def explain(self) -> str:
        match self._fault:
            case Fault.FLIP_BITS:
                return f"flip {words.plural(self.bits or 1, 'bit')} of its payload"
            case Fault.RESERVED_BITS:
                return f"set {words.listed(_bit_names(self.rsv or 2))}"
            case Fault.RESERVED_OPCODE:
                return f"send it with the reserved opcode {self.opcode or 3}"
            case _:
                return _EXPLAINED[self._fault]

    def apply(self, turn: Turn) -> str:
        done = self._break(turn)
        return f"corrupt: {done}"

    def _break(self, turn: Turn) -> str:
        match self._fault:
            case Fault.FLIP_BITS:
                return self._flip(turn)
            case Fault.TRUNCATED:
                return self._truncate(turn)
            case Fault.BAD_UTF8:
                return self._break_utf8(turn)
            case Fault.WRONG_MASK:
                reshape(turn, mask=MaskFault.WRONG)
                return "wrong mask" if turn.side is Side.CLIENT else "a mask on a server's frame"
            case Fault.NO_MASK:
                if turn.side is Side.SERVER:
                    return "nothing, since a server's frames have no mask"
                reshape(turn, mask=MaskFault.MISSING)
                return "no mask"
            case Fault.RESERVED_BITS:
                reshape(turn, rsv=self.rsv or 2)
                return words.listed(_bit_names(self.rsv or 2))
            case Fault.RESERVED_OPCODE:
                reshape(turn, opcode=self.opcode or 3)
                return f"reserved opcode {self.opcode or 3}"
            case Fault.STRAY_CONTINUATION:
                reshape(turn, opcode=int(Opcode.CONTINUATION), rsv=0)
                return "a continuation of no message"
            case Fault.UNFINISHED:
                reshape(turn, unfinished=True)
                return "no FIN"
            case Fault.LONG_CONTROL:
                turn.set_payload(turn.payload.ljust(MAX_CONTROL_BYTES + 1, b"\0"))
                reshape(turn, opcode=int(Opcode.PING), rsv=0, merge=True, sizes=None)
                return f"a ping of {words.plural(len(turn.payload), 'byte')}"
            case Fault.FRAGMENTED_CONTROL:
                turn.set_payload(turn.payload[:MAX_CONTROL_BYTES].ljust(2, b"\0"))
                reshape(
                    turn, opcode=int(Opcode.PING), rsv=0, merge=False, sizes=((len(turn.payload) + 1) // 2,)
                )
                return "a ping in two frames"
            case Fault.WIDE_LENGTH:
                reshape(turn, wide_length=True)
                return "length not in its shortest form"
            case _:
                assert_never(self._fault)

    def _flip(self, turn: Turn) -> str:
        total = len(turn.payload) * 8
        if not total:
            return "nothing, since its payload is empty"
        data = bytearray(turn.payload)
        chosen = self.random_of(turn).sample(range(total), min(self.bits or 1, total))
        for bit in chosen:
            data[bit // 8] ^= 1 << bit % 8
        turn.set_payload(bytes(data))
        return f"{words.plural(len(chosen), 'bit')} flipped"

    def _truncate(self, turn: Turn) -> str:
        if not turn.payload:
            return "nothing, since its payload is empty"
        kept = self.random_of(turn).randrange(len(turn.payload))
        gone = len(turn.payload) - kept
        turn.set_payload(turn.payload[:kept])
        return f"{words.plural(gone, 'byte')} cut off"

    def _break_utf8(self, turn: Turn) -> str:
        if turn.opcode != Opcode.TEXT:
            return "nothing, since it is no text message"
        at = self.random_of(turn).randrange(len(turn.payload)) if turn.payload else 0
        turn.set_payload(turn.payload[:at] + b"\xff" + turn.payload[at + 1 :])
        return f"bad UTF-8 at byte {at}"


def _bit_names(rsv: int) -> list[str]:
    return [name for bit, name in ((4, "RSV1"), (2, "RSV2"), (1, "RSV3")) if rsv & bit]
