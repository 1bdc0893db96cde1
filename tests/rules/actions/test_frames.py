"""`fragment`, `merge`, `corrupt`: the frames of a message, deliberate violations among them."""

from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import MaskFault, Shape
from wsinspect.rules.actions import fragment
from wsinspect.rules.actions.corrupt import Fault


def test_fragment_by_sizes_or_by_one_size() -> None:
    act = action("fragment", sizes=(10, 0, 1024))
    plan = plan_of(FakeTalk().turn("x" * 5000), act)
    assert plan.shape == Shape(sizes=(10, 0, 1024))
    assert plan.touches
    assert plan.payload is None
    assert act.explain() == "cut it into frames of 10 bytes, 0 bytes and 1 KiB"
    one = action("fragment", size=7)
    assert plan_of(FakeTalk().turn("x"), one).shape == Shape(sizes=(7,))
    assert one.explain() == "cut it into frames of 7 bytes"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of sizes or size is missing"),
        ({"sizes": (1,), "size": 1}, "cannot both"),
        ({"sizes": ()}, "empty"),
        ({"sizes": (5, 0)}, "cannot be 0"),
        ({"sizes": (1,) * 65_537}, "more than 65,536 sizes"),
    ],
)
def test_fragments_that_make_no_sense(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("fragment", **fields)


def test_not_more_frames_than_anybody_can_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragment, "MAX_FRAMES", 10)
    act = action("fragment", size=2)
    assert plan_of(FakeTalk().turn("x" * 20), act).shape
    with pytest.raises(ValueError, match="would be more than 10 frames"):
        act.apply(FakeTalk().turn("x" * 22))


def test_merge_and_fragment_undo_each_other() -> None:
    cut, merge = action("fragment", size=3), action("merge")
    assert plan_of(FakeTalk().turn("x"), cut, merge).shape == Shape(merge=True)
    assert plan_of(FakeTalk().turn("x"), merge, cut).shape == Shape(sizes=(3,))
    assert merge.explain() == "put it into one frame"


# ----------------------------------------------------------------------------------------------- corrupt


def corrupted(payload: Any, side: Side = Side.CLIENT, **fields: Any) -> Any:
    return plan_of(FakeTalk().turn(payload, side), action("corrupt", **fields))


def bits_that_differ(a: bytes, b: bytes) -> int:
    assert len(a) == len(b)
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("bits", [1, 3, 80, 1000])
def test_exactly_so_many_bits_are_flipped(bits: int) -> None:
    plan = corrupted(bytes(10), how="flip-bits", bits=bits)
    assert bits_that_differ(plan.payload, bytes(10)) == min(bits, 80)
    assert did(plan).endswith("flipped")


def test_truncated_loses_some_of_its_end_and_never_all_of_the_frame() -> None:
    text = "0123456789"
    for seed in range(50):
        plan = corrupted(text, how="truncated", seed=seed)
        assert text.encode().startswith(plan.payload)
        assert 0 <= len(plan.payload) < 10
        assert plan.shape is None


def test_bad_utf8_is_never_utf8() -> None:
    for seed in range(30):
        plan = corrupted("aé€😀", how="bad-utf8", seed=seed)
        with pytest.raises(UnicodeDecodeError):
            plan.payload.decode()
    assert corrupted("", how="bad-utf8").payload == b"\xff"
    assert did(corrupted(b"\x00", how="bad-utf8")) == "corrupt: nothing, since it is no text message"


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"how": "wrong-mask"}, Shape(mask=MaskFault.WRONG)),
        ({"how": "no-mask"}, Shape(mask=MaskFault.MISSING)),
        ({"how": "reserved-bits"}, Shape(rsv=2)),
        ({"how": "reserved-bits", "rsv": 7}, Shape(rsv=7)),
        ({"how": "reserved-opcode"}, Shape(opcode=3)),
        ({"how": "reserved-opcode", "opcode": 11}, Shape(opcode=11)),
        ({"how": "stray-continuation"}, Shape(opcode=0, rsv=0)),
        ({"how": "unfinished"}, Shape(unfinished=True)),
        ({"how": "wide-length"}, Shape(wide_length=True)),
    ],
)
def test_what_is_broken_of_the_frame_leaves_the_payload_alone(fields: dict[str, Any], shape: Shape) -> None:
    plan = corrupted("abc", **fields)
    assert plan.shape == shape
    assert plan.payload is None


def test_control_frames_that_must_not_be() -> None:
    long = corrupted("abc", how="long-control")
    assert long.shape == Shape(opcode=Opcode.PING, rsv=0, merge=True)
    assert long.payload == b"abc" + bytes(123)
    assert corrupted("x" * 500, how="long-control").payload is None
    cut = corrupted("abcde", how="fragmented-control")
    assert cut.shape == Shape(opcode=Opcode.PING, rsv=0, sizes=(3,))
    assert corrupted("", how="fragmented-control").payload == b"\0\0"
    assert len(corrupted("x" * 500, how="fragmented-control").payload) == 125


def test_a_server_s_frame_has_no_mask_to_lose() -> None:
    plan = corrupted("abc", Side.SERVER, how="no-mask")
    assert plan.shape is None
    assert did(plan) == "corrupt: nothing, since a server's frames have no mask"
    assert did(corrupted("abc", Side.SERVER, how="wrong-mask")) == "corrupt: a mask on a server's frame"


@pytest.mark.parametrize("how", ["flip-bits", "truncated", "bad-utf8"])
def test_what_is_random_repeats_with_its_seed(how: str) -> None:
    text = "a long enough text to be broken in many ways" * 20
    by_seed = [corrupted(text, how=how, seed=seed).payload for seed in range(8)]
    assert by_seed == [corrupted(text, how=how, seed=seed).payload for seed in range(8)]
    assert len(set(by_seed)) > 4
    assert corrupted(text, how=how).payload == corrupted(text, how=how).payload
    act, talk = action("corrupt", how=how, seed=1), FakeTalk()
    assert len({plan_of(talk.turn(text), act).payload for _ in range(5)}) > 1


@pytest.mark.parametrize("how", ["flip-bits", "truncated"])
def test_an_empty_payload_cannot_be_broken(how: str) -> None:
    plan = corrupted("", how=how)
    assert plan.payload is None
    assert did(plan) == "corrupt: nothing, since its payload is empty"


@pytest.mark.parametrize("how", [*Fault])
def test_each_fault_explains_itself(how: str) -> None:
    explained = action("corrupt", how=how).explain()
    assert explained
    assert explained[0].islower()


def test_explained() -> None:
    assert action("corrupt", how="flip-bits", bits=3).explain() == "flip 3 bits of its payload"
    assert action("corrupt", how="reserved-bits", rsv=5).explain() == "set RSV1 and RSV3"
    assert action("corrupt", how="reserved-opcode").explain() == "send it with the reserved opcode 3"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"how": "no-mask", "bits": 1}, "`bits` belongs to flip-bits, not to no-mask"),
        ({"how": "flip-bits", "rsv": 1}, "`rsv` belongs to reserved-bits"),
        ({"how": "flip-bits", "opcode": 3}, "`opcode` belongs to reserved-opcode"),
        ({"how": "reserved-opcode", "opcode": 9}, "the opcode 9 is not reserved"),
    ],
)
def test_fields_of_another_fault_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("corrupt", **fields)
