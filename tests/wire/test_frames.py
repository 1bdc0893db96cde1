from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.streams import KEYS, PAYLOADS, POINTS, SIDES, STREAMS, cut, decode
from wsinspect.model import Frame, ScanState, Side, Violation
from wsinspect.relay.scan import BoundaryScan
from wsinspect.wire.frames import FrameDecoder, encode_frame

C, S = Side.CLIENT, Side.SERVER
KEY = bytes.fromhex("37fa213d")


# ---- what RFC 6455 shows


def test_examples_of_section_5_7() -> None:
    (hello,) = decode(S, bytes.fromhex("810548656c6c6f"))
    assert hello == Frame(S, 1, 0, True, 0, 1, None, 5, 2, b"Hello")
    (masked,) = decode(C, bytes.fromhex("818537fa213d7f9f4d5158"))
    assert masked == Frame(C, 1, 0, True, 0, 1, KEY, 5, 6, b"Hello")
    parts = decode(S, bytes.fromhex("010348656c80026c6f"))
    assert [(f.number, f.offset, f.opcode, f.fin, f.payload) for f in parts] == [
        (1, 0, 1, False, b"Hel"),
        (2, 5, 0, True, b"lo"),
    ]
    (ping,) = decode(S, bytes.fromhex("890548656c6c6f"))
    assert (ping.opcode, ping.is_control) == (9, True)


@pytest.mark.parametrize(
    ("size", "header"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)], ids=lambda value: str(value)
)
def test_lengths_in_their_shortest_form(size: int, header: int) -> None:
    for side, mask in ((S, None), (C, KEY)):
        raw = encode_frame(2, bytes(size), mask=mask)
        (frame,) = decode(side, raw)
        assert (frame.length, frame.header_bytes) == (size, header + (4 if mask else 0))
        assert (len(frame.payload), frame.wire_bytes, frame.violations) == (size, len(raw), ())


# ---- properties


@given(SIDES, STREAMS, POINTS, st.sampled_from([0, 4, 7]), st.sampled_from([0, 3, 126, 1 << 24]))
def test_any_cut_gives_the_same_frames(
    side: Side, stream: bytes, points: list[int], rsv_allowed: int, max_payload: int
) -> None:
    whole = decode(side, stream, rsv_allowed=rsv_allowed, max_payload=max_payload)
    pieces = cut(stream, points)
    assert decode(side, *pieces, rsv_allowed=rsv_allowed, max_payload=max_payload) == whole


@given(SIDES, st.lists(st.binary(max_size=20)))
def test_never_raises_and_any_cut_of_noise_gives_the_same(side: Side, pieces: list[bytes]) -> None:
    decoder = FrameDecoder(side)
    frames = [frame for piece in pieces for frame in decoder.receive(piece)]
    assert decoder.offset == sum(map(len, pieces))
    assert frames == decode(side, b"".join(pieces))
    single = b"".join(pieces)
    assert frames == decode(side, *(single[i : i + 1] for i in range(len(single))))


@given(st.integers(0, 15), PAYLOADS, st.booleans(), st.integers(0, 7), st.none() | KEYS)
def test_decode_of_encode_is_the_identity(opcode, payload, fin, rsv, mask) -> None:
    raw = encode_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask)
    (frame,) = decode(S, raw)
    assert (frame.opcode, frame.payload, frame.fin, frame.rsv, frame.mask) == (
        opcode,
        payload,
        fin,
        rsv,
        mask,
    )
    assert not frame.truncated
    assert encode_frame(frame.opcode, frame.payload, fin=frame.fin, rsv=frame.rsv, mask=frame.mask) == raw


@given(SIDES, STREAMS)
def test_frames_lie_end_to_end(side: Side, stream: bytes) -> None:
    position = 0
    for number, frame in enumerate(decode(side, stream), start=1):
        assert (frame.number, frame.offset) == (number, position)
        position += frame.wire_bytes
    assert position == len(stream)


# ---- violations


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    return encode_frame(opcode, payload, fin=fin, rsv=rsv)


