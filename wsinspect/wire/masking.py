"""Masking of payloads, RFC 6455 section 5.3: XOR with a four-byte key. Masking and unmasking are the same."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["apply_mask", "apply_mask_python"]


def apply_mask_python(data: bytes, key: bytes) -> bytes:
    """Mask or unmask `data` without any C extension: one XOR of two large integers.

    Raises ValueError unless `key` has four bytes.
    """
    if len(key) != 4:
        raise ValueError("mask must contain 4 bytes")
    size = len(data)
    repeated = (key * (size // 4 + 1))[:size]
    both = int.from_bytes(data, sys.byteorder) ^ int.from_bytes(repeated, sys.byteorder)
    return both.to_bytes(size, sys.byteorder)


# `websockets.speedups` has no promised API, hence this one place that imports it, and the fallback.
apply_mask: Callable[[bytes, bytes], bytes]
"""Mask or unmask `data`; ValueError unless the key has four bytes. In C where websockets has it."""
try:
    from websockets.speedups import apply_mask as _apply_mask_c
except ImportError:  # pragma: no cover - depends on how websockets was built
    apply_mask = apply_mask_python
else:
    apply_mask = _apply_mask_c
