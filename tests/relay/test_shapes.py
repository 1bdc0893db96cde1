"""How a message looks on the wire: sizes, and deliberate violations, as an independent decoder sees them."""

from __future__ import annotations

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, C, Play, S, frames
from wsinspect.model import Frame, Side, Violation
from wsinspect.model.plans import MaskFault, Shape
from wsinspect.relay.shaping import MOST_FRAMES, Look, frames_of
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler


def shaped(shape: Shape, side: Side = S, text: str = "go, and ten more", **values: object) -> list[Frame]:
    """What arrives of a message that came in three frames."""
    play = Play(Script({"go": plan("shape-it", shape=shape, **values)}))
    play.say(side, text, sizes=(3, 4))
    (sent,) = play.sent()
    assert sent.data == play.bytes_to(side.other)
    assert (sent.why, sent.rule, sent.first_frame, sent.last_frame) == ("modified", "shape-it", 1, 3)
    assert play.outcomes() == ["changed"]
    return FrameDecoder(side, rsv_allowed=0).receive(play.bytes_to(side.other))


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (Shape(sizes=(4,)), [4, 4, 4, 4]),
        (Shape(sizes=(1, 2, 5)), [1, 2, 5, 5, 3]),
        (Shape(sizes=(100,)), [16]),
        (Shape(sizes=(0, 5)), [0, 5, 5, 5, 1]),
        (Shape(sizes=(3, 0)), [3, 13]),
        (Shape(sizes=()), [3, 4, 9]),
        (Shape(merge=True), [16]),
        (Shape(), [3, 4, 9]),
    ],
)
@pytest.mark.parametrize("side", [C, S], ids=["client", "server"])
def test_sizes(shape: Shape, sizes: list[int], side: Side) -> None:
    found = shaped(shape, side)
    assert [frame.length for frame in found] == sizes
    assert b"".join(frame.payload for frame in found) == b"go, and ten more"
    assert [frame.fin for frame in found] == [False] * (len(sizes) - 1) + [True]
    assert not any(frame.violations for frame in found)
    assert [frame.opcode for frame in found] == [1] + [0] * (len(sizes) - 1)


def test_more_frames_than_came_have_fresh_keys() -> None:
    masks = [frame.mask for frame in shaped(Shape(sizes=(4,)), C)]
    assert masks == [KEY, KEY, KEY, b"K\0\0\1"]


def test_another_payload_in_another_shape() -> None:
    found = shaped(Shape(sizes=(2,)), payload=b"other")
    assert [frame.payload for frame in found] == [b"ot", b"he", b"r"]


@pytest.mark.parametrize(
    ("shape", "side", "violations"),
    [
        (Shape(rsv=2), S, {Violation.RESERVED_BITS}),
        (Shape(rsv=4), C, {Violation.RESERVED_BITS}),
        (Shape(opcode=3, merge=True), S, {Violation.RESERVED_OPCODE}),
        (Shape(mask=MaskFault.MISSING), C, {Violation.UNMASKED_CLIENT}),
        (Shape(mask=MaskFault.MISSING), S, set()),
        (Shape(mask=MaskFault.WRONG), S, {Violation.MASKED_SERVER}),
        (Shape(wide_length=True), C, {Violation.NON_MINIMAL_LENGTH}),
    ],
)
def test_a_deliberate_violation(shape: Shape, side: Side, violations: set[Violation]) -> None:
    found = shaped(shape, side)
    assert {violation for frame in found for violation in frame.violations} == violations
    assert b"".join(frame.payload for frame in found) == b"go, and ten more"


def test_a_payload_that_another_key_masked() -> None:
    found = shaped(Shape(mask=MaskFault.WRONG), C)
    assert not any(frame.violations for frame in found)
    assert b"".join(frame.payload for frame in found) != b"go, and ten more"


def test_a_message_without_an_end() -> None:
    play = Play(Script({"go": plan(shape=Shape(unfinished=True))}))
    play.say(S, "go")
    play.say(S, "next")
    first, second = FrameDecoder(S).receive(play.bytes_to(C))
    assert not first.fin
    assert second.violations == (Violation.EXPECTED_CONTINUATION,)


def test_another_opcode() -> None:
    (frame,) = shaped(Shape(opcode=2, merge=True))
    assert frame.opcode == 2


def test_other_frames_of_a_compressed_message_are_its_very_bytes() -> None:
    """The windows need not part for it."""
    play = Play(Script({"go": plan(shape=Shape(sizes=(5,)))}), deflate=DeflateParams())
    play.say(S, "go, the same words")
    last = play.say(S, "the same words")
    assert play.bytes_to(C).endswith(last)
    assert play.texts_to(C) == ["go, the same words", "the same words"]
    assert len(FrameDecoder(S, rsv_allowed=4).receive(play.bytes_to(C))) > 2
    (sent,) = play.sent()
    assert sent.data == b"".join(
        encode_frame(0 if at else 1, b"go, the same words"[at : at + 5], fin=at == 15)
        for at in range(0, 18, 5)
    )
    assert sent.wire_bytes == len(play.bytes_to(C)) - len(last)


def test_rsv1_taken_from_a_compressed_message() -> None:
    play = Play(Script({"go": plan(shape=Shape(rsv=0))}), deflate=DeflateParams())
    play.say(S, "go, the same words")
    (frame,) = FrameDecoder(S, rsv_allowed=4).receive(play.bytes_to(C))
    assert frame.rsv == 0
    assert MessageAssembler(S, DeflateParams()).receive(frame)


def test_a_shaped_control_frame() -> None:
    play = Play(Script(control={"go": plan(shape=Shape(rsv=1, unfinished=True), payload=b"x" * 200)}))
    play.receive(S, encode_frame(9, b"go"))
    (frame,) = FrameDecoder(S).receive(play.bytes_to(C))
    assert set(frame.violations) == {
        Violation.RESERVED_BITS, Violation.FRAGMENTED_CONTROL, Violation.LONG_CONTROL,
    }  # fmt: skip


def test_the_number_of_frames_is_bounded() -> None:
    look = Look(1, [100_000], [None], 0)
    data = frames_of(bytes(100_000), look, rsv1=False, shape=Shape(sizes=(1,)), new_key=bytes)
    assert len(FrameDecoder(S).receive(data)) == MOST_FRAMES


def test_the_bits_of_another_extension_stay() -> None:
    play = Play()
    play.headers = [("Sec-WebSocket-Extensions", "x-own")]
    play.judge(Script({"swap": plan(payload=b"other")}))
    play.receive(S, encode_frame(1, b"swap", rsv=3))
    assert play.bytes_to(C) == encode_frame(1, b"other", rsv=3)


def test_a_message_that_came_whole_after_an_unfinished_one() -> None:
    """The peer's own violation: what was unfinished goes with the message that took its place."""
    play = Play(Script({"look": plan(tags=("seen",))}))
    stream = encode_frame(1, b"unfinished", fin=False) + frames(S, b"look")
    play.receive(S, stream)
    assert play.bytes_to(C) == stream
