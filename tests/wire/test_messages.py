from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.streams import POINTS, cut, decode
from wsinspect.model import Frame, Message, ScanState, Side, Violation
from wsinspect.wire.deflate import TAIL, DeflateParams, Deflater
from wsinspect.wire.frames import encode_frame
from wsinspect.wire.messages import MessageAssembler

S = Side.SERVER
TEXT, BINARY, COMPRESSED = int(ScanState.TEXT), int(ScanState.BINARY), int(ScanState.COMPRESSED)


def frames(*raw: bytes, rsv_allowed: int = 4) -> list[Frame]:
    return decode(S, b"".join(raw), rsv_allowed=rsv_allowed)


def messages(assembler: MessageAssembler, *raw: bytes) -> list[Message]:
    return [m for frame in frames(*raw) if (m := assembler.receive(frame)) is not None]


def fragments(opcode: int, parts: list[bytes], *, rsv: int = 0) -> list[bytes]:
    last = len(parts) - 1
    return [
        encode_frame(0 if i else opcode, part, fin=i == last, rsv=0 if i else rsv)
        for i, part in enumerate(parts)
    ]


# ---- plain messages


def test_a_frame_that_is_a_message() -> None:
    (message,) = messages(MessageAssembler(S), encode_frame(1, "grüß dich".encode()))
    assert message == Message(S, 1, "grüß dich".encode(), 1, 1, 13)
    assert message.text == "grüß dich"


def test_control_frames_stand_between_fragments() -> None:
    first, second, third = fragments(1, [b"one ", b"two ", b"three"])
    (message,) = messages(MessageAssembler(S), first, encode_frame(9, b"?"), second, encode_frame(10), third)
    assert message == Message(S, 1, b"one two three", 1, 5, 6 + 6 + 7)


@given(st.sampled_from([1, 2, 5]), st.text(max_size=60), POINTS)
def test_any_fragmentation_gives_the_same_payload(opcode: int, text: str, points: list[int]) -> None:
    payload = text.encode()
    (message,) = messages(MessageAssembler(S), *fragments(opcode, cut(payload, points) or [b""]))
    assert (message.payload, message.opcode) == (payload, opcode)
    assert Violation.BAD_UTF8 not in message.violations


def test_a_continuation_of_nothing_belongs_to_no_message() -> None:
    assert messages(MessageAssembler(S), encode_frame(0, b"lost"), encode_frame(0, b"x", fin=False)) == []


def test_a_message_inside_an_unfinished_one_takes_its_place() -> None:
    (message,) = messages(MessageAssembler(S), encode_frame(1, b"never", fin=False), encode_frame(2, b"new"))
    assert (message.payload, message.violations) == (b"new", (Violation.EXPECTED_CONTINUATION,))


def test_violations_of_all_frames_stand_on_the_message() -> None:
    raw = [
        encode_frame(1, b"a", fin=False, rsv=1),
        encode_frame(0, b"b", fin=False, rsv=1),
        encode_frame(0, rsv=4),
    ]
    (message,) = messages(MessageAssembler(S, DeflateParams()), *raw)
    assert message.violations == (Violation.RESERVED_BITS, Violation.BAD_RSV1)


def test_rsv1_without_agreement_is_not_compression() -> None:
    (message,) = messages(MessageAssembler(S), encode_frame(1, b"plain", rsv=4))
    assert (message.payload, message.compressed) == (b"plain", False)


# ---- UTF-8, RFC 6455 8.1


