"""Rules that come when compression is under way, and the window that somebody else has found for them."""

from __future__ import annotations

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import C, Play, S, frames
from wsinspect.model import Read, Side
from wsinspect.model.plans import Fate
from wsinspect.relay import gate
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder
from wsinspect.wire.messages import MessageAssembler

WORDS = "the same words again and again"
DROP = {"drop": plan("drop-it", fate=Fate.DROP)}


def read_up_to(play: Play, side: Side, position: int) -> MessageAssembler:
    """What a reader of the capture knows there."""
    assembler = MessageAssembler(side, DeflateParams(), max_message=100)
    reads = [each.data for each in play.records if isinstance(each, Read) and each.side is side]
    for frame in FrameDecoder(side, rsv_allowed=4).receive(b"".join(reads)[:position]):
        assembler.receive(frame)
    return assembler


def give(play: Play, side: Side, position: int) -> int | None:
    later = play.session.window_found(side, position, read_up_to(play, side, position), play.now_ns)
    play.turn()
    return later


def deflated(play: Play, text: str) -> bytes:
    """As the server compresses it."""
    deflater = play.deflaters[S]
    assert deflater is not None
    return deflater.deflate(text.encode())


def late(script: Script, *, before: int = 3) -> Play:
    """Rules come after so many messages of either side, all alike."""
    play = Play(deflate=DeflateParams())
    for number in range(before):
        play.say(S, f"{WORDS} {number}")
        play.say(C, f"{WORDS} {number}")
    play.judge(script)
    return play


def test_nothing_is_wanted_where_the_window_is_known() -> None:
    no_takeover = Play(deflate=DeflateParams(server_no_context_takeover=True))
    no_takeover.say(S, WORDS)
    no_takeover.judge(Script(DROP, sides=(S,)))
    at_once, control_alone = late(Script(DROP), before=0), late(Script(control={"x": plan()}))
    at_once.say(S, WORDS)
    for play in (no_takeover, at_once, control_alone):
        assert not play.session.wants_windows
        assert play.session.take_window_wishes() == []


def test_with_the_window_that_was_found_rules_see_all() -> None:
    script = Script(DROP)
    play = late(script)
    wishes = play.session.take_window_wishes()
    assert [side for side, _ in wishes] == [C, S]
    assert not play.session.wants_windows
    play.say(S, f"drop nothing yet: {WORDS} 3")
    assert script.seen == []
    for side, position in wishes:
        assert give(play, side, position) is None
    play.say(S, f"drop {WORDS} 4")
    play.say(S, f"{WORDS} 5")
    play.say(C, f"drop {WORDS} 6")
    play.say(C, f"{WORDS} 7")
    assert [each.split()[0] for each in map(bytes.decode, script.seen)] == ["drop", "the", "drop", "the"]
    assert play.texts_to(C)[3:] == [f"drop nothing yet: {WORDS} 3", f"{WORDS} 5"]
    assert play.texts_to(S)[3:] == [f"{WORDS} 7"]
    assert play.codes() == ["rules-wait", "window-found", "window-found", "recompressed", "recompressed"]


def test_a_message_under_way_is_judged_too() -> None:
    """In two fragments and the half of a frame when the window is found."""
    script = Script(DROP)
    play = late(script)
    position = dict(play.session.take_window_wishes())[S]
    play.say(S, f"{WORDS} 3")
    data = frames(S, deflated(play, f"drop {WORDS} 4"), rsv=4, sizes=(3, 2))
    play.receive(S, data[:8])
    assert give(play, S, position) is None
    play.receive(S, data[8:])
    play.say(S, f"{WORDS} 5")
    assert script.seen == [f"drop {WORDS} 4".encode(), f"{WORDS} 5".encode()]
    assert play.texts_to(C)[3:] == [f"{WORDS} 3", f"{WORDS} 5"]


def test_where_too_much_has_come_meanwhile_it_is_wanted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(DROP)
    play = late(script)
    position = dict(play.session.take_window_wishes())[S]
    monkeypatch.setattr(gate, "PAST_KEPT", 200)
    for number in range(30):
        play.say(S, f"{WORDS} and {number * 7919} {number * 104729}")
    later = give(play, S, position)
    assert later is not None
    assert position < later <= play.session.direction(S).scan.offset
    assert give(play, S, later) is None
    play.say(S, f"drop {WORDS}")
    assert script.seen == [f"drop {WORDS}".encode()]


def test_a_large_message_that_passes_unseen_is_part_of_the_window() -> None:
    script = Script(DROP)
    play = late(script)
    position = dict(play.session.take_window_wishes())[S]
    noise = "".join(chr(33 + number * 7919 % 90) for number in range(100))
    data = frames(S, deflated(play, noise), rsv=4)
    path = play.session.direction(S).path
    assert path is not None
    assert path._gate is not None
    path._gate.set_limit(20)
    play.receive(S, data[:50])
    assert give(play, S, position) == position, "not while it passes"
    play.receive(S, data[50:])
    path._gate.set_limit(gate.INSPECT_LIMIT)
    later = give(play, S, position)
    assert later == position + len(data)
    assert give(play, S, later) is None
    play.say(S, noise)
    play.say(S, f"drop {noise}")
    assert script.seen == [noise.encode(), f"drop {noise}".encode()]
    assert play.texts_to(C)[3:] == [noise, noise]


def test_where_it_cannot_be_found_rules_wait_as_they_did() -> None:
    script = Script(DROP)
    play = late(script)
    for side, position in play.session.take_window_wishes():
        assert play.session.window_found(side, position, None, play.now_ns) is None
    play.say(S, f"drop {WORDS}")
    assert script.seen == []
    assert play.texts_to(C)[-1] == f"drop {WORDS}"
    assert play.session.window_found(S, 0, MessageAssembler(S, DeflateParams()), play.now_ns) is None


def test_it_is_not_wanted_any_more_once_the_rules_are_gone() -> None:
    play = late(Script(DROP))
    wishes = play.session.take_window_wishes()
    play.judge(None)
    for side, position in wishes:
        assert give(play, side, position) is None
    play.say(S, f"drop {WORDS}")
    assert play.texts_to(C)[-1] == f"drop {WORDS}"
