"""How much of a hostile payload a decoder takes on. What is beyond is not decoded, and passes as it came."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_MSGPACK_VALUES", "MAX_VALUES", "NotDecoded"]

MAX_BYTES = 16 << 20
"""Of a payload. As the relay's `inspect_limit`."""

MAX_DEPTH = 100
"""Arrays and objects in each other; those who walk a tree may do so by recursion."""

MAX_VALUES = 1 << 20
"""Of a JSON text, estimated by its commas and brackets: 5.6 million empty arrays fit in 16 MiB, and would
take 0.7 s and 400 MB."""

MAX_MSGPACK_VALUES = 1 << 18
"""Of a MessagePack payload, which is decoded in Python: at up to 2 µs a value, half a second at most."""


class NotDecoded(ValueError):
    """It is not what the codec reads, or beyond its limits."""
