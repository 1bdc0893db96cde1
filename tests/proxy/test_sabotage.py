"""Promise 8 in each callback, and in each step of the takeover: our faults end no connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.proxy.conftest import Stage, open_through, staged
from tests.proxy.raw import MORE_THAN_FITS, TIMEOUT_S, RawEnd, request, response
from tests.proxy.running import facts
from wsinspect.capture.timeline import FrameEvent
from wsinspect.model import Closed, Ended, Failed, How, Notice, Side
from wsinspect.proxy.sockets import unacked_bytes
from wsinspect.wire.frames import encode_frame

SCRIPT = Path(__file__).with_name("saboteur.py")
UP = encode_frame(1, b"from the client", mask=b"abcd")
DOWN = encode_frame(1, b"from the server")

both_kinds = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
every_side = pytest.mark.parametrize("side", list(Side), ids=["client", "server"])
STEPS = ["install", "watch-first", "watch", "drain", "queue", "replay", "live-first", "live"]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("broken"), "-s", str(SCRIPT))


@both_kinds
@pytest.mark.parametrize("step", STEPS)
async def test_a_takeover_that_fails_half_way_leaves_the_layers_in_charge(
    broken: Stage, step: str, tls: bool
) -> None:
    """Nothing is lost or doubled of what came while it was tried: it all passes, and is captured."""
    both = await open_through(
        broken, client_tls=tls, server_tls=tls, under=f"/break-{step}",
        glued_request=UP, glued_answer=DOWN,
    )  # fmt: skip
    both.client.send(UP)
    both.server.send(DOWN)
    assert await both.server.got(2 * len(UP)) == UP + UP
    assert await both.client.got(2 * len(DOWN)) == DOWN + DOWN
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.close()
    events = await broken.proxy.over(both.target)
    assert [(n.code, f"sabotage of {step}" in n.text) for n in facts(events, Notice)] == [
        ("takeover-failed", True)
    ]
    frames = [event.side for event in events if isinstance(event, FrameEvent)]
    assert sorted(frames) == [Side.CLIENT] * 2 + [Side.SERVER] * 2
    assert len(facts(events, Closed)) == 1


@both_kinds
@pytest.mark.parametrize("step", ["end", "ended"])
async def test_a_fin_is_mirrored_where_its_callback_raises(broken: Stage, step: str, tls: bool) -> None:
    both = await open_through(broken, client_tls=tls, server_tls=tls, under=f"/break-{step}")
    both.server.send(DOWN)
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    assert both.client.received == DOWN
    both.client.send(UP)  # the half-close holds
    assert await both.server.got(len(UP)) == UP
    both.client.fin()
    await both.server.until(lambda end: "fin" in end.ends)
    events = await broken.proxy.over(both.target)
    assert [n.code for n in facts(events, Notice)][:1] == ["fault"]


@both_kinds
@pytest.mark.parametrize("step", ["end", "ended"])
async def test_a_reset_is_mirrored_where_its_callback_raises(broken: Stage, step: str, tls: bool) -> None:
    both = await open_through(broken, client_tls=tls, server_tls=tls, under=f"/break-{step}")
    both.client.send(UP)
    await both.server.got(len(UP))
    both.client.reset()
    await both.server.until(lambda end: "rst" in end.ends)
    await broken.proxy.over(both.target)


@pytest.mark.parametrize("step", ["pause", "resume"])
async def test_a_slow_reader_gets_all_where_flow_control_raises(broken: Stage, step: str) -> None:
    both = await open_through(broken, client_tls=False, server_tls=False, under=f"/break-{step}")
    both.client.transport.pause_reading()
    stream = encode_frame(2, bytes(MORE_THAN_FITS))
    both.server.send(stream)
    await broken.proxy.until(lambda events: bool(facts(events, Notice)) or step == "resume", both.target)
    both.client.transport.resume_reading()
    await both.client.got(len(stream))
    assert both.client.received == stream
    both.client.reset()
    await broken.proxy.over(both.target)


@pytest.mark.parametrize("step", ["after-eof", pytest.param("read-on", marks=pytest.mark.slow)])
async def test_a_reset_is_mirrored_where_the_watcher_meets_a_fault(broken: Stage, step: str) -> None:
    both = await open_through(broken, client_tls=False, server_tls=False, under=f"/break-{step}")
    if step == "after-eof":
        both.server.fin()
        await both.client.ended("fin")
    else:  # reading is paused, since the client does not read
        both.client.transport.pause_reading()
        both.server.send(encode_frame(2, bytes(MORE_THAN_FITS)))
        await both.server.blocked()
    both.server.reset()
    events = await broken.proxy.over(both.target)
    assert "fault" in [n.code for n in facts(events, Notice)]
    both.client.close()


async def test_other_connections_are_left_alone(broken: Stage) -> None:
    both = await open_through(broken, client_tls=False, server_tls=False)
    both.server.reset()
    await both.client.ended("rst")
    events = await broken.proxy.over(both.target)
    assert [end.how for end in facts(events, Ended)] == [How.RST]
    assert not facts(events, Notice)


async def late(broken: Stage, side: Side, tls: bool) -> tuple[RawEnd, RawEnd, str, bytes]:
    """A connection taken over only once `side` has ended: that side, the other, path, what was sent."""
    both = await open_through(broken, client_tls=tls, server_tls=tls, under="/break-late")
    ender, watcher = (both.client, both.server)[:: 1 if side is Side.CLIENT else -1]
    stream = (UP if side is Side.CLIENT else DOWN) * 3
    ender.send(stream)
    async with asyncio.timeout(TIMEOUT_S):
        sock = ender.transport.get_extra_info("socket")
        while ender.transport.get_write_buffer_size() or unacked_bytes(sock):
            await asyncio.sleep(0.001)
    return ender, watcher, both.target, stream


@both_kinds
@every_side
async def test_a_reset_before_the_takeover_began_is_a_reset(broken: Stage, side: Side, tls: bool) -> None:
    """mitmproxy's reader saw it, and its socket is closed; what it had read before still arrives."""
    ender, watcher, target, stream = await late(broken, side, tls)
    ender.reset()
    await watcher.until(lambda end: end.ends == ["rst"])
    assert watcher.received == stream
    events = await broken.proxy.over(target)
    assert [(end.side, end.how, end.errno) for end in facts(events, Ended)] == [(side, How.RST, "ECONNRESET")]
    assert not facts(events, Notice)
    assert facts(events, Closed)[0].frames == ((3, 0) if side is Side.CLIENT else (0, 3))


