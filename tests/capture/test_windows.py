"""The window of a direction, found in a capture that a writer has just written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsinspect.capture import windows
from wsinspect.capture.windows import WindowPass, WindowSearch
from wsinspect.capture.writer import Writer
from wsinspect.model import Gap, Read, Side
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.extensions import Negotiated, negotiated
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

S = Side.SERVER
WORDS = b"the same words again and again"
AGREED: Negotiated = negotiated([("Sec-WebSocket-Extensions", DeflateParams().header())])


class Stream:
    """What a server sends, and a capture of it."""

    def __init__(self, writer: Writer, conn: int) -> None:
        self.writer = writer
        self.conn = conn
        self.offset = 0
        self.deflater = Deflater()

    def message(self, text: bytes) -> bytes:
        return encode_frame(1, self.deflater.deflate(text), rsv=4)

    def read(self, data: bytes) -> None:
        self.writer.append(Read(self.conn, S, 0, data, self.offset, 1, 0, 0, 0))
        self.offset += len(data)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "a.wscap")
    yield writer
    writer.close()


@contextmanager
def passing(writer: Writer) -> Iterator[WindowPass]:
    through = WindowPass(writer.path)
    yield through
    through.close()


def soon() -> float:
    return time.monotonic() + 20


def can_read(assembler: MessageAssembler, data: bytes) -> bytes:
    [frame] = FrameDecoder(S, rsv_allowed=4).receive(data)
    message = assembler.receive(frame)
    assert message is not None
    assert not message.lost
    return message.payload


def test_two_directions_in_one_pass(writer: Writer) -> None:
    """The place lies within a read: what follows in it belongs to nobody yet."""
    searches, following = [], []
    for stream in (Stream(writer, 1), Stream(writer, 2)):
        for number in range(20):
            stream.read(stream.message(WORDS + bytes([48 + number])))
        last, behind = stream.message(b"last " + WORDS), stream.message(b"behind " + WORDS)
        searches.append(WindowSearch(stream.conn, S, AGREED, stream.offset + len(last)))
        stream.read(last + behind)
        following.append(behind)
    with passing(writer) as through:
        through.run(searches, soon())
    for search, behind in zip(searches, following, strict=True):
        assert search.found
        assert can_read(search.assembler, behind) == b"behind " + WORDS


def test_a_later_place_that_was_read_already_and_one_that_is_still_to_come(writer: Writer) -> None:
    stream = Stream(writer, 1)
    one, two, three = (stream.message(WORDS + word) for word in (b"one", b"two", b"three"))
    search = WindowSearch(1, S, AGREED, len(one))
    stream.read(one + two)
    with passing(writer) as through:
        through.run([search], soon())
        assert search.found
        search.go_on(len(one + two))
        assert search.found
        search.go_on(len(one + two + three))
        assert not search.over
        stream.read(three)
        through.run([search], soon())
    assert search.found
    assert can_read(search.assembler, stream.message(WORDS)) == WORDS


def test_a_gap_or_a_missing_beginning_ends_the_search(writer: Writer) -> None:
    whole = Stream(writer, 1)
    whole.read(whole.message(WORDS))
    missing = Stream(writer, 2)
    missing.offset = 100  # as after an eviction
    missing.read(missing.message(WORDS))
    holed = Stream(writer, 3)
    holed.read(holed.message(WORDS))
    writer.append(Gap(3, S, 0, holed.offset, 10, "lost"))
    searches = [WindowSearch(conn, S, AGREED, 1000) for conn in (2, 3)]
    with passing(writer) as through:
        through.run(searches, soon())
    assert [(each.over, each.found) for each in searches] == [(True, False), (True, False)]


def test_a_place_within_a_message_is_none(writer: Writer) -> None:
    stream = Stream(writer, 1)
    data = stream.message(WORDS)
    stream.read(data)
    search = WindowSearch(1, S, AGREED, len(data) - 1)
    with passing(writer) as through:
        through.run([search], soon())
    assert (search.over, search.found) == (True, False)


def test_what_lies_ahead_is_bounded(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "AHEAD_KEPT", 100)
    stream, other = Stream(writer, 1), Stream(writer, 2)
    first = stream.message(WORDS)
    search = WindowSearch(1, S, AGREED, len(first))
    stream.read(first)
    for _ in range(50):
        stream.read(stream.message(WORDS))
    other.read(other.message(WORDS))
    with passing(writer) as through:
        through.run([search, WindowSearch(2, S, AGREED, other.offset)], soon())
    assert (search.over, search.found) == (True, False)


def test_the_time_is_limited(writer: Writer) -> None:
    search = WindowSearch(1, S, AGREED, 1)
    with passing(writer) as through:
        through.run([search], time.monotonic() + 0.01)
    assert not search.over
