"""A word about a held message, on every way; and what rules hide of a message that somebody writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.rules.ways import (
    Pair,
    Rig,
    controls,
    ended,
    messages,
    our_frames,
    ours,
    rig_of,
    rule,
    settled,
    verdicts,
)
from tests.proxy.running import TIMEOUT_S, facts
from wsinspect.capture.timeline import Event, FrameEvent, MessageEvent
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import HeldMessage
from wsinspect.model import Opcode, Outcome, Released, Side

HELD = "{PATH, from: SIDE, text: {contains: hold}}"
SECRET = "hunter2"
SECRETS = "redact: {regex: 'hunter[0-9]', json: [$.token]}"
RULES = "".join(
    [
        rule("held", HELD, "hold: 60s"),
        rule("hidden", HELD, "hold: 60s"),
        rule("secrets", "{PATH}", SECRETS, path="hidden"),
        rule("kept-out", HELD, "hold: 60s"),
        rule("omit", "{PATH, from: SIDE, text: {contains: omit}}", "no-capture", path="kept-out"),
        rule(
            "closes",
            "{PATH, from: SIDE, text: {contains: go}}",
            "close: {code: 4001, reason: 'it was {{text}}'}",
        ),
        rule("closes-secrets", "{PATH}", SECRETS, path="closes"),
    ]
)


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("held"), RULES) as rig:
        yield rig


@pytest.fixture
def control(rig: Rig) -> Iterator[ControlClient]:
    """Somebody who is there to decide."""
    with ControlClient(rig.proxy.process.pid) as control, closing(control.watch()):
        yield control


async def held(control: ControlClient, pair: Pair, before: int = 0) -> HeldMessage:
    """The message of this connection that waits, once one does whose hold has a higher number."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            for each in control.holds().holds:
                if each.url.endswith(pair.target) and each.hold > before:
                    return each
            await asyncio.sleep(0.01)


def secrets_in(events: list[Event]) -> list[Event]:
    """Where the secret stands in what readers of the capture see: unmasked, inflated."""
    return [
        each
        for each in events
        if SECRET in repr(each)
        or (isinstance(each, FrameEvent) and SECRET.encode() in each.frame.payload)
        or (isinstance(each, MessageEvent) and SECRET.encode() in each.message.payload)
    ]


async def test_each_word_about_a_held_message(rig: Rig, control: ControlClient) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        last = 0
        for number, word in enumerate(("release", "edit", "drop")):
            await pair.send(f"hold {number}", "behind")
            message = await held(control, pair, last)
            last = message.hold
            await pair.receiver.send("the other way")
            await pair.comes_back("the other way")
            await (await pair.sender.ping())
            await (await pair.receiver.ping())
            match word:
                case "release":
                    control.release(message.conn, message.hold)
                    await pair.arrives(f"hold {number}", "behind")
                case "edit":
                    control.edit(message.conn, message.hold, "grüße " * 40)
                    await pair.arrives("grüße " * 40, "behind")
                case "drop":
                    control.drop(message.conn, message.hold)
                    await pair.arrives("behind")
        await pair.still_works()
        events = await pair.over()
        came = [each.message.payload for each in messages(events, side)][:6]
        assert came == [b"hold 0", b"behind", b"hold 1", b"behind", b"hold 2", b"behind"]
        assert [each.outcome for each in verdicts(events, pair.rule)] == [Outcome.HELD] * 3
        released = facts(events, Released)
        assert [(each.how, each.by) for each in released] == [
            (how, "user") for how in ("release", "edit", "drop")
        ]
        assert [each.message.payload for each in ours(events, side) if "modified" in each.flags] == [
            ("grüße " * 40).encode()
        ]
        pings = [each for each in controls(events, side) if each.frame.opcode == Opcode.PING]
        assert len(pings) == 3

    await rig.everywhere("held", check)


async def test_no_secret_of_an_edited_message_is_in_the_capture(rig: Rig, control: ControlClient) -> None:
    """What somebody wrote stood in the capture as it went out, whatever rules hid of what had come."""
    edits = [
        '{"token":"hunter2","text":"hold it no more","n":2}',
        "now it is hunter2, in a text without a tree",
        "and " * 50 + "hunter2",
    ]

    async def check(pair: Pair) -> None:
        side, last = pair.way.sender, 0
        for edit in edits:
            await pair.send('{"token":"hunter2","text":"hold it"}')
            message = await held(control, pair, last)
            assert SECRET in message.payload.decode()  # who decides sees what will go out
            control.edit(message.conn, message.hold, edit)
            last = message.hold
            await pair.arrives(edit)
        control.send(message.conn, side.other, "hunter2 by command")
        await pair.arrives("hunter2 by command")
        await pair.still_works()
        await pair.client.close(4001, "it was hunter2")
        await pair.server.close()
        events = await pair.captured()
        assert secrets_in(events) == []
        changed = [each.message.payload.decode() for each in ours(events, side)]
        assert len(changed) == len(edits) + 1
        assert all("‹redacted:" in each for each in changed)
        assert '"n":2' in changed[0]
        assert [each.how for each in facts(events, Released)] == ["edit"] * len(edits)
        reasons = [each.frame.payload[2:].decode() for each in controls(events, Side.CLIENT)]
        assert reasons[-1].startswith("it was ‹redacted:")

    await rig.everywhere("hidden", check)
    await asyncio.to_thread(settled, rig)
    assert SECRET.encode() not in rig.proxy.capture.read_bytes()


async def test_an_edit_that_a_rule_keeps_out_is_not_in_the_capture(rig: Rig, control: ControlClient) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        await pair.send("hold me")
        message = await held(control, pair)
        control.edit(message.conn, message.hold, "omit hunter2")
        await pair.arrives("omit hunter2")
        await pair.still_works()
        events = await pair.over()
        assert secrets_in(events) == []
        assert our_frames(events, side) == []
        assert [each.how for each in facts(events, Released)] == ["edit"]

    await rig.everywhere("kept-out", check)


async def test_the_reason_of_a_close_that_a_rule_sends_shows_no_secret(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send("here goes hunter2")
        for end in (pair.sender, pair.receiver):
            closed = await ended(end)
            assert closed.rcvd is not None
            assert closed.rcvd.reason == "it was here goes hunter2"
        events = await pair.captured()
        assert secrets_in(events) == []
        for side in Side:
            [frame] = our_frames(events, side)
            assert frame.frame.payload[2:].decode().startswith("it was here goes ‹redacted:")

    await rig.everywhere("closes", check)