@pytest.mark.parametrize(
    ("parts", "bad_in"),
    [
        ([b"\xff"], 1),
        ([b"\xc3"], 1),
        (["é".encode()[:1], "é".encode()[1:]], None),
        ([b"fine", b"\xff", b"more"], 2),
        ([b"fine", b"\xe2\x82", b"\xac"], None),
        ([b"fine", b"\xe2\x82", b"x"], 3),
        ([b"fine", b"\xe2\x82", b""], 3),
        ([b"\xed\xa0\x80"], 1),
        ([b"\xf4\x90\x80\x80"], 1),
        ([b"a\xffb", b"\xff", b"\xff"], 1),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_bad_utf8_is_found_in_its_frame(parts: list[bytes], bad_in: int | None, compressed: bool) -> None:
    assembler = MessageAssembler(S, DeflateParams() if compressed else None)
    wire = parts
    if compressed:
        whole = b"".join(parts)
        wire, parts, bad_in = [Deflater().deflate(whole)], [whole], bad_in and 1
    received = frames(*fragments(1, wire, rsv=4 if compressed else 0))
    message = [assembler.receive(frame) for frame in received][-1]
    assert [Violation.BAD_UTF8 in frame.violations for frame in received] == [
        number == bad_in for number in range(1, len(parts) + 1)
    ]
    assert message is not None
    assert message.payload == b"".join(parts)
    assert (message.text is None) == (bad_in is not None) == (Violation.BAD_UTF8 in message.violations)


@given(st.binary(max_size=40), POINTS)
def test_utf8_is_judged_alike_however_fragmented(payload: bytes, points: list[int]) -> None:
    (message,) = messages(MessageAssembler(S), *fragments(1, cut(payload, points) or [b""]))
    try:
        payload.decode()
        fine = True
    except UnicodeDecodeError:
        fine = False
    assert (Violation.BAD_UTF8 not in message.violations) == fine


def test_binary_may_be_anything() -> None:
    (message,) = messages(MessageAssembler(S), encode_frame(2, b"\xff"))
    assert (message.violations, message.text) == ((), None)


# ---- compression, RFC 7692


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), POINTS, st.booleans())
def test_compressed_messages_fragmented_anywhere(
    texts: list[str], points: list[int], no_takeover: bool
) -> None:
    deflater = Deflater(no_context_takeover=no_takeover)
    assembler = MessageAssembler(S, DeflateParams(server_no_context_takeover=no_takeover))
    for text in texts:
        parts = cut(deflater.deflate(text.encode()), points)
        (message,) = messages(assembler, *fragments(1, parts, rsv=4))
        assert (message.text, message.compressed, message.violations) == (text, True, ())


def test_an_uncompressed_message_between_compressed_ones_does_not_touch_the_window() -> None:
    deflater, assembler = Deflater(), MessageAssembler(S, DeflateParams())
    one, two = (encode_frame(1, deflater.deflate(b"same words"), rsv=4) for _ in range(2))
    assert [m.payload for m in messages(assembler, one, encode_frame(1, b"plain"), two)] == [
        b"same words",
        b"plain",
        b"same words",
    ]


def test_damage_is_found_in_its_frame_and_costs_the_window() -> None:
    deflater, assembler = Deflater(), MessageAssembler(S, DeflateParams())
    good = [encode_frame(1, deflater.deflate(b"hello hello"), rsv=4) for _ in range(2)]
    bad = fragments(1, [deflater.deflate(b"beginning") + TAIL, b"\xff\xff", b"ignored"], rsv=4)
    received = frames(good[0], *bad, good[1])
    results = [assembler.receive(frame) for frame in received]
    assert [frame.violations for frame in received] == [(), (), (Violation.BAD_DEFLATE,), (), ()]
    damaged, after = results[3], results[4]
    assert damaged is not None
    assert after is not None
    assert (damaged.violations, damaged.truncated, damaged.lost) == ((Violation.BAD_DEFLATE,), True, "")
    assert damaged.payload == b"beginning"
    assert (after.payload, after.lost, after.violations) == (b"", "window-lost", ())


# ---- limits


@pytest.mark.parametrize("parts", [[b"0123456789"], [b"01", b"234567", b"89"]])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_over_the_limit_is_truncated(parts: list[bytes], compressed: bool) -> None:
    deflater, assembler = Deflater(), MessageAssembler(S, DeflateParams(), max_message=5)
    after = encode_frame(1, deflater.deflate(b"6789") if compressed else b"next", rsv=4 if compressed else 0)
    if compressed:
        deflater = Deflater()
        wire = deflater.deflate(b"0123456789")
        parts = cut(wire, [2, 4]) if len(parts) > 1 else [wire]
        after = encode_frame(1, deflater.deflate(b"6789"), rsv=4)
    long, short = messages(assembler, *fragments(1, parts, rsv=4 if compressed else 0), after)
    assert (long.payload, long.truncated) == (b"01234", True)
    assert (short.payload, short.truncated) == (b"6789" if compressed else b"next", False)


def test_a_truncated_text_may_end_inside_a_character() -> None:
    (message,) = messages(MessageAssembler(S, max_message=2), encode_frame(1, "a€".encode()))
    assert (message.truncated, message.violations) == (True, ())


