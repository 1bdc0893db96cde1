"""A MessagePack payload changed to say another tree; what says the same keeps its bytes, float 32 among them.

Written anew are the values that differ, and the head of an array or map whose length changes.
"""

from __future__ import annotations

from typing import Any

from wsinspect.decode.edits import align, check_depth, same
from wsinspect.decode.msgpack import Reader, pack, pack_head

__all__ = ["edit"]


def edit(payload: bytes, tree: Any) -> bytes:
    """The payload, which `msgpack.unpack` has read, saying `tree`. A doubled key that changed stands once.

    Raises ValueError, with a sentence, for what MessagePack cannot carry.
    """
    check_depth(tree)
    out = bytearray()
    _Editor(payload).value(0, tree, out)
    return bytes(out)


class _Editor:
    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def value(self, at: int, new: Any, out: bytearray) -> None:
        reader = Reader(self.payload, at)
        old = reader.value()
        if same(old, new):
            out += self.payload[at : reader.at]
        elif isinstance(old, dict) and isinstance(new, dict):
            self._map(at, old, new, out)
        elif isinstance(old, list) and isinstance(new, list | tuple):
            self._array(at, old, list(new), out)
        else:
            out += pack(new)

    def _map(self, at: int, old: dict[Any, Any], new: dict[Any, Any], out: bytearray) -> None:
        reader = Reader(self.payload, at)
        _, count = reader.head()
        spans: list[tuple[Any, int, int, int]] = []  # the key; where it, its value and the next one begin
        for _ in range(count):
            begin = reader.at
            key = reader.key()
            middle = reader.at
            reader.value()
            spans.append((key, begin, middle, reader.at))
        last = {key: begin for key, begin, _, _ in spans}
        kept = {key for key in old if key in new and same(old[key], new[key])}
        stay = [span for span in spans if span[0] in kept or (span[0] in new and last[span[0]] == span[1])]
        added = [key for key in new if key not in old]
        self._head(at, count, len(stay) + len(added), out, is_map=True)
        for key, begin, middle, end in stay:
            out += self.payload[begin:middle]
            if key in kept:
                out += self.payload[middle:end]
            else:
                self.value(middle, new[key], out)
        for key in added:
            out += pack(key) + pack(new[key])

    def _array(self, at: int, old: list[Any], new: list[Any], out: bytearray) -> None:
        reader = Reader(self.payload, at)
        _, count = reader.head()
        starts = []
        for _ in range(count):
            starts.append(reader.at)
            reader.value()
        self._head(at, count, len(new), out, is_map=False)
        for value, index in zip(new, align(old, new), strict=True):
            if index is None:
                out += pack(value)
            else:
                self.value(starts[index], value, out)

    def _head(self, at: int, old: int, new: int, out: bytearray, *, is_map: bool) -> None:
        """The head as it stood, where the number of items is the same."""
        if old == new:
            reader = Reader(self.payload, at)
            reader.head()
            out += self.payload[at : reader.at]
        else:
            pack_head(out, new, is_map=is_map)
