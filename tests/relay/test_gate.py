"""Messages held for somebody's word: what passes is the bytes that came."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.test_transparent import wild_traffic
from wsinspect.model import Side
from wsinspect.relay.encoder import Encoder
from wsinspect.relay.gate import Control, Gate, Held
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

MASK = b"\x01\x02\x03\x04"
PING = encode_frame(9, b"?")


def new_key() -> bytes:
    return b"\x0a\x0b\x0c\x0d"


def taken(gate: Gate, data: bytes) -> list[bytes | Held]:
    """The items of one read, control frames as bytes."""
    return [item.raw if isinstance(item, Control) else item for item in gate.receive(data)]


def all_passed(gate: Gate, pieces: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for item in taken(gate, piece):
            yield item.raw if isinstance(item, Held) else item
    yield from gate.rest()


def cut(stream: bytes, rng: random.Random) -> list[bytes]:
    places = sorted(rng.randrange(len(stream)) for _ in range(30))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True) if a < b]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_nobody_changes_is_what_came_whatever_it_was(seed: int) -> None:
    """Control frames may overtake the fragments of a message that is held; no byte else moves."""
    rng = random.Random(seed)
    stream = wild_traffic(rng, masked=True, count=12) + encode_frame(1, b"unfinished", fin=False)[:-3]
    came, went = FrameDecoder(Side.CLIENT), FrameDecoder(Side.CLIENT)
    before = came.receive(stream)
    out = b"".join(all_passed(Gate(Side.CLIENT), cut(stream, rng)))
    after = went.receive(out)
    assert len(out) == len(stream)

    def data(frames: list) -> list:  # type: ignore[type-arg]
        return [(f.opcode, f.fin, f.rsv, f.mask, f.payload) for f in frames if not f.is_control]

    def control(frames: list) -> list:  # type: ignore[type-arg]
        return [(f.opcode, f.fin, f.rsv, f.mask, f.payload) for f in frames if f.is_control]

    assert data(after) == data(before)
    assert control(after) == control(before)


def test_a_message_is_held_and_a_ping_between_its_fragments_passes() -> None:
    gate, encoder = Gate(Side.SERVER), Encoder(Side.SERVER, None, new_key)
    first, second = encode_frame(1, b"one ", fin=False), encode_frame(0, b"two")
    assert taken(gate, first + PING) == [PING]
    assert gate.kept_bytes == len(first)
    (held,) = taken(gate, second + PING[:1])
    assert isinstance(held, Held)
    assert held.message.payload == b"one two"
    assert held.raw == first + second
    assert encoder.passes(held)
    held.keep()
    assert held.raw == first + second
    assert encoder.changed(held, b"three", None) == encode_frame(1, b"thre", fin=False) + encode_frame(
        0, b"e"
    )


def test_what_replaces_a_clients_message_is_masked() -> None:
    gate, encoder = Gate(Side.CLIENT), Encoder(Side.CLIENT, None, new_key)
    (held,) = taken(gate, encode_frame(2, b"old", mask=MASK))
    assert isinstance(held, Held)
    assert encoder.changed(held, b"new", None) == encode_frame(2, b"new", mask=MASK)


@pytest.mark.parametrize("alone", [False, True], ids=["context-takeover", "no-context-takeover"])
@pytest.mark.parametrize("drop", [False, True], ids=["replaced", "dropped"])
def test_after_a_change_of_a_compressed_message_the_rest_still_inflates(alone: bool, drop: bool) -> None:
    params = DeflateParams(server_no_context_takeover=alone)
    deflater = Deflater(no_context_takeover=alone)
    texts = [f"the same words again and again, {n}".encode() for n in range(6)]
    stream = [encode_frame(1, deflater.deflate(text), rsv=4) for text in texts]
    stream.insert(4, encode_frame(1, b"not compressed"))
    gate, encoder = Gate(Side.SERVER, params), Encoder(Side.SERVER, params, new_key)
    out = []
    for number, data in enumerate(stream):
        (held,) = taken(gate, data)
        assert isinstance(held, Held)
        if number != 2:
            out.append(held.raw if encoder.passes(held) else encoder.encoded(held))
        elif drop:
            encoder.skipped(held)
            out.append(b"")
        else:
            out.append(encoder.changed(held, b"changed, " + held.message.payload, None))
    assert encoder.parted is not alone
    frames, messages = FrameDecoder(Side.SERVER, rsv_allowed=4), MessageAssembler(Side.SERVER, params)
    got = [m.payload for f in frames.receive(b"".join(out)) if (m := messages.receive(f))]
    expected = [
        *texts[:2],
        *([] if drop else [b"changed, " + texts[2]]),
        texts[3],
        b"not compressed",
        *texts[4:],
    ]
    assert got == expected
    assert out[:2] == stream[:2]
    if alone:
        assert out[3:] == stream[3:]


def test_a_message_too_large_passes_and_the_next_is_held_again() -> None:
    gate = Gate(Side.SERVER, limit=100)
    large = encode_frame(2, bytes(300), fin=False) + encode_frame(0, bytes(50))
    small = encode_frame(1, b"small")
    out = b"".join(all_passed(gate, [large[:150], large[150:200]]))
    assert out == large[:200]
    assert not gate.between_messages
    items = taken(gate, large[200:] + small)
    assert b"".join(item for item in items if isinstance(item, bytes)) == large[200:]
    assert isinstance(items[-1], Held)
    assert gate.between_messages
    assert gate.oversize == 1


def test_where_frames_cannot_be_parsed_all_bytes_pass() -> None:
    gate = Gate(Side.SERVER)
    stream = encode_frame(1, b"fine") + b"\x82\x7f\xff" + bytes(20)
    held, *rest = taken(gate, stream)
    assert isinstance(held, Held)
    assert b"".join(each for each in rest if isinstance(each, bytes)) == stream[6:]
    assert taken(gate, b"anything") == [b"anything"]
    assert not gate.between_messages
