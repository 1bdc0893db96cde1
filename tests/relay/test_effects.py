"""Transcripts of what rules do beside a message: frames of ours, ends, and a wire that is spoiled."""

from __future__ import annotations

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, MS, C, Play, S, frames
from wsinspect.model import Ended, How, Judged, Side
from wsinspect.model.plans import (
    BOTH,
    Close,
    Cut,
    CutHow,
    Effect,
    Fate,
    LimitData,
    Reset,
    Send,
    Slice,
    SlowClose,
    Stall,
    StopSending,
    Throttle,
)
from wsinspect.relay.ends import Finish
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder, encode_frame

CLOSE_1012 = encode_frame(8, b"\x03\xf4")


def doing(*effects: Effect, **values: object) -> Script:
    """Does so at each message that begins with `go`."""
    return Script({"go": plan("r", effects=effects, **values)})


def hello(text: str = "hello", **values: object) -> Send:
    return Send("r", S, 1, text.encode(), **values)  # type: ignore[arg-type]


def test_a_reply_is_sent_to_who_asked_and_the_question_goes_nowhere() -> None:
    """All records come before any output, on either side."""
    play = Play(doing(Send("mock", C, 1, b"answer"), fate=Fate.DROP))
    play.say(C, "go")
    assert play.texts_to(C) == ["answer"]
    assert play.texts_to(S) == []
    assert play.kinds() == ["judged", "read", "sent"]
    (sent,) = play.sent()
    assert (sent.side, sent.why, sent.rule, sent.offset) == (S, "injected", "mock", 0)


def test_what_is_sent_stands_behind_the_message_that_asked_for_it() -> None:
    play = Play(doing(hello()))
    play.receive(C, frames(C, b"go") + frames(C, b"next"))
    assert play.texts_to(S) == ["go", "hello", "next"]
    assert play.sent()[0].offset == len(frames(C, b"go"))


def test_a_frame_as_if_of_the_client_is_masked_with_a_key_that_was_handed_in() -> None:
    play = Play(doing(hello(), hello()))
    play.say(C, "go")
    masks = [frame.mask for frame in FrameDecoder(C).receive(play.bytes_to(S))]
    assert masks == [KEY, b"K\0\0\1", b"K\0\0\2"]


def test_what_is_sent_waits_for_the_end_of_a_message_that_has_begun() -> None:
    """In a direction that no rule watches."""
    play = Play(Script({"go": plan(effects=(Send("r", C, 1, b"hello"), Send("r", C, 9, b"?")))}, sides=(C,)))
    first, second = encode_frame(1, b"one ", fin=False), encode_frame(0, b"two")
    play.receive(S, first[:3])
    play.say(C, "go")
    assert play.bytes_to(C) == first[:3]
    play.receive(S, first[3:] + second[:1])
    play.receive(S, second[1:] + first)
    assert play.bytes_to(C) == first + second + encode_frame(1, b"hello") + encode_frame(9, b"?") + first
    play.receive(S, second)
    assert play.session.direction(S).path is None


def test_a_later_frame() -> None:
    play = Play(doing(hello(after_ms=150)))
    play.say(C, "go")
    assert play.session.next_wake_ns == 150 * MS
    play.wait(149)
    assert play.texts_to(S) == ["go"]
    play.wait(1)
    assert play.texts_to(S) == ["go", "hello"]
    assert play.session.next_wake_ns is None


def test_a_frame_that_comes_again_so_many_times() -> None:
    play = Play(doing(hello(after_ms=10, every_ms=100, times=3)))
    play.say(C, "go")
    counts = []
    for _ in range(5):
        play.wait(100)
        counts.append(play.texts_to(S).count("hello"))
    assert counts == [1, 2, 3, 3, 3]


def test_a_frame_that_comes_again_until_it_is_stopped() -> None:
    beat = hello("beat", every_ms=100, times=None, key="a")
    other = hello("other", every_ms=100, times=None, key="b")
    lines = {"go": plan(effects=(beat, other)), "stop": plan(effects=(StopSending("a"),))}
    play = Play(Script(lines))
    play.say(C, "go")
    play.wait(250)
    play.say(C, "stop")
    play.wait(200)
    assert play.texts_to(S).count("beat") == 3
    assert play.texts_to(S).count("other") == 5
    play.end(C)
    play.wait(1000)
    assert play.session.next_wake_ns is None


