"""A fault of ours on the slow path: what is kept goes out as it came, nothing lost and nothing twice."""

from __future__ import annotations

import importlib

import pytest

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, C, Play, S, frames
from wsinspect.model import Released
from wsinspect.model.plans import Fate, Hold
from wsinspect.relay.ends import Finish
from wsinspect.relay.states import Carriage
from wsinspect.wire.frames import encode_frame

LINES = {
    "late": plan(delay_ms=100),
    "drop": plan(fate=Fate.DROP),
    "hold": plan(hold=Hold("r")),
}


def receive(play: Play, data: bytes) -> None:
    """As the shells do: on a fault what the session has goes out, and the direction goes blind."""
    try:
        play.receive(S, data)
    except RuntimeError as error:
        play.got[C] += play.session.take_back(S, play.now_ns, data)
        play.session.go_blind(S, play.now_ns, f"a fault: {error}")
        play.turn()


def test_what_waits_goes_out_before_the_message_with_which_it_failed() -> None:
    script = Script(LINES)
    script.fails_at = b"bad"
    play = Play(script, attended=True)
    one, late, held = frames(S, b"one"), frames(S, b"late"), frames(S, b"hold", sizes=(2,))
    bad, two, half = frames(S, b"bad", sizes=(1,)), frames(S, b"two"), frames(S, b"half", sizes=(2,))[:5]
    receive(play, one + late + held + bad[:3])
    assert play.bytes_to(C) == one
    receive(play, bad[3:] + two + half)
    assert play.bytes_to(C) == one + late + held + bad + two + half
    assert play.codes() == ["fault"]
    assert [(each.how, each.by) for each in play.facts(Released)] == [("release", "default")]
    assert play.session.direction(S).carriage is Carriage.BLIND
    assert play.session.direction(S).path is None
    receive(play, b"more")
    assert play.bytes_to(C).endswith(half + b"more")
    assert play.session.next_wake_ns is None
    play.end(S)
    assert play.ends_to(C) == [Finish.FIN]


def test_a_message_that_was_dropped_does_not_come_back() -> None:
    script = Script(LINES)
    script.fails_at = b"bad"
    play = Play(script)
    receive(play, frames(S, b"late") + frames(S, b"drop") + frames(S, b"bad"))
    assert play.bytes_to(C) == frames(S, b"late") + frames(S, b"bad")


def test_an_end_that_waits_is_not_lost() -> None:
    script = Script(LINES)
    play = Play(script)
    receive(play, frames(S, b"late"))
    play.end(S)
    play.got[C] += play.session.take_back(S, 0)
    play.session.go_blind(S, 0, "a fault in a timer")
    play.turn()
    assert play.got[C] == [frames(S, b"late"), Finish.FIN]


def test_the_other_direction_goes_on_under_rules() -> None:
    script = Script(LINES)
    script.fails_at = b"bad"
    play = Play(script)
    receive(play, frames(S, b"bad"))
    play.say(C, "drop")
    play.say(C, "one")
    assert play.texts_to(S) == ["one"]


@pytest.mark.parametrize(
    "where",
    [
        "gate.FrameDecoder.receive", "gate.MessageAssembler.receive", "gate.Gate._data_frame",
        "gate.Gate._left_over",
        "judging.Judging.message_plan", "judging.Judging.control_plan", "judging.Judging.apply",
        "judging.Judging.numbers", "judging.Judging.take_notices", "judging.judged",
        "encoder.Encoder.passes", "encoder.Encoder.changed", "encoder.Encoder.skipped",
        "outlet.Outlet.add", "outlet.Outlet.next", "way.WayOut.put", "way.WayOut.pump", "way.WayOut._record",
        "slow.SlowPath._carry", "slow.SlowPath._extend_run", "slow.SlowPath._follow_windows",
        "slow.SlowPath.fit",
    ],
)  # fmt: skip
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_wherever_it_fails_every_byte_goes_out_once(
    where: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed ones too: as they came, or as they were changed, but once."""
    *target, name = where.split(".")
    calls = 0
    owner: object = importlib.import_module(f"wsinspect.relay.{target[0]}")
    for each in target[1:]:
        owner = getattr(owner, each)
    original = getattr(owner, name)

    def failing(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise RuntimeError("sabotage")
        return original(*args, **kwargs)

    swap = {"swap": plan(payload=b"swappd")}
    play = Play(Script({**LINES, **swap}, control={"?": plan(tags=("ping",))}))
    monkeypatch.setattr(owner, name, failing)
    texts = [b"one", b"two", b"swapme", b"drop", b"three", b"late1", b"four", b"swapme", b"five", b"six"]
    stream = b"".join(frames(S, text, sizes=(1,)) for text in texts) + encode_frame(9, b"?") + frames(S, b"7")
    for start in range(0, len(stream), 23):
        receive(play, stream[start : start + 23])
    monkeypatch.undo()
    play.wait(200)
    assert (play.codes() == ["fault"]) is (calls >= nth)
    assert calls >= nth or nth > 1
    kept = [frames(S, text, sizes=(1,)) for text in texts]
    out = play.bytes_to(C).replace(encode_frame(9, b"?"), b"")
    for text, data in zip(texts, kept, strict=True):
        there = out.count(data) + (out.count(frames(S, b"swappd", sizes=(1,))) if text == b"swapme" else 0)
        assert there == texts.count(text) or (text == b"drop" and there == 0), (text, out)
    assert play.bytes_to(C).count(encode_frame(9, b"?")) == 1
    assert len(out) == sum(map(len, kept)) + 3 - (
        0 if frames(S, b"drop", sizes=(1,)) in out else len(kept[3])
    )


def test_a_clients_stream_after_a_fault_too() -> None:
    script = Script(LINES)
    script.fails_at = b"bad"
    play = Play(script)
    data = frames(C, b"bad") + encode_frame(8, b"", mask=KEY)
    with pytest.raises(RuntimeError):
        play.receive(C, data)
    assert play.session.take_back(C, 0, data) == [frames(C, b"bad"), encode_frame(8, b"", mask=KEY)]
