from __future__ import annotations

import itertools
import random
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode as TheirOpcode

from wsinspect.model import Side
from wsinspect.wire.deflate import DeflateParams, Deflater, Inflated, Inflater
from wsinspect.wire.extensions import parse_extensions

WORDS = st.lists(
    st.sampled_from([b'{"price":', b"hello ", b"world ", b"\x00\xff", b"x" * 50, b"1.25", b"", b"}"]),
    max_size=12,
)
MESSAGES = st.lists(WORDS.map(b"".join), min_size=1, max_size=8)
WINDOWS = st.integers(9, 15)

# ---- what RFC 7692 shows


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("f248cdc9c90700", id="7.2.3.1 one block"),
        pytest.param("000500faff48656c6c6f00", id="7.2.3.3 a block with no compression"),
        pytest.param("f348cdc9c9070000", id="7.2.3.4 a block with BFINAL"),
        pytest.param("f348cdc9c90700", id="the same without the padding"),
        pytest.param("f348cdc9c907", id="the same cut so short that the tail completes it"),
        pytest.param("f24805000000ffffcac9c90700", id="7.2.3.5 two blocks"),
    ],
)
def test_examples_of_section_7_2_3(wire: str) -> None:
    inflater = Inflater()
    for _ in range(3):
        assert inflater.inflate(bytes.fromhex(wire)) == Inflated(b"Hello")
    assert inflater.window_known


def test_context_takeover_of_section_7_2_3_2() -> None:
    inflater = Inflater()
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700")).data == b"Hello"
    assert inflater.inflate(bytes.fromhex("f200110000")).data == b"Hello"


def test_the_empty_message_is_one_zero_byte() -> None:
    deflater = Deflater()
    wires = [deflater.deflate(payload) for payload in (b"one", b"", b"", b"two")]
    assert wires[2] == b"\x00"
    inflater = Inflater()
    assert [inflater.inflate(wire).data for wire in wires] == [b"one", b"", b"", b"two"]
    assert inflater.inflate(b"").data == b""


def test_a_stream_after_bfinal_may_refer_to_what_came_before_it() -> None:
    """7.2.3.4: the block ends zlib's stream, not the window."""
    text = b"the quick brown fox jumps over the lazy dog"
    final = zlib.compressobj(wbits=-15)
    ending = zlib.compressobj(wbits=-15, zdict=text)
    inflater = Inflater()
    assert inflater.inflate(final.compress(text) + final.flush()).data == text
    short = ending.compress(text) + ending.flush()
    assert len(short) < 10
    assert inflater.copy().inflate(short).data == text
    assert inflater.inflate(short + b"\x00").data == text
    assert Inflater().inflate(short).error


# ---- round trips


@given(MESSAGES, WINDOWS, st.booleans(), st.sampled_from([0, 1, 6, 9]))
def test_inflate_of_deflate_is_the_identity(messages, bits, no_takeover, level) -> None:
    deflater = Deflater(bits, no_context_takeover=no_takeover, level=level)
    inflater = Inflater(bits, no_context_takeover=no_takeover)
    for message in messages:
        assert inflater.inflate(deflater.deflate(message)) == Inflated(message)


@given(WORDS.map(b"".join), st.lists(st.integers(0, 100), max_size=4))
def test_in_pieces(message: bytes, points: list[int]) -> None:
    wire = Deflater().deflate(message)
    places = [0, *sorted(point % (len(wire) + 1) for point in points), len(wire)]
    inflater = Inflater()
    out = [inflater.feed(wire[a:b], final=False).data for a, b in itertools.pairwise(places)]
    assert b"".join(out) + inflater.feed(b"", final=True).data == message


@given(MESSAGES, WINDOWS, st.booleans())
def test_websockets_reads_what_we_write(messages, bits, no_takeover) -> None:
    theirs = PerMessageDeflate(no_takeover, no_takeover, bits, bits)
    deflater = Deflater(bits, no_context_takeover=no_takeover)
    for message in messages:
        frame = TheirFrame(TheirOpcode.BINARY, deflater.deflate(message), True, True)
        assert theirs.decode(frame).data == message


