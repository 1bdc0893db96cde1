"""Transcripts of a direction that rules watch: what passes, is kept, changed, dropped, and recorded."""

from __future__ import annotations

import random
import string

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, C, Play, S, frames
from wsinspect.model import Ended, FactRecord, How, Judged, Outcome, Read, Sent, Side
from wsinspect.model.plans import Fate
from wsinspect.relay.ends import Finish
from wsinspect.relay.states import Carriage
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import encode_frame

DROP = plan("drop-it", fate=Fate.DROP)
LINES = {"drop": DROP, "swap": plan("swap-it", payload=b"swapped"), "look": plan("look", tags=("seen",))}


def test_what_no_rule_matches_passes_in_its_very_bytes() -> None:
    play = Play(Script(LINES))
    stream = frames(S, b"one") + encode_frame(9, b"?") + frames(S, b"two, in pieces", sizes=(3, 4))
    play.receive(S, stream)
    assert play.bytes_to(C) == stream
    assert play.records == [Read(7, S, 0, stream, offset=0)]
    assert play.session.direction(S).carriage is Carriage.INSPECT


def test_whole_messages_of_one_read_go_out_in_one_piece() -> None:
    play = Play(Script(LINES))
    one, two = frames(S, b"one"), frames(S, b"two") + encode_frame(9, b"?")
    play.receive(S, one + two)
    play.receive(S, one + frames(S, b"drop me") + two)
    assert play.got[C] == [one + two, one + two]


def test_a_message_is_kept_until_it_is_whole_and_a_ping_passes_it() -> None:
    play = Play(Script(LINES))
    first, second = encode_frame(1, b"one ", fin=False), encode_frame(0, b"two")
    ping = encode_frame(9, b"?")
    play.receive(S, first + ping)
    assert play.got[C] == [ping]
    play.receive(S, second)
    assert play.bytes_to(C) == ping + first + second


def test_a_message_is_dropped_and_those_around_it_are_not() -> None:
    play = Play(Script(LINES))
    play.receive(C, frames(C, b"one") + frames(C, b"drop me") + frames(C, b"two"))
    assert play.texts_to(S) == ["one", "two"]
    assert play.outcomes() == ["dropped"]
    assert play.sent() == []


def test_a_changed_message_and_its_records() -> None:
    """The verdict, then the read, then what goes out instead: all before the output."""
    play = Play(Script(LINES))
    stream = frames(C, b"one") + frames(C, b"swap me") + frames(C, b"drop me") + frames(C, b"look at me")
    play.session.receive(C, stream, 5)
    records = play.session.take_records()
    assert [type(r.fact).__name__ if isinstance(r, FactRecord) else type(r).__name__ for r in records] == [
        "Judged", "Judged", "Judged", "Read", "Sent",
    ]  # fmt: skip
    verdicts = [r.fact for r in records if isinstance(r, FactRecord) and isinstance(r.fact, Judged)]
    assert [(v.first_frame, v.last_frame, v.outcome) for v in verdicts] == [
        (2, 2, Outcome.CHANGED), (3, 3, Outcome.DROPPED), (4, 4, Outcome.PASSED),
    ]  # fmt: skip
    assert verdicts[2].tags == ["seen"]
    assert records[3] == Read(7, C, 5, stream, offset=0)
    swapped = encode_frame(1, b"swapped", mask=KEY)
    before = len(frames(C, b"one") + frames(C, b"swap me"))
    assert records[4] == Sent(7, C, 5, swapped, before, "modified", "swap-it", 2, 2)
    assert b"".join(play.session.take_output(S)) == (  # type: ignore[arg-type]
        frames(C, b"one") + swapped + frames(C, b"look at me")
    )


