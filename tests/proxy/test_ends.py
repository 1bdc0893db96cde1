"""How one side ends is how the other side sees it end: the table of ends, through real sockets."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from tests.proxy.conftest import Opened, Stage, open_through
from tests.proxy.raw import TIMEOUT_S, RawEnd, RawServer, raw_connect
from tests.proxy.running import facts, trusting
from wsinspect.capture.summary import Summary
from wsinspect.capture.timeline import FrameEvent
from wsinspect.model import Closed, ConnectionState, Ended, How, Side
from wsinspect.proxy.sockets import take_error, unacked_bytes
from wsinspect.wire.frames import encode_frame

HELLO = encode_frame(1, b"hello")
LEGS = [(False, False), (True, True), (True, False), (False, True)]
WORDS = {False: "plain", True: "tls"}


class Case:
    """`side` ends; the other one watches."""

    def __init__(self, side: Side, came_on_tls: bool, goes_on_tls: bool) -> None:
        self.side = side
        self.came_on_tls = came_on_tls
        self.goes_on_tls = goes_on_tls

    def __str__(self) -> str:
        return f"{self.side.word}-{WORDS[self.came_on_tls]}-to-{WORDS[self.goes_on_tls]}"

    async def open(self, stage: Stage) -> tuple[RawEnd, RawEnd, Opened]:
        """The side that will end, the one that watches, and both by name."""
        by_side = (self.came_on_tls, self.goes_on_tls)
        client_tls, server_tls = by_side if self.side is Side.CLIENT else by_side[::-1]
        both = await open_through(stage, client_tls=client_tls, server_tls=server_tls)
        ender, watcher = (both.client, both.server)[:: 1 if self.side is Side.CLIENT else -1]
        return ender, watcher, both


every_leg = pytest.mark.parametrize("case", [Case(s, c, g) for s in Side for c, g in LEGS], ids=str)
from_tls = pytest.mark.parametrize("case", [Case(s, c, g) for s in Side for c, g in LEGS if c], ids=str)


async def all_acknowledged(end: RawEnd) -> None:
    """Whatever was sent has reached the proxy's kernel."""
    async with asyncio.timeout(TIMEOUT_S):
        while end.transport.get_write_buffer_size() or unacked_bytes(end.transport.get_extra_info("socket")):
            await asyncio.sleep(0.001)


@every_leg
async def test_fin_gives_fin_and_the_other_half_goes_on(stage: Stage, case: Case) -> None:
    ender, watcher, both = await case.open(stage)
    ender.send(HELLO)
    ender.fin()
    expected = ["close_notify", "fin"] if case.goes_on_tls and not case.came_on_tls else ["fin"]
    await watcher.ended(*expected)
    assert watcher.received == HELLO
    watcher.send(HELLO)  # a half-close: this direction still lives
    assert await ender.got(len(HELLO)) == HELLO
    watcher.fin()
    await ender.until(lambda end: end.ends[-1:] == ["fin"])
    events = await stage.proxy.over(both.target)
    ends = facts(events, Ended)
    assert [(end.side, end.how) for end in ends] == [(case.side, How.FIN), (case.side.other, How.FIN)]
    assert all(end.tcp_info and end.errno is None for end in ends)


@from_tls
async def test_close_notify_gives_close_notify_or_fin(stage: Stage, case: Case) -> None:
    ender, watcher, both = await case.open(stage)
    ender.send(HELLO)
    ender.close_notify()
    await watcher.ended("close_notify" if case.goes_on_tls else "fin")
    assert watcher.received == HELLO
    ender.fin()
    await watcher.ended(*(["close_notify", "fin"] if case.goes_on_tls else ["fin"]))
    watcher.fin()
    await ender.until(lambda end: end.ends[-1:] == ["fin"])
    events = await stage.proxy.over(both.target)
    assert [(end.side, end.how) for end in facts(events, Ended)][:2] == [
        (case.side, How.CLOSE_NOTIFY),
        (case.side, How.FIN),
    ]


