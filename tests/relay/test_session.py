"""Transcripts of a relayed connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsinspect.model import Closed, Ended, FactRecord, How, Notice, Read, Record, ScanState, Sent, Side
from wsinspect.relay.commands import Inject
from wsinspect.relay.direction import Output
from wsinspect.relay.ends import Finish
from wsinspect.relay.session import Session
from wsinspect.relay.states import Carriage
from wsinspect.wire.frames import FrameDecoder, encode_frame

C, S = Side.CLIENT, Side.SERVER
KEY = b"\x11\x22\x33\x44"
text = encode_frame(1, b"hello")
masked = encode_frame(1, b"hello", mask=KEY)


class Play:
    """A session with both ends in hand."""

    def __init__(self, **kwargs: bool) -> None:
        self.session = Session(7, **kwargs)
        self.now_ns = 0
        self.records: list[Record] = []
        self.got: dict[Side, list[Output]] = {C: [], S: []}

    def _turn(self) -> None:
        self.records += self.session.take_records()
        for side in Side:
            self.got[side] += self.session.take_output(side)
        if self.session.settle(self.now_ns):
            self.records += self.session.take_records()

    def receive(self, side: Side, data: bytes) -> None:
        self.now_ns += 1
        self.session.receive(side, data, self.now_ns)
        self._turn()

    def end(self, side: Side, how: How, errno: str | None = None) -> None:
        self.now_ns += 1
        self.session.end(side, how, self.now_ns, errno=errno)
        self._turn()

    def inject(self, side: Side, opcode: int = 1, payload: bytes = b"injected") -> str:
        answer = self.session.command(Inject(side, opcode, payload, KEY if side is C else None), self.now_ns)
        self._turn()
        return answer.text if answer.ok else f"refused: {answer.text}"

    def bytes_to(self, side: Side) -> bytes:
        return b"".join(each for each in self.got[side] if isinstance(each, bytes))

    def facts(self) -> list[object]:
        return [record.fact for record in self.records if isinstance(record, FactRecord)]


def test_reads_pass_as_they_came() -> None:
    play = Play()
    play.receive(C, masked[:3])
    play.receive(S, text + text)
    play.receive(C, masked[3:])
    assert play.got == {S: [masked[:3], masked[3:]], C: [text + text]}


def test_each_record_says_where_the_scan_stood_before_it() -> None:
    play = Play()
    play.receive(S, text + text[:1])
    play.receive(S, text[1:4])
    play.receive(S, text[4:] + text)
    assert play.records == [
        Read(7, S, 1, text + text[:1], offset=0, frame=1),
        Read(7, S, 2, text[1:4], offset=8, frame=2, carry=1),
        Read(7, S, 3, text[4:] + text, offset=11, frame=2, left=3),
    ]


def test_the_record_is_there_before_the_output() -> None:
    session = Session(1)
    session.receive(C, masked, 5)
    assert session.take_records() == [Read(1, C, 5, masked, offset=0)]
    assert session.take_output(S) == [masked]


def test_ends_are_mirrored_behind_the_bytes() -> None:
    play = Play(client_tls=True)
    play.receive(S, text)
    play.end(S, How.FIN)
    assert play.got[C] == [text, Finish.CLOSE_NOTIFY, Finish.FIN]
    play.end(C, How.CLOSE_NOTIFY)
    play.end(C, How.FIN)
    assert play.got[S] == [Finish.FIN]
    assert [(fact.side, fact.how) for fact in play.facts() if isinstance(fact, Ended)] == [
        (S, How.FIN),
        (C, How.CLOSE_NOTIFY),
        (C, How.FIN),
    ]


def test_a_half_closed_side_still_receives() -> None:
    play = Play()
    play.end(C, How.FIN)
    play.receive(S, text)
    assert play.got == {S: [Finish.FIN], C: [text]}


def test_a_reset_keeps_its_errno() -> None:
    play = Play()
    play.end(S, How.TIMEOUT, errno="ETIMEDOUT")
    assert play.got[C] == [Finish.RST]
    assert play.facts() == [Ended(side=S, how=How.TIMEOUT, errno="ETIMEDOUT")]


def test_injection_at_a_boundary_goes_out_at_once() -> None:
    play = Play()
    play.receive(S, text)
    assert play.inject(S) == "sent"
    assert play.bytes_to(C) == text + encode_frame(1, b"injected")
    assert play.records[-1] == Sent(7, S, 1, encode_frame(1, b"injected"), offset=len(text))


def test_injection_waits_inside_a_frame() -> None:
    play = Play()
    play.receive(C, masked[:4])
    assert play.inject(C) == "waiting for a boundary"
    assert play.bytes_to(S) == masked[:4]
    play.receive(C, masked[4:] + masked)
    injected = encode_frame(1, b"injected", mask=KEY)
    assert play.bytes_to(S) == masked + injected + masked
    assert isinstance(play.records[-1], Sent)
    assert play.records[-1].offset == len(masked)


def test_a_message_waits_for_the_end_of_a_fragmented_one_and_a_ping_does_not() -> None:
    first, last = encode_frame(1, b"a", fin=False), encode_frame(0, b"b")
    play = Play()
    play.receive(S, first)
    assert play.inject(S, 9, b"ping") == "sent"
    assert play.inject(S) == "waiting for a boundary"
    play.receive(S, last + text)
    assert play.bytes_to(C) == first + encode_frame(9, b"ping") + last + encode_frame(1, b"injected") + text


def test_nothing_is_injected_behind_a_close() -> None:
    play = Play()
    play.receive(S, encode_frame(8, b"\x03\xe8"))
    assert play.inject(S).startswith("refused: a Close frame of the server")
    assert play.inject(C, 8, b"\x03\xe8") == "sent"
    assert play.inject(C).startswith("refused")


def test_nothing_follows_a_close_that_was_injected_but_the_end() -> None:
    """RFC 6455 5.5.1; the other direction goes on."""
    play = Play()
    play.receive(S, text[:3])
    assert play.inject(S, 8, b"\x03\xe8") == "waiting for what is before it"
    play.receive(S, text[3:] + text)
    assert play.bytes_to(C) == text + encode_frame(8, b"\x03\xe8")
    play.receive(S, text)
    play.receive(C, masked)
    play.end(S, How.FIN)
    assert play.got[C][-1] is Finish.FIN
    assert play.bytes_to(C) == text + encode_frame(8, b"\x03\xe8")
    assert play.bytes_to(S) == masked
    assert sum(isinstance(each, Read) and each.side is S for each in play.records) == 3, "all is captured"
    assert [fact.code for fact in play.facts() if isinstance(fact, Notice)] == ["discarded"]


def test_an_injection_that_never_found_a_boundary_is_said() -> None:
    play = Play()
    play.receive(S, text[:3])
    play.inject(S)
    play.end(S, How.RST)
    notices = [fact for fact in play.facts() if isinstance(fact, Notice)]
    assert [notice.code for notice in notices] == ["injection-lost"]
    assert play.bytes_to(C) == text[:3]


def test_a_direction_that_cannot_be_parsed_goes_blind_once_and_passes() -> None:
    play = Play()
    broken = b"\x82\xff" + b"\xff" * 8 + b"anything"
    play.receive(C, broken)
    play.receive(C, b"more")
    assert play.bytes_to(S) == broken + b"more"
    assert play.session.direction(C).carriage is Carriage.BLIND
    assert [fact.code for fact in play.facts() if isinstance(fact, Notice)] == ["blind"]
    assert isinstance(play.records[-1], Read)
    assert play.records[-1].state == ScanState.BLIND
    assert play.inject(C).startswith("refused")


def test_another_protocol_is_carried_blind() -> None:
    play = Play(blind=True)
    play.receive(C, text)
    assert play.bytes_to(S) == text
    assert play.facts() == []


def test_our_own_stop_is_said_and_ends_both() -> None:
    play = Play()
    play.receive(C, masked[:4])
    play.session.stop(9)
    play._turn()
    assert play.got == {S: [masked[:4], Finish.FIN], C: [Finish.FIN]}
    ends = [fact for fact in play.facts() if isinstance(fact, Ended)]
    assert [(end.side, end.how, end.detail) for end in ends] == [
        (C, How.INSPECTOR, "in the middle of a frame"),
        (S, How.INSPECTOR, ""),
    ]
    play.end(C, How.FIN)
    assert play.got[S] == [masked[:4], Finish.FIN]


def test_the_last_fact_has_the_totals() -> None:
    play = Play()
    play.receive(C, masked * 3)
    play.receive(S, text[:4])
    play.session.closed(9)
    play.session.closed(10)
    play._turn()
    assert play.facts() == [Closed(frames=(3, 1), wire_bytes=(3 * len(masked), 4))]


def test_who_closed_first() -> None:
    play = Play()
    play.receive(S, encode_frame(8, b"\x03\xe9going"))
    play.receive(C, encode_frame(8, b"\x03\xe9", mask=KEY))
    assert play.session.first_close is S
    assert play.session.direction(S).close_frame() == b"\x03\xe9going"
    assert play.session.direction(C).close_frame() == b"\x03\xe9"


streams = st.lists(
    st.builds(
        encode_frame,
        st.sampled_from([1, 2, 9, 10]),
        st.binary(max_size=200),
        mask=st.just(KEY),
    ),
    min_size=1,
    max_size=8,
).map(b"".join)


@given(streams, st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=12))
def test_injections_leave_the_peers_own_frames_as_they_were(
    stream: bytes, steps: list[tuple[int, bool]]
) -> None:
    """However the stream is cut and whenever somebody injects: the frames decode, in order, none torn."""
    play = Play()
    asked = position = 0
    for cut, wants in [*steps, (len(stream), False)]:
        play.receive(C, stream[position : max(position, min(cut, len(stream)))])
        position = max(position, min(cut, len(stream)))
        if wants:
            play.inject(C, 10, b"ours")
            asked += 1
    play.receive(C, stream[position:])
    arrived = FrameDecoder(C).receive(play.bytes_to(S))
    own = [(f.opcode, f.payload) for f in FrameDecoder(C).receive(stream)]
    assert sum((f.opcode, f.payload) == (10, b"ours") for f in arrived) - own.count((10, b"ours")) == asked
    left = [(f.opcode, f.payload) for f in arrived]
    for _ in range(asked):
        left.remove((10, b"ours"))
    assert left == own or (10, b"ours") in own
