"""A slow reader slows the sender, and nothing piles up between them; resets come through all the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Protocol

import pytest

from tests.proxy.conftest import Opened, Stage, open_through
from tests.proxy.raw import MORE_THAN_FITS, RawEnd
from tests.proxy.running import RunningProxy, facts
from wsinspect.model import Ended, How, Notice, Side
from wsinspect.wire.frames import encode_frame

MIB = 1 << 20
OFFERED = 300 * MIB
FLAT = 40 * MIB
"""How far the proxy's memory may grow while a sender is held up; the capture's queue may hold some of it."""

sides = pytest.mark.parametrize("side", list(Side), ids=["from-client", "from-server"])
both_kinds = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


class HasProxy(Protocol):
    proxy: RunningProxy


def resident(stage: HasProxy) -> int:
    """RSS in bytes."""
    status = Path(f"/proc/{stage.proxy.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024


def ends(both: Opened, side: Side) -> tuple[RawEnd, RawEnd]:
    return (both.client, both.server) if side is Side.CLIENT else (both.server, both.client)


class Counting:
    """Counts what arrives at an end in place of keeping it."""

    def __init__(self, end: RawEnd) -> None:
        self.end = end
        self.count = 0

    async def until(self, total: int) -> None:
        async with asyncio.timeout(100):
            while self.count < total:
                self.count += len(self.end.received)
                self.end.received.clear()
                await asyncio.sleep(0.005)


async def offer(end: RawEnd, total: int) -> None:
    """Send that much, each piece when the one before has left."""
    piece = encode_frame(2, bytes(MIB - 14), mask=bytes(4))
    assert len(piece) == MIB
    for _ in range(total // MIB):
        end.send(piece)
        await end.flushed(100)


@pytest.mark.slow
@both_kinds
@sides
async def test_a_slow_reader_holds_the_sender_up_and_memory_is_flat(
    stage: Stage, side: Side, tls: bool
) -> None:
    """300 MB are offered; while nobody reads, the sender stands; then all arrive."""
    both = await open_through(stage, client_tls=tls, server_tls=tls)
    sender, reader = ends(both, side)
    reader.transport.pause_reading()
    before = resident(stage)
    sending = asyncio.create_task(offer(sender, OFFERED))
    await sender.blocked()
    held_up = resident(stage) - before
    assert not sending.done()
    assert held_up < FLAT
    reader.transport.resume_reading()
    counting = Counting(reader)
    await counting.until(OFFERED)
    await sending
    assert counting.count == OFFERED
    assert resident(stage) - before < FLAT + 128 * MIB, "no more than that, and the capture's queue"
    sender.reset()
    await stage.proxy.over(both.target)


@both_kinds
@sides
@pytest.mark.slow
async def test_the_sender_resets_while_it_is_held_up(stage: Stage, side: Side, tls: bool) -> None:
    """Reading from it is paused: the watcher alone sees the reset."""
    both = await open_through(stage, client_tls=tls, server_tls=tls)
    sender, reader = ends(both, side)
    reader.transport.pause_reading()
    sender.send(encode_frame(2, bytes(MORE_THAN_FITS), mask=bytes(4)))
    await sender.blocked()
    sender.reset()
    ended = await stage.proxy.until(lambda events: bool(facts(events, Ended)), both.target)
    assert [(e.side, e.how, e.errno) for e in facts(ended, Ended)] == [(side, How.RST, "ECONNRESET")]
    assert facts(ended, Ended)[0].tcp_info
    reader.transport.resume_reading()
    await reader.until(lambda end: end.ends == ["rst"])
    await stage.proxy.over(both.target)


@both_kinds
@sides
@pytest.mark.slow
async def test_the_reader_resets_while_it_holds_the_sender_up(stage: Stage, side: Side, tls: bool) -> None:
    both = await open_through(stage, client_tls=tls, server_tls=tls)
    sender, reader = ends(both, side)
    reader.transport.pause_reading()
    sender.send(encode_frame(2, bytes(MORE_THAN_FITS), mask=bytes(4)))
    await sender.blocked()
    reader.reset()
    await sender.until(lambda end: end.ends == ["rst"])
    (ended,) = facts(await stage.proxy.over(both.target), Ended)
    assert (ended.side, ended.how) == (side.other, How.RST)
    assert ended.discarded_bytes > 64 << 10


@pytest.mark.slow
@sides
async def test_a_reader_that_never_reads_gets_the_reset_after_five_seconds(stage: Stage, side: Side) -> None:
    """The drain has a limit; what did not get through is counted."""
    both = await open_through(stage, client_tls=False, server_tls=False)
    sender, reader = ends(both, side)
    reader.transport.pause_reading()
    sender.send(encode_frame(2, bytes(MORE_THAN_FITS), mask=bytes(4)))
    await sender.blocked()
    started = time.monotonic()
    sender.reset()
    events = await stage.proxy.over(both.target)
    assert 4.5 < time.monotonic() - started < 12
    assert [n.code for n in facts(events, Notice)] == ["undelivered"]
    reader.transport.resume_reading()
    await reader.until(lambda end: end.ends == ["rst"])
