"""MessagePack (github.com/msgpack/msgpack/blob/master/spec.md): values read and written, within limits.

Our own and not the msgpack package: an edit needs to know where each value stands, keys of any type and text
that is not UTF-8 must survive, and what one message may cost is bounded.

    nil bool int float   None bool int float        float 32 reads as the double of the same value
    str                  str                        bytes that are not UTF-8 become lone surrogates
    bin                  bytes
    array map            list dict                  an array, map or ext as a key: RawKey
    ext                  Ext                        the timestamp (-1) among them
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wsinspect.decode.limits import MAX_DEPTH, MAX_MSGPACK_VALUES, NotDecoded

__all__ = ["Ext", "RawKey", "Reader", "pack", "unpack"]


@dataclass(frozen=True, slots=True)
class Ext:
    """An application's own type, or a timestamp. Opaque: paths do not look into it."""

    code: int
    """-128 to 127; below 0 is MessagePack's own."""
    data: bytes

    def __str__(self) -> str:
        when = _timestamp(self.data) if self.code == -1 else None
        return when or f"‹ext {self.code}, {len(self.data)} bytes›"


@dataclass(frozen=True, slots=True)
class RawKey:
    """A map's key that Python has no key for, as it stood."""

    data: bytes

    def __str__(self) -> str:
        return f"‹key of {len(self.data)} bytes›"


def unpack(payload: bytes) -> Any:
    """The value that the whole payload is. Raises NotDecoded for anything else, and beyond the limits."""
    reader = Reader(payload)
    value = reader.value()
    if reader.at != len(payload):
        raise NotDecoded
    return value


