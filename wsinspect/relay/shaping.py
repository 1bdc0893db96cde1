"""The frames of a message that goes out in another way than it came; deliberate violations among them.

sizes that came  3 5 4        new payload of 14 bytes     3 5 6
                              new payload of  6 bytes     3 3 0      as many frames as before
Shape(sizes=(4,))             new payload of 14 bytes     4 4 4 2    the last size is repeated
Shape(merge=True)                                         14
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from wsinspect.model.plans import MaskFault, Shape
from wsinspect.wire.frames import encode_frame
from wsinspect.wire.masking import apply_mask

MOST_FRAMES = 1 << 16
"""Into which a message is cut; the last one takes what is left."""

_AS_IT_CAME = Shape()

type NewKey = Callable[[], bytes]
"""Gives four random bytes: a masking key must be unpredictable (RFC 6455 5.3)."""


@dataclass(slots=True)
class Look:
    """How a message came: what a changed one keeps of it."""

    opcode: int
    sizes: Sequence[int]
    """Payload bytes of each frame."""
    keys: Sequence[bytes | None]
    """Masking key of each frame."""
    rsv: int
    """RSV2 and RSV3 of the first frame, which belong to an extension that is not ours."""


def frames_of(payload: bytes, look: Look, *, rsv1: bool, shape: Shape | None, new_key: NewKey) -> bytes:
    """The whole message with another payload (as it stands on the wire, not masked)."""
    shape = shape or _AS_IT_CAME
    rsv = look.rsv & 3 | (4 if rsv1 else 0) if shape.rsv is None else shape.rsv
    opcode = look.opcode if shape.opcode is None else shape.opcode
    sizes = _sizes(len(payload), look.sizes, shape)
    masked = look.keys[0] is not None
    out, start = [], 0
    for number, size in enumerate(sizes):
        key = look.keys[number] if number < len(look.keys) else new_key() if masked else None
        piece = payload[start : start + size]
        piece, key = _masked_wrongly(piece, key, shape.mask, new_key)
        fin = number == len(sizes) - 1 and not shape.unfinished
        out.append(encode_frame(opcode, piece, fin=fin, rsv=rsv, mask=key, wide=shape.wide_length))
        opcode = rsv = 0  # of a continuation
        start += size
    return b"".join(out)


def _masked_wrongly(
    payload: bytes, key: bytes | None, fault: MaskFault | None, new_key: NewKey
) -> tuple[bytes, bytes | None]:
    """The payload and the key with which it is masked on the wire."""
    match fault:
        case None:
            return payload, key
        case MaskFault.MISSING:
            return payload, None
        case MaskFault.WRONG if key is None:
            return payload, new_key()  # a server's frame is masked
        case MaskFault.WRONG:
            other = new_key()
            if other == key:
                other = bytes(byte ^ 0x55 for byte in other)
            return apply_mask(apply_mask(payload, key), other), other
        case _:
            assert_never(fault)


def _sizes(total: int, came: Sequence[int], shape: Shape) -> list[int]:
    """Payload bytes of each frame; they make up `total`."""
    if shape.merge:
        return [total]
    if shape.sizes:
        return _repeated(total, shape.sizes)
    sizes, left = [], total
    for size in came[:-1]:
        sizes.append(min(size, left))
        left -= sizes[-1]
    return [*sizes, left]


def _repeated(total: int, wanted: Sequence[int]) -> list[int]:
    sizes: list[int] = []
    left = total
    while left and len(sizes) < MOST_FRAMES - 1:
        size = min(max(wanted[min(len(sizes), len(wanted) - 1)], 0), left)
        if not size and len(sizes) >= len(wanted) - 1:
            break  # an endless row of empty frames
        sizes.append(size)
        left -= size
    return [*sizes, left] if left or not sizes else sizes
