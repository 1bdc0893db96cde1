"""What a message looks like on the wire: compressed where agreed, fragmented as asked, masked by a client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from wsinspect.model import Opcode, Side
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import encode_frame

RSV1 = 4


class Outgoing:
    """The sending half of one side. It keeps the deflate window; it does no I/O."""

    def __init__(self, side: Side, deflate: DeflateParams | None) -> None:
        self._side = side
        self._deflater: Deflater | None = None
        if deflate is not None:
            self._deflater = Deflater(
                deflate.window_bits(side), no_context_takeover=deflate.no_context_takeover(side)
            )

    def message(
        self, data: str | bytes, *, fragments: int | Sequence[int] | None = None, compress: bool | None = None
    ) -> bytes:
        """All frames of one message. Raises ValueError for `compress=True` where none was agreed."""
        opcode = Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
        payload = data.encode() if isinstance(data, str) else bytes(data)
        rsv = 0
        if compress and self._deflater is None:
            raise ValueError("permessage-deflate was not agreed")
        if compress is not False and self._deflater is not None:
            payload = self._deflater.deflate(payload)
            rsv = RSV1
        if fragments is None:
            return self.frame(opcode, payload, rsv=rsv)
        pieces = list(split(payload, fragments))
        return b"".join(
            self.frame(
                Opcode.CONTINUATION if index else opcode,
                piece,
                fin=index == len(pieces) - 1,
                rsv=0 if index else rsv,
            )
            for index, piece in enumerate(pieces)
        )

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        """One frame, masked with a random key where a client sends it."""
        mask = os.urandom(4) if self._side is Side.CLIENT else None
        return encode_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask)


def split(payload: bytes, fragments: int | Sequence[int]) -> Iterator[bytes]:
    """Cut a payload into so many nearly equal pieces, or into pieces of those sizes and one with the rest.

    Raises ValueError where no piece would be left. Pieces may be empty: the protocol allows it.
    """
    if isinstance(fragments, int):
        if fragments < 1:
            raise ValueError("a message has at least one frame")
        cuts = [len(payload) * index // fragments for index in range(1, fragments)]
    else:
        if not fragments or min(fragments) < 0:
            raise ValueError("fragment sizes are a list of numbers that are not negative")
        cuts = []
        at = 0
        for size in fragments:
            at += size
            cuts.append(at)
        if cuts[-1] >= len(payload):
            cuts.pop()
    start = 0
    for cut in cuts:
        yield payload[start:cut]
        start = cut
    yield payload[start:]