def test_a_late_wake_sends_once_and_not_what_was_missed() -> None:
    play = Play(doing(hello(every_ms=100, times=None, key="a")))
    play.say(C, "go")
    play.now_ns = 1050 * MS
    play.session.wake(play.now_ns)
    play.turn()
    assert play.texts_to(S).count("hello") == 2
    assert play.session.next_wake_ns is not None
    assert play.session.next_wake_ns >= play.now_ns


def test_what_waits_for_its_time_is_bounded() -> None:
    play = Play(doing(*[hello(after_ms=10_000)] * 600))
    play.say(C, "go")
    play.say(C, "go")
    assert play.codes() == ["too-many-effects"]
    play.wait(10_000)
    assert play.texts_to(S).count("hello") == 1000


@pytest.mark.parametrize("every", [0.0, 1e-9])
def test_a_frame_without_end_is_not_a_busy_loop(every: float) -> None:
    play = Play(doing(hello(every_ms=every, times=None)))
    play.say(C, "go")
    play.wait(100)
    assert 90 <= play.texts_to(S).count("hello") <= 102


def test_what_rules_do_at_the_opening() -> None:
    opening = plan("welcome", effects=(Send("welcome", C, 1, b"hello"), hello("later", after_ms=5)))
    play = Play(Script(opening=opening), opening=True)
    assert play.texts_to(C) == ["hello"]
    assert play.kinds() == ["judged", "sent"]
    (verdict,) = play.facts(Judged)
    assert (verdict.side, verdict.first_frame, verdict.last_frame) == (S, 0, 0)
    play.wait(5)
    assert play.texts_to(S) == ["later"]


def test_a_frame_that_cannot_go_is_said() -> None:
    play = Play(doing(hello(after_ms=5), hello(after_ms=6)))
    play.receive(C, frames(C, b"go") + encode_frame(8, b"", mask=KEY))
    play.wait(10)
    assert play.texts_to(S) == ["go", "<close >"]
    assert play.codes() == ["not-sent"]


# -------------------------------------------------------------------------------------------------- ends


def test_a_close_goes_to_both_and_only_the_ends_follow() -> None:
    play = Play(doing(Close("restart", 1012)))
    play.say(S, "go")
    assert play.texts_to(C) == ["go", "<close \x03�>"]
    assert play.texts_to(S) == ["<close \x03�>"]
    play.receive(C, encode_frame(8, b"\x03\xe8", mask=KEY) + frames(C, b"more"))
    play.say(S, "more")
    play.receive(S, encode_frame(9, b"?"))
    assert play.texts_to(C) == ["go", "<close \x03�>"]
    assert play.texts_to(S) == ["<close \x03�>"]
    assert sorted(play.codes()) == ["discarded", "discarded"]
    play.end(S)
    play.end(C)
    assert play.ends_to(C) == play.ends_to(S) == [Finish.FIN]
    assert [(sent.data[0], sent.rule) for sent in play.sent()] == [(0x88, "restart")] * 2


def test_a_close_waits_behind_what_waits() -> None:
    play = Play(Script({"late": plan(delay_ms=100), "go": plan(effects=(Close("r", 1000, "bye", (C,)),))}))
    play.say(S, "late one")
    play.say(C, "go")
    play.say(S, "behind the close")
    assert play.texts_to(C) == []
    play.wait(100)
    assert play.texts_to(C) == ["late one", "<close \x03�bye>"]
    play.end(S)
    assert play.ends_to(C) == [Finish.FIN]


def test_a_close_waits_for_the_end_of_a_frame() -> None:
    play = Play(Script({"go": plan(effects=(Close("r", 1012),))}, sides=(C,)))
    text = frames(S, b"hello")
    play.receive(S, text[:3])
    play.say(C, "go")
    assert play.bytes_to(C) == text[:3]
    play.receive(S, text[3:] + text)
    assert play.bytes_to(C) == text + CLOSE_1012


def test_an_empty_close_after_a_time() -> None:
    play = Play(doing(Close("r", None, after_ms=50)))
    play.say(C, "go")
    play.wait(50)
    assert play.texts_to(C) == ["<close >"]


