"""Finding the next whole record behind damage, in bounded time whatever the bytes are.

A regular expression marks the positions where a header could stand; only a right check makes one a record.
Where hostile bytes make every position look like the header of a long record, hashing them all would take
hours: so the bytes that may be hashed grow with the bytes searched, and a candidate that costs more than is
left is passed over, unless it is short.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from wsinspect.capture.format import HEADER, is_intact, is_plausible

# check (4), length below 80 MiB (4), type 1 to 63, side, carry
_CANDIDATE = re.compile(rb"(?s)(?=.{7}[\x00-\x04][\x01-\x3f][\x00\x01][\x00-\x0d].{13})")

_BLOCK = 1 << 20
_ALWAYS_HASHED = 4096
_HASHED_AT_FIRST = 256 << 20
_HASHED_PER_BYTE = 64


@dataclass(slots=True)
class Search:
    """Where a search stopped."""

    found: int | None
    """Position of the first whole record, or None."""
    again_from: int
    """Where to go on once the file has grown: before this, nothing can become a record any more."""


def find_record(fd: int, start: int, size: int) -> Search:
    """The first whole record at or after `start` in the file's first `size` bytes. Raises OSError."""
    allowance = _HASHED_AT_FIRST
    unfinished: int | None = None
    position = start
    while size - position >= HEADER.size:
        block = os.pread(fd, min(_BLOCK, size - position), position)
        if len(block) < HEADER.size:
            break
        allowance += len(block) * _HASHED_PER_BYTE
        for match in _CANDIDATE.finditer(block):
            at = match.start()
            _, length, kind, side, carry, _, _, _ = HEADER.unpack_from(block, at)
            if not is_plausible(length, kind, side, carry):
                continue
            if position + at + HEADER.size + length > size:
                if unfinished is None:
                    unfinished = position + at
                continue
            if length > _ALWAYS_HASHED and length > allowance:
                continue
            allowance -= length
            record = block[at : at + HEADER.size + length]
            if len(record) < HEADER.size + length:
                record = os.pread(fd, HEADER.size + length, position + at)
            if len(record) == HEADER.size + length and is_intact(record):
                return Search(position + at, position + at)
        position += len(block) - (HEADER.size - 1)
    # A candidate that is not all there may be completed; of the last bytes, a header may be.
    end = max(start, size - (HEADER.size - 1))
    return Search(None, end if unfinished is None else min(unfinished, end))
