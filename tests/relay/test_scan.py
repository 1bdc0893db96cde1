"""The boundary scan against the full decoder: same boundaries, whatever the cut of the stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsinspect.model import ScanState, Side
from wsinspect.relay.scan import BoundaryScan
from wsinspect.wire.frames import FrameDecoder, encode_frame

lengths = st.one_of(st.integers(0, 10), st.sampled_from([124, 125, 126, 127, 200, 65535, 65536]))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame of any opcode, or a run of equal ones."""
    opcode = draw(st.sampled_from([0, 1, 2, 3, 8, 9, 10, 11]))
    payload = bytes(draw(lengths))
    mask = draw(st.sampled_from([None, b"\x01\x02\x03\x04"]))
    frame = encode_frame(
        opcode, payload, fin=draw(st.booleans()), rsv=draw(st.sampled_from([0, 4, 2])), mask=mask
    )
    return frame * (draw(st.integers(1, 90)) if len(frame) < 300 else 1)


@st.composite
def chopped(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(frames(), min_size=1, max_size=12)))
    stream = stream[: draw(st.integers(1, len(stream)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(chopped())
def test_scan_agrees_with_the_decoder_after_every_read(reads: list[bytes]) -> None:
    scan, decoder = BoundaryScan(), FrameDecoder(Side.CLIENT)
    opcodes = [0] * 16
    for data in reads:
        scan.feed(data)
        for frame in decoder.receive(data):
            opcodes[frame.opcode] += 1
        assert (scan.offset, scan.frame) == (decoder.offset, decoder.frame)
        assert scan.at_boundary is not decoder.mid_frame
    open_frames = 1 if scan.left else 0
    assert sum(scan.counts) == sum(opcodes) + open_frames
    assert all(seen - done in (0, 1) for seen, done in zip(scan.counts, opcodes, strict=True))


@given(chopped(), st.data())
def test_a_reader_can_resume_at_any_read(reads: list[bytes], data: st.DataObject) -> None:
    """What a Read record carries is enough for a decoder that missed everything before it."""
    scan, whole = BoundaryScan(), FrameDecoder(Side.SERVER)
    start = data.draw(st.integers(0, len(reads) - 1))
    for read in reads[:start]:
        scan.feed(read)
        whole.receive(read)
    late = FrameDecoder(Side.SERVER)
    late.resume(scan.frame, scan.offset, scan.left, len(scan.carry), scan.state)
    known = bool(scan.left) or bool(scan.carry)
    rest = b"".join(reads[start:])
    if not late.synced:
        assert scan.carry
        return
    expected = whole.receive(rest)[1 if known else 0 :]
    assert [(f.number, f.offset, f.opcode, f.payload) for f in late.receive(rest)] == [
        (f.number, f.offset, f.opcode, f.payload) for f in expected
    ]


@settings(deadline=None)
@given(chopped(), st.booleans())
def test_boundary_in_finds_the_first_point_between_frames(reads: list[bytes], message: bool) -> None:
    scan = BoundaryScan()
    for read in reads[:-1]:
        scan.feed(read)
    data = reads[-1]
    found = scan.boundary_in(data, message=message)
    slow = scan.copy()
    expected = None
    for position, byte in enumerate(data, 1):
        slow.feed(bytes([byte]))
        if slow.at_message_boundary if message else slow.at_boundary:
            expected = position
            break
    assert found == expected


def test_a_run_that_breaks_in_the_middle() -> None:
    stream = encode_frame(1, b"x" * 64) * 500 + encode_frame(9, b"ping") + encode_frame(1, b"x" * 64) * 500
    scan = BoundaryScan()
    scan.feed(stream)
    assert scan.frames == 1001
    assert (scan.counts[1], scan.counts[9]) == (1000, 1)
    assert scan.at_boundary


def test_a_length_with_the_top_bit_set_blinds() -> None:
    scan = BoundaryScan()
    scan.feed(encode_frame(1, b"fine") + b"\x82\x7f\xff" + bytes(7) + b"what follows is anything")
    assert scan.blind
    assert scan.frame == 2
    assert not scan.at_boundary
    scan.feed(b"\x81\x00")
    assert scan.frame == 2


def test_state_follows_fragmentation_and_close() -> None:
    scan = BoundaryScan()
    scan.feed(encode_frame(1, b"a", fin=False, rsv=4))
    assert scan.state == ScanState.TEXT | ScanState.COMPRESSED
    scan.feed(encode_frame(9, b""))
    assert scan.state == ScanState.TEXT | ScanState.COMPRESSED
    assert scan.at_boundary
    assert not scan.at_message_boundary
    scan.feed(encode_frame(0, b"b"))
    assert scan.at_message_boundary
    scan.feed(encode_frame(2, b"c", fin=False))
    assert scan.state == ScanState.BINARY
    scan.feed(encode_frame(8, b"\x03\xe8"))
    assert scan.closed


def test_the_close_frame_is_kept_however_it_is_cut() -> None:
    close = encode_frame(8, b"\x03\xe8bye", mask=b"abcd")
    stream = encode_frame(1, b"hello", mask=b"abcd") + close + encode_frame(8, b"\x03\xe9", mask=b"abcd")
    for cut in range(len(stream)):
        scan = BoundaryScan()
        scan.feed(stream[:cut])
        scan.feed(stream[cut:])
        assert scan.close == close, cut


def test_bytes_of_another_protocol_are_never_scanned() -> None:
    scan = BoundaryScan(blind=True)
    scan.feed(encode_frame(1, b"looks like a frame"))
    assert (scan.frame, scan.offset) == (1, 20)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("first", [0x81, 0x82, 0xC1, 0x01, 0x80, 0x88, 0x89])
@pytest.mark.parametrize("length", [0, 1, 64, 124, 125])
def test_one_short_frame_in_one_read_is_scanned_as_the_same_frame_in_two(
    masked: bool, first: int, length: int
) -> None:
    frame = bytes([first, length | (0x80 if masked else 0)]) + bytes(4 * masked) + bytes(length)
    whole, halves = BoundaryScan(), BoundaryScan()
    for _ in range(2):
        whole.feed(frame)
        halves.feed(frame[:1])
        halves.feed(frame[1:])
    seen = [(s.offset, s.frame, s.left, s.carry, s.state, s.counts, s.close) for s in (whole, halves)]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("second", [126, 127, 254, 255])
def test_a_header_that_announces_a_longer_length_is_no_short_frame(second: int) -> None:
    for size in range(2, 14):
        whole, halves = BoundaryScan(), BoundaryScan()
        data = bytes([0x82, second]) + bytes(size - 2)
        whole.feed(data)
        halves.feed(data[:1])
        halves.feed(data[1:])
        assert (whole.frame, whole.left, whole.carry) == (halves.frame, halves.left, halves.carry)