@pytest.mark.parametrize(
    ("came", "new", "sizes"),
    [((3, 4), b"swapped", [3, 4, 0]), ((3, 2), b"swapped!", [3, 2, 3]), ((2,), b"x", [1, 0]), ((), b"", [0])],
)
def test_a_changed_message_keeps_its_fragments(came: tuple[int, ...], new: bytes, sizes: list[int]) -> None:
    play = Play(Script({"swap": plan(payload=new)}))
    play.receive(C, frames(C, b"swap me, please", sizes=came))
    expected, start = b"", 0
    for number, size in enumerate(sizes):
        last = number == len(sizes) - 1
        expected += encode_frame(0 if number else 1, new[start : start + size], fin=last, mask=KEY)
        start += size
    assert play.bytes_to(S) == expected


def test_only_the_side_that_is_watched_is_inspected() -> None:
    play = Play(Script(LINES, sides=(C,)))
    play.receive(S, frames(S, b"drop me")[:4])
    assert play.bytes_to(C) == frames(S, b"drop me")[:4]
    assert play.session.direction(S).carriage is Carriage.CUT
    assert play.session.direction(S).path is None


def test_control_frames_are_judged_where_rules_watch_them() -> None:
    script = Script({}, control={"drop": DROP, "swap": plan(payload=b"other")})
    play = Play(script)
    play.receive(C, encode_frame(9, b"drop", mask=KEY) + encode_frame(10, b"swap", mask=KEY))
    play.receive(C, encode_frame(9, b"fine", mask=KEY) + encode_frame(8, b"\x03\xe8", mask=KEY))
    assert play.texts_to(S) == ["<pong other>", "<ping fine>", "<close \x03�>"]
    assert play.outcomes() == ["dropped", "changed"]
    assert [(v.opcode, v.first_frame, v.last_frame) for v in play.facts(Judged)] == [(9, 1, 1), (10, 2, 2)]


def test_where_control_frames_alone_are_watched_data_pass_at_once() -> None:
    """Byte for byte as they come, also the first half of a frame."""
    play = Play(Script(control={"drop": DROP}))
    message = frames(S, b"a long message, in two fragments", sizes=(9,))
    ping = encode_frame(9, b"drop")
    play.receive(S, message[:6])
    assert play.bytes_to(C) == message[:6]
    play.receive(S, message[6:11] + ping[:3])
    assert play.bytes_to(C) == message[:11]
    play.receive(S, ping[3:] + message[11:])
    assert play.bytes_to(C) == message
    assert play.outcomes() == ["dropped"]


def test_rules_that_come_in_the_middle_of_a_message_wait_for_the_next() -> None:
    play = Play()
    message = frames(S, b"drop me, but I began before", sizes=(5,))
    play.receive(S, message[:9])
    script = Script(LINES)
    play.judge(script)
    assert play.session.direction(S).carriage is Carriage.CUT
    play.receive(S, message[9:12])
    assert play.bytes_to(C) == message[:12]
    play.receive(S, message[12:] + frames(S, b"drop me too") + frames(S, b"the end"))
    assert play.texts_to(C) == ["drop me, but I began before", "the end"]
    assert script.seen == [b"drop me too", b"the end"]
    assert play.facts(Judged)[0].first_frame == 3


def test_without_rules_the_direction_is_cut_again() -> None:
    play = Play(Script(LINES))
    play.say(S, "drop me")
    play.judge(None)
    assert play.session.direction(S).carriage is Carriage.CUT
    assert play.session.direction(S).path is None
    play.receive(S, frames(S, b"drop me")[:3])
    assert play.bytes_to(C) == frames(S, b"drop me")[:3]
    assert isinstance(play.records[-1], Read)
    assert (play.records[-1].offset, play.records[-1].frame) == (len(frames(S, b"drop me")), 2)


def test_rules_that_go_while_a_message_is_kept_leave_after_it() -> None:
    play = Play(Script(LINES))
    message = frames(S, b"drop me, in two", sizes=(4,))
    play.receive(S, message[:8])
    play.judge(None)
    assert play.bytes_to(C) == b""
    play.receive(S, message[8:])
    assert play.bytes_to(C) == message
    play.receive(S, frames(S, b"next")[:2])
    assert play.bytes_to(C) == message + frames(S, b"next")[:2]
    assert play.session.direction(S).carriage is Carriage.CUT


