"""Streams for the tests: hypothesis strategies for frames, and ways to cut bytes."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from wsinspect.model import Frame, Side
from wsinspect.wire.frames import FrameDecoder, encode_frame

KEYS = st.binary(min_size=4, max_size=4)
SIDES = st.sampled_from(list(Side))

PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.integers(0, 3).map(lambda n: b"x" * (124 + n)),
    st.sampled_from([0xFFFF, 0x10000]).map(bytes),
)


@st.composite
def raw_frames(draw: st.DrawFn) -> bytes:
    """One frame of any kind, legal or not: any first byte, masked or not, the length in any of its forms."""
    first = draw(
        st.one_of(st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A]), st.integers(0, 255))
    )
    payload = draw(PAYLOADS)
    mask = draw(st.none() | KEYS)
    frame = encode_frame(first & 15, payload, fin=first >= 0x80, rsv=first >> 4 & 7, mask=mask)
    if len(payload) < 126 and draw(st.integers(0, 7)) == 0:
        long = draw(st.sampled_from([(126, 2), (127, 8)]))
        frame = bytes((frame[0], frame[1] & 0x80 | long[0])) + len(payload).to_bytes(long[1]) + frame[2:]
    return frame


STREAMS = st.lists(raw_frames(), max_size=8).map(b"".join)


def cut(data: bytes, points: list[int]) -> list[bytes]:
    """The pieces of `data` between the points, each taken modulo its length."""
    places = sorted({point % (len(data) + 1) for point in points} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


POINTS = st.lists(st.integers(0, 1 << 20), max_size=12)


def decode(side: Side, *pieces: bytes, rsv_allowed: int = 0, max_payload: int = 16 << 20) -> list[Frame]:
    """All frames of a fresh decoder."""
    decoder = FrameDecoder(side, rsv_allowed=rsv_allowed, max_payload=max_payload)
    return [frame for piece in pieces for frame in decoder.receive(piece)]