V = Violation
CASES: list[tuple[str, bytes, list[tuple[Violation, ...]]]] = [
    ("reserved bits", frame(1, rsv=4), [(V.RESERVED_BITS,)]),
    ("reserved bits of a ping", frame(9, rsv=1), [(V.RESERVED_BITS,)]),
    ("reserved data opcode", frame(3), [(V.RESERVED_OPCODE,)]),
    ("reserved control opcode", frame(11), [(V.RESERVED_OPCODE,)]),
    ("length 16 that fits 7 bits", b"\x81\x7e\x00\x7d" + bytes(125), [(V.NON_MINIMAL_LENGTH,)]),
    (
        "length 64 that fits 16 bits",
        b"\x82\x7f" + (65535).to_bytes(8) + bytes(65535),
        [(V.NON_MINIMAL_LENGTH,)],
    ),
    ("continuation of nothing", frame(0), [(V.UNEXPECTED_CONTINUATION,)]),
    ("it opens no message", frame(0, fin=False) + frame(0), [(V.UNEXPECTED_CONTINUATION,)] * 2),
    ("a message inside one", frame(1, fin=False) + frame(2), [(), (V.EXPECTED_CONTINUATION,)]),
    ("which it ends", frame(1, fin=False) + frame(2) + frame(1), [(), (V.EXPECTED_CONTINUATION,), ()]),
    ("pings inside one", frame(1, fin=False) + frame(9) + frame(0) + frame(2), [(), (), (), ()]),
    ("fragmented ping", frame(9, fin=False), [(V.FRAGMENTED_CONTROL,)]),
    ("long ping", frame(9, bytes(126)), [(V.LONG_CONTROL,)]),
    ("text after close", frame(8) + frame(1), [(), (V.DATA_AFTER_CLOSE,)]),
    ("second close", frame(8) + frame(8), [(), (V.DATA_AFTER_CLOSE,)]),
    ("pong after close is an answer", frame(8) + frame(10) + frame(9), [(), (), ()]),
    ("close of one byte", frame(8, b"\x03"), [(V.BAD_CLOSE_LENGTH,)]),
    ("close 1006", frame(8, b"\x03\xee"), [(V.BAD_CLOSE_CODE,)]),
    ("close 1014", frame(8, b"\x03\xf6"), [()]),
    ("close reason", frame(8, b"\x03\xe8\xff"), [(V.BAD_CLOSE_REASON,)]),
    ("masked by a server", encode_frame(1, b"x", mask=KEY), [(V.MASKED_SERVER,)]),
    (
        "all at once",
        b"\x78\xfe\x00\x01" + KEY + b"x",
        [(V.MASKED_SERVER, V.RESERVED_BITS, V.NON_MINIMAL_LENGTH, V.FRAGMENTED_CONTROL, V.BAD_CLOSE_LENGTH)],
    ),
]


