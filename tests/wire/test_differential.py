"""Other implementations read the same bytes: websockets frame by frame, wsproto with the message's state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode as TheirOpcode
from websockets.streams import StreamReader
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from tests.wire.streams import KEYS, PAYLOADS, SIDES, decode, raw_frames
from wsinspect.model import Side, Violation
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

NOT_SEEN_BY_WEBSOCKETS = {
    Violation.NON_MINIMAL_LENGTH,
    Violation.UNEXPECTED_CONTINUATION,  # its Protocol finds these, its Frame does not
    Violation.EXPECTED_CONTINUATION,
    Violation.DATA_AFTER_CLOSE,
    Violation.BAD_CLOSE_LENGTH,
    Violation.BAD_CLOSE_CODE,
    Violation.BAD_CLOSE_REASON,
}


def parse_with_websockets(raw: bytes, mask: bool) -> TheirFrame | None:
    """The frame, or None where websockets refuses it."""
    reader = StreamReader()
    reader.feed_data(raw)
    parser = TheirFrame.parse(reader.read_exact, mask=mask)
    try:
        next(parser)
    except StopIteration as done:
        return done.value
    except ProtocolError:
        return None
    raise AssertionError("websockets waits for more")


@given(SIDES, raw_frames())
def test_websockets_reads_the_same_frame_or_refuses_it(side: Side, raw: bytes) -> None:
    (ours,) = decode(side, raw)
    theirs = parse_with_websockets(raw, mask=side is Side.CLIENT)
    assert (theirs is None) == bool(set(ours.violations) - NOT_SEEN_BY_WEBSOCKETS)
    if theirs is not None:
        assert (ours.opcode, ours.fin, ours.payload) == (theirs.opcode, theirs.fin, theirs.data)


@given(st.sampled_from([0, 1, 2, 8, 9, 10]), PAYLOADS, st.booleans(), st.none() | KEYS)
def test_websockets_writes_the_same_frame(opcode: int, payload: bytes, fin: bool, key: bytes | None) -> None:
    theirs = TheirFrame(TheirOpcode(opcode), payload, fin)
    try:
        raw = theirs.serialize(mask=key is not None)
    except ProtocolError:
        (frame,) = decode(Side.SERVER, encode_frame(opcode, payload, fin=fin))
        assert frame.violations
        return
    if key is not None:  # theirs is random
        (frame,) = decode(Side.CLIENT, raw)
        key = frame.mask
    assert raw == encode_frame(opcode, payload, fin=fin, mask=key)


@given(SIDES, st.lists(raw_frames(), max_size=8))
def test_wsproto_refuses_the_same_frame_and_reads_the_same_messages(side: Side, raws: list[bytes]) -> None:
    protocol = FrameProtocol(client=side is Side.SERVER, extensions=[])
    decoder, assembler = FrameDecoder(side), MessageAssembler(side)
    text: list[str | bytes] = []
    for raw in raws:
        (frame,) = decoder.receive(raw)
        message = assembler.receive(frame)
        refused = bool(frame.violations)
        protocol.receive_bytes(raw)
        try:
            received = list(protocol.received_frames())
        except ParseFailed:
            assert refused or _is_too_strict(frame.payload)
            return
        assert not refused
        for theirs in received:
            if theirs.opcode < 8:
                text.append(theirs.payload)
                if theirs.message_finished:
                    assert message is not None
                    assert message.payload == b"".join(p.encode() if isinstance(p, str) else p for p in text)
                    text.clear()
            elif theirs.opcode == 8:
                return  # it reads no further
            else:
                assert theirs.payload == frame.payload


def _is_too_strict(close_payload: bytes) -> bool:
    """wsproto refuses 1012 to 1014, which the registry has added, in a Close."""
    return close_payload[:2] in (b"\x03\xf4", b"\x03\xf5", b"\x03\xf6")