def test_what_is_kept_passes_before_the_end() -> None:
    play = Play(Script(LINES))
    message = frames(S, b"drop me, never whole", sizes=(4,))
    play.receive(S, message[:-3])
    play.end(S)
    assert play.got[C] == [message[:-3], Finish.FIN]
    assert play.outcomes() == []


def test_a_message_too_large_passes_unseen_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("slow", "judging"):
        monkeypatch.setattr(f"wsinspect.relay.{module}.INSPECT_LIMIT", 100)
    script = Script(LINES)
    play = Play(script)
    large = frames(S, b"drop" + bytes(200))
    for _ in range(2):
        play.receive(S, large[:150])
        assert play.bytes_to(C).endswith(large[:150])
        play.receive(S, large[150:])
    play.say(S, "drop me")
    play.say(S, "not me")
    assert play.bytes_to(C) == large * 2 + frames(S, b"not me")
    assert script.seen == [b"drop me", b"not me"]
    assert play.codes() == ["oversize"]


def test_a_direction_that_goes_blind_passes_all() -> None:
    play = Play(Script(LINES))
    play.say(S, "drop me")
    broken = b"\x82\x7f\xff" + bytes(20)
    play.receive(S, frames(S, b"swap me") + broken)
    play.receive(S, b"anything")
    assert play.bytes_to(C) == frames(S, b"swapped") + broken + b"anything"
    assert play.codes() == ["blind"]
    assert play.session.direction(S).carriage is Carriage.BLIND


def test_in_shadow_all_is_recorded_and_no_traffic_touched() -> None:
    """What a rule keeps out of the capture is kept out: it was captured whole."""
    shadow = plan(fate=Fate.DROP, shadow=True, captured=b"x")
    play = Play(Script({"drop": shadow}, private=True))
    data = play.say(S, "drop me")
    assert play.bytes_to(C) == data
    (verdict,) = play.facts(Judged)
    assert (verdict.shadow, verdict.outcome, verdict.captured) == (True, Outcome.DROPPED, "redacted")
    assert play.captured(S) == [b"x"]


def test_what_went_wrong_in_rules_is_said() -> None:
    script = Script(LINES)
    script.notices = [("rule-failed", "rule x failed, and is off for this connection")]
    play = Play(script)
    play.say(S, "hello")
    assert play.codes() == ["rule-failed"]


# ------------------------------------------------------------------------------------------- compression

TAKEOVER = [
    DeflateParams(server_no_context_takeover=server, client_no_context_takeover=client)
    for server in (False, True)
    for client in (False, True)
]
all_parameters = pytest.mark.parametrize("params", TAKEOVER, ids=lambda params: params.header()[18:])
both_sides = pytest.mark.parametrize("side", [C, S], ids=["client", "server"])


@all_parameters
@both_sides
def test_after_a_change_of_a_compressed_message_the_rest_inflates(params: DeflateParams, side: Side) -> None:
    play = Play(Script(LINES), deflate=params)
    play.say(side, "the same words, again and again: 1")
    play.say(side, "drop the same words, again and again: 2")
    play.say(side, "the same words, again and again: 3", sizes=(5, 5))
    play.say(side, "swap the same words, again and again: 4", sizes=(3,))
    last = play.say(side, "the same words, again and again: 5")
    assert play.texts_to(side.other) == [
        "the same words, again and again: 1",
        "the same words, again and again: 3",
        "swapped",
        "the same words, again and again: 5",
    ]
    alone = params.no_context_takeover(side)
    assert play.bytes_to(side.other).endswith(last) is alone
    carriage = play.session.direction(side).carriage
    assert carriage is (Carriage.INSPECT if alone else Carriage.REENCODE)
    assert ("recompressed" in play.codes()) is not alone


