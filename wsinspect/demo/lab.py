"""Rarities of the protocol, as they turn up in the field, one for each visit to /lab."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wsinspect.model import Opcode
from wsinspect.peer import Connection
from wsinspect.wire.frames import encode_frame


@dataclass(frozen=True)
class Rarity:
    """One thing that a server may do, and few people have seen."""

    title: str
    show: Callable[[Connection], Awaitable[None]]


async def _split_character(connection: Connection) -> None:
    """Legal: fragments know nothing of UTF-8."""
    cut = "naïve café".encode()
    await connection.send_frame(Opcode.TEXT, cut[:3], fin=False)
    await connection.ping(b"in between")
    await connection.send_frame(Opcode.CONTINUATION, cut[3:], fin=False)
    await connection.send_frame(Opcode.CONTINUATION, b"")


async def _unasked_pong(connection: Connection) -> None:
    """Legal: a heartbeat in one direction (RFC 6455 section 5.5.3)."""
    await connection.pong(b"still here")


async def _long_length(connection: Connection) -> None:
    """A 5-byte payload whose length takes 16 bits: against section 5.2, and most peers let it pass."""
    await connection.write_raw(b"\x81\x7e\x00\x05hello")


async def _reserved_bit(connection: Connection) -> None:
    """RSV3 without an extension that defines it."""
    await connection.send_frame(Opcode.TEXT, b"RSV3 is set on me", rsv=1)


async def _reserved_opcode(connection: Connection) -> None:
    """A control frame of a kind that nobody has defined yet."""
    await connection.write_raw(encode_frame(11, b"opcode 11"))


async def _bad_utf8(connection: Connection) -> None:
    """Text in Latin-1: a strict client closes with 1007."""
    await connection.send_frame(Opcode.TEXT, "Grüße".encode("latin-1"))


RARITIES: tuple[Rarity, ...] = (
    Rarity("a character split between fragments, a ping between them", _split_character),
    Rarity("a pong that nobody asked for", _unasked_pong),
    Rarity("a length that is longer than it need be", _long_length),
    Rarity("a reserved bit", _reserved_bit),
    Rarity("text that is not UTF-8", _bad_utf8),
    Rarity("a reserved opcode", _reserved_opcode),
)