@every_leg
async def test_rst_gives_rst_and_nothing_before_it_is_lost(stage: Stage, case: Case) -> None:
    """The watcher does not read until the proxy has seen the reset, itself unable to read on."""
    stream = encode_frame(2, bytes(1000), mask=b"abcd") * 1500
    ender, watcher, both = await case.open(stage)
    watcher.transport.pause_reading()
    ender.send(stream)
    await all_acknowledged(ender)
    ender.reset()
    await stage.proxy.until(lambda events: bool(facts(events, Ended)), both.target)
    watcher.transport.resume_reading()
    await watcher.ended("rst")
    assert len(watcher.received) == len(stream)
    assert watcher.received == stream
    events = await stage.proxy.over(both.target)
    first = facts(events, Ended)[0]
    assert (first.side, first.how, first.errno) == (case.side, How.RST, "ECONNRESET")
    assert sum(isinstance(event, FrameEvent) for event in events) == 1500


@pytest.mark.parametrize("side", list(Side), ids=["client", "server"])
@pytest.mark.parametrize(
    ("does", "tls", "seen"),
    [
        (RawEnd.fin, False, "fin"),
        (RawEnd.fin, True, "fin"),
        (RawEnd.close_notify, True, "close_notify"),
        (RawEnd.reset, False, "rst"),
        (RawEnd.reset, True, "rst"),
    ],
    ids=["fin-plain", "fin-tls", "close_notify-tls", "rst-plain", "rst-tls"],
)
async def test_without_a_proxy_a_peer_sees_the_same(
    stage: Stage, side: Side, does: Callable[[RawEnd], None], tls: bool, seen: str
) -> None:
    """What the tests above and below expect where both legs are alike."""
    listening = await RawServer(stage.server_context if tls else None).start()
    client = await raw_connect(listening.port, trusting() if tls else None)
    server = await listening.accepted()
    client.send(HELLO)
    await server.got(len(HELLO))
    server.send(HELLO)
    await client.got(len(HELLO))
    ender, watcher = (client, server)[:: 1 if side is Side.CLIENT else -1]
    does(ender)
    await watcher.ended(seen)


@every_leg
async def test_a_reset_behind_a_fin_is_seen(stage: Stage, case: Case) -> None:
    """asyncio stops looking at a socket once it has read EOF."""
    ender, watcher, both = await case.open(stage)
    ender.fin()
    await watcher.until(lambda end: "fin" in end.ends)
    ender.reset()
    async with asyncio.timeout(TIMEOUT_S):  # asyncio is blind here too: the kernel is asked
        while take_error(watcher.transport.get_extra_info("socket")) != errno.EPIPE:
            await asyncio.sleep(0.001)
    events = await stage.proxy.over(both.target)
    assert [(end.side, end.how) for end in facts(events, Ended)] == [
        (case.side, How.FIN),
        (case.side, How.RST),
    ]


@every_leg
@pytest.mark.parametrize("code", [1000, 1014, 4999])
async def test_each_close_frame_passes_as_it_is(stage: Stage, case: Case, code: int) -> None:
    ender, watcher, both = await case.open(stage)
    close = encode_frame(8, code.to_bytes(2) + b"why", mask=b"abcd" if case.side is Side.CLIENT else None)
    ender.send(close)
    assert await watcher.got(len(close)) == close
    echo = encode_frame(8, code.to_bytes(2), mask=b"efgh" if case.side is Side.SERVER else None)
    watcher.send(echo)
    assert await ender.got(len(echo)) == echo
    both.server.close()
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.close()
    events = await stage.proxy.over(both.target)
    summary = Summary()
    for event in events:
        summary.feed(event)
    (connection,) = summary.connections.values()
    assert connection.state is ConnectionState.CLOSED
    assert facts(events, Closed)[0].frames == (1, 1)


async def test_an_end_without_close_is_a_drop(stage: Stage) -> None:
    both = await open_through(stage, client_tls=False, server_tls=False)
    both.server.send(HELLO)
    both.server.fin()
    await both.client.ended("fin")
    both.client.fin()
    summary = Summary()
    for event in await stage.proxy.over(both.target):
        summary.feed(event)
    assert [each.state for each in summary.connections.values()] == [ConnectionState.DROPPED]


@pytest.mark.parametrize("side", list(Side), ids=["client", "server"])
async def test_in_the_layer_driven_path_an_end_is_a_fin(layer_stage: Stage, side: Side) -> None:
    both = await open_through(layer_stage, client_tls=False, server_tls=False)
    ender, watcher = (both.client, both.server)[:: 1 if side is Side.CLIENT else -1]
    ender.send(HELLO)
    await all_acknowledged(ender)
    ender.reset()
    await watcher.ended("fin")
    assert watcher.received == HELLO
    events = await layer_stage.proxy.over(both.target)
    assert [(end.side, end.how) for end in facts(events, Ended)] == [(side, How.FIN)]