@both_sides
def test_what_was_sent_instead_can_be_read_in_the_capture(side: Side) -> None:
    """The record has the frames as they would be without compression, and how many bytes went out."""
    play = Play(Script(LINES), deflate=DeflateParams())
    for number in range(3):
        play.say(side, f"swap me {number}")
    (*_, last) = play.sent()
    assert last.data == frames(side, b"swapped")
    assert last.wire_bytes > 0
    assert (last.first_frame, last.last_frame, last.why) == (3, 3, "modified")
    assert play.captured(side) == [b"swap me 0", b"swap me 1", b"swap me 2"]


def test_an_uncompressed_message_never_parts_the_windows() -> None:
    play = Play(Script(LINES), deflate=DeflateParams())
    play.say(S, "compressed 1")
    play.receive(S, frames(S, b"drop me, not compressed") + frames(S, b"swap me, not compressed"))
    last = play.say(S, "compressed 2")
    assert play.bytes_to(C).endswith(last)
    assert play.texts_to(C) == ["compressed 1", "swapped", "compressed 2"]
    assert play.session.direction(S).carriage is Carriage.INSPECT


def test_the_windows_meet_again_after_their_length_of_unchanged_text() -> None:
    """From there on messages go out in their very bytes, and without rules the direction is cut again."""
    play = Play(Script(LINES), deflate=DeflateParams())
    texts = [
        f"message {number} with some words in it, and more of them {number % 7}" for number in range(900)
    ]
    play.say(S, "drop me")
    for text in texts[:400]:
        play.say(S, text)
    assert play.session.direction(S).carriage is Carriage.REENCODE
    play.judge(None)
    assert play.session.direction(S).carriage is Carriage.REENCODE
    for text in texts[400:]:
        last = play.say(S, text)
    assert play.session.direction(S).carriage is Carriage.CUT
    assert play.got[C][-1] == last
    assert play.texts_to(C) == texts


def test_a_small_window_meets_again_sooner() -> None:
    params = DeflateParams(server_max_window_bits=9)
    play = Play(Script(LINES), deflate=params)
    play.say(S, "drop me")
    for number in range(20):
        last = play.say(S, f"message {number} with words in it, some of them the same")
    assert play.got[C][-1] == last
    assert len(play.texts_to(C)) == 20


def test_rules_that_come_late_wait_for_the_window() -> None:
    """Messages that refer to what nobody kept pass unjudged; the first that stands by itself is judged."""
    play = Play(deflate=DeflateParams())
    play.say(S, "drop these words, which come again")
    script = Script(LINES)
    play.judge(script)
    second = play.say(S, "drop these words, which come again")
    assert play.got[C][-1] == second
    assert script.seen == []
    assert play.codes() == ["rules-wait"]
    play.deflaters[S] = Deflater()
    play.say(S, "look, quite other text")
    assert script.seen == [b"look, quite other text"]
    assert play.outcomes() == ["passed"]


def test_a_message_that_later_ones_may_need_is_not_dropped() -> None:
    """It was inflated, but messages to come may refer to those before it, which nobody can read here."""
    play = Play(deflate=DeflateParams())
    play.say(S, "words from before the rules")
    play.judge(Script({"drop": plan("drop-it", fate=Fate.DROP, tags=("seen",))}))
    play.say(S, "drop XYZZY 0123456789 QWERTY")
    play.say(S, "words from before the rules")
    assert play.texts_to(C) == [
        "words from before the rules", "drop XYZZY 0123456789 QWERTY", "words from before the rules",
    ]  # fmt: skip
    (verdict,) = play.facts(Judged)
    assert (verdict.outcome, verdict.tags) == (Outcome.PASSED, ["seen"])
    assert "not carried out" in verdict.notes[0]
    play.deflaters[S] = Deflater()  # what follows refers to nothing before it
    for number in range(600):
        play.say(S, f"drop something else: {number} and some more words in it {number * 7919}")
    assert play.outcomes()[-1] == "dropped"
    play.say(S, "the end")
    assert play.texts_to(C)[-1] == "the end"


