"""A reload under 2,000 messages a second, half of them in each direction, loses none and doubles none."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.program import tell
from tests.e2e.rules.test_reload import Reloading, reloading
from tests.proxy.running import facts, trusting
from wsinspect.capture.timeline import MessageEvent
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import ControlError
from wsinspect.model import Message, Opened, Side
from wsinspect.peer import Connection, connect, serve

RATE = 1000
"""In each direction."""
LOADS = 8
LEAST_S = 3.0


def rules(word: str, count: int) -> str:
    """Rules of which one changes each message, and the others look into each and match none."""
    lines = ["version: 1", "rules:"]
    lines += [
        f"  - {{id: idle-{n}, when: {{kind: text, json: {{$.kind: never-{n}}}}}, then: [drop]}}"
        for n in range(count)
    ]
    lines += [f"  - {{id: mark, when: {{kind: text}}, then: [{{set: {{$.rules: {word}}}}}]}}"]
    return "\n".join(lines) + "\n"


async def feed(connection: Connection, side: str, enough: asyncio.Event) -> tuple[int, float]:
    """Messages with numbers, at the rate, in bursts of a hundredth of a second; how many, in what time.

    Where one burst is late the next makes up for it.
    """
    number = 0
    begin = time.monotonic()
    while not enough.is_set():
        while number < (time.monotonic() - begin) * RATE:
            await connection.send(f'{{"from":"{side}","n":{number}}}')
            number += 1
        await asyncio.sleep(0.01)
    await connection.send(f'{{"from":"{side}","n":-1}}')
    return number, time.monotonic() - begin


async def collect(connection: Connection) -> list[str]:
    """All messages up to the last one."""
    found: list[str] = []
    async for message in connection:
        assert isinstance(message, Message)
        found.append(message.payload.decode())
        if '"n":-1' in found[-1]:
            return found
    raise AssertionError(f"ended after {len(found)} messages")


async def reload_again_and_again(each: Reloading, enough: asyncio.Event) -> list[str]:
    """The file changes, now and then for the worse, and a command loads it; the words that were loaded."""
    words = ["w0"]
    begin = time.monotonic()
    try:
        with ControlClient(each.stage.proxy.process.pid, timeout_s=30) as control:
            while len(words) <= LOADS or time.monotonic() < begin + LEAST_S:
                await asyncio.sleep(0.2)
                words.append(f"w{len(words)}")
                text = rules(words[-1], 200)
                if len(words) % 3 == 0:
                    each.path.write_text(text.replace("set:", "sett:"))
                    with pytest.raises(ControlError, match="did you mean set"):
                        await asyncio.to_thread(control.reload)
                each.path.write_text(text)
                loaded = await asyncio.to_thread(control.reload)
                assert len(loaded.rules) == 201
        await asyncio.sleep(0.2)
    finally:
        enough.set()
    return words


@pytest.mark.slow
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("path", ["takeover", "layer"])
async def test_a_reload_under_load_loses_and_doubles_nothing(
    tmp_path: Path, path: str, deflate: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    over = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await accepted.put(connection)
        await over.wait()

    more = ["--path", "layer"] if path == "layer" else []
    with reloading(tmp_path, rules("w0", 200), *more) as each:
        port = each.stage.server_ports[0]
        server = await serve(handler, "127.0.0.1", port, deflate=deflate)
        client = await connect(
            f"ws://127.0.0.1:{each.stage.proxy.port}/load", deflate=deflate, ssl=trusting()
        )
        peer = await accepted.get()
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            sent = (
                group.create_task(feed(client, "client", enough)),
                group.create_task(feed(peer, "server", enough)),
            )
            got = group.create_task(collect(peer)), group.create_task(collect(client))
            loaded = group.create_task(reload_again_and_again(each, enough))
        counts = [task.result()[0] for task in sent]
        for side, count, collected in zip(("client", "server"), counts, got, strict=True):
            found = collected.result()
            numbers = [text.partition('"n":')[2].partition(",")[0].rstrip("}") for text in found[:-1]]
            assert numbers == [str(number) for number in range(count)], side
            words = [text.partition('"rules":"')[2].rstrip('"}') for text in found]
            assert words == sorted(words, key=loaded.result().index), "no rules come back"
            assert len(set(words)) >= LOADS // 2
        await client.close()
        over.set()
        await server.close(timeout_s=1)
        rate = sum(count / seconds for count, seconds in (task.result() for task in sent))
        tell(capsys, f"{sum(counts)} messages, {rate:,.0f} a second, {len(loaded.result())} loads")
        events = await each.stage.proxy.over("/load")
        came, went = (
            Counter(each.side for each in events if isinstance(each, MessageEvent) and each.ours is ours)
            for ours in (False, True)
        )
        assert came == went == {Side.CLIENT: counts[0] + 1, Side.SERVER: counts[1] + 1}
        assert facts(events, Opened)[0].path == path
