"""Messages that rules hold: somebody releases, edits or drops them by command, and all else flows on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import own_stage
from tests.e2e.program import Background, Done, tail, wsinspect
from tests.e2e.test_control import number_of, pid_of
from tests.proxy.conftest import Opened, Stage, open_through
from tests.proxy.raw import RawEnd
from tests.proxy.running import PROGRAM, facts
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import HeldEvent, ReleasedEvent
from wsinspect.model import Released, Side
from wsinspect.wire.frames import FrameDecoder, encode_frame

MASK = b"\x01\x02\x03\x04"
RULES = """\
version: 1
rules:
  - id: pause
    when: {from: client, kind: text, text: {contains: hold}}
    then: [{hold: 60s}]
  - id: short
    when: {from: server, kind: text, text: {contains: short}}
    then: [{hold: {limit: 300ms, default: drop}}]
"""

tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@pytest.fixture(scope="module")
def holding(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    tmp = tmp_path_factory.mktemp("holding")
    (tmp / "hold.yaml").write_text(RULES)
    with own_stage(tmp, "--rules", str(tmp / "hold.yaml")) as stage:
        yield stage


def say(both: Opened, text: str) -> None:
    both.client.send(encode_frame(1, text.encode(), mask=MASK))


def texts(end: RawEnd, sender: Side) -> list[str]:
    """Payloads of the frames so far; pings with a mark."""
    frames = FrameDecoder(sender).receive(bytes(end.received))
    assert all(not frame.violations for frame in frames)
    return [("ping " if frame.opcode == 9 else "") + frame.payload.decode() for frame in frames]


async def sees(end: RawEnd, sender: Side, *wanted: str) -> None:
    await end.until(lambda end: texts(end, sender) == list(wanted))


async def arrive(end: RawEnd, sender: Side, count: int) -> None:
    await end.until(lambda end: len(texts(end, sender)) == count)


async def ctl(stage: Stage, *words: str) -> Done:
    return await wsinspect("ctl", "hold", *words, "--proxy", pid_of(stage))


@tls
@pytest.mark.parametrize(
    ("words", "goes"),
    [
        (["release", "NAME"], ["hold me", "behind"]),
        (["edit", "NAME", "grüß dich"], ["grüß dich", "behind"]),
        (["drop", "NAME"], ["behind"]),
    ],
    ids=["release", "edit", "drop"],
)
async def test_a_held_message_waits_for_a_word(
    holding: Stage, tls: bool, words: list[str], goes: list[str]
) -> None:
    both = await open_through(holding, client_tls=tls, server_tls=tls)
    conn = await number_of(holding, both)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        say(both, "hold me")
        say(both, "behind")
        held = await asyncio.to_thread(events.next, 15)
        assert isinstance(held, HeldEvent)
        message = held.message
        assert (message.conn, message.side, message.rule, message.payload) == (
            conn,
            Side.CLIENT,
            "pause",
            b"hold me",
        )
        assert message.url.endswith(both.target)
        both.server.send(encode_frame(9, b"beat") + encode_frame(1, b"meanwhile"))
        await sees(both.client, Side.SERVER, "ping beat", "meanwhile")
        both.client.send(encode_frame(9, b"mine", mask=MASK))
        await sees(both.server, Side.CLIENT, "ping mine")
        listed = await ctl(holding, "list")
        assert f"{message.name} " in listed.out
        assert "hold me" in listed.out
        assert control.status().held == 1
        done = await ctl(holding, *(message.name if word == "NAME" else word for word in words))
        assert done.code == 0, done.err
        await sees(both.server, Side.CLIENT, "ping mine", *goes)
        released = await asyncio.to_thread(events.next, 15)
        assert released == ReleasedEvent(conn, message.hold, words[0])  # type: ignore[arg-type]
        again = await ctl(holding, "release", message.name)
        assert again.code == 3
        assert "already released" in again.err
        assert (await ctl(holding, "list")).out == ""
        events.close()
    events_of = await holding.proxy.until(lambda events: bool(facts(events, Released)), both.target)
    [fact] = facts(events_of, Released)
    assert (fact.how, fact.by, fact.hold) == (words[0], "user", message.hold)


async def test_nobody_there_takes_the_default_at_once(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    say(both, "hold me")
    both.server.send(encode_frame(1, b"short") + encode_frame(1, b"after"))
    await sees(both.server, Side.CLIENT, "hold me")
    await sees(both.client, Side.SERVER, "after")
    events = await holding.proxy.until(lambda events: len(facts(events, Released)) == 2, both.target)
    assert {(fact.how, fact.by) for fact in facts(events, Released)} == {
        ("release", "default"),
        ("drop", "default"),
    }


async def test_who_only_reads_along_is_nobody(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with Background([*PROGRAM, "tail", "-f", pid_of(holding)]) as following:
        say(both, "hello")
        await following.until(lambda line: "hello" in line)
        say(both, "hold me")
        await sees(both.server, Side.CLIENT, "hello", "hold me")


async def test_when_the_last_watcher_leaves_what_is_held_goes_on(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with ControlClient(holding.proxy.process.pid) as control:
        first, second = control.watch(), control.watch()
        assert control.status().attached == 2
        say(both, "hold me")
        held = await asyncio.to_thread(first.next, 15)
        assert isinstance(held, HeldEvent)
        first.close()
        while control.status().attached != 1:
            await asyncio.sleep(0.01)
        assert control.status().held == 1
        second.close()
        await sees(both.server, Side.CLIENT, "hold me")


async def test_the_time_limit_takes_the_default(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        start = time.monotonic()
        both.server.send(encode_frame(1, b"short") + encode_frame(1, b"after"))
        await sees(both.client, Side.SERVER, "after")
        assert time.monotonic() - start >= 0.3
        assert isinstance(await asyncio.to_thread(events.next, 15), HeldEvent)
        released = await asyncio.to_thread(events.next, 15)
        assert isinstance(released, ReleasedEvent)
        assert (released.how, released.by) == ("drop", "default")
        events.close()


async def test_more_time_by_command(holding: Stage) -> None:
    """Everybody who watches hears of it."""
    both = await open_through(holding, client_tls=False, server_tls=False)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        say(both, "hold me")
        first = await asyncio.to_thread(events.next, 15)
        assert isinstance(first, HeldEvent)
        done = await ctl(holding, "wait", first.message.name)
        assert (done.code, done.err) == (0, f"wsinspect: {first.message.name} has its time anew\n")
        again = await asyncio.to_thread(events.next, 15)
        assert isinstance(again, HeldEvent)
        assert (again.message.name, again.message.payload) == (first.message.name, b"hold me")
        assert again.message.limit_ms > first.message.limit_ms == 60_000
        assert again.message.held_ms >= again.message.limit_ms - 60_000
        control.release(first.message.conn, first.message.hold)
        assert isinstance(await asyncio.to_thread(events.next, 15), ReleasedEvent)
        assert (await ctl(holding, "wait", first.message.name)).code == 3
        events.close()
    await sees(both.server, Side.CLIENT, "hold me")


async def test_one_who_begins_to_watch_hears_of_what_is_held(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with ControlClient(holding.proxy.process.pid) as control:
        first = control.watch()
        say(both, "hold " + "é" * 50_000)
        held = await asyncio.to_thread(first.next, 15)
        assert isinstance(held, HeldEvent)
        second = control.watch()
        told = await asyncio.to_thread(second.next, 15)
        assert isinstance(told, HeldEvent)
        assert told.message.name == held.message.name
        assert told.message.payload == held.message.payload
        assert len(told.message.payload.decode()) > 30_000  # no half of a character
        assert told.message.payload_bytes == 100_005
        [listed] = control.holds().holds
        assert len(listed.payload) <= 256
        control.drop(listed.conn, listed.hold)
        first.close()
        second.close()


async def test_a_reset_discards_what_is_held(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        say(both, "hold me")
        held = await asyncio.to_thread(events.next, 15)
        assert isinstance(held, HeldEvent)
        both.client.reset()
        released = await asyncio.to_thread(events.next, 15)
        assert isinstance(released, ReleasedEvent)
        assert (released.how, released.by) == ("discard", "reset")
        await both.server.ended("rst")
        assert both.server.received == b""
        events.close()
    late = await ctl(holding, "release", held.message.name)
    assert late.code in (2, 3)


async def test_watching_by_command(holding: Stage) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    with Background([*PROGRAM, "ctl", "hold", "watch", "--proxy", pid_of(holding)]) as watching:
        with ControlClient(holding.proxy.process.pid) as control:
            while control.status().attached != 1:
                await asyncio.sleep(0.01)
        say(both, "hold me")
        _, line = await watching.until(lambda line: '"held"' in line)
        held = json.loads(line)
        assert (held["text"], held["rule"], held["limit_ms"]) == ("hold me", "pause", 60_000)
        assert (await ctl(holding, "release", f"{held['conn']}.{held['hold']}")).code == 0
        _, line = await watching.until(lambda line: '"released"' in line)
        assert json.loads(line)["how"] == "release"
    await sees(both.server, Side.CLIENT, "hold me")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["release", "999999.1"], 2, "no live connection has the number 999999"),
        (["release", "CONN.77"], 2, "there is no hold 77"),
        (["edit", "CONN.HOLD", "/w==", "--base64"], 2, "UTF-8"),
    ],
)
async def test_what_cannot_be_done(holding: Stage, words: list[str], code: int, said: str) -> None:
    both = await open_through(holding, client_tls=False, server_tls=False)
    conn = await number_of(holding, both)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        say(both, "hold me")
        held = await asyncio.to_thread(events.next, 15)
        assert isinstance(held, HeldEvent)
        names = {"CONN.77": f"{conn}.77", "CONN.HOLD": held.message.name}
        done = await ctl(holding, *(names.get(word, word) for word in words))
        assert done.code == code
        assert said in done.err
        assert control.status().held == 1  # it still waits
        control.release(conn, held.message.hold)
        events.close()
    await sees(both.server, Side.CLIENT, "hold me")


async def test_a_message_sent_by_command_goes_before_what_is_held(holding: Stage) -> None:
    """`ctl send` and `ctl close` go on working between messages, also while one is held."""
    both = await open_through(holding, client_tls=False, server_tls=False)
    conn = await number_of(holding, both)
    with ControlClient(holding.proxy.process.pid) as control:
        events = control.watch()
        say(both, "hold me")
        held = await asyncio.to_thread(events.next, 15)
        assert isinstance(held, HeldEvent)
        control.send(conn, Side.SERVER, "injected")
        control.release(conn, held.message.hold)
        await both.server.until(lambda end: len(texts(end, Side.CLIENT)) == 2)
        assert sorted(texts(both.server, Side.CLIENT)) == ["hold me", "injected"]
        control.close_connection(conn, 1001, "enough", (Side.CLIENT,))
        await both.client.until(lambda end: len(end.received) == 10)
        events.close()


@pytest.mark.slow
async def test_ten_seconds_on_hold_while_all_else_flows(holding: Stage) -> None:
    """Pings of both sides and the server's messages; then by command one is released, edited, dropped."""
    words = {"release": ["hold me", "behind"], "edit": ["changed", "behind"], "drop": ["behind"]}
    servers = [await holding.server(tls).start() for tls in (False, True)]
    places = [
        await open_through(holding, client_tls=tls, server_tls=tls, listening=servers[tls])
        for tls in (False, True, True)
    ]
    each_one = dict(zip(words, places, strict=True))
    with ControlClient(holding.proxy.process.pid) as control, closing(control.watch()):
        for both in places:
            say(both, "hold me")
            say(both, "behind")
        while control.status().held != 3:
            await asyncio.sleep(0.01)
        start, count = time.monotonic(), 0
        while time.monotonic() < start + 10:
            for both in places:
                both.client.send(encode_frame(9, str(count).encode(), mask=MASK))
                tick = encode_frame(9, str(count).encode()) + encode_frame(1, f"tick {count}".encode())
                both.server.send(tick)
            count += 1
            for both in places:
                await arrive(both.server, Side.CLIENT, count)
                await arrive(both.client, Side.SERVER, 2 * count)
            await asyncio.sleep(0.05)
        listed = {each.url.rpartition("/")[2]: each for each in control.holds().holds}
        assert len(listed) == 3
        for word, both in each_one.items():
            message = listed[both.target.rpartition("/")[2]]
            assert message.held_ms >= 10_000
            done = await ctl(holding, word, message.name, *(["changed"] if word == "edit" else []))
            assert done.code == 0, done.err
            await sees(both.server, Side.CLIENT, *(f"ping {number}" for number in range(count)), *words[word])
            ticks = [text for n in range(count) for text in (f"ping {n}", f"tick {n}")]
            assert texts(both.client, Side.SERVER) == ticks
    for word, both in each_one.items():
        events = await holding.proxy.until(lambda events: bool(facts(events, Released)), both.target)
        [released] = facts(events, Released)
        assert (released.how, released.by) == (word, "user")
        assert released.held_ms >= 10_000
        lines = await tail(holding.proxy.capture, both.target)
        [held_line] = [line for line in lines if "held" in line.get("flags", [])]
        assert held_line["text"] == "hold me"
        assert [line["text"] for line in lines if "modified" in line.get("flags", [])] == (
            ["changed"] if word == "edit" else []
        )