@pytest.mark.parametrize(
    ("stream", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_violations(stream: bytes, expected: list[tuple[Violation, ...]]) -> None:
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        assert [f.violations for f in decode(S, *pieces)] == expected


def test_a_client_must_mask() -> None:
    assert [f.violations for f in decode(C, frame(1) + encode_frame(1, mask=KEY))] == [
        (V.UNMASKED_CLIENT,),
        (),
    ]


def test_rsv1_where_permessage_deflate_is_agreed() -> None:
    """RFC 7692 6.1: on a message's first frame, and there only."""
    stream = (
        frame(1, rsv=4) + frame(2, rsv=4, fin=False) + frame(0, rsv=4) + frame(9, rsv=4) + frame(1, rsv=6)
    )
    assert [f.violations for f in decode(S, stream, rsv_allowed=4)] == [
        (),
        (),
        (V.BAD_RSV1,),
        (V.BAD_RSV1,),
        (V.RESERVED_BITS,),
    ]


def test_an_unknown_extension_may_use_any_bit() -> None:
    stream = frame(1, rsv=7) + frame(2, rsv=4, fin=False) + frame(0, rsv=4)
    assert [f.violations for f in decode(S, stream, rsv_allowed=7)] == [(), (), ()]


def test_a_length_with_the_top_bit_blinds() -> None:
    decoder = FrameDecoder(S)
    stream = frame(1, b"one") + b"\x82\x7f" + b"\x80" + bytes(7) + b"rest"
    one, bad = decoder.receive(stream)
    assert one.payload == b"one"
    assert (bad.violations, bad.payload, bad.truncated, bad.length) == (
        (V.LENGTH_OVERFLOW,),
        b"",
        True,
        1 << 63,
    )
    assert (decoder.blind, decoder.frame, decoder.offset) == (True, 2, len(stream))
    assert decoder.receive(frame(1)) == []
    assert decoder.offset == len(stream) + 2


# ---- limits and speed


def test_payload_beyond_the_limit_is_counted_not_kept() -> None:
    raw = encode_frame(2, b"0123456789", mask=KEY)
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        cutoff, after = decode(C, *pieces, encode_frame(1, b"next", mask=KEY), max_payload=4)
        assert (cutoff.payload, cutoff.truncated, cutoff.length) == (b"0123", True, 10)
        assert (after.number, after.payload, after.truncated) == (2, b"next", False)


def test_control_payloads_are_kept_up_to_their_legal_size() -> None:
    close, ping = decode(S, frame(8, b"\x03\xe8" + b"r" * 123) + frame(9, b"p" * 200), max_payload=0)
    assert (len(close.payload), close.truncated) == (125, False)
    assert (len(ping.payload), ping.truncated) == (125, True)


def test_a_huge_length_costs_nothing() -> None:
    decoder = FrameDecoder(S, max_payload=10)
    assert decoder.receive(b"\x82\x7f\x7f" + b"\xff" * 7) == []
    for _ in range(100):
        assert decoder.receive(bytes(1000)) == []
    assert (decoder.mid_frame, decoder.frame) == (True, 1)


def test_a_payload_in_many_reads_is_joined_once() -> None:
    """8 MiB in 128-byte reads: quadratic copying would take minutes."""
    payload = bytes(range(256)) * (8 << 12)
    raw = encode_frame(2, payload, mask=KEY)
    (frame,) = decode(C, *(raw[i : i + 128] for i in range(0, len(raw), 128)))
    assert frame.payload == payload


def test_position() -> None:
    decoder = FrameDecoder(S)
    seen = []
    for byte in b"\x81\x02hi\x81\x00":
        decoder.receive(bytes([byte]))
        seen.append((decoder.frame, decoder.offset, decoder.mid_frame))
    assert seen == [(1, 1, True), (1, 2, True), (1, 3, True), (2, 4, False), (2, 5, True), (3, 6, False)]


# ---- resume


def test_resume_at_a_boundary_knows_number_and_state() -> None:
    decoder = FrameDecoder(S)
    decoder.resume(41, 1000, 0, 0, ScanState.TEXT | ScanState.CLOSED)
    (frame_41,) = decoder.receive(frame(0, b"end"))
    assert (frame_41.number, frame_41.offset, frame_41.violations) == (41, 1000, (V.DATA_AFTER_CLOSE,))


def test_resume_inside_a_frame_whose_header_is_unknown_skips_its_rest() -> None:
    decoder = FrameDecoder(S)
    decoder.resume(7, 500, 4, 0, 0)
    assert decoder.mid_frame
    assert decoder.receive(b"re") == []
    (after,) = decoder.receive(b"st" + frame(1, b"hi"))
    assert (after.number, after.offset, after.payload) == (8, 504, b"hi")


def test_resume_inside_a_header_waits_for_the_next_resume() -> None:
    decoder = FrameDecoder(S)
    decoder.resume(7, 500, 0, 1, 0)
    assert not decoder.synced
    assert decoder.receive(b"\x05hello" + frame(1, b"no")) == []
    assert decoder.mid_frame
    decoder.resume(9, decoder.offset, 0, 0, 0)
    (after,) = decoder.receive(frame(1, b"yes"))
    assert (decoder.synced, after.number, after.payload) == (True, 9, b"yes")


def test_a_frame_that_loses_its_middle_comes_out_truncated() -> None:
    decoder = FrameDecoder(C)
    raw = encode_frame(1, b"0123456789", mask=KEY)
    assert decoder.receive(raw[:9]) == []
    decoder.resume(1, 12, 4, 0, 0)
    (cutoff,) = decoder.receive(raw[12:])
    assert (cutoff.number, cutoff.payload, cutoff.truncated, cutoff.length) == (1, b"012", True, 10)


def test_a_frame_that_loses_its_end_does_not_come_out() -> None:
    decoder = FrameDecoder(S)
    assert decoder.receive(frame(1, b"0123456789")[:6]) == []
    decoder.resume(2, 12, 0, 0, 0)
    (after,) = decoder.receive(frame(1, b"next"))
    assert (after.number, after.payload) == (2, b"next")


def test_resume_blind() -> None:
    decoder = FrameDecoder(S)
    decoder.resume(3, 10, 0, 0, ScanState.BLIND)
    assert decoder.receive(frame(1)) == []
    assert (decoder.blind, decoder.synced) == (True, True)


@settings(max_examples=60)
@given(SIDES, STREAMS, POINTS, st.integers(0, 30))
def test_after_a_hole_each_frame_is_right_or_absent(
    side: Side, stream: bytes, points: list[int], hole: int
) -> None:
    """What a capture's reader does: a read is missing, the next carries the boundary scan's state."""
    expected = {f.number: f for f in decode(side, stream)}
    pieces = cut(stream, points)
    scan, decoder = BoundaryScan(), FrameDecoder(side)
    got: list[Frame] = []
    lost_from = known_from = len(stream)
    for i, piece in enumerate(pieces):
        if i == hole % len(pieces):
            lost_from = scan.offset
        else:
            if decoder.offset != scan.offset or not decoder.synced:
                decoder.resume(scan.frame, scan.offset, scan.left, len(scan.carry), scan.state)
                known_from = scan.offset + scan.left if decoder.synced else len(stream)
            got += decoder.receive(piece)
        scan.feed(piece)
    for found in got:
        sure = expected[found.number]
        if found.truncated:
            assert sure.payload.startswith(found.payload)
            assert (found.offset, found.length, found.opcode) == (sure.offset, sure.length, sure.opcode)
        else:
            assert found == sure
    numbers = {found.number for found in got}
    for number, sure in expected.items():
        if sure.offset + sure.wire_bytes <= lost_from or sure.offset >= known_from:
            assert number in numbers


@given(SIDES, STREAMS, POINTS)
def test_resume_where_nothing_was_lost_changes_nothing(side: Side, stream: bytes, points: list[int]) -> None:
    scan, decoder = BoundaryScan(), FrameDecoder(side)
    got: list[Frame] = []
    for piece in cut(stream, points):
        decoder.resume(scan.frame, scan.offset, scan.left, len(scan.carry), scan.state)
        got += decoder.receive(piece)
        scan.feed(piece)
    assert got == decode(side, stream)