def test_a_reset_of_both_behind_what_went_out() -> None:
    play = Play(doing(Reset("cruel")))
    play.receive(C, frames(C, b"go") + frames(C, b"too late"))
    assert play.got[S] == [frames(C, b"go"), Finish.RST]
    assert play.got[C] == [Finish.RST]
    ends = [(end.side, end.how, end.detail) for end in play.facts(Ended)]
    assert ends == [(C, How.INSPECTOR, "reset by rule cruel"), (S, How.INSPECTOR, "reset by rule cruel")]
    assert play.session.severed


def test_a_reset_of_one_side_leaves_the_other_alone() -> None:
    """It is half-open: what it sends is captured and goes nowhere, until it ends itself."""
    play = Play(doing(Reset("r", (S,))))
    play.say(C, "go")
    assert play.got[S] == [frames(C, b"go"), Finish.RST]
    assert play.got[C] == []
    assert play.session.owes_end(C)
    play.say(C, "is anybody there?")
    assert play.captured(C) == [b"go", b"is anybody there?"]
    assert play.bytes_to(S) == frames(C, b"go")
    play.end(C)
    assert play.ends_to(C) == [Finish.FIN]


def test_a_black_hole_swallows_bytes_and_lets_ends_through() -> None:
    play = Play(doing(Stall("r", (C,), ends_pass=True)))
    play.say(C, "go")
    play.say(C, "into the dark")
    play.receive(C, frames(C, b"half")[:4])
    assert play.texts_to(S) == ["go"]
    assert play.captured(C) == [b"go", b"into the dark"]
    play.say(S, "still there")
    assert play.texts_to(C) == ["still there"]
    play.end(C)
    assert play.ends_to(S) == [Finish.FIN]


@pytest.mark.parametrize("how", [How.FIN, How.RST])
def test_of_a_half_open_connection_the_other_side_hears_nothing(how: How) -> None:
    play = Play(doing(Stall("r", (C,))))
    play.say(C, "go")
    play.end(C, how)
    assert play.ends_to(S) == []
    assert play.session.owes_end(S)
    play.say(S, "hello?")
    assert play.texts_to(C) == (["hello?"] if how is How.FIN else [])
    play.end(S)
    assert Finish.FIN in play.ends_to(S)
    assert [end.side for end in play.facts(Ended)] == [C, S]


def test_when_both_have_vanished_both_legs_end() -> None:
    play = Play(doing(Stall("r")))
    play.say(C, "go")
    play.end(C)
    assert play.got[S] == [frames(C, b"go")]
    play.end(S)
    assert play.ends_to(S) == play.ends_to(C) == [Finish.FIN]


def test_a_stall_for_a_time_delivers_what_came_meanwhile_as_tcp_would() -> None:
    play = Play(doing(Stall("r", BOTH, after_ms=10, for_ms=100)))
    play.say(C, "go")
    play.wait(10)
    play.say(C, "one")
    play.receive(C, encode_frame(9, b"?", mask=KEY))
    play.end(C)
    assert play.texts_to(S) == ["go"]
    play.wait(99)
    assert play.texts_to(S) == ["go"]
    play.wait(1)
    assert play.texts_to(S) == ["go", "one", "<ping ?>"]
    assert play.ends_to(S) == [Finish.FIN]


def test_a_stall_that_ends_the_connection() -> None:
    """toxiproxy's `timeout`."""
    play = Play(doing(Stall("r", BOTH, ends_pass=True, then_fin_ms=300)))
    play.say(C, "go")
    play.say(S, "nowhere")
    play.wait(300)
    assert play.ends_to(C) == play.ends_to(S) == [Finish.FIN]
    assert play.bytes_to(C) == b""
    assert play.session.severed


