"""Ends that we make ourselves, for a stop or a script; what is left behind; handshakes of Close that hang."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.proxy.conftest import Stage, open_through, staged
from tests.proxy.raw import TIMEOUT_S, request, response
from tests.proxy.running import facts
from tests.proxy.test_ends import HELLO, LEGS
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import FrameEvent
from wsinspect.model import Closed, ConnectionState, Ended, How, Notice, Side
from wsinspect.wire.frames import encode_frame

LEVERS = Path(__file__).with_name("levers.py")


async def pull(stage: Stage, lever: str, target: str = "") -> Any:
    client = await stage.client(False, server_tls=False)
    client.send(f"GET /levers/{lever}?{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    await client.until(lambda end: "fin" in end.ends, 60)  # thousands of ends may stand before it in the loop
    client.close()
    head, _, body = bytes(client.received).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(body)


async def nothing_left(
    stage: Stage, before: dict[str, Any] | None = None, limit_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Wait until the lever's own connection is the only one, with no more tasks and fds than before.

    Fails where nothing more has gone for `limit_s`: thousands take their time on a busy machine, and each
    question costs the proxy a whole collection of garbage, so it is asked less and less often.
    """

    def is_clean() -> bool:
        if state["handlers"] > 1 or state["live"] or state["attempts"]:
            return False
        return before is None or all(state[name] <= before[name] for name in ("fds", "tasks", "timers"))

    state = await pull(stage, "state")
    least, end, pause_s = math.inf, 0.0, 0.02
    while not is_clean():
        there = sum(state[name] for name in ("handlers", "live", "attempts", "fds", "tasks", "timers"))
        if there < least:
            least, end = there, time.monotonic() + limit_s
        if time.monotonic() > end:
            now = {name: state[name] for name in state if name != "hooks"}
            then = {name: before[name] for name in now} if before else None
            raise AssertionError(f"something left behind: {now}; before: {then}")
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 1.0)
        state = await pull(stage, "state")
    return state


@pytest.fixture(scope="module", params=["auto", "layer"], ids=["takeover", "layer"])
def levered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    tmp = tmp_path_factory.mktemp("levered")
    yield from staged(tmp, "-s", str(LEVERS), "--path", request.param)


@pytest.mark.parametrize("legs", LEGS, ids=["plain", "tls", "tls-plain", "plain-tls"])
async def test_flow_kill_ends_the_connection_as_our_own_stop(levered: Stage, legs: tuple[bool, bool]) -> None:
    both = await open_through(levered, client_tls=legs[0], server_tls=legs[1])
    both.server.send(HELLO)
    await both.client.got(len(HELLO))
    await pull(levered, "kill", both.target)
    for end in (both.client, both.server):
        await end.until(lambda each: each.ends[-1:] == ["fin"])
        end.close()
    events = await levered.proxy.over(both.target)
    ends = facts(events, Ended)
    assert [(end.side, end.how) for end in ends][:2] == [(side, How.INSPECTOR) for side in Side]
    assert len(facts(events, Closed)) == 1
    await hooks_ran_once(levered, both.target)


async def hooks_ran_once(stage: Stage, target: str) -> None:
    state = await nothing_left(stage)
    assert state["hooks"][f"websocket_start {target}"] == 1
    assert state["hooks"][f"websocket_end {target}"] == 1


async def test_inject_websocket_is_sent_and_flagged(levered: Stage) -> None:
    both = await open_through(levered, client_tls=False, server_tls=False)
    await pull(levered, "inject", both.target)
    injected = encode_frame(1, b"pulled")
    assert await both.client.got(len(injected)) == injected
    both.server.send(HELLO[:3])  # the rest is still to come: nothing may be put inside
    await both.client.got(len(injected) + 3)
    await pull(levered, "inject", both.target)
    both.server.send(HELLO[3:])
    stream = injected + HELLO + injected
    assert await both.client.got(len(stream)) == stream
    both.client.close()
    both.server.close()
    events = await levered.proxy.over(both.target)
    frames = [event for event in events if isinstance(event, FrameEvent)]
    assert [(bytes(event.frame.payload), event.flags) for event in frames] == [
        (b"pulled", ("injected",)),
        (b"hello", ()),
        (b"pulled", ("injected",)),
    ]


