"""Each action on messages through real sockets, on every way: what arrives, and what the capture says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import own_stage
from tests.e2e.rules.ways import (
    Pair,
    Payload,
    Rig,
    WebSocket,
    controls,
    folder_of,
    for_both,
    messages,
    ours,
    verdicts,
)
from tests.proxy.running import facts
from wsinspect.capture.timeline import Event, FrameEvent, GapEvent
from wsinspect.model import Ended, How, Outcome, Released, Side
from wsinspect.rules.actions import ACTIONS

TICK = '{"type":"tick","price":5,"items":[1],"secret":"hunter2"}'
ORDER = b"\x82\xa4type\xa5order\xa2id\x07"
NOISE = os.urandom(30_000)
TEXT = "{PATH, from: SIDE, kind: text}"
DATA = "{PATH, from: SIDE, kind: [text, binary]}"
GO = "{PATH, from: SIDE, text: {contains: go}}"

MODULE = """
def shout(message):
    if message.text == "drop me":
        return message.drop()
    return message.text.upper()
"""


@dataclass
class Change:
    """An action, and what arrives of what is sent."""

    name: str
    action: str
    sent: tuple[Payload, ...]
    arrives: tuple[str | bytes, ...]
    when: str = TEXT
    outcome: Outcome = Outcome.CHANGED
    back: tuple[str, ...] = ()
    """What comes to the sender."""


PASSED, DROPPED = Outcome.PASSED, Outcome.DROPPED

CHANGES = [
    Change(
        "set",
        "set: {$.price: 1, $.new: 'n {{n}}'}",
        (TICK,),
        (TICK.replace("5", "1", 1)[:-1] + ',"new":"n 1"}',),
    ),
    Change("remove", "remove: [$.secret]", (TICK,), ('{"type":"tick","price":5,"items":[1]}',)),
    Change("append", "append: {$.items: 2}", (TICK,), (TICK.replace("[1]", "[1,2]"),)),
    Change("set-msgpack", "set: {$.id: 8}", (ORDER,), (ORDER[:-1] + b"\x08",), when=DATA),
    Change(
        "replace", "replace: {text: tick, with: tock}", (TICK, "none"), (TICK.replace("tick", "tock"), "none")
    ),
    Change(
        "replace-regex",
        r"""replace: {regex: 'price.:(\d+)', with: 'price":\g<1>00', count: 1}""",
        (TICK, TICK),
        (TICK.replace("5", "500"), TICK.replace("5", "500")),
    ),
    Change(
        "replace-bytes",
        "replace: {bytes: 'de ad', with-bytes: 'be ef 00'}",
        (b"\xde\xad!",),
        (b"\xbe\xef\0!",),
        when=DATA,
    ),
    Change("payload", "payload: 'was {{$.type}}'", (TICK,), ("was tick",)),
    Change("payload-json", "payload: {json: {n: '{{n}}'}}", (TICK, "two"), ('{"n":1}', '{"n":2}')),
    Change("payload-base64", "payload: {base64: 3q2+7w==, as: binary}", (TICK,), (b"\xde\xad\xbe\xef",)),
    Change("payload-file", "payload: {file: body.txt}", (TICK,), ("from the file",)),
    Change("payload-template", "payload: {file: template.txt, template: true}", (TICK,), ("type tick",)),
    Change("python", "python: mine:shout", ("hello", "grüße"), ("HELLO", "GRÜSSE")),
    Change("python-drop", "python: mine:shout", ("drop me",), (), outcome=DROPPED),
    Change("drop", "drop", ("one", "two"), (), outcome=DROPPED),
    Change("duplicate", "duplicate: 3", ("one", "two"), ("one",) * 3 + ("two",) * 3, outcome=PASSED),
    Change("tag", "tag: [login, slow]", (TICK,), (TICK,), outcome=PASSED),
    Change("note", "note: 'order {{$.price}}'", (TICK,), (TICK,), outcome=PASSED),
    Change("redact", "redact: {json: [$.secret]}", (TICK, "no secret"), (TICK, "no secret"), outcome=PASSED),
    Change("no-capture", "no-capture", (TICK,), (TICK,), outcome=PASSED),
    Change(
        "reply", "reply: {json: {was: '{{$.type}}'}}", (TICK,), (), outcome=DROPPED, back=('{"was":"tick"}',)
    ),
    Change("reply-late", "reply: {text: later, after: 50ms}", (TICK,), (), outcome=DROPPED, back=("later",)),
    Change("send-back", "send: {to: SIDE, text: echo}", (TICK,), (TICK,), outcome=PASSED, back=("echo",)),
    Change("hold", "hold: 30s", (TICK, "next"), (TICK, "next"), outcome=Outcome.HELD),
    Change("merge", "merge", (["in ", "three ", "pieces"],), ("in three pieces",)),
    Change(
        "slicer",
        "slicer: {average_size: 64, size_variation: 32}",
        (TICK * 20, "x"),
        (TICK * 20, "x"),
        outcome=PASSED,
    ),
]
"""What arrives does so in this order."""


def others() -> str:
    """The rules of the other tests of this module."""
    rules = [
        ("delay", TEXT, "delay: 200ms"),
        ("latency", TEXT, "latency: {latency: 200, stream: STREAM}"),
        ("reorder", "{PATH, from: SIDE, text: first}", "reorder: {by: 2, within: 5s}"),
        ("reorder-alone", "{PATH, from: SIDE, text: first}", "reorder: {by: 2, within: 150ms}"),
        ("fragment", TEXT, "fragment: [3, 0, 9]"),
        ("flip-bits", "{PATH, from: SIDE, kind: binary}", "corrupt: {how: flip-bits, bits: 3, seed: 7}"),
        ("truncated", "{PATH, from: SIDE, kind: binary}", "corrupt: truncated"),
        *((fault, GO, f"corrupt: {fault}") for fault in FATAL),
        ("no-mask", GO, "corrupt: no-mask"),
        ("wrong-mask", GO, "corrupt: wrong-mask"),
        ("send-on", GO, "send: {to: OTHER, text: extra}"),
        ("send-often", GO, "send: {to: OTHER, text: [a, b], every: 20ms, times: 2}"),
        ("send-until", GO, "send: {to: OTHER, text: tick, every: 20ms, until: {from: OTHER, text: enough}}"),
        ("send-ping", GO, "send: {to: OTHER, ping: beat}"),
        ("throttle", "{PATH, from: SIDE, kind: binary}", "throttle: 60KB/s"),
        ("bandwidth", "{PATH, from: SIDE, kind: binary}", "bandwidth: {rate: 60, stream: STREAM}"),
        ("close", GO, "close: {code: 4012, reason: 'as {{n}}'}"),
        ("close-one", GO, "close: {code: 4012, to: SIDE}"),
        ("reset", GO, "reset"),
        ("reset_peer", GO, "reset_peer: {timeout: 100}"),
        ("cut", GO, "cut: {at: 50%, how: rst}"),
        ("cut-fin", GO, "cut: {bytes: 3, how: fin}"),
        ("stall", GO, "stall: {from: SIDE}"),
        ("stall-while", GO, "stall: {from: SIDE, for: 400ms}"),
        ("timeout", GO, "timeout: {timeout: 150, stream: STREAM}"),
        ("limit_data", GO, "limit_data: {bytes: 40, stream: STREAM}"),
        ("slow_close", GO, "slow_close: {delay: 400, stream: STREAM}"),
    ]
    return "".join(
        for_both(name, f"when: {when}\n    then: [{flow(action)}]") for name, when, action in rules
    )


def flow(action: str) -> str:
    """As an item of a list between brackets."""
    return f"{{{action}}}" if ":" in action else action


FATAL = {
    "bad-utf8": 1007,
    "reserved-bits": 1002,
    "reserved-opcode": 1002,
    "stray-continuation": 1002,
    "unfinished": 1002,
}
"""What a strict receiver makes of it."""


def rule_file() -> str:
    text = "version: 1\nrules:\n"
    for case in CHANGES:
        text += for_both(case.name, f"when: {case.when}\n    then: [{flow(case.action)}]")
    return text + others()


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    tmp = tmp_path_factory.mktemp("actions")
    files = {
        "actions.yaml": rule_file(),
        "body.txt": "from the file",
        "template.txt": "type {{$.type}}",
        "mine.py": MODULE,
    }
    folder = folder_of(tmp, files)
    with own_stage(tmp, "--rules", str(folder), "--allow-python") as stage:
        yield Rig(stage)
    assert "Traceback" not in stage.proxy.stderr


def test_every_action_on_traffic_has_a_case() -> None:
    handshake = {"reject", "set-header", "remove-header", "strip-extension", "redirect-to", "slow"}
    text = rule_file()
    there = {word for word in ACTIONS if re.search(rf"[\[{{]{word}[:\]}}]", text)}
    assert set(ACTIONS) - there == handshake


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name)
async def test_a_message_is_changed(rig: Rig, case: Change) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send(*case.sent)
        await pair.arrives(*case.arrives)
        await pair.comes_back(*case.back)
        if (
            case.when == TEXT
        ):  # a kind that the rule leaves alone: nothing came before it, and windows are right
            await pair.sender.send(b"still here " * 20)
            await pair.arrives(b"still here " * 20)
        await pair.receiver.send("and back")
        await pair.comes_back("and back")
        events = await pair.over()
        found = verdicts(events, f"{case.name}-{side.word}")
        assert len(found) >= len(case.sent) if case.name != "redact" else 1
        assert {each.outcome for each in found} <= {case.outcome, PASSED}
        assert any(each.outcome is case.outcome for each in found)
        _looks_right(case, events, side)

    await rig.everywhere(case.name, check)


def _looks_right(case: Change, events: list[Event], side: Side) -> None:
    """What else the capture says of some of them."""
    came = [each.message.payload for each in messages(events, side)]
    first = case.sent[0]
    whole = "".join(first) if isinstance(first, list) else first
    data = whole.encode() if isinstance(whole, str) else whole
    match case.name:
        case "redact":
            assert b"hunter2" not in came[0]
            assert "‹redacted:".encode() in came[0]
        case "no-capture":
            assert data not in came
            assert [gap for gap in events if isinstance(gap, GapEvent) and "no-capture" in gap.reason]
        case "tag":
            assert verdicts(events, f"tag-{side.word}")[0].tags == ["login", "slow"]
        case "note":
            assert verdicts(events, f"note-{side.word}")[0].notes == ["order 5"]
        case "hold":
            assert {each.by for each in facts(events, Released)} == {"default"}
        case _:
            assert came[0] == data  # what came is there, whatever became of it
    if case.outcome is Outcome.CHANGED:
        gone = [each.message.payload for each in ours(events, side) if "modified" in each.flags]
        wanted = [each.encode() if isinstance(each, str) else each for each in case.arrives]
        assert gone[: len(wanted)] == [each for each in wanted if each != b"none"]
    if case.back:
        assert [each.message.payload.decode() for each in ours(events, side.other)] == list(case.back)


def our_frames(events: list[Event]) -> list[FrameEvent]:
    return [each for each in events if isinstance(each, FrameEvent) and each.ours]


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
        [judged] = verdicts(await pair.over(), f"{name}-{pair.way.sender.word}")
        assert judged.delay_ms == 200

    await rig.everywhere(name, check)


async def test_later_messages_overtake(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("first", "second", "third", "fourth")
        await pair.arrives("second", "third", "first", "fourth")
        await pair.still_works()
        [judged] = verdicts(await pair.over(), f"reorder-{pair.way.sender.word}")
        assert judged.behind == 2

    await rig.everywhere("reorder", check)


async def test_a_message_that_nobody_overtakes_goes_when_its_time_is_over(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        start = time.monotonic()
        await pair.send("first")
        await pair.arrives("first")
        assert time.monotonic() - start >= 0.15
        await pair.still_works()

    await rig.everywhere("reorder-alone", check)


@pytest.mark.parametrize("name", ["throttle", "bandwidth"])
async def test_a_narrow_line_takes_its_time(rig: Rig, name: str) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(b"from here on")
        await pair.arrives(b"from here on")
        start = time.monotonic()
        await pair.send(NOISE)
        await pair.arrives(NOISE)
        assert 0.3 <= time.monotonic() - start < 10
        await pair.still_works()

    await rig.everywhere(name, check)


# -------------------------------------------------------------------------------------------------- shape


async def fragments(end: WebSocket) -> list[str | bytes]:
    async with asyncio.timeout(20):
        return [each async for each in end.recv_streaming()]


async def test_a_message_is_cut_into_frames(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(TICK)
        found = await fragments(pair.receiver)
        assert "".join(map(str, found)) == TICK
        assert len(found) >= 4
        if pair.way.compression.value == "off":
            assert [len(each) for each in found] == [3, 0, 9, 9, 9, 9, 9, len(TICK) - 48]
        events = await pair.over()
        frames = [each.frame.length for each in our_frames(events)]
        assert frames[:3] == [3, 0, 9]

    await rig.everywhere("fragment", check)


async def test_fragments_become_one_frame(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(["in ", "three ", "pieces"])
        assert await fragments(pair.receiver) == ["in three pieces"]

    await rig.everywhere("merge", check)


async def test_a_changed_message_keeps_its_fragments(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(["a tick", " and a ", "tick"])
        found = await fragments(pair.receiver)
        assert "".join(map(str, found)) == "a tock and a tock"
        assert len(found) == 4  # the library ends what it sends in pieces by an empty frame

    await rig.everywhere("replace", check)


# ---------------------------------------------------------------------------------------------- corruption


async def test_bits_are_flipped_the_same_each_time(rig: Rig) -> None:
    payload, found = bytes(range(200)), set()

    async def check(pair: Pair) -> None:
        await pair.send(payload)
        async with asyncio.timeout(20):
            broken = await pair.receiver.recv()
        assert isinstance(broken, bytes)
        assert len(broken) == len(payload)
        assert sum((a ^ b).bit_count() for a, b in zip(broken, payload, strict=True)) == 3
        found.add(broken)
        await pair.still_works()

    await rig.everywhere("flip-bits", check)
    assert len(found) == 1


async def test_a_message_loses_its_end(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(payload := bytes(range(200)))
        async with asyncio.timeout(20):
            broken = await pair.receiver.recv()
        assert isinstance(broken, bytes)
        assert len(broken) < len(payload)
        assert payload.startswith(broken)
        await pair.still_works()

    await rig.everywhere("truncated", check)


@pytest.mark.parametrize("fault", FATAL)
async def test_a_strict_receiver_fails_the_connection(rig: Rig, fault: str) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("before")
        await pair.arrives("before")
        await pair.send("let it go", "the next one")
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                await pair.receiver.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == FATAL[fault]
        await pair.client.wait_closed()
        await pair.server.wait_closed()
        [judged] = verdicts(await pair.captured(), f"{fault}-{pair.way.sender.word}")
        assert judged.outcome is Outcome.CHANGED

    await rig.everywhere(fault, check)


async def test_a_clients_frame_without_a_mask(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("let it go")
        if pair.way.sender is Side.SERVER:  # it has none anyway
            await pair.arrives("let it go")
            return
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                await pair.receiver.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1002

    await rig.everywhere("no-mask", check)


async def test_a_wrong_mask(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("let it go")
        try:
            async with asyncio.timeout(20):
                found = await pair.receiver.recv()
        except ConnectionClosed as closed:
            found = closed.sent.code if closed.sent is not None else "no Close"
        assert found not in ("let it go", "no Close")

    await rig.everywhere("wrong-mask", check)


# ------------------------------------------------------------------------------------------------- sending


async def test_a_message_of_ours_comes_beside(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        async with asyncio.timeout(20):
            assert sorted([await pair.receiver.recv() for _ in range(2)]) == ["extra", "here goes"]  # type: ignore[type-var]
        await pair.still_works()
        side = pair.way.sender
        [sent] = ours(await pair.over(), side)
        assert (sent.message.payload, sent.flags, sent.rule) == (
            b"extra",
            ("injected",),
            f"send-on-{side.word}",
        )

    await rig.everywhere("send-on", check)


async def test_messages_of_ours_in_turn(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        async with asyncio.timeout(20):
            found = [await pair.receiver.recv() for _ in range(5)]
        assert [each for each in found if each != "here goes"] == ["a", "b", "a", "b"]
        await pair.still_works()

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
            rest = [each async for each in _until(pair.receiver, b"last")]
        assert len(rest) <= 5

    await rig.everywhere("send-until", check)


async def _until(end: WebSocket, last: bytes):  # type: ignore[no-untyped-def]
    while (found := await end.recv()) != last:
        yield found


async def test_a_ping_of_ours_is_answered(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("here goes")
        await pair.arrives("here goes")
        await pair.still_works()
        events = await pair.over()
        pings = [
            each for each in events if isinstance(each, FrameEvent) and each.ours and each.frame.opcode == 9
        ]
        assert [(each.side, each.frame.payload) for each in pings] == [(side, b"beat")]
        pongs = [each.frame.payload for each in controls(events, side.other) if each.frame.opcode == 10]
        assert pongs == [b"beat"]

    await rig.everywhere("send-ping", check)


# ---------------------------------------------------------------------------------------------------- ends


async def ended(end: WebSocket) -> ConnectionClosed:
    """How it ends for one side, whatever still comes before."""
    async with asyncio.timeout(20):
        while True:
            try:
                await end.recv()
            except ConnectionClosed as closed:
                return closed


async def test_a_close_goes_to_both(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        for end in (pair.sender, pair.receiver):
            closed = await ended(end)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (4012, "as 1")
        events = await pair.captured()
        closes = [
            each for each in events if isinstance(each, FrameEvent) and each.ours and each.frame.opcode == 8
        ]
        assert {each.side for each in closes} == set(Side)

    await rig.everywhere("close", check)


async def test_a_close_for_one_side(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes")
        await pair.arrives("here goes")
        closed = await ended(pair.sender)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 4012

    await rig.everywhere("close-one", check)


@pytest.mark.parametrize("name", ["reset", "reset_peer", "cut", "cut-fin", "timeout", "limit_data"])
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
        rule = f"{name}-{pair.way.sender.word}"
        assert verdicts(events, rule)
        ends = [each for each in facts(events, Ended) if each.how is How.INSPECTOR]
        assert {each.side for each in ends} == set(Side)
        assert all(rule in each.detail for each in ends)

    await rig.everywhere(name, check)


async def test_what_a_stalled_side_sends_goes_nowhere(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("before it")
        await pair.arrives("before it")
        await pair.send("here it goes", "after it")
        await pair.arrives("here it goes")
        await pair.receiver.send("the other way")
        await pair.comes_back("the other way")
        with pytest.raises(TimeoutError):
            await pair.arrives("after it", within_s=0.2)

    await rig.everywhere("stall", check)


async def test_a_stall_for_a_while_loses_nothing(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        start = time.monotonic()
        await pair.send("here it goes", "after it")
        async with asyncio.timeout(20):
            found = [await pair.receiver.recv() for _ in range(2)]
        assert found == ["here it goes", "after it"]
        assert time.monotonic() - start >= 0.4
        await pair.still_works()

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

    await rig.everywhere("slow_close", check)


def test_the_module_speaks_json() -> None:
    """The expected texts of JSON edits are JSON."""
    for case in CHANGES:
        if case.name in ("set", "remove", "append"):
            assert all(json.loads(each) for each in case.arrives)
