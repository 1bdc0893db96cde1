"""What `Deflater` writes is read by strict peers, in every combination of window, takeover and level: alone,
and in the place of another compressor whose messages were dropped or changed on the way.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode as TheirOpcode

from wsinspect.wire.deflate import TAIL, Deflater, Inflater

BITS = range(8, 16)
every_window = pytest.mark.parametrize("bits", BITS)
either_takeover = pytest.mark.parametrize("no_takeover", [False, True], ids=["takeover", "no takeover"])

WORDS = st.sampled_from([b'{"price":', b"hello ", b"\x00\x00\xff\xff", b"x" * 60, b"1.25", b"\x00", b"}"])
PAYLOADS = st.lists(WORDS, max_size=12).map(b"".join) | st.binary(max_size=40)
MESSAGES = st.lists(PAYLOADS, min_size=1, max_size=8)
LEVELS = st.sampled_from([-1, 0, 1, 3, 4, 6, 9])


class Peer:
    """The receiving end, by the `websockets` library."""

    def __init__(self, bits: int, no_takeover: bool) -> None:
        self._theirs = PerMessageDeflate(no_takeover, False, bits, 15)

    def read(self, wire: bytes, cuts: Sequence[int] = ()) -> bytes:
        """The message, sent in frames that are cut there."""
        places = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
        out = b""
        for number in range(len(places) - 1):
            piece = wire[places[number] : places[number + 1]]
            opcode = TheirOpcode.CONT if number else TheirOpcode.BINARY
            frame = TheirFrame(opcode, piece, number == len(places) - 2, not number)
            out += self._theirs.decode(frame).data
        return out


class StrictWindow:
    """A peer that keeps no byte more than the window that was agreed.

    zlib takes references into what one call puts out, however far: so each call puts out one byte.
    """

    def __init__(self, bits: int, no_takeover: bool) -> None:
        self._bits = bits
        self._no_takeover = no_takeover
        self._z = zlib.decompressobj(-bits)

    def read(self, wire: bytes) -> bytes:
        out, rest = bytearray(), wire + TAIL
        while True:
            got = self._z.decompress(rest, 1)
            out += got
            rest = self._z.unconsumed_tail
            if not got and not rest:
                break
        if self._no_takeover:
            self._z = zlib.decompressobj(-self._bits)
        return bytes(out)


def looking_back(bits: int, rng: random.Random) -> list[bytes]:
    """Messages that repeat each other's bytes at distances around the window's size."""
    size = 1 << bits
    block = rng.randbytes(24)
    messages = []
    for distance in (size - 300, size - 262, size - 261, size - 25, size - 24, size, size + 1, 250, 256, 257):
        filler = rng.randbytes(max(distance - len(block), 1))
        messages += [block + filler, block, filler[:100] + block]
    return messages


def test_the_strict_window_is_strict() -> None:
    """It reads what keeps within the window, and refuses what a larger one wrote."""
    wide, strict = Deflater(10, level=9), StrictWindow(9, False)
    wires = [wide.deflate(message) for message in looking_back(9, random.Random(1))]
    with pytest.raises(zlib.error, match="too far back"):
        list(map(strict.read, wires))


@every_window
@either_takeover
@pytest.mark.parametrize("level", [-1, 1, 9])
def test_no_reference_leaves_the_window(bits: int, no_takeover: bool, level: int) -> None:
    deflater = Deflater(bits, no_context_takeover=no_takeover, level=level)
    strict, peer = StrictWindow(bits, no_takeover), Peer(bits, no_takeover)
    for message in looking_back(bits, random.Random(bits)):
        wire = deflater.deflate(message)
        assert strict.read(wire) == message
        assert peer.read(wire) == message


@given(MESSAGES, st.sampled_from(BITS), st.booleans(), LEVELS, st.lists(st.integers(0, 200), max_size=3))
def test_strict_peers_read_every_message(
    messages: list[bytes], bits: int, no_takeover: bool, level: int, cuts: list[int]
) -> None:
    deflater = Deflater(bits, no_context_takeover=no_takeover, level=level)
    strict, peer = StrictWindow(bits, no_takeover), Peer(bits, no_takeover)
    for message in messages:
        wire = deflater.deflate(message)
        assert wire
        assert strict.read(wire) == message
        assert peer.read(wire, cuts) == message


@every_window
def test_takeover_is_used(bits: int) -> None:
    message = random.Random(1).randbytes(100)
    taking, forgetting = Deflater(bits), Deflater(bits, no_context_takeover=True)
    first, second = taking.deflate(message), taking.deflate(message)
    assert len(second) < 10 < len(first)
    assert forgetting.deflate(message) == forgetting.deflate(message) == first


@given(MESSAGES, st.sampled_from(BITS), LEVELS)
def test_without_takeover_each_message_is_as_a_new_compressor_writes_it(
    messages: list[bytes], bits: int, level: int
) -> None:
    deflater = Deflater(bits, no_context_takeover=True, level=level)
    for message in messages:
        new = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9))
        wire = new.compress(message) + new.flush(zlib.Z_SYNC_FLUSH)
        assert deflater.deflate(message) == wire.removesuffix(TAIL)


@every_window
def test_so_it_is_with_large_ones(bits: int) -> None:
    rng = random.Random(bits)
    deflater = Deflater(bits, no_context_takeover=True)
    for size in (100_000, 10, 40_000, 1, 0, 70_000):
        message = bytes(rng.choices(b"abcdefgh", k=size)) + rng.randbytes(size // 10)
        assert deflater.deflate(message) == Deflater(bits).deflate(message)


@every_window
@either_takeover
def test_empty_messages_and_messages_that_look_like_tails(bits: int, no_takeover: bool) -> None:
    for level in (-1, 0):
        deflater = Deflater(bits, no_context_takeover=no_takeover, level=level)
        strict, peer = StrictWindow(bits, no_takeover), Peer(bits, no_takeover)
        for message in (b"", b"", TAIL, b"", b"x" + TAIL, b"\x00", b"", TAIL * 3, b"", b"\x00" + TAIL):
            wire = deflater.deflate(message)
            assert wire
            assert strict.read(wire) == message
            assert peer.read(wire) == message


@either_takeover
@pytest.mark.parametrize("bits", [8, 9, 15])
def test_large_messages(bits: int, no_takeover: bool) -> None:
    rng = random.Random(1)
    deflater, peer = Deflater(bits, no_context_takeover=no_takeover), Peer(bits, no_takeover)
    text = b"".join(b'{"id":%d,"name":"n%d"},' % (n, n % 97) for n in range(40_000))
    for message in (rng.randbytes(1 << 20), text, bytes(3 << 20), b"", text):
        wire = deflater.deflate(message)
        assert peer.read(wire, [len(wire) // 3, len(wire) // 2]) == message


@pytest.mark.parametrize("size", [16384 - 5, 16384, 16384 + 5, 32768, 65535, 65536, 65540])
@either_takeover
def test_where_the_output_just_fills_zlibs_buffers(size: int, no_takeover: bool) -> None:
    """There zlib may flush twice; what is left of it must still be a message."""
    for extra in range(-12, 12):
        message = random.Random(size).randbytes(size + extra)
        deflater, peer = Deflater(no_context_takeover=no_takeover, level=0), Peer(15, no_takeover)
        for _ in range(2):
            assert peer.read(deflater.deflate(message)) == message
        assert peer.read(deflater.deflate(b"end")) == b"end"


# ---- in the place of another compressor

FATES = st.sampled_from(["pass", "pass", "drop", "change", "double"])


@given(MESSAGES, st.data(), st.sampled_from(range(9, 16)), st.booleans(), st.integers(0, 3))
def test_messages_re_encoded_from_some_point_on(
    messages: list[bytes], data: st.DataObject, bits: int, no_takeover: bool, start: int
) -> None:
    """The first ones pass as they came; then some are dropped, changed or sent twice, and all others are
    compressed anew by a new Deflater. The receiver has the first ones in its window, and reads on."""
    sender = PerMessageDeflate(False, no_takeover, 15, bits)
    inflater = Inflater(bits, no_context_takeover=no_takeover)
    deflater: Deflater | None = None
    peer, strict = Peer(bits, no_takeover), StrictWindow(bits, no_takeover)
    for number, message in enumerate(messages * 2):
        wire = bytes(sender.encode(TheirFrame(TheirOpcode.BINARY, message)).data) or b"\x00"
        came = inflater.inflate(wire)
        assert (came.data, came.error, came.lost) == (message, False, False)
        if number < start:
            assert peer.read(wire) == strict.read(wire) == message
            continue
        deflater = deflater or Deflater(bits, no_context_takeover=no_takeover)
        match data.draw(FATES):
            case "drop":
                going = []
            case "change":
                going = [message + b"!"]
            case "double":
                going = [message, message]
            case _:
                going = [message]
        for each in going:
            wire = deflater.deflate(each)
            assert peer.read(wire) == strict.read(wire) == each


def test_what_goes_wrong_without_re_encoding() -> None:
    """A message that refers to one that was dropped: the reason for all this."""
    sender = Deflater(15)
    peer = Peer(15, False)
    sender.deflate(b"the words of the dropped message")
    with pytest.raises(ProtocolError):
        peer.read(sender.deflate(b"the words of the dropped message, again"))


@pytest.mark.parametrize("bits", range(9, 16))
def test_windows_meet_again_after_a_windows_length_of_the_same_text(bits: int) -> None:
    """Once both ends have the same last 2^bits bytes behind them, the sender's own bytes can pass again."""
    rng = random.Random(bits)
    sender = PerMessageDeflate(False, False, 15, bits)
    peer, strict, deflater = Peer(bits, False), StrictWindow(bits, False), Deflater(bits)
    words = [rng.randbytes(20) for _ in range(50)]

    def next_message() -> tuple[bytes, bytes]:
        message = b"".join(rng.choices(words, k=rng.randrange(1, 40)))
        return message, bytes(sender.encode(TheirFrame(TheirOpcode.BINARY, message)).data)

    next_message()  # dropped: the windows part
    same = 0
    while same < 1 << bits:
        message, _ = next_message()
        wire = deflater.deflate(message)
        assert peer.read(wire) == strict.read(wire) == message
        same += len(message)
    for _ in range(200):
        message, wire = next_message()
        assert peer.read(wire) == strict.read(wire) == message


@either_takeover
def test_small_messages_are_cheap(no_takeover: bool) -> None:
    """Without takeover a compressor was made for each message: 62 µs each, fifteen times as much."""
    deflater = Deflater(no_context_takeover=no_takeover)
    begin = time.process_time()
    for _ in range(10_000):
        deflater.deflate(b'{"type":"tick","price":1.25}')
    assert time.process_time() - begin < 0.5
