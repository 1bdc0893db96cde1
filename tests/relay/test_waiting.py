"""Transcripts of what waits for its time: delays, messages put behind others, what overtakes what."""

from __future__ import annotations

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, MS, C, Play, S, frames
from wsinspect.model import Ended, How, Judged, Notice
from wsinspect.model.plans import SlowClose, Throttle
from wsinspect.relay.ends import Finish
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import encode_frame

LATE = plan("latency", delay_ms=200)


def test_a_delayed_message_goes_at_its_time_and_what_is_behind_it_keeps_its_place() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "first")
    play.say(S, "late one")
    play.say(S, "behind")
    assert play.texts_to(C) == ["first"]
    assert play.session.next_wake_ns == 200 * MS
    play.wait(199)
    assert play.texts_to(C) == ["first"]
    play.wait(1)
    assert play.texts_to(C) == ["first", "late one", "behind"]
    assert play.session.next_wake_ns is None
    assert play.facts(Judged)[0].delay_ms == 200
    assert play.sent() == []


def test_each_message_waits_its_own_time_and_order_is_kept_whatever_the_jitter() -> None:
    delays = iter([200, 50, 120])
    play = Play(Script({"late": lambda _: plan(delay_ms=next(delays))}))
    for number in range(3):
        play.say(C, f"late {number}")
        play.wait(10)
    play.wait(169)
    assert play.texts_to(S) == []
    play.wait(1)
    assert play.texts_to(S) == ["late 0", "late 1", "late 2"]


def test_pings_and_pongs_overtake_what_waits_and_never_go_into_a_frame() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "late one")
    play.receive(S, frames(S, b"in two pieces", sizes=(4,))[:6] + encode_frame(9, b"a"))
    play.receive(S, encode_frame(10, b"b"))
    assert play.texts_to(C) == ["<ping a>", "<pong b>"]
    play.receive(S, frames(S, b"in two pieces", sizes=(4,))[6:])
    play.wait(200)
    assert play.texts_to(C) == ["<ping a>", "<pong b>", "late one", "in two pieces"]


