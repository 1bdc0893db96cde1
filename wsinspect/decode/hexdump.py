"""Bytes as people read them: offset, hexadecimal, ASCII."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["hexdump"]

_DOTS = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


def hexdump(data: bytes, *, start: int = 0, width: int = 16) -> Iterator[str]:
    """Lines of `width` bytes each, made as they are asked for; `start` is the offset of the first byte.

    `00000010  48 65 6c 6c 6f 20 77 6f  72 6c 64 0a              |Hello world.|`

    All lines before the `|` are equally long, so that the columns align. Raises ValueError if width < 1.
    """
    if width < 1:
        raise ValueError("a line holds at least one byte")
    half = width // 2 if width >= 8 else width
    room = width * 3 - 1 + (half < width)
    for at in range(0, len(data), width):
        line = bytes(data[at : at + width])
        numbers = line[:half].hex(" ")
        if len(line) > half:
            numbers += "  " + line[half:].hex(" ")
        yield f"{start + at:08x}  {numbers:<{room}}  |{line.translate(_DOTS).decode('ascii')}|"
