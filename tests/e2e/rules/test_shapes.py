"""Actions on the frames of a message, on every way: how they arrive, what a strict peer makes of it, and what
the capture says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.rules.ways import (
    Compression,
    Pair,
    Rig,
    WebSocket,
    ended,
    our_frames,
    ours,
    rig_of,
    rule,
    verdicts,
)
from wsinspect.model import Opcode, Outcome, Side, Violation

TEXT = "{PATH, from: SIDE, kind: text}"
BINARY = "{PATH, from: SIDE, kind: binary}"
GO = "{PATH, from: SIDE, text: {contains: go}}"
TICK = '{"type":"tick","price":5,"items":[1],"secret":"hunter2"}'
PAYLOAD = bytes(range(200))


@dataclass
class Fault:
    """What a strict receiver fails the connection for, and what the capture names it."""

    how: str
    code: int
    violation: Violation | None
    """None: the frame itself is right, and only what comes after it is not."""


FATAL = {
    "bad-utf8": Fault("bad-utf8", 1007, Violation.BAD_UTF8),
    "reserved-bits": Fault("reserved-bits", 1002, Violation.RESERVED_BITS),
    "reserved-bits-rsv": Fault("{how: reserved-bits, rsv: 1}", 1002, Violation.RESERVED_BITS),
    "reserved-opcode": Fault("reserved-opcode", 1002, Violation.RESERVED_OPCODE),
    "reserved-opcode-opcode": Fault("{how: reserved-opcode, opcode: 12}", 1002, Violation.RESERVED_OPCODE),
    "stray-continuation": Fault("stray-continuation", 1002, Violation.UNEXPECTED_CONTINUATION),
    "unfinished": Fault("unfinished", 1002, None),
    "long-control": Fault("long-control", 1002, Violation.LONG_CONTROL),
    "fragmented-control": Fault("fragmented-control", 1002, Violation.FRAGMENTED_CONTROL),
}


def rules() -> str:
    return "".join(
        [
            rule("fragment", TEXT, "fragment: [3, 0, 9]"),
            rule("fragment-size", TEXT, "fragment: {size: 10}"),
            rule("merge", TEXT, "merge"),
            rule("replace", TEXT, "replace: {text: tick, with: tock}"),
            rule("flip-bits", BINARY, "corrupt: {how: flip-bits, bits: 3, seed: 7}"),
            rule("truncated", BINARY, "corrupt: truncated"),
            rule("no-mask", GO, "corrupt: no-mask"),
            rule("wrong-mask", GO, "corrupt: wrong-mask"),
            rule("wide-length", GO, "corrupt: wide-length"),
            *(rule(name, GO, f"corrupt: {fault.how}") for name, fault in FATAL.items()),
        ]
    )


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("shapes"), rules()) as rig:
        yield rig


async def fragments(end: WebSocket) -> list[str | bytes]:
    async with asyncio.timeout(20):
        return [each async for each in end.recv_streaming()]


@pytest.mark.parametrize(("name", "sizes"), [("fragment", [3, 0, 9, 9, 9]), ("fragment-size", [10] * 5)])
async def test_a_message_is_cut_into_frames(rig: Rig, name: str, sizes: list[int]) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(TICK)
        found = await fragments(pair.receiver)
        assert "".join(map(str, found)) == TICK
        if pair.way.compression is Compression.OFF:
            assert [len(each) for each in found][: len(sizes)] == sizes
        await pair.receiver.send("back")
        await pair.comes_back("back")
        events = await pair.over()
        frames = our_frames(events, pair.way.sender)
        assert [each.frame.length for each in frames][: len(sizes)] == sizes
        assert [each.frame.fin for each in frames] == [False] * (len(frames) - 1) + [True]
        [judged] = verdicts(events, pair.rule)
        assert judged.outcome is Outcome.CHANGED

    await rig.everywhere(name, check)


async def test_fragments_become_one_frame(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(["in ", "three ", "pieces"])
        assert await fragments(pair.receiver) == ["in three pieces"]
        events = await pair.over()
        [frame] = our_frames(events, pair.way.sender)
        assert (frame.frame.fin, frame.of) == (True, (1, 4))
        assert verdicts(events, pair.rule)[0].outcome is Outcome.CHANGED

    await rig.everywhere("merge", check)


async def test_a_changed_message_keeps_its_fragments(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(["a tick", " and a ", "tick"])
        found = await fragments(pair.receiver)
        assert "".join(map(str, found)) == "a tock and a tock"
        assert len(found) == 4  # the library ends what it sends in pieces by an empty frame
        events = await pair.over()
        assert len(our_frames(events, pair.way.sender)) == 4
        [changed] = ours(events, pair.way.sender)
        assert changed.message.payload == b"a tock and a tock"

    await rig.everywhere("replace", check)


async def broken(pair: Pair) -> bytes:
    """What arrives of the payload. The capture has both, and all else passes."""
    await pair.send(PAYLOAD)
    async with asyncio.timeout(20):
        found = await pair.receiver.recv()
    assert isinstance(found, bytes)
    await pair.still_works()
    events = await pair.over()
    [changed] = ours(events, pair.way.sender)
    assert changed.message.payload == found
    [judged] = verdicts(events, pair.rule)
    assert judged.outcome is Outcome.CHANGED
    return found


async def test_bits_are_flipped_the_same_each_time(rig: Rig) -> None:
    found = set()

    async def check(pair: Pair) -> None:
        data = await broken(pair)
        assert sum((a ^ b).bit_count() for a, b in zip(data, PAYLOAD, strict=True)) == 3
        found.add(data)

    await rig.everywhere("flip-bits", check)
    assert len(found) == 1


async def test_a_message_loses_its_end(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        data = await broken(pair)
        assert len(data) < len(PAYLOAD)
        assert PAYLOAD.startswith(data)

    await rig.everywhere("truncated", check)


async def fails(pair: Pair) -> int:
    """The code with which the receiver fails the connection."""
    closed = await ended(pair.receiver)
    assert closed.sent is not None
    await pair.client.wait_closed()
    await pair.server.wait_closed()
    return closed.sent.code


def violations(events: list, side: Side) -> set[Violation]:  # type: ignore[type-arg]
    """What the capture finds wrong with what went out in the side's name."""
    found = {each for frame in our_frames(events, side) for each in frame.frame.violations}
    return found | {each for message in ours(events, side) for each in message.message.violations}