_CODERS = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_LENGTH_BYTES = {
    0xC4: 1, 0xC5: 2, 0xC6: 4,  # bin
    0xC7: 1, 0xC8: 2, 0xC9: 4,  # ext
    0xD9: 1, 0xDA: 2, 0xDB: 4,  # str
    0xDC: 2, 0xDD: 4,  # array
    0xDE: 2, 0xDF: 4,  # map
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_SIMPLE = (str, int, float, bool, bytes, type(None))


class Reader:
    """Reads values one after the other, from `at` on."""

    def __init__(self, payload: bytes, at: int = 0) -> None:
        self.payload = payload
        self.at = at
        self._left = MAX_MSGPACK_VALUES

    def value(self) -> Any:
        """The next value. Raises NotDecoded where there is none, or beyond the limits."""
        try:
            return self._value(0)
        except (IndexError, struct.error):
            raise NotDecoded from None

    def head(self) -> tuple[int, int]:
        """The first byte of the array or map that comes next, and the number of its items."""
        first = self.payload[self.at]
        self.at += 1
        if first < 0xA0:
            return first, first & 0x0F
        return first, self._number(_LENGTH_BYTES[first])

    def key(self) -> Any:
        """The next value, as a key."""
        return self._key(0)

    def _value(self, depth: int) -> Any:
        first = self.payload[self.at]
        if first < 0x80:
            self.at += 1
            return first
        if first >= 0xE0:
            self.at += 1
            return first - 256
        if 0xA0 <= first < 0xC0:
            self.at += 1
            return self._take(first & 0x1F).decode("utf-8", "surrogateescape")
        if first in _CODERS:
            coder = _CODERS[first]
            (number,) = coder.unpack_from(self.payload, self.at + 1)
            self.at += 1 + coder.size
            return number
        if first in _CONSTANTS:
            self.at += 1
            return _CONSTANTS[first]
        if first < 0xA0 or first >= 0xDC:
            return self._container(depth + 1)
        return self._sized(first)

    def _container(self, depth: int) -> Any:
        first, count = self.head()
        self._left -= count
        if depth > MAX_DEPTH or self._left < 0:
            raise NotDecoded
        value = self._value
        if first & 0xF0 == 0x90 or first in (0xDC, 0xDD):
            return [value(depth) for _ in range(count)]
        key = self._key
        return {key(depth): value(depth) for _ in range(count)}

    def _key(self, depth: int) -> Any:
        begin = self.at
        key = self._value(depth)
        return key if isinstance(key, _SIMPLE) else RawKey(self.payload[begin : self.at])

    def _sized(self, first: int) -> Any:
        self.at += 1
        if 0xD4 <= first <= 0xD8:
            return self._ext(1 << (first - 0xD4))
        length = self._number(_LENGTH_BYTES.get(first, 0))
        if first <= 0xC6:
            return self._take(length)
        if first <= 0xC9:
            return self._ext(length)
        return self._take(length).decode("utf-8", "surrogateescape")

    def _ext(self, length: int) -> Ext:
        code = self._number(1)
        return Ext(code - 256 if code > 127 else code, self._take(length))

    def _number(self, size: int) -> int:
        if not size:
            raise NotDecoded  # 0xc1 is never used
        return int.from_bytes(self._take(size), "big")

    def _take(self, length: int) -> bytes:
        data = self.payload[self.at : self.at + length]
        if len(data) != length:
            raise NotDecoded
        self.at += length
        return data


def pack(value: Any) -> bytes:
    """The value in its smallest form; floats as 64 bits. The caller bounds its depth.

    Raises ValueError, with a sentence, for what MessagePack cannot carry.
    """
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def pack_head(out: bytearray, count: int, *, is_map: bool) -> None:
    """The bytes before the items of an array or a map."""
    if count < 16:
        out.append((0x80 if is_map else 0x90) | count)
    else:
        _put_length(out, count, (0, 0xDE, 0xDF) if is_map else (0, 0xDC, 0xDD))


def _pack(value: Any, out: bytearray) -> None:
    match value:
        case None:
            out.append(0xC0)
        case bool():
            out.append(0xC3 if value else 0xC2)
        case int():
            _pack_int(value, out)
        case float():
            out += b"\xcb" + _CODERS[0xCB].pack(value)
        case str():
            _pack_str(value, out)
        case bytes() | bytearray():
            _put_length(out, len(value), (0xC4, 0xC5, 0xC6))
            out += value
        case Ext():
            _pack_ext(value, out)
        case list() | tuple():
            pack_head(out, len(value), is_map=False)
            for item in value:
                _pack(item, out)
        case dict():
            pack_head(out, len(value), is_map=True)
            for key, item in value.items():
                _pack(key, out)
                _pack(item, out)
        case RawKey():
            out += value.data
        case _:
            raise ValueError(f"MessagePack cannot carry a {type(value).__name__}")


def _pack_int(value: int, out: bytearray) -> None:
    if -32 <= value < 128:
        out.append(value & 0xFF)
        return
    bits = value.bit_length() if value >= 0 else (~value).bit_length() + 1
    for index, size in enumerate((8, 16, 32, 64)):
        if bits <= size:
            out.append((0xCC if value >= 0 else 0xD0) + index)
            out += value.to_bytes(size // 8, "big", signed=value < 0)
            return
    raise ValueError("MessagePack carries integers of 64 bits at most")


def _pack_str(value: str, out: bytearray) -> None:
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("MessagePack cannot carry a lone surrogate") from None
    if len(data) < 32:
        out.append(0xA0 | len(data))
    else:
        _put_length(out, len(data), (0xD9, 0xDA, 0xDB))
    out += data


def _pack_ext(value: Ext, out: bytearray) -> None:
    size = len(value.data)
    if size in (1, 2, 4, 8, 16):
        out.append(0xD4 + size.bit_length() - 1)
    else:
        _put_length(out, size, (0xC7, 0xC8, 0xC9))
    out.append(value.code & 0xFF)
    out += value.data


def _put_length(out: bytearray, length: int, firsts: tuple[int, int, int]) -> None:
    """The first byte for 8, 16 or 32 bits of length (0: there is none), and the length."""
    for first, size in zip(firsts, (1, 2, 4), strict=True):
        if first and length < 1 << 8 * size:
            out.append(first)
            out += length.to_bytes(size, "big")
            return
    raise ValueError("MessagePack carries lengths of 32 bits at most")


def _timestamp(data: bytes) -> str | None:
    """The extension type -1: seconds in 32 bits, nanoseconds and seconds in 30 + 34, or in 32 + 64 bits."""
    number = int.from_bytes(data, "big")
    match len(data):
        case 4:
            nanos, seconds = 0, number
        case 8:
            nanos, seconds = number >> 34, number & (1 << 34) - 1
        case 12:
            nanos, seconds = number >> 64, int.from_bytes(data[4:], "big", signed=True)
        case _:
            return None
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        return None
    return when.isoformat().replace("+00:00", "Z")
