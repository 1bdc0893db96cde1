"""Actions on time, order and the line, and what is sent beside a message, on every way: what the peers get,
and what the capture says."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.protocol import State

from tests.e2e.rules.ways import Pair, Rig, controls, ended, our_frames, ours, rig_of, rule, verdicts
from tests.proxy.running import facts
from wsinspect.capture.timeline import Event
from wsinspect.model import Ended, How, Judged, Notice, Opcode, Outcome, Side

NOISE = os.urandom(30_000)
TEXT = "{PATH, from: SIDE, kind: text}"
BINARY = "{PATH, from: SIDE, kind: binary}"
GO = "{PATH, from: SIDE, text: {contains: go}}"
STANDING = "{PATH}"
TOXICS = {
    "latency": "latency: 400",
    "bandwidth": "rate: 1",
    "slow_close": "delay: 30000",
    "timeout": "timeout: 0",
    "reset_peer": "timeout: 0",
    "slicer": "average_size: 1, delay: 100000",
    "limit_data": "bytes: 0",
}
FILES = {
    "mine.py": """
def closes(message):
    message.close(4012, f"as {message.number}")

def resets(message):
    message.reset()
"""
}
ENDS = {
    "reset": "reset",
    "reset-late": "reset: {after: 100ms}",
    "reset_peer": "reset_peer: {timeout: 100, stream: STREAM}",
    "cut": "cut: {at: 50%, how: rst}",
    "cut-fin": "cut: {bytes: 3, how: fin}",
    "timeout": "timeout: {timeout: 150, stream: STREAM}",
    "limit_data": "limit_data: {bytes: 40, stream: STREAM}",
    "python-resets": "python: mine:resets",
}
"""What ends both connections without a Close."""
ENOUGH = "send: {to: OTHER, text: tick, every: 20ms, until: {from: OTHER, text: enough}}"
FREE = "{PATH, from: SIDE, text: free}"
CALM = "stream: STREAM, toxicity: 0, seed: 1"


def rules() -> str:
    found = [
        rule("delay", TEXT, "delay: 200ms"),
        rule("latency", TEXT, "latency: {latency: 200, stream: STREAM}"),
        rule("delay-seed", TEXT, "delay: {by: 10ms..70ms, seed: 5}"),
        rule("delay-jitter", TEXT, "delay: {by: 40ms, jitter: 30ms, seed: 5}"),
        rule("latency-seed", TEXT, "latency: {latency: 40, jitter: 30, stream: STREAM, seed: 5}"),
        rule("reorder", "{PATH, from: SIDE, text: first}", "reorder: {by: 2, within: 5s}"),
        rule("reorder-alone", "{PATH, from: SIDE, text: first}", "reorder: {by: 2, within: 150ms}"),
        rule("throttle", BINARY, "throttle: 60KB/s"),
        rule("bandwidth", BINARY, "bandwidth: {rate: 60, stream: STREAM}"),
        rule("standing", STANDING, "bandwidth: {rate: 60, stream: STREAM}"),
        rule("other-way", GO, "throttle: {rate: 30KB/s, from: OTHER}"),
        rule("other-way-off", FREE, "throttle: {off: true, from: OTHER}", path="other-way"),
        *(
            rule(f"calm-{word}", GO, f"{word}: {{{fields}, {CALM}}}", path="calm")
            for word, fields in TOXICS.items()
        ),
        rule("send-on", GO, "send: {to: OTHER, text: extra}"),
        rule("send-often", GO, "send: {to: OTHER, text: [a, b], every: 20ms, times: 2}"),
        rule("send-until", GO, ENOUGH),
        rule("send-ping", GO, "send: {to: OTHER, ping: beat}"),
        rule("send-pong", GO, "send: {to: OTHER, pong: beat}"),
        rule("open", "{PATH, kind: open}", "send: {to: OTHER, text: welcome}"),
        rule("close", GO, "close: {code: 4012, reason: 'as {{n}}'}"),
        rule("close-late", GO, "close: {code: 4012, reason: 'as {{n}}', after: 100ms}"),
        rule("python-closes", GO, "python: mine:closes"),
        rule("close-one", GO, "close: {code: 4012, to: SIDE}"),
        rule("close-empty", GO, "close: {empty: true, to: SIDE}"),
        rule("reset-to", GO, "reset: {to: OTHER}"),
        *(rule(name, GO, action) for name, action in ENDS.items()),
        rule("stall", GO, "stall: {from: SIDE}"),
        rule("half-open", GO, "stall: {from: SIDE, how: half-open, after: 50ms}"),
        rule("stall-while", GO, "stall: {from: SIDE, for: 400ms}"),
        rule("slow_close", GO, "slow_close: {delay: 400, stream: STREAM}"),
    ]  # fmt: skip
    return "".join(found)


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    tmp = tmp_path_factory.mktemp("effects")
    with rig_of(tmp, rules(), "--allow-python", files=FILES) as rig:
        yield rig


def ends_by(events: list[Event], rule: str) -> set[Side]:
    """The sides whose connection the rule ended."""
    found = [each for each in facts(events, Ended) if each.how is How.INSPECTOR]
    assert all(rule in each.detail for each in found)
    return {each.side for each in found}


# ------------------------------------------------------------------------------------------- time and order


@pytest.mark.parametrize("name", ["delay", "latency"])
async def test_a_message_comes_later_and_keeps_its_place(rig: Rig, name: str) -> None:
    async def check(pair: Pair) -> None:
        start = time.monotonic()
        await pair.send("slow", b"behind it")
        await pair.arrives("slow", b"behind it")
        assert time.monotonic() - start >= 0.2
        await pair.receiver.send("at once")
        await pair.comes_back("at once")
        [judged] = await pair.judged()
        assert judged.delay_ms == 200

    await rig.everywhere(name, check)


@pytest.mark.parametrize("name", ["delay-seed", "delay-jitter", "latency-seed"])
async def test_what_is_random_repeats_with_its_seed(rig: Rig, name: str) -> None:
    drawn = set()

    async def check(pair: Pair) -> None:
        await pair.send("one", "two", "three")
        await pair.arrives("one", "two", "three")
        delays = tuple(each.delay_ms for each in await pair.judged())
        assert len(set(delays)) == 3
        assert all(10 <= each <= 70 for each in delays)
        drawn.add(delays)

    await rig.everywhere(name, check)
    assert len(drawn) == 1


async def test_later_messages_overtake(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("first", "second", "third", "fourth")
        await pair.arrives("second", "third", "first", "fourth")
        await pair.still_works()
        [judged] = await pair.judged()
        assert judged.behind == 2

    await rig.everywhere("reorder", check)


async def test_a_message_that_nobody_overtakes_goes_when_its_time_is_over(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        start = time.monotonic()
        await pair.send("first")
        await pair.arrives("first")
        assert time.monotonic() - start >= 0.15
        await pair.still_works()
        [judged] = await pair.judged()
        assert (judged.behind, judged.outcome) == (2, Outcome.PASSED)

    await rig.everywhere("reorder-alone", check)


@pytest.mark.parametrize("name", ["throttle", "bandwidth", "standing"])
async def test_a_narrow_line_takes_its_time(rig: Rig, name: str) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(b"from here on")
        await pair.arrives(b"from here on")
        start = time.monotonic()
        await pair.send(NOISE)
        await pair.arrives(NOISE)
        assert 0.3 <= time.monotonic() - start < 10
        await pair.still_works()
        judged = await pair.judged()
        assert "60 KB/s" in judged[0].hits[0].did[0]
        if name == "standing":  # it acts when the connection opens, and at no message
            assert [(each.opcode, each.first_frame) for each in judged] == [(1, 0)]

    await rig.everywhere(name, check)


async def test_the_other_direction_is_narrow_until_a_rule_lifts_it(rig: Rig) -> None:
    large = NOISE * 40
    """More than would come in time on the narrow line."""

    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        await pair.arrives("here goes")
        start = time.monotonic()
        await pair.receiver.send(NOISE)
        await pair.comes_back(NOISE)
        assert time.monotonic() - start >= 0.5
        await pair.send("free")
        await pair.arrives("free")
        await pair.receiver.send(large)
        await pair.comes_back(large)
        events = await pair.over()
        [judged] = verdicts(events, f"other-way-off-{pair.way.sender.word}")
        assert judged.hits[0].did == ("throttle off",)
        assert verdicts(events, pair.rule)

    await rig.everywhere("other-way", check)


async def test_a_toxic_spares_the_connections_that_its_toxicity_leaves_out(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here it goes", "and on")
        await pair.arrives("here it goes", "and on")
        await pair.still_works()
        events = await pair.over()
        for word in TOXICS:
            assert verdicts(events, f"calm-{word}-{side.word}") == []
        assert not [each for each in facts(events, Ended) if each.how is How.INSPECTOR]

    await rig.everywhere("calm", check)


# ------------------------------------------------------------------------------------------------- sending


async def test_a_message_of_ours_comes_beside(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        async with asyncio.timeout(20):
            assert sorted([await pair.receiver.recv() for _ in range(2)]) == ["extra", "here goes"]  # type: ignore[type-var]
        await pair.still_works()
        [sent] = ours(await pair.over(), pair.way.sender)
        assert (sent.message.payload, sent.flags, sent.rule) == (b"extra", ("injected",), pair.rule)

    await rig.everywhere("send-on", check)


async def test_messages_of_ours_in_turn(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        async with asyncio.timeout(20):
            found = [await pair.receiver.recv() for _ in range(5)]
        assert [each for each in found if each != "here goes"] == ["a", "b", "a", "b"]
        await pair.still_works()
        sent = ours(await pair.over(), pair.way.sender)
        assert [each.message.payload for each in sent] == [b"a", b"b", b"a", b"b"]

    await rig.everywhere("send-often", check)


async def test_until_somebody_has_had_enough(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        async with asyncio.timeout(20):
            found = [await pair.receiver.recv() for _ in range(4)]
        assert found.count("tick") == 3
        await pair.receiver.send("enough")
        await pair.comes_back("enough")
        await asyncio.sleep(0.1)  # more would come in it
        await pair.sender.send(b"last")
        async with asyncio.timeout(20):
            while (each := await pair.receiver.recv()) != b"last":
                found.append(each)
        events = await pair.over()
        assert len(ours(events, pair.way.sender)) == found.count("tick") <= 8
        started, stopped = verdicts(events, pair.rule)
        assert (started.side, stopped.side) == (pair.way.sender, pair.way.sender.other)
        assert "stop sending" in stopped.hits[0].did[0]

    await rig.everywhere("send-until", check)


@pytest.mark.parametrize(("name", "opcode"), [("send-ping", Opcode.PING), ("send-pong", Opcode.PONG)])
async def test_a_control_frame_of_ours(rig: Rig, name: str, opcode: Opcode) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here goes")
        await pair.arrives("here goes")
        await pair.still_works()
        events = await pair.over()
        sent = our_frames(events, side)
        assert [(each.frame.opcode, each.frame.payload, each.rule) for each in sent] == [
            (opcode, b"beat", pair.rule)
        ]
        answers = [
            each.frame.payload for each in controls(events, side.other) if each.frame.opcode == Opcode.PONG
        ]
        assert answers == ([b"beat"] if opcode is Opcode.PING else [])
        assert len(verdicts(events, pair.rule)) == 1

    await rig.everywhere(name, check)


async def test_a_message_of_ours_when_the_connection_opens(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.arrives("welcome")
        await pair.still_works()
        events = await pair.over()
        [judged] = [each for each in facts(events, Judged) if each.hits[0].rule == pair.rule]
        assert (judged.first_frame, judged.opcode, judged.outcome) == (0, 1, Outcome.PASSED)
        [sent] = ours(events, pair.way.sender)
        assert (sent.message.payload, sent.rule) == (b"welcome", pair.rule)

    await rig.everywhere("open", check)


# ---------------------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize("name", ["close", "close-late", "python-closes"])
async def test_a_close_goes_to_both(rig: Rig, name: str) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        for end in (pair.sender, pair.receiver):
            closed = await ended(end)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (4012, "as 1")
        events = await pair.captured()
        for side in Side:
            [frame] = our_frames(events, side)
            assert (frame.frame.opcode, frame.frame.payload) == (Opcode.CLOSE, b"\x0f\xacas 1")
            assert frame.rule == pair.rule
        assert len(verdicts(events, pair.rule)) == 1

    await rig.everywhere(name, check)


@pytest.mark.parametrize(("name", "code"), [("close-one", 4012), ("close-empty", 1005)])
async def test_a_close_for_one_side(rig: Rig, name: str, code: int) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here goes")
        await pair.arrives("here goes")
        closed = await ended(pair.sender)
        assert closed.rcvd is not None
        assert closed.rcvd.code == code
        events = await pair.captured()
        assert our_frames(events, side) == []
        [frame] = our_frames(events, side.other)
        assert frame.frame.payload == (b"" if code == 1005 else b"\x0f\xac")
        assert len(verdicts(events, pair.rule)) == 1

    await rig.everywhere(name, check)


@pytest.mark.parametrize("name", ENDS)
async def test_a_rule_ends_both_without_a_close(rig: Rig, name: str) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("before it")
        await pair.arrives("before it")
        await pair.send("here it goes, and after so many bytes it is over")
        if name == "limit_data":
            await pair.send("there is more " * 20, os.urandom(200))
        for end in (pair.sender, pair.receiver):
            closed = await ended(end)
            assert closed.rcvd is None, f"{end} got a Close"
        events = await pair.captured()
        assert verdicts(events, pair.rule)
        assert ends_by(events, pair.rule) == set(Side)

    await rig.everywhere(name, check)


async def test_one_side_is_reset_and_the_other_hears_nothing(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here it goes")
        closed = await ended(pair.receiver)
        assert closed.rcvd is None
        events = await pair.proxy.until(lambda events: bool(ends_by(events, pair.rule)), pair.target)
        assert ends_by(events, pair.rule) == {side.other}
        await pair.sender.send("is anybody there?")
        with pytest.raises(TimeoutError):
            await pair.comes_back("never", within_s=0.2)
        assert pair.sender.state is State.OPEN
        pair.sender.transport.abort()
        assert verdicts(await pair.captured(), pair.rule)

    await rig.everywhere("reset-to", check)


async def test_what_a_stalled_side_sends_goes_nowhere(rig: Rig) -> None:
    """A black hole: its end alone is passed on."""

    async def check(pair: Pair) -> None:
        await pair.send("before it")
        await pair.arrives("before it")
        await pair.send("here it goes", "after it")
        await pair.arrives("here it goes")
        await pair.receiver.send("the other way")
        await pair.comes_back("the other way")
        with pytest.raises(TimeoutError):
            await pair.arrives("after it", within_s=0.2)
        pair.sender.transport.abort()
        assert (await ended(pair.receiver)).rcvd is None
        events = await pair.captured()
        assert [each.side for each in facts(events, Notice) if each.code == "discarded"] == [pair.way.sender]
        assert len(verdicts(events, pair.rule)) == 1

    await rig.everywhere("stall", check)


async def test_of_a_half_open_connection_the_end_goes_nowhere_either(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here it goes")
        await pair.arrives("here it goes")
        await asyncio.sleep(0.1)  # it begins after half of it
        pair.sender.transport.abort()
        await pair.proxy.until(
            lambda events: any(each.side is side for each in facts(events, Ended)), pair.target
        )
        with pytest.raises(TimeoutError):
            await pair.arrives("never", within_s=0.2)
        assert pair.receiver.state is State.OPEN
        pair.receiver.transport.abort()
        assert len(verdicts(await pair.captured(), pair.rule)) == 1

    await rig.everywhere("half-open", check)


async def test_a_stall_for_a_while_loses_nothing(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        start = time.monotonic()
        await pair.send("here it goes", "after it")
        await pair.arrives("here it goes", "after it")
        assert time.monotonic() - start >= 0.4
        await pair.still_works()
        [judged] = await pair.judged()
        assert judged.hits[0].did[0].startswith("stall")

    await rig.everywhere("stall-while", check)


async def test_an_end_is_passed_on_later(rig: Rig) -> None:
    """toxiproxy's `slow_close`: seen where a server ends first, as it does after the Closes."""

    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        await pair.arrives("here goes")
        start = time.monotonic()
        await pair.client.close()
        if pair.way.sender is Side.SERVER:
            assert time.monotonic() - start >= 0.4
        [judged] = await pair.judged()
        assert judged.hits[0].did[0].startswith("slow_close")

    await rig.everywhere("slow_close", check)