def test_a_frame_whose_payload_was_not_kept() -> None:
    deflater = Deflater()
    wires = [deflater.deflate(text) for text in (b"x" * 30 + bytes(range(60)), b"xxx" + bytes(range(60)))]
    stream = b"".join(encode_frame(1, wire, rsv=4) for wire in wires) + encode_frame(2, bytes(200))
    assembler = MessageAssembler(S, DeflateParams())
    received = decode(S, stream, rsv_allowed=4, max_payload=20)
    first, second, third = (assembler.receive(frame) for frame in received)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.truncated, first.violations) == (True, ())
    assert (b"x" * 30 + bytes(range(60))).startswith(first.payload)
    assert (second.lost, second.payload) == ("window-lost", b"")
    assert (third.payload, third.truncated) == (bytes(20), True)


# ---- gaps


def test_a_message_that_is_open_after_a_gap_comes_out_lost() -> None:
    assembler = MessageAssembler(S)
    assert messages(assembler, encode_frame(1, b"begin", fin=False)) == []
    assembler.gap(BINARY)
    rest = [Frame(S, 8, 70, False, 0, 0, None, 1, 2, b"x"), Frame(S, 9, 73, True, 0, 0, None, 1, 2, b"y")]
    assert assembler.receive(rest[0]) is None
    assert assembler.receive(rest[1]) == Message(S, 2, b"", 8, 9, 6, lost="gap")


def test_a_gap_that_ends_all_leaves_no_message_open() -> None:
    assembler = MessageAssembler(S)
    messages(assembler, encode_frame(1, b"begin", fin=False))
    assembler.gap(0)
    stray, new = frames(encode_frame(0, b"stray"), encode_frame(1, b"new"))
    assert assembler.receive(stray) is None
    message = assembler.receive(new)
    assert message is not None
    assert (message.payload, message.lost) == (b"new", "")


def test_a_gap_inside_the_last_frame_of_a_message() -> None:
    """The decoder still gives out that frame, truncated; its message is lost, and known to be."""
    assembler = MessageAssembler(S)
    messages(assembler, encode_frame(1, b"begin", fin=False))
    assembler.gap(0)
    message = assembler.receive(Frame(S, 2, 7, True, 0, 0, None, 9, 2, b"par", truncated=True))
    assert message == Message(S, 1, b"", 1, 2, 18, lost="gap")


@given(st.data(), st.booleans())
def test_with_a_gap_each_text_is_right_or_said_to_be_lost(data: st.DataObject, no_takeover: bool) -> None:
    """Compressed, fragmented messages; some frames in a row go missing. Never a wrong text."""
    deflater = Deflater(no_context_takeover=no_takeover)
    texts = data.draw(st.lists(st.text("abc é", max_size=30).map(str.encode), min_size=2, max_size=8))
    raw: list[tuple[bytes, int]] = []  # a frame, and the state after it
    for text in texts:
        parts = cut(deflater.deflate(text), data.draw(POINTS))
        for i, part in enumerate(fragments(1, parts, rsv=4)):
            raw.append((part, 0 if i == len(parts) - 1 else TEXT | COMPRESSED))
    start = data.draw(st.integers(0, len(raw) - 1))
    stop = data.draw(st.integers(start + 1, len(raw)))
    received = frames(*(part for part, _ in raw))
    assembler = MessageAssembler(S, DeflateParams(server_no_context_takeover=no_takeover))
    ends = [i for i, (_, state) in enumerate(raw) if not state]
    for i, frame in enumerate(received):
        if start <= i < stop:
            if i == stop - 1:
                assembler.gap(raw[i][1])
            continue
        message = assembler.receive(frame)
        assert (message is None) == (i not in ends)
        if message is not None:
            assert message.lost or message.payload == texts[ends.index(i)]
            assert not message.violations
            assert not (message.lost and (i < start or message.payload))


def test_copies_go_their_own_ways() -> None:
    deflater, assembler = Deflater(), MessageAssembler(S, DeflateParams())
    wire = deflater.deflate(b"shared beginning, one end")
    first, last = frames(*fragments(1, [wire[:9], wire[9:]], rsv=4))
    assembler.receive(first)
    snapshot = assembler.copy()
    assembler.gap(0)
    message = snapshot.receive(last)
    assert message is not None
    assert (message.text, message.lost) == ("shared beginning, one end", "")
    assert (snapshot.window_known, assembler.window_known) == (True, False)


def test_copies_inside_a_character() -> None:
    assembler = MessageAssembler(S)
    first, last = frames(*fragments(1, ["€".encode()[:1], "€".encode()[1:]]))
    assembler.receive(first)
    for each in (assembler.copy(), assembler):
        message = each.receive(last)
        assert message is not None
        assert (message.text, message.violations) == ("€", ())