def test_late_rules_need_not_wait_without_context_takeover() -> None:
    play = Play(deflate=DeflateParams(server_no_context_takeover=True))
    play.say(S, "drop these words")
    play.judge(Script(LINES))
    play.say(S, "drop these words")
    play.say(S, "keep these words")
    assert play.texts_to(C) == ["drop these words", "keep these words"]


def test_damaged_compression_passes_as_it_came() -> None:
    play = Play(Script(LINES), deflate=DeflateParams())
    play.say(S, "fine")
    broken = encode_frame(1, b"\xff\xff\xff", rsv=4)
    play.receive(S, broken)
    assert play.got[C][-1] == broken


def test_the_ends_are_mirrored_as_without_rules() -> None:
    play = Play(Script(LINES), client_tls=True)
    play.say(S, "hello")
    play.end(S)
    assert play.ends_to(C) == [Finish.CLOSE_NOTIFY, Finish.FIN]
    play.end(C, How.RST, errno="ECONNRESET")
    assert play.ends_to(S) == [Finish.RST]


NOISE = "".join(random.Random(1).choices(string.ascii_letters, k=500))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large is that at 200 bytes."""
    for name in ("slow.INSPECT_LIMIT", "slow.REENCODE_LIMIT", "judging.INSPECT_LIMIT"):
        monkeypatch.setattr(f"wsinspect.relay.{name}", 200)


def broken_off(play: Play) -> bool:
    """Both have got their end, and the capture says why."""
    ends = [(end.side, end.how) for end in play.facts(Ended)]
    return (
        ends == [(C, How.INSPECTOR), (S, How.INSPECTOR)]
        and play.ends_to(C) == play.ends_to(S) == [Finish.FIN]
        and "broken-off" in play.codes()
        and "cannot follow a changed one" in play.facts(Ended)[0].detail
    )


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("cut", [None, 150], ids=["kept", "passing"])
@pytest.mark.parametrize("text", [NOISE, "x" * 300], ids=["on-the-wire", "inflated"])
def test_a_message_too_large_to_be_compressed_anew_ends_the_connection(text: str, cut: int | None) -> None:
    """Its bytes refer to text that the receiver has not got: it would be taken for other text."""
    play = Play(Script(LINES), deflate=DeflateParams())
    play.say(S, "before")
    play.say(S, "drop me")
    deflater = play.deflaters[S]
    assert deflater is not None
    data = frames(S, deflater.deflate(text.encode()), rsv=4)
    for piece in (data[:cut], data[cut:] if cut else b""):
        play.receive(S, piece)
    play.say(S, "nothing more")
    assert play.texts_to(C) == ["before"]
    assert broken_off(play)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("deflate", [None, DeflateParams(), DeflateParams(server_no_context_takeover=True)])
def test_a_large_message_passes_where_the_windows_are_one(deflate: DeflateParams | None) -> None:
    play = Play(Script(LINES), deflate=deflate)
    if deflate is None or deflate.server_no_context_takeover:
        play.say(S, "drop me")
    for text in (NOISE, "x" * 300):
        play.say(S, text)
    play.say(S, "the end")
    assert play.texts_to(C) == [NOISE, "x" * 300, "the end"]
    assert "broken-off" not in play.codes()


@pytest.mark.usefixtures("small")
def test_what_was_put_behind_later_messages_goes_before_a_large_compressed_one() -> None:
    """A message that refers to it cannot go first."""
    play = Play(Script({"behind": plan(behind=5)}), deflate=DeflateParams())
    play.say(S, f"behind {NOISE[:100]}")
    deflater = play.deflaters[S]
    assert deflater is not None
    data = frames(S, deflater.deflate(NOISE.encode()), rsv=4)
    for piece in (data[:250], data[250:]):
        play.receive(S, piece)
    assert play.texts_to(C) == [f"behind {NOISE[:100]}", NOISE]
