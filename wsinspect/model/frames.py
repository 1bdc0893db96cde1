"""What is on the wire: sides, opcodes, violations, frames, messages."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

type Header = tuple[str, str]
"""A header's name and value as they stood on the wire (ISO-8859-1), order and doubles kept."""

type Address = tuple[str, int]
"""Host (name or IP literal, no brackets) and port."""


class Side(enum.IntEnum):
    """Who sent it."""

    CLIENT = 0
    SERVER = 1

    @property
    def other(self) -> Side:
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT

    @property
    def word(self) -> Literal["client", "server"]:
        return "client" if self is Side.CLIENT else "server"


class Opcode(enum.IntEnum):
    """RFC 6455 section 5.2. Frames carry a plain int, since a peer may send the reserved ones too."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


OPCODE_WORDS = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


def opcode_word(opcode: int) -> str:
    """`text`, `ping` …, or `reserved-11` for an opcode that RFC 6455 reserves."""
    return OPCODE_WORDS.get(opcode) or f"reserved-{opcode}"


class Violation(enum.Enum):
    """What a peer did against RFC 6455 or 7692: slug, section, sentence. To be shown, never raised."""

    UNMASKED_CLIENT = ("unmasked-client", "RFC 6455 5.1", "a client must mask its frames")
    MASKED_SERVER = ("masked-server", "RFC 6455 5.1", "a server must not mask its frames")
    RESERVED_BITS = ("reserved-bits", "RFC 6455 5.2", "a reserved bit is set that no extension defines")
    RESERVED_OPCODE = ("reserved-opcode", "RFC 6455 5.2", "the opcode is reserved")
    NON_MINIMAL_LENGTH = ("non-minimal-length", "RFC 6455 5.2", "the length is not in its shortest form")
    LENGTH_OVERFLOW = ("length-overflow", "RFC 6455 5.2", "the top bit of a 64-bit length is set")
    UNEXPECTED_CONTINUATION = ("unexpected-continuation", "RFC 6455 5.4", "a continuation of no message")
    EXPECTED_CONTINUATION = (
        "expected-continuation",
        "RFC 6455 5.4",
        "a new message inside an unfinished one",
    )
    FRAGMENTED_CONTROL = ("fragmented-control", "RFC 6455 5.5", "a control frame must not be fragmented")
    LONG_CONTROL = ("long-control", "RFC 6455 5.5", "a control frame must not exceed 125 bytes")
    DATA_AFTER_CLOSE = ("data-after-close", "RFC 6455 5.5.1", "a frame after the Close frame")
    BAD_CLOSE_LENGTH = ("bad-close-length", "RFC 6455 5.5.1", "a Close payload of one byte")
    BAD_CLOSE_CODE = ("bad-close-code", "RFC 6455 7.4", "a close code that must not stand on the wire")
    BAD_CLOSE_REASON = ("bad-close-reason", "RFC 6455 5.5.1", "a close reason that is not UTF-8")
    BAD_UTF8 = ("bad-utf8", "RFC 6455 8.1", "a text message that is not UTF-8")
    BAD_RSV1 = ("bad-rsv1", "RFC 7692 6.1", "RSV1 on a frame that does not begin a data message")
    BAD_DEFLATE = ("bad-deflate", "RFC 7692 7.2.2", "the compressed data cannot be inflated")

    def __init__(self, slug: str, section: str, sentence: str) -> None:
        self.slug = slug
        self.section = section
        self.sentence = sentence


@dataclass(slots=True)
class Frame:
    """One frame of one direction, unmasked but not inflated."""

    side: Side
    number: int
    """Counted from 1 in each direction of a connection."""
    offset: int
    """Position of the header's first byte in the direction's bytes since the 101."""
    fin: bool
    rsv: int
    """RSV1 RSV2 RSV3 as the bits 4, 2, 1."""
    opcode: int
    mask: bytes | None
    """The masking key (4 bytes), or None where the frame is not masked."""
    length: int
    """Payload bytes that the header announces."""
    header_bytes: int
    payload: bytes
    """Unmasked. Shorter than `length` where `truncated`."""
    truncated: bool = False
    """The payload exceeded the decoder's limit, or part of it was never captured."""
    violations: tuple[Violation, ...] = ()

    @property
    def wire_bytes(self) -> int:
        return self.header_bytes + self.length

    @property
    def is_control(self) -> bool:
        return self.opcode >= 8


@dataclass(slots=True)
class Message:
    """A data message, reassembled and, where it was compressed, inflated."""

    side: Side
    opcode: int
    """TEXT or BINARY (or a reserved data opcode)."""
    payload: bytes
    """Inflated. Empty where `lost`; shorter than the message where `truncated`."""
    first_frame: int
    last_frame: int
    wire_bytes: int
    """All bytes of its frames, headers included."""
    compressed: bool = False
    lost: Literal["", "window-lost", "gap"] = ""
    """Why the payload cannot be known: never guessed text."""
    truncated: bool = False
    violations: tuple[Violation, ...] = ()

    @property
    def text(self) -> str | None:
        """The payload as text, or None for a binary message or one that is not UTF-8."""
        if self.opcode != Opcode.TEXT:
            return None
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return None