@given(MESSAGES, WINDOWS, st.booleans())
def test_we_read_what_websockets_writes(messages, bits, no_takeover) -> None:
    theirs = PerMessageDeflate(no_takeover, no_takeover, bits, bits)
    inflater = Inflater(bits, no_context_takeover=no_takeover)
    for message in filter(None, messages):
        wire = bytes(theirs.encode(TheirFrame(TheirOpcode.BINARY, message)).data)
        assert inflater.inflate(wire) == Inflated(message)


def test_a_window_of_8_bits() -> None:
    """zlib reads such streams and writes none, so what our Deflater writes must keep within 256 bytes."""
    message = bytes(range(256)) * 8 + b"abcdefgh" * 100
    wire = Deflater(8, level=9).deflate(message)
    strict = zlib.decompressobj(-8)
    assert strict.decompress(wire + b"\x00\x00\xff\xff") == message
    assert Inflater(8).inflate(wire) == Inflated(message)


def test_a_window_larger_than_agreed_is_damage() -> None:
    """The peer that agreed to it cannot read this either."""
    noise = random.Random(1).randbytes(1000)
    for agreed, used, error in ((10, 10, False), (15, 15, False), (9, 15, True)):
        deflater, inflater = Deflater(used), Inflater(agreed)
        assert inflater.inflate(deflater.deflate(noise)).data == noise
        assert inflater.inflate(deflater.deflate(noise)) == Inflated(b"" if error else noise, error=error)


# ---- damage


def test_damage_is_an_error_and_the_window_is_lost_after_it() -> None:
    deflater, inflater = Deflater(), Inflater()
    first, second = deflater.deflate(b"hello hello world"), deflater.deflate(b"hello hello world")
    assert inflater.inflate(first).data == b"hello hello world"
    assert inflater.inflate(b"\xff\xff\xff") == Inflated(b"", error=True)
    assert not inflater.window_known
    assert inflater.inflate(second) == Inflated(b"", lost=True)
    assert inflater.inflate(Deflater().deflate(b"fresh")) == Inflated(b"fresh")


def test_without_context_takeover_damage_stays_in_its_message() -> None:
    deflater, inflater = Deflater(no_context_takeover=True), Inflater(no_context_takeover=True)
    assert inflater.inflate(b"\xff\xff\xff").error
    assert inflater.window_known
    assert inflater.inflate(deflater.deflate(b"next")) == Inflated(b"next")


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_never_raises_on_peer_bytes(wires: list[bytes], no_takeover: bool) -> None:
    inflater = Inflater(no_context_takeover=no_takeover, max_bytes=100)
    for wire in wires:
        assert len(inflater.inflate(wire).data) <= 100


# ---- lost windows


@settings(max_examples=150)
@given(st.data(), st.booleans(), WINDOWS)
def test_with_messages_missing_each_is_right_or_lost(
    data: st.DataObject, no_takeover: bool, bits: int
) -> None:
    messages = data.draw(MESSAGES) * 2
    dropped = data.draw(st.sets(st.integers(0, len(messages) - 1), min_size=1, max_size=2))
    deflater = Deflater(bits, no_context_takeover=no_takeover)
    inflater = Inflater(bits, no_context_takeover=no_takeover)
    for i, message in enumerate(messages):
        wire = deflater.deflate(message)
        if i in dropped:
            inflater.lose_window()
            continue
        result = inflater.inflate(wire)
        assert not result.error
        assert result.lost or result.data == message
        if no_takeover or i < min(dropped):
            assert not result.lost


def test_the_window_is_known_again_once_it_is_full() -> None:
    inflater = Inflater(9)
    inflater.lose_window()
    assert not inflater.window_known
    assert inflater.inflate(Deflater(9).deflate(b"short")).data == b"short"
    assert not inflater.window_known
    assert inflater.inflate(Deflater(9).deflate(bytes(512))).data == bytes(512)
    assert inflater.window_known


def test_losing_the_window_in_the_middle_of_a_message_gives_it_up() -> None:
    inflater = Inflater(no_context_takeover=True)
    wire = Deflater().deflate(b"the first of two")
    inflater.feed(wire[:5], final=False)
    inflater.lose_window()
    assert inflater.inflate(wire) == Inflated(b"the first of two")