def test_a_ping_never_goes_into_a_frame_that_has_begun_to_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a message too large to keep is out when the ping's time comes: it waits for the frame's end."""
    monkeypatch.setattr("wsinspect.relay.slow.INSPECT_LIMIT", 100)
    play = Play(Script({}, control={"slow": plan(delay_ms=50)}))
    large, ping = frames(S, b"x" * 300, sizes=(150, 100)), encode_frame(9, b"slow")
    first = 4 + 150
    play.receive(S, ping + large[:120])
    play.wait(100)
    assert play.bytes_to(C) == large[:120]
    assert play.session.next_wake_ns is None
    play.receive(S, large[120:])
    assert play.bytes_to(C) == large[:first] + ping + large[first:]


def test_a_ping_in_the_middle_of_a_message_too_large_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.relay.slow.INSPECT_LIMIT", 100)
    play = Play(Script({"late": LATE}))
    large, ping = frames(S, b"x" * 300, sizes=(150, 100)), encode_frame(9, b"?")
    first = 4 + 150
    play.receive(S, large[:120])
    play.receive(S, large[120:first] + ping + large[first:])
    assert play.bytes_to(C) == large[:first] + ping + large[first:]
    assert play.codes() == ["oversize"]


def test_a_close_and_an_end_wait_behind_data_and_pings_before_them() -> None:
    play = Play(Script({"late": LATE}, control={"slow": plan(delay_ms=300)}))
    play.say(S, "late one")
    play.receive(S, encode_frame(9, b"slow"))
    play.receive(S, encode_frame(8, b"\x03\xe8"))
    play.end(S)
    assert play.got[C] == []
    assert play.session.owes_end(C)
    play.wait(200)
    assert play.texts_to(C) == ["late one"]
    play.wait(100)
    assert play.texts_to(C) == ["late one", "<ping slow>", "<close \x03�>"]
    assert play.ends_to(C) == [Finish.FIN]
    assert not play.session.owes_end(C)


def test_a_close_that_somebody_asks_for_waits_behind_data_too() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "late one")
    assert play.inject(S, 8, b"\x03\xe8").text == "waiting for what is before it"
    play.say(S, "behind it")
    play.wait(200)
    assert play.texts_to(C) == ["late one", "<close \x03\ufffd>"]


def test_a_reset_discards_what_waits_and_is_mirrored() -> None:
    play = Play(Script({"late": LATE}))
    late = play.say(S, "late one")
    play.end(S, How.RST, errno="ECONNRESET")
    assert play.got[C] == [Finish.RST]
    (notice,) = [each for each in play.facts(Notice) if each.code == "discarded"]
    assert str(len(late)) in notice.text
    play.wait(1000)
    assert play.got[C] == [Finish.RST]


def test_what_waits_for_a_side_that_was_reset_is_counted() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "late one")
    play.end(C, How.RST, discarded_bytes=100)
    assert play.facts(Ended)[0].discarded_bytes > 100
    play.wait(1000)
    assert play.bytes_to(C) == b""


def test_a_reset_passes_what_is_not_whole_where_nothing_waits() -> None:
    play = Play(Script({"late": LATE}))
    half = frames(S, b"never whole")[:5]
    play.receive(S, half)
    play.end(S, How.RST)
    assert play.got[C] == [half, Finish.RST]


def test_a_message_goes_behind_later_ones() -> None:
    play = Play(Script({"behind": plan("reorder", behind=2, behind_ms=1000)}))
    for text in ("one", "behind", "two", "three", "four"):
        play.say(C, text)
    assert play.texts_to(S) == ["one", "two", "three", "behind", "four"]
    assert play.facts(Judged)[0].behind == 2


def test_a_message_goes_behind_fewer_where_time_is_over_or_the_side_ends() -> None:
    play = Play(Script({"behind": plan("reorder", behind=2, behind_ms=50)}))
    play.say(C, "behind")
    play.say(C, "two")
    play.wait(49)
    assert play.texts_to(S) == ["two"]
    play.wait(1)
    assert play.texts_to(S) == ["two", "behind"]
    play.say(C, "behind too")
    play.receive(C, encode_frame(8, b"\x03\xe8", mask=KEY))
    play.end(C)
    assert play.texts_to(S)[2:] == ["behind too", "<close \x03�>"]


def test_reordered_compressed_messages_still_inflate() -> None:
    play = Play(Script({"behind": plan(behind=1)}), deflate=DeflateParams())
    for text in ("the same words 1", "behind the same words 2", "the same words 3", "the same words 4"):
        play.say(S, text)
    assert play.texts_to(C) == [
        "the same words 1", "the same words 3", "behind the same words 2", "the same words 4",
    ]  # fmt: skip


def test_copies_are_recorded_and_inflate() -> None:
    play = Play(Script({"twice": plan("doubled", copies=3)}), deflate=DeflateParams())
    play.say(S, "twice the same words")
    play.say(S, "the same words")
    assert play.texts_to(C) == ["twice the same words"] * 3 + ["the same words"]
    assert [(sent.why, sent.rule, sent.first_frame) for sent in play.sent()] == [
        ("duplicate", "doubled", 1)
    ] * 2
    assert play.sent()[0].data == frames(S, b"twice the same words")
    assert play.outcomes() == ["passed"]


def test_copies_of_what_is_not_compressed_are_its_very_bytes() -> None:
    play = Play(Script({"twice": plan(copies=2)}))
    data = frames(C, b"twice", sizes=(2,))
    play.receive(C, data)
    assert play.bytes_to(S) == data * 2


def test_the_end_is_passed_on_later() -> None:
    play = Play(Script({"slow": plan(effects=(SlowClose("r", S, 500),))}))
    play.say(S, "slow close from here on")
    play.say(S, "the last")
    play.end(S)
    assert play.ends_to(C) == []
    assert play.session.owes_end(C)
    play.wait(499)
    assert play.ends_to(C) == []
    play.wait(1)
    assert play.ends_to(C) == [Finish.FIN]
    assert play.texts_to(C) == ["slow close from here on", "the last"]


def test_more_than_may_wait_pauses_reading_until_half_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.relay.slow.KEPT_LIMIT", 10_000)
    play = Play(Script({"late": lambda _: plan(delay_ms=100)}))
    for _ in range(3):
        play.say(S, "late" + "x" * 996)
        play.wait(10)
    assert play.session.wants_reading(S)
    play.say(S, "late" + "x" * 996)
    assert not play.session.wants_reading(S)
    assert play.session.wants_reading(C)
    assert play.codes() == ["held-full"]
    play.wait(70)
    assert len(play.texts_to(C)) == 1
    assert not play.session.wants_reading(S)
    play.wait(20)
    assert play.session.wants_reading(S)
    play.wait(100)
    assert len(play.texts_to(C)) == 4


def test_many_small_messages_count_for_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(Script({"late": LATE}))
    play.receive(S, frames(S, b"late") * 30_000)
    assert not play.session.wants_reading(S)
    play.wait(200)
    assert play.session.wants_reading(S)
    path = play.session.direction(S).path
    assert path is not None
    assert path.way.kept_bytes == 0


def test_a_message_that_goes_out_once_more_is_kept_no_longer() -> None:
    """What waits is counted, and what has gone is not: nothing grows."""
    play = Play(Script({"late": lambda _: plan(delay_ms=5)}), deflate=DeflateParams())
    for _ in range(50):
        play.say(S, "late")
        play.wait(5)
    path = play.session.direction(S).path
    assert path is not None
    assert path.way.kept_bytes == 0
    assert path.way.outlet.empty


def test_our_own_stop_lets_out_what_waits() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "late one")
    play.receive(S, frames(S, b"half")[:3])
    play.session.stop(play.now_ns)
    play.turn()
    assert play.got[C] == [frames(S, b"late one"), frames(S, b"half")[:3], Finish.FIN]
    assert play.got[S] == [Finish.FIN]
    assert play.session.next_wake_ns is None
    play.receive(S, frames(S, b"half")[3:])
    play.end(S)
    assert play.got[C][3:] == []


def test_what_still_waits_when_all_is_over_is_said() -> None:
    play = Play(Script({"late": LATE}))
    play.say(S, "late one")
    play.session.closed(play.now_ns)
    play.turn()
    assert play.codes() == ["discarded"]
    assert play.kinds()[-1] == "closed"
    assert play.session.next_wake_ns is None


def test_a_frame_of_ours_goes_before_what_waits_and_tells_where() -> None:
    play = Play(Script({"late": LATE}))
    first = play.say(S, "first")
    play.say(S, "late one")
    assert play.inject(S).text == "sent"
    assert play.texts_to(C) == ["first", "injected"]
    assert play.sent()[0].offset == len(first)


def test_a_throttled_line_carries_so_many_bytes_a_second() -> None:
    play = Play(Script({"slow": plan(effects=(Throttle("r", C, 1000.0),))}))
    play.say(C, "slow from here on")
    sent = play.bytes_to(S)
    data = frames(C, b"x" * 994)
    assert len(data) == 1002
    play.receive(C, data)
    for ms in (100, 500, 900):
        play.wait(ms - play.now_ns / MS)
        assert abs(len(play.bytes_to(S)) - len(sent) - ms) <= 20
    play.receive(C, encode_frame(9, b"?", mask=KEY))
    play.end(C)
    play.wait(90)
    assert play.ends_to(S) == []
    play.wait(30)
    assert play.texts_to(S) == ["slow from here on", "x" * 994, "<ping ?>"]
    assert play.ends_to(S) == [Finish.FIN]


def test_a_line_without_a_limit_again_lets_all_go_and_the_direction_is_cut() -> None:
    lines = {
        "slow": plan(effects=(Throttle("r", C, 10.0),)),
        "free": plan(effects=(Throttle("r", C, None),)),
    }
    play = Play(Script(lines, sides=(S,)))
    play.say(S, "slow")
    play.receive(C, b"\x81\x85" + KEY)
    play.say(S, "free")
    play.wait(1000)
    assert play.bytes_to(S) == b"\x81\x85" + KEY
    play.receive(C, b"hello")
    assert play.session.direction(C).path is None