async def test_after_the_end_nothing_is_left(levered: Stage) -> None:
    before = await nothing_left(levered)
    servers = [await levered.server(tls).start() for tls in (False, True)]
    opened = [
        await open_through(levered, client_tls=tls, server_tls=tls, listening=servers[tls])
        for tls in (False, True) * 5
    ]
    assert (await pull(levered, "state"))["live"] == len(opened)
    for number, both in enumerate(opened):
        ender, other = (both.client, both.server)[:: 1 if number % 2 else -1]
        ender.fin() if number % 3 else ender.reset()
        await other.until(lambda end: bool(end.ends))
        both.client.close()
        both.server.close()
    await nothing_left(levered, before)
    for both in opened:
        await hooks_ran_once(levered, both.target)


@pytest.fixture
async def own_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A proxy that the test may end."""
    stages = staged(tmp_path)
    yield next(stages)
    next(stages, None)


@pytest.mark.slow
async def test_a_stop_ends_live_connections_with_fin_and_says_where_they_stood(own_stage: Stage) -> None:
    stage = own_stage
    server = await stage.server(False).start()
    idle = await open_through(stage, client_tls=False, server_tls=False, listening=server)
    amid = await open_through(stage, client_tls=True, server_tls=True)
    amid.server.send(HELLO[:4])
    await amid.client.got(4)
    full = await open_through(stage, client_tls=False, server_tls=False, listening=server)
    full.client.transport.pause_reading()
    full.server.send(
        encode_frame(2, bytes(8 << 20))
    )  # more than the kernels take: the proxy itself waits for the client
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await loop.run_in_executor(None, stage.proxy.stop) == 0
    assert loop.time() - started < 4  # 2 s on a machine that does nothing else
    for both in (idle, amid):
        for end in (both.client, both.server):
            await end.until(lambda each: "fin" in each.ends and "rst" not in each.ends)
    events = stage.proxy.events(amid.target)
    ends = {end.side: end for end in facts(events, Ended) if end.how is How.INSPECTOR}
    assert ends[Side.SERVER].detail == "in the middle of a frame"
    assert ends[Side.CLIENT].detail == ""
    assert all(end.tcp_info for end in ends.values())
    for both in (idle, amid, full):
        assert len(facts(stage.proxy.events(both.target), Closed)) == 1, both.target


@pytest.mark.slow
async def test_a_stop_amid_a_request_says_the_summary_last(own_stage: Stage) -> None:
    """asyncio printed a traceback of the cancelled handler behind it [Python 3.12.1]."""
    stage = own_stage
    server = await stage.server(False).start()
    client = await stage.client(False, server_tls=False)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await (await server.accepted()).take_head()
    assert await asyncio.to_thread(stage.proxy.stop) == 0
    assert "capture" in stage.proxy.stderr.splitlines()[-1], stage.proxy.stderr
    assert "Traceback" not in stage.proxy.stderr


async def test_a_close_handshake_that_never_completes_is_left_alone(stage: Stage) -> None:
    """Nobody answers the Close, and no timer of ours does either; data behind it passes, as it came."""
    both = await open_through(stage, client_tls=False, server_tls=False)
    close = encode_frame(8, b"\x03\xe8bye", mask=b"abcd")
    both.client.send(close)
    assert await both.server.got(len(close)) == close
    both.server.send(HELLO * 3)
    await both.client.got(3 * len(HELLO))
    events = await stage.proxy.until(lambda found: _state(found) is ConnectionState.CLOSING, both.target)
    assert not facts(events, Ended)
    assert both.client.ends == both.server.ends == []
    both.server.fin()
    await both.client.ended("fin")
    both.client.fin()
    events = await stage.proxy.over(both.target)
    assert _state(events) is ConnectionState.CLOSED
    assert [end.side for end in facts(events, Ended)] == [Side.SERVER, Side.CLIENT]  # who ended first
    assert not [notice for notice in facts(events, Notice) if notice.level == "error"]


def _state(events: list[Any]) -> ConnectionState | None:
    summary = Summary()
    for event in events:
        summary.feed(event)
    return next((each.state for each in summary.connections.values()), None)


async def test_a_client_that_ends_while_the_server_is_silent(levered: Stage) -> None:
    """A 101, and at once a FIN: what the server sends after it still arrives where halves are kept."""
    server = await levered.server(False).start()
    target = f"/{uuid4().hex}"
    client = await levered.client(False, server_tls=False)
    client.send(request(target))
    end = await server.accepted()
    end.send(response(await end.take_head()))
    await client.take_head()
    client.fin()
    await end.ended("fin")
    end.fin()
    await client.ended("fin")
    await levered.proxy.over(target)
    await hooks_ran_once(levered, target)
