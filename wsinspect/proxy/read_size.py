"""How much one read takes from a socket; where rules look into messages, what is done in a few milliseconds.

256 KiB may hold 30,000 small compressed messages; until all had their verdict, every other connection
waited 3.5 s [measured]. Large messages cost little by the byte, and keep large reads.
"""

from __future__ import annotations

import asyncio

LEAST = 4 << 10
FIRST = 16 << 10
MOST = 512 << 10
"""That of directions which nobody looks into. With it 1 MiB echoes are 10 to 20 % faster than with asyncio's
256 KiB, and not slower than with 1 MiB [measured]."""

WANTED_NS = 10_000_000
"""What the verdicts of one read may take; other connections wait for several such in a row."""


class ReadSize:
    """Of one transport. Does nothing where that has no size to set."""

    __slots__ = ("_known", "_transport", "nbytes")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._known = hasattr(transport, "max_size")
        self._set(MOST)

    def inspected(self, on: bool) -> None:
        """Rules look into what is read, or do not any more."""
        if on is (self.nbytes == MOST):
            self._set(FIRST if on else MOST)

    def took(self, nbytes: int, took_ns: int) -> None:
        """Such a read, of an inspected direction, took so long."""
        if took_ns > 2 * WANTED_NS:
            self._set(max(LEAST, self.nbytes * WANTED_NS // took_ns))
        elif nbytes >= self.nbytes and took_ns < WANTED_NS // 4:
            self._set(min(MOST - 1, self.nbytes * 2))

    def _set(self, nbytes: int) -> None:
        self.nbytes = nbytes
        if self._known:
            vars(self._transport)["max_size"] = nbytes