@both_kinds
@every_side
async def test_a_fin_before_the_takeover_began_is_a_fin(broken: Stage, side: Side, tls: bool) -> None:
    ender, watcher, target, stream = await late(broken, side, tls)
    ender.fin()
    await watcher.ended("fin")
    assert watcher.received == stream
    watcher.send(UP)
    await ender.got(len(UP))
    watcher.fin()
    events = await broken.proxy.over(target)
    assert [(end.side, end.how) for end in facts(events, Ended)] == [(side, How.FIN), (side.other, How.FIN)]


@pytest.mark.parametrize("with_fin", [False, True], ids=["alone", "with-fin"])
@every_side
async def test_a_close_notify_before_the_takeover_began_is_one(
    broken: Stage, side: Side, with_fin: bool
) -> None:
    ender, watcher, target, stream = await late(broken, side, True)
    ender.close_notify()
    if with_fin:
        ender.fin()
    await watcher.ended(*["close_notify", "fin"][: 1 + with_fin])
    assert watcher.received == stream
    ender.fin()
    await watcher.ended("close_notify", "fin")
    watcher.close()
    events = await broken.proxy.over(target)
    assert [(end.side, end.how) for end in facts(events, Ended)][:2] == [
        (side, How.CLOSE_NOTIFY),
        (side, How.FIN),
    ]


async def test_a_client_that_leaves_while_hooks_of_the_101_run_is_a_failed_set_up(broken: Stage) -> None:
    """mitmproxy fires neither `error` nor `websocket_start` then."""
    server = await broken.server(False).start()
    client = await broken.client(False, server_tls=False)
    target = f"/break-response/{uuid4().hex}"
    client.send(request(target))
    end = await server.accepted()
    end.send(response(await end.take_head()))
    client.reset()
    (failed,) = facts(await broken.proxy.over(target), Failed)
    assert (failed.phase, failed.message) == ("http", "the client left before the answer")
