"""The bytes that arrive are the bytes that leave, whatever they are."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from tests.proxy.conftest import Stage, open_through
from tests.proxy.raw import RawEnd
from wsinspect.capture.timeline import FrameEvent, MessageEvent
from wsinspect.model import Opened, Requested, Side, Violation
from wsinspect.wire.frames import encode_frame

legs = pytest.mark.parametrize(
    ("client_tls", "server_tls"), [(False, False), (True, True), (True, False), (False, True)],
    ids=["plain", "tls", "tls-plain", "plain-tls"],
)  # fmt: skip


def wild_traffic(rng: random.Random, *, masked: bool, count: int) -> bytes:
    """Frames of every kind, most of them against the RFC in some way; all of them can be parsed."""
    frames = []
    for _ in range(count):
        payload = rng.randbytes(rng.choice([0, 1, 5, 64, 125, 126, 300, 3000, 70000]))
        mask = rng.randbytes(4) if masked is not (rng.random() < 0.1) else None
        frames.append(
            encode_frame(rng.randrange(16), payload, fin=rng.random() < 0.7, rsv=rng.randrange(8), mask=mask)
        )
    frames.append(b"\x81\x7e\x00\x03abc")  # a length that is not minimal
    return b"".join(frames)


async def send_in_pieces(end: RawEnd, data: bytes, rng: random.Random) -> None:
    position = 0
    while position < len(data):
        size = rng.choice([1, 2, 7, 100, 1500, 65536, 200000])
        end.send(data[position : position + size])
        position += size
        if rng.random() < 0.3:
            await asyncio.sleep(0)


@legs
@pytest.mark.parametrize("path", ["takeover", "layer"])
async def test_every_byte_passes_as_it_came(
    request: pytest.FixtureRequest, path: str, client_tls: bool, server_tls: bool
) -> None:
    stage: Stage = request.getfixturevalue("stage" if path == "takeover" else "layer_stage")
    rng = random.Random(f"{client_tls}{server_tls}")
    up, down = wild_traffic(rng, masked=True, count=120), wild_traffic(rng, masked=False, count=120)
    both = await open_through(stage, client_tls=client_tls, server_tls=server_tls)
    async with asyncio.timeout(30):
        await asyncio.gather(
            send_in_pieces(both.client, up, rng),
            send_in_pieces(both.server, down, rng),
            both.server.got(len(up)),
            both.client.got(len(down)),
        )
    assert bytes(both.server.received) == up
    assert bytes(both.client.received) == down
    both.client.close()
    await both.server.until(lambda end: "fin" in end.ends)
    both.server.close()
    events = await stage.proxy.over(both.target)
    opened = [event.fact for event in events if hasattr(event, "fact") and isinstance(event.fact, Opened)]
    assert [each.path for each in opened] == [path]
    frames = [event for event in events if isinstance(event, FrameEvent)]
    for side, stream in ((Side.CLIENT, up), (Side.SERVER, down)):
        assert sum(event.frame.wire_bytes for event in frames if event.side is side) == len(stream)
        assert sum(event.side is side for event in frames) == 121
        assert any(
            Violation.NON_MINIMAL_LENGTH in event.frame.violations for event in frames if event.side is side
        )


@legs
async def test_bytes_after_a_broken_length_pass_blind(
    stage: Stage, client_tls: bool, server_tls: bool
) -> None:
    stream = encode_frame(1, b"fine", mask=b"abcd") + b"\x82\xff\xff" + os.urandom(5000)
    both = await open_through(stage, client_tls=client_tls, server_tls=server_tls)
    both.client.send(stream)
    assert await both.server.got(len(stream)) == stream
    both.server.send(b"\x81\x02ok")
    assert await both.client.got(4) == b"\x81\x02ok"
    both.client.reset()
    await stage.proxy.over(both.target)


@legs
async def test_bytes_glued_to_the_handshake_arrive_whole(
    stage: Stage, client_tls: bool, server_tls: bool
) -> None:
    """mitmproxy strips CR and LF from their start, on both legs."""
    early = b"\r\n\n" + encode_frame(1, b"early", mask=b"abcd")
    glued = b"\n\r\n" + encode_frame(1, b"glued")
    both = await open_through(
        stage, client_tls=client_tls, server_tls=server_tls, glued_request=early, glued_answer=glued
    )
    assert await both.client.got(len(glued)) == glued
    assert await both.server.got(len(early)) == early
    both.client.send(b"\x89\x80abcd")
    assert await both.server.got(len(early) + 6) == early + b"\x89\x80abcd"
    both.client.reset()
    await stage.proxy.over(both.target)


async def test_one_byte_at_a_time(stage: Stage) -> None:
    stream = encode_frame(1, "näheres später".encode(), mask=b"\x01\x02\x03\x04") * 3
    both = await open_through(stage, client_tls=False, server_tls=False)
    for position in range(len(stream)):
        both.client.send(stream[position : position + 1])
        await both.server.got(position + 1)  # not held back until the frame is whole
    both.client.reset()
    events = await stage.proxy.over(both.target)
    messages = [event.message.text for event in events if isinstance(event, MessageEvent)]
    assert messages == ["näheres später"] * 3


async def test_the_handshake_is_kept_as_the_client_sent_it(stage: Stage) -> None:
    both = await open_through(stage, client_tls=True, server_tls=False, X_Answer="yes")
    both.client.close()
    both.server.close()
    events = await stage.proxy.over(both.target)
    requested = next(event.fact for event in events if isinstance(getattr(event, "fact", None), Requested))
    assert ("Host", "localhost") in requested.headers
    assert requested.target == both.target
    assert requested.tls is not None
    opened = next(event.fact for event in events if isinstance(getattr(event, "fact", None), Opened))
    assert ("X-Answer", "yes") in opened.headers
    altered = [
        event.fact for event in events if getattr(getattr(event, "fact", None), "kind", "") == "altered"
    ]
    assert [(each.what, each.before, each.after) for each in altered] == [
        ("request header Host", "localhost", f"127.0.0.1:{stage.server_ports[0]}")
    ]
