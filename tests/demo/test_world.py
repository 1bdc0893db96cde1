"""The world without a proxy: everything that the demo promises happens, and it stops when told to."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter

import pytest

from wsinspect.demo import DemoThread, DemoWorld
from wsinspect.demo.content import Book, Market, Sensors, job_events
from wsinspect.demo.lab import RARITIES
from wsinspect.demo.pace import until_first
from wsinspect.model import Frame, How, Message
from wsinspect.peer import HandshakeFailed, connect

KINDS = {"text", "binary", "continuation", "ping", "pong", "close"}


@pytest.mark.slow
async def test_five_seconds_of_the_world_hold_every_kind_of_frame_and_one_idle_drop() -> None:
    world = DemoWorld(speed=2)
    port = await world.start()
    started = time.monotonic()
    await world.run_clients(f"ws://127.0.0.1:{port}", duration_s=2.5)
    assert time.monotonic() - started < 6
    await asyncio.wait_for(world.stop(), 2)
    assert set(world.frames) >= KINDS
    assert world.idle_drops >= 1
    assert world.refused >= 1
    assert world.unreachable == 0


async def test_stop_ends_clients_that_would_run_on() -> None:
    world = DemoWorld(speed=4)
    port = await world.start()
    clients = asyncio.create_task(world.run_clients(f"ws://127.0.0.1:{port}", None))
    async with asyncio.timeout(5):
        while not world.frames["text"]:
            await asyncio.sleep(0.005)
    world.request_stop()
    await asyncio.wait_for(clients, 3)
    await asyncio.wait_for(world.stop(), 2)


async def test_clients_go_on_trying_where_nobody_listens() -> None:
    gone = DemoWorld()
    port = await gone.start()
    await gone.stop()
    world = DemoWorld(speed=20)
    await world.run_clients(f"ws://127.0.0.1:{port}", duration_s=0.3)
    assert world.unreachable >= 2


def test_in_a_thread() -> None:
    demo = DemoThread(DemoWorld(speed=4))
    port = demo.start()
    running = demo.run_clients(f"ws://127.0.0.1:{port}", duration_s=0.2)
    running.result(5)
    forever = demo.run_clients(f"ws://127.0.0.1:{port}")
    demo.stop()
    forever.result(1)
    demo.stop()
    demo.world.request_stop()
    assert not any(thread.name == "demo world" for thread in threading.enumerate())


def test_a_thread_that_was_not_started() -> None:
    demo = DemoThread()
    with pytest.raises(RuntimeError, match="start"):
        demo.run_clients("ws://127.0.0.1:1")
    demo.stop()


async def test_alerts_are_dropped_by_fin_without_a_close_and_pings_prevent_it() -> None:
    world = DemoWorld(idle_limit_s=0.1)
    url = f"ws://127.0.0.1:{await world.start()}"
    async with await connect(f"{url}/alerts") as silent, await connect(f"{url}/alerts") as lively:
        await silent.send('{"op":"watch"}')
        assert await silent.receive_message(5) is not None
        async with asyncio.timeout(5):
            while silent.ended is None:
                await lively.ping()
                await asyncio.sleep(0.01)
        assert silent.ended is How.FIN
        assert silent.close_code == 1006
        assert lively.ended is None
    await world.stop()


async def test_what_a_handshake_agrees_to() -> None:
    world = DemoWorld()
    url = f"ws://127.0.0.1:{await world.start()}"
    with pytest.raises(HandshakeFailed) as failure:
        await connect(f"{url}/admin")
    assert failure.value.status == 403
    assert b"forbidden" in failure.value.body
    with pytest.raises(HandshakeFailed, match="404"):
        await connect(f"{url}/nowhere")
    async with await connect(f"{url}/chat?user=ann", subprotocols=["chat.v1"], deflate=True) as client:
        assert client.subprotocol == "chat.v1"
        joined = await client.receive_message(5)
        assert joined is not None
        assert joined.text == '{"type":"join","user":"ann","online":["ann"]}'
        assert joined.compressed
    await world.stop()


async def test_the_lab_shows_all_its_rarities() -> None:
    world = DemoWorld(speed=50)
    url = f"ws://127.0.0.1:{await world.start()}"
    violations: Counter[str] = Counter()

    def note(frame: Frame) -> None:
        violations.update(violation.slug for violation in frame.violations)

    titles = []
    for _ in RARITIES:
        async with await connect(f"{url}/lab", on_frame=note) as client:
            await client.send("{}")
            items: list[Message | Frame] = []
            while (item := await client.receive(5)) is not None:
                items.append(item)
        assert isinstance(items[0], Message)
        titles.append(items[0].text)
        assert len(items) >= 3  # the title, the rarity, the Close
        assert client.close_code == 1005
    assert len(set(titles)) == len(RARITIES)
    assert set(violations) == {"non-minimal-length", "reserved-bits", "bad-utf8", "reserved-opcode"}
    await world.stop()


def test_the_same_seed_gives_the_same_content() -> None:
    def sample(seed: int) -> list[object]:
        rng = random.Random(seed)
        market, book, sensors = Market(rng), Book(rng), Sensors(rng)
        ticks = [market.tick(["BTC-USD", "EUR-USD"]) for _ in range(20)]
        return [*ticks, book.snapshot(), book.diff(), sensors.reading(), sensors.burst(), *job_events(rng, 1)]

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


async def test_until_first_cancels_the_others_and_raises_what_ended_it() -> None:
    cancelled = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        await until_first(forever(), fail(), forever())
    assert len(cancelled) == 2