@pytest.mark.parametrize(("how", "finish"), [(CutHow.RST, Finish.RST), (CutHow.FIN, Finish.FIN)])
@pytest.mark.parametrize("deflate", [None, DeflateParams()], ids=["plain", "compressed"])
def test_a_line_cut_in_the_middle_of_a_frame(
    how: CutHow, finish: Finish, deflate: DeflateParams | None
) -> None:
    play = Play(doing(Cut("r", 5, how)), deflate=deflate)
    data = play.say(S, "go, and some more words")
    play.say(S, "nothing more")
    assert play.got[C] == [data[:5], finish]
    assert play.got[S] == [finish]
    (sent,) = play.sent()
    assert (sent.data, sent.why, sent.first_frame) == (data[:5], "cut", 1)


@pytest.mark.parametrize(("nbytes", "share", "out"), [(0, None, 1), (999, None, 9), (0, 0.5, 5), (0, 1.0, 9)])
def test_a_cut_is_always_in_the_middle(nbytes: int, share: float | None, out: int) -> None:
    play = Play(doing(Cut("r", nbytes, share=share)))
    play.say(S, "go, mate")
    assert len(play.bytes_to(C)) == out


def test_a_cut_waits_for_its_message() -> None:
    play = Play(doing(Cut("r", 3), delay_ms=50))
    play.say(S, "go")
    play.say(S, "behind")
    assert play.got == {C: [], S: []}
    play.wait(50)
    assert play.got == {C: [frames(S, b"go")[:3], Finish.RST], S: [Finish.RST]}


def test_after_so_many_bytes_both_end() -> None:
    play = Play(Script({"go": plan(effects=(LimitData("r", C, 10),))}))
    play.say(C, "go")
    before = len(play.bytes_to(S))
    play.receive(C, frames(C, b"no more than ten bytes of this"))
    assert len(play.bytes_to(S)) - before == 10
    assert play.ends_to(S) == play.ends_to(C) == [Finish.FIN]
    play.say(C, "nothing")
    assert len(play.bytes_to(S)) - before == 10


def test_with_no_bytes_at_all_both_end_at_once() -> None:
    play = Play(doing(LimitData("r", C, 0)))
    play.say(S, "go")
    assert play.ends_to(S) == play.ends_to(C) == [Finish.FIN]


def test_bytes_in_pieces_with_a_delay_between() -> None:
    play = Play(doing(Slice("r", C, 10, 4, 1000, seed=3)))
    play.say(C, "go")
    data = frames(C, b"x" * 100)
    play.receive(C, data)
    first = len(play.got[S])
    play.wait(100)
    pieces = [each for each in play.got[S] if isinstance(each, bytes)]
    assert play.bytes_to(S) == frames(C, b"go") + data
    assert first < len(pieces)
    assert {len(piece) for piece in pieces[1:-1]} <= set(range(6, 15))
    again = Play(doing(Slice("r", C, 10, 4, 1000, seed=3)))
    again.say(C, "go")
    again.receive(C, data)
    again.wait(100)
    assert again.got[S] == play.got[S]


def test_a_wire_is_spoiled_where_no_rule_watches_and_frames_cannot_be_parsed() -> None:
    play = Play(Script({"go": plan(effects=(Throttle("r", S, 1000.0), SlowClose("r", S, 10)))}, sides=(C,)))
    broken = b"\x82\x7f\xff" + bytes(97)
    play.receive(S, broken)
    play.say(C, "go")
    play.receive(S, bytes(200))
    play.end(S)
    assert len(play.bytes_to(C)) < 150
    play.wait(250)
    assert play.bytes_to(C) == broken + bytes(200)
    assert play.ends_to(C) == [Finish.FIN]


def test_a_throttled_reset_drops_what_is_still_on_the_line() -> None:
    play = Play(doing(Throttle("r", C, 100.0)))
    play.say(C, "go")
    play.say(C, "x" * 500)
    play.end(C, How.RST)
    assert play.ends_to(S) == [Finish.RST]
    assert len(play.bytes_to(S)) < 50
    assert play.codes() == ["discarded"]


@pytest.mark.parametrize("side", list(Side), ids=["client", "server"])
def test_effects_of_a_dropped_control_frame(side: Side) -> None:
    script = Script(control={"go": plan(fate=Fate.DROP, effects=(Send("r", side, 10, b"faked"),))})
    play = Play(script)
    play.receive(side, encode_frame(9, b"go", mask=KEY if side is C else None))
    assert play.bytes_to(side.other) == b""
    assert play.texts_to(side) == ["<pong faked>"]