@pytest.mark.parametrize("name", FATAL)
async def test_a_strict_receiver_fails_the_connection(rig: Rig, name: str) -> None:
    fault = FATAL[name]

    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("before")
        await pair.arrives("before")
        await pair.send("let it go", "the next one")
        assert await fails(pair) == fault.code
        events = await pair.captured()
        [judged] = verdicts(events, pair.rule)
        assert judged.outcome is Outcome.CHANGED
        frames = our_frames(events, side)
        if fault.violation is None:
            assert not frames[-1].frame.fin
        else:
            assert fault.violation in violations(events, side)
        if name == "reserved-bits-rsv":
            assert frames[0].frame.rsv & 3 == 1
        if name == "reserved-opcode-opcode":
            assert frames[0].frame.opcode == 12

    await rig.everywhere(name, check)


async def test_a_clients_frame_without_a_mask(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("let it go")
        if pair.way.sender is Side.SERVER:  # it has none anyway
            await pair.arrives("let it go")
            [judged] = await pair.judged()
            assert judged.hits[0].did == ("corrupt: nothing, since a server's frames have no mask",)
            return
        assert await fails(pair) == 1002
        events = await pair.captured()
        assert Violation.UNMASKED_CLIENT in violations(events, Side.CLIENT)
        assert [each.outcome for each in verdicts(events, pair.rule)] == [Outcome.CHANGED]

    await rig.everywhere("no-mask", check)


async def test_a_wrong_mask(rig: Rig) -> None:
    """A client must fail a masked frame of the server's; a server cannot know, and gets garbage."""

    async def check(pair: Pair) -> None:
        await pair.send("let it go")
        try:
            async with asyncio.timeout(20):
                found = await pair.receiver.recv()
        except ConnectionClosed as closed:
            found = str(closed.sent.code) if closed.sent is not None else "no Close"
        assert found not in ("let it go", "no Close")
        events = await pair.over()
        [judged] = verdicts(events, pair.rule)
        assert judged.outcome is Outcome.CHANGED
        if pair.way.sender is Side.SERVER:
            assert found == "1002"
            assert Violation.MASKED_SERVER in violations(events, Side.SERVER)

    await rig.everywhere("wrong-mask", check)


async def test_a_length_in_a_longer_form(rig: Rig) -> None:
    """This library's receivers let it pass; the capture names it."""

    async def check(pair: Pair) -> None:
        await pair.send("let it go")
        await pair.arrives("let it go")
        await pair.still_works()
        events = await pair.over()
        assert Violation.NON_MINIMAL_LENGTH in violations(events, pair.way.sender)
        assert our_frames(events, pair.way.sender)[0].frame.opcode == Opcode.TEXT
        assert [each.outcome for each in verdicts(events, pair.rule)] == [Outcome.CHANGED]

    await rig.everywhere("wide-length", check)
