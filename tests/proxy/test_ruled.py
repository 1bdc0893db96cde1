"""Rules at work through real sockets: time, holds, pauses and ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.conftest import Opened, Stage, open_through, staged
from tests.proxy.raw import MORE_THAN_FITS, RawEnd, raw_connect
from tests.proxy.running import facts
from wsinspect.capture.timeline import Event, MessageEvent
from wsinspect.model import Ended, How, Notice, Released, Side
from wsinspect.wire.frames import FrameDecoder, encode_frame

KEY = b"\x01\x02\x03\x04"
HELD = encode_frame(2, bytes(1 << 20), mask=bytes(4)) * (MORE_THAN_FITS >> 20)
SCRIPT = str(Path(__file__).with_name("judging.py"))
tls_too = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("judged"), "-s", SCRIPT)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("layered"), "-s", SCRIPT, "--path", "layer")


async def opened(stage: Stage, tls: bool = False) -> Opened:
    return await open_through(stage, client_tls=tls, server_tls=tls)


def text(words: str, side: Side = Side.CLIENT, opcode: int = 1) -> bytes:
    return encode_frame(opcode, words.encode(), mask=KEY if side is Side.CLIENT else None)


async def ask(stage: Stage, both: Opened, what: str) -> Any:
    """Speak to the script in the proxy."""
    client = await raw_connect(stage.proxy.ports[0])
    client.send(
        f"GET /judging/{what}?{both.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    await client.until(lambda end: "fin" in end.ends)
    client.close()
    return json.loads(bytes(client.received).partition(b"\r\n\r\n")[2])


def got(end: RawEnd, sender: Side) -> list[bytes]:
    return [frame.payload for frame in FrameDecoder(sender).receive(bytes(end.received))]


async def gets(end: RawEnd, *payloads: bytes, sender: Side = Side.CLIENT) -> None:
    await end.until(lambda each: got(each, sender) == list(payloads))


@tls_too
async def test_a_delayed_message_comes_in_time_and_a_ping_before_it(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    started = time.monotonic()
    both.client.send(text("late one") + text("behind") + text("?", opcode=9))
    await gets(both.server, b"?", b"late one", b"behind")
    assert time.monotonic() - started >= 0.2


@tls_too
@pytest.mark.parametrize(
    ("word", "payloads"),
    [("release", [b"hold me", b"behind"]), ("edit", [b"edited", b"behind"]), ("drop", [b"behind"])],
)
async def test_a_held_message_goes_on_by_command(
    judged: Stage, word: str, payloads: list[bytes], tls: bool
) -> None:
    both = await opened(judged, tls)
    both.client.send(text("hold me") + text("behind") + text("?", opcode=9))
    both.server.send(text("the other way", Side.SERVER))
    await gets(both.server, b"?")
    await gets(both.client, b"the other way", sender=Side.SERVER)
    assert (await ask(judged, both, "state"))["held"] == ["hold me"]
    assert await ask(judged, both, word) != "already released"
    await gets(both.server, b"?", *payloads)
    assert await ask(judged, both, "release") == "already released"
    events = await judged.proxy.until(lambda events: bool(facts(events, Released)), both.target)
    assert facts(events, Released)[0].how == word


async def test_a_held_message_takes_its_default_when_its_time_is_over(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("soon"))
    await gets(both.server, b"soon")
    events = await judged.proxy.until(lambda events: bool(facts(events, Released)), both.target)
    (released,) = facts(events, Released)
    assert released.by == "default"
    assert 300 <= released.held_ms < 2000


@tls_too
async def test_a_reset_discards_what_is_held(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.client.send(text("first") + text("hold me") + text("behind"))
    await gets(both.server, b"first")
    await judged.proxy.until(
        lambda events: any(isinstance(each, MessageEvent) and "held" in each.flags for each in events),
        both.target,
    )
    both.client.reset()
    await both.server.ended("rst")
    assert got(both.server, Side.CLIENT) == [b"first"]
    events = await judged.proxy.over(both.target)
    (released,) = facts(events, Released)
    assert (released.how, released.by) == ("discard", "reset")
    assert [notice.code for notice in facts(events, Notice)].count("discarded") == 1


@tls_too
async def test_an_end_waits_for_what_is_held_though_its_sender_is_gone(judged: Stage, tls: bool) -> None:
    """Both sides have ended, and the client is closed; the server still gets the message, then the end."""
    both = await opened(judged, tls)
    both.client.send(text("hold me"))
    if tls:
        both.client.close_notify()
    both.client.fin()
    await judged.proxy.until(lambda events: bool(facts(events, Ended)), both.target)
    if tls:
        both.server.close_notify()
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    await judged.proxy.until(lambda events: len(facts(events, Ended)) == (4 if tls else 2), both.target)
    assert both.server.ends == []
    assert await ask(judged, both, "release") == "released"
    await gets(both.server, b"hold me")
    await both.server.until(lambda end: end.ends == (["close_notify", "fin"] if tls else ["fin"]))
    await judged.proxy.over(both.target)


@tls_too
async def test_more_than_may_wait_pauses_the_sender_and_all_comes_after_it(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    stream = text("hold me") + HELD
    both.client.send(stream)
    await both.client.blocked()
    state = await ask(judged, both, "state")
    assert state["reads"] == [False, True]
    assert state["kept"][0] < 12 << 20  # a message is kept twice: as it came, and to be looked into
    both.server.send(text("the other way", Side.SERVER))
    await gets(both.client, b"the other way", sender=Side.SERVER)
    assert await ask(judged, both, "release") == "released"
    await both.server.got(len(stream))
    assert (await ask(judged, both, "state"))["reads"] == [True, True]

    def told(events: list[Event]) -> int:
        return [notice.code for notice in facts(events, Notice)].count("held-full")

    assert told(await judged.proxy.until(lambda events: told(events) > 0, both.target)) == 1


async def test_a_reset_is_seen_while_reading_is_paused(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("hold me") + HELD)
    await both.client.blocked()
    both.client.reset()
    await both.server.ended("rst")
    events = await judged.proxy.over(both.target)
    assert facts(events, Ended)[0].how is How.RST
    assert facts(events, Released)[0].how == "discard"


@tls_too
async def test_a_rule_resets_both(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.client.send(text("reset"))
    await both.server.until(lambda end: "rst" in end.ends)
    await both.client.until(lambda end: "rst" in end.ends)
    assert got(both.server, Side.CLIENT) == [b"reset"]
    events = await judged.proxy.over(both.target)
    assert {(end.side, end.how) for end in facts(events, Ended)} == {
        (Side.CLIENT, How.INSPECTOR), (Side.SERVER, How.INSPECTOR),
    }  # fmt: skip


async def test_a_rule_resets_one_side_and_the_other_lives_on_alone(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("lone"))
    await both.server.ended("rst")
    both.client.send(text("is anybody there?"))
    await judged.proxy.until(
        lambda events: len([each for each in events if isinstance(each, MessageEvent)]) == 2, both.target
    )
    assert both.client.ends == []
    both.client.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    await judged.proxy.over(both.target)


@tls_too
async def test_a_line_is_cut_in_the_middle_of_a_frame(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.server.send(text("cut here", Side.SERVER))
    await both.client.until(lambda end: "rst" in end.ends)
    assert bytes(both.client.received) == text("cut here", Side.SERVER)[:4]
    await both.server.until(lambda end: "rst" in end.ends)
    await judged.proxy.over(both.target)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_of_a_half_open_connection_the_other_side_hears_nothing(judged: Stage, reset: bool) -> None:
    both = await opened(judged)
    both.client.send(text("stall"))
    await gets(both.server, b"stall")
    both.client.send(text("into the dark"))
    both.client.reset() if reset else both.client.fin()
    await judged.proxy.until(lambda events: bool(facts(events, Ended)), both.target)
    both.server.send(text("hello?", Side.SERVER))
    await judged.proxy.until(
        lambda events: any(
            isinstance(each, MessageEvent) and each.message.payload == b"hello?" for each in events
        ),
        both.target,
    )
    assert both.server.ends == []
    both.server.fin()
    await both.server.until(lambda end: "fin" in end.ends)
    await judged.proxy.over(both.target)


async def test_a_stall_ends_both_after_its_time(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("timeout"))
    for end in (both.client, both.server):
        await end.until(lambda each: each.ends == ["fin"])
        end.fin()
    await judged.proxy.over(both.target)


@tls_too
async def test_a_close_of_a_rule_goes_to_both(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.client.send(text("close"))
    close = b"\x03\xf4restart"
    await gets(both.server, b"close", close)
    await gets(both.client, close, sender=Side.SERVER)
    both.client.send(encode_frame(8, close, mask=KEY))
    both.server.send(encode_frame(8, close))
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.fin()
    await judged.proxy.over(both.target)
    assert got(both.server, Side.CLIENT) == [b"close", close]


@tls_too
async def test_frames_of_rules_come_at_once_and_by_the_clock(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.client.send(text("reply to me") + text("beat"))
    await gets(both.client, b"answer", sender=Side.SERVER)
    await gets(both.server, b"beat", b"beat", b"beat", b"beat")


async def test_a_throttled_line_takes_its_time(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("throttle"))
    await gets(both.server, b"throttle")
    started = time.monotonic()
    both.client.send(encode_frame(2, bytes(50_000), mask=KEY))
    await both.server.got(50_000)
    assert 0.4 < time.monotonic() - started < 5


async def test_after_so_many_bytes_both_end(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("limit"))
    await gets(both.server, b"limit")
    both.client.send(encode_frame(2, bytes(100), mask=KEY))
    await both.server.until(lambda end: "fin" in end.ends)
    assert len(both.server.received) == len(text("limit")) + 10
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.close()
    both.server.close()
    await judged.proxy.over(both.target)


async def test_an_end_is_passed_on_later(judged: Stage) -> None:
    both = await opened(judged)
    both.client.send(text("slow"))
    await gets(both.server, b"slow")
    started = time.monotonic()
    both.client.fin()
    await both.server.ended("fin")
    assert time.monotonic() - started >= 0.29
    both.server.fin()
    await judged.proxy.over(both.target)


@tls_too
async def test_a_fault_in_the_rules_lets_all_pass(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    both.client.send(text("one") + text("late two") + text("boom") + text("drop is not heard any more")[:9])
    both.client.send(text("drop is not heard any more")[9:])
    await gets(both.server, b"one", b"late two", b"boom", b"drop is not heard any more")
    both.server.send(text("drop", Side.SERVER) + text("the other way", Side.SERVER))
    await gets(both.client, b"the other way", sender=Side.SERVER)
    both.client.fin()
    await both.server.until(lambda end: "fin" in end.ends)
    both.server.close()
    events = await judged.proxy.over(both.target)
    assert [notice.code for notice in facts(events, Notice)].count("fault") == 1


@tls_too
async def test_what_rules_hide_is_nowhere_in_the_file(judged: Stage, tls: bool) -> None:
    both = await opened(judged, tls)
    secret = "hide 8c1f-the-secret"
    both.client.send(text(secret)[:7])
    await asyncio.sleep(0)
    both.client.send(text(secret)[7:] + text("shown"))
    both.server.send(text(secret, Side.SERVER))
    await gets(both.server, secret.encode(), b"shown")
    await gets(both.client, secret.encode(), sender=Side.SERVER)
    events = await judged.proxy.until(
        lambda events: len([each for each in events if isinstance(each, MessageEvent)]) == 3, both.target
    )
    payloads = [each.message.payload for each in events if isinstance(each, MessageEvent)]
    assert sorted(payloads) == [b"hidden", b"hidden", b"shown"]
    masked = encode_frame(1, secret.encode(), mask=KEY)[6:]
    file = judged.proxy.capture.read_bytes()
    assert b"the-secret" not in file
    assert masked[8:] not in file


# ------------------------------------------------------------------------------------------ in the layers


async def test_time_holds_and_frames_in_the_layer_driven_path(layered: Stage) -> None:
    both = await opened(layered)
    both.client.send(text("late one") + text("hold me") + text("?", opcode=9))
    await gets(both.server, b"?", b"late one")
    assert await ask(layered, both, "release") == "released"
    await gets(both.server, b"?", b"late one", b"hold me")
    both.client.send(text("beat"))
    await gets(both.server, b"?", b"late one", b"hold me", b"beat", b"beat", b"beat", b"beat")
    both.client.send(text("reply"))
    await gets(both.client, b"answer", sender=Side.SERVER)


async def test_an_end_waits_for_what_is_held_in_the_layers_too(layered: Stage) -> None:
    both = await opened(layered)
    both.client.send(text("hold me"))
    both.client.fin()
    await layered.proxy.until(lambda events: bool(facts(events, Ended)), both.target)
    assert both.server.ends == []
    assert await ask(layered, both, "release") == "released"
    await gets(both.server, b"hold me")
    await both.server.until(lambda end: "fin" in end.ends)
    both.server.close()
    await layered.proxy.over(both.target)


async def test_a_reset_of_a_rule_is_an_end_in_the_layers(layered: Stage) -> None:
    both = await opened(layered)
    both.client.send(text("reset"))
    for end in (both.client, both.server):
        await end.until(lambda each: "fin" in each.ends)
        end.close()
    events = await layered.proxy.over(both.target)
    assert {end.how for end in facts(events, Ended)} == {How.INSPECTOR}


async def test_more_than_may_wait_pauses_reading_in_the_layers(layered: Stage) -> None:
    both = await opened(layered)
    stream = text("hold me") + HELD
    both.client.send(stream)
    await both.client.blocked()
    assert (await ask(layered, both, "state"))["reads"] == [False, True]
    assert await ask(layered, both, "release") == "released"
    await both.server.got(len(stream))


async def test_a_fault_in_the_layers_lets_all_pass(layered: Stage) -> None:
    both = await opened(layered)
    both.client.send(text("one") + text("late two") + text("boom") + text("three"))
    await gets(both.server, b"one", b"late two", b"boom", b"three")
    both.client.send(text("drop is not heard any more"))
    await gets(both.server, b"one", b"late two", b"boom", b"three", b"drop is not heard any more")