def test_copies_go_their_own_ways() -> None:
    deflater, inflater = Deflater(), Inflater()
    wires = [deflater.deflate(text) for text in (b"shared words", b"shared words again", b"words")]
    inflater.inflate(wires[0])
    snapshot = inflater.copy()
    assert [inflater.inflate(wire).data for wire in wires[1:]] == [b"shared words again", b"words"]
    assert [snapshot.inflate(wire).data for wire in wires[1:]] == [b"shared words again", b"words"]


# ---- bounds


def test_past_the_limit_the_window_is_still_right() -> None:
    deflater, inflater = Deflater(), Inflater(max_bytes=10)
    assert inflater.inflate(deflater.deflate(b"0123456789")) == Inflated(b"0123456789")
    assert inflater.inflate(deflater.deflate(b"0123456789ABC")) == Inflated(b"0123456789", truncated=True)
    assert inflater.inflate(deflater.deflate(b"789ABC")) == Inflated(b"789ABC")


def test_a_bomb_takes_bounded_memory_and_the_window_survives_it() -> None:
    deflater, inflater = Deflater(), Inflater(max_bytes=1 << 16)
    bomb = deflater.deflate(bytes(32 << 20) + b"fuse")
    after = deflater.deflate(b"fuse" * 3)
    tracemalloc.start()
    try:
        result = inflater.inflate(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(result.data), result.truncated) == (1 << 16, True)
    assert peak < 6 << 20
    assert inflater.inflate(after) == Inflated(b"fuse" * 3)


def test_a_bomb_past_all_measure_costs_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.wire.deflate._DROP_LIMIT", 1 << 20)
    deflater, inflater = Deflater(), Inflater(max_bytes=10)
    result = inflater.inflate(deflater.deflate(bytes(8 << 20)))
    assert result == Inflated(bytes(10), truncated=True)
    assert not inflater.window_known


def test_millions_of_final_blocks_are_damage_and_take_no_time() -> None:
    begin = time.process_time()
    assert Inflater().inflate(b"\x03\x00" * 1_000_000).error
    assert time.process_time() - begin < 2


def test_many_small_messages_keep_no_more_than_a_window() -> None:
    deflater, inflater = Deflater(), Inflater()
    for i in range(5000):
        inflater.inflate(deflater.deflate(b"%d" % i))
    assert len(inflater._recent) <= 65
    final = zlib.compressobj(wbits=-15, zdict=b"49984999")
    assert inflater.inflate(final.compress(b"49984999") + final.flush()).data == b"49984999"


# ---- parameters


def test_parameters_by_side() -> None:
    params = DeflateParams(
        server_no_context_takeover=True, server_max_window_bits=9, client_max_window_bits=12
    )
    assert (params.no_context_takeover(Side.SERVER), params.no_context_takeover(Side.CLIENT)) == (True, False)
    assert (params.window_bits(Side.SERVER), params.window_bits(Side.CLIENT)) == (9, 12)


PARAMS = st.builds(DeflateParams, st.booleans(), st.booleans(), st.integers(8, 15), st.integers(8, 15))


@given(PARAMS)
def test_parse_of_header_is_the_identity(params: DeflateParams) -> None:
    ((name, values),) = parse_extensions([params.header()])
    assert name == "permessage-deflate"
    assert DeflateParams.parse(values) == params


def test_an_offer_without_a_value() -> None:
    assert DeflateParams.parse([("client_max_window_bits", None)]) == DeflateParams()


@pytest.mark.parametrize(
    "params",
    [
        [("server_no_context_takeover", "1")],
        [("client_no_context_takeover", "")],
        [("server_max_window_bits", None)],
        *([("server_max_window_bits", value)] for value in ("7", "16", "08", "+9", "9.0", "", "x", "٩")),
        *([("client_max_window_bits", value)] for value in ("7", "16", "010")),
        [("server_max_window_bits", "9"), ("server_max_window_bits", "9")],
        [("client_no_context_takeover", None), ("client_no_context_takeover", None)],
        [("Server_No_Context_Takeover", None)],
        [("level", "9")],
    ],
    ids=str,
)
def test_parameters_that_section_7_1_forbids(params: list[tuple[str, str | None]]) -> None:
    with pytest.raises(ValueError, match=params[0][0]):
        DeflateParams.parse(params)
