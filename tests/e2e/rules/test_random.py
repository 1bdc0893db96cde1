"""Rules at random, and rules that match nothing: strict peers stay happy, and no byte is moved."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rules.ways import Compression, Rig, Way, WebSocket, messages, rig_of
from tests.proxy.conftest import open_through
from tests.proxy.test_transparent import send_in_pieces, wild_traffic
from tests.relay.test_ruled_properties import parts
from wsinspect.capture.timeline import MessageEvent
from wsinspect.model import Judged, Side

COUNT = 5_000
"""Messages from each side."""
RULES = """\
  - {id: drop, when: {path: /random/*, kind: text}, chance: 20%, then: [drop]}
  - {id: set, when: {path: /random/*, json: {$.n: {exists: true}}}, chance: 25%, then: [set: {$.price: 1}]}
  - {id: text, when: {path: /nothing/*, text: {contains: 'never in it, not by chance'}}, then: [drop]}
  - {id: bytes, when: {path: /nothing/*, bytes: 'de ad be ef de ad be ef'}, then: [drop]}
  - {id: json, when: {path: /nothing/*, json: {$.never: {exists: true}}}, then: [drop]}
  - {id: size, when: {path: /nothing/*, size: '>100MB'}, then: [drop]}
  - {id: index, when: {path: /nothing/*, index: '>100000'}, then: [drop]}
  - {id: pings, when: {path: /nothing/*, kind: [ping, pong, close], bytes: 'de ad be ef de ad'}, then: [drop]}
  - {id: hide, when: {path: /elsewhere/*}, then: [redact: never]}
"""
WORDS = ["price", "ticker", "the same words", "grüße", "bid", "ask", "AAPL", "a longer text that comes again"]


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("random"), RULES, head="seed: 11\n") as rig:
        yield rig


def feed(seed: str) -> list[str]:
    """What one side sends: of any size, most of it alike, the last one with no tree for a rule to find."""
    rng = random.Random(seed)
    found = [
        json.dumps(
            {"n": n, "price": rng.randrange(1000), "words": rng.choices(WORDS, k=rng.choice([0, 2, 9, 90]))}
        )
        for n in range(COUNT)
    ]
    return [*found, '{"n":-1}']


async def says(end: WebSocket, texts: list[str], rng: random.Random) -> None:
    for number, text in enumerate(texts):
        if number % 7 == 3:
            await end.send([text[:9], text[9:]])  # in fragments
        else:
            await end.send(text)
        if rng.randrange(200) == 0:
            await end.ping()
    await end.send(b"the end")


async def hears(end: WebSocket) -> list[str]:
    found: list[str] = []
    while isinstance(text := await end.recv(), str):
        found.append(text)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "compression", [Compression.FRESH, Compression.TAKEOVER], ids=lambda each: each.value
)
async def test_strict_peers_are_happy_with_thousands_of_messages(rig: Rig, compression: Compression) -> None:
    """`drop` and `set` at random: what arrives is, message for message, what the capture says of it."""
    sent = {side: feed(f"{compression} {side}") for side in Side}
    async with rig.servers() as servers:
        pair = await rig.open(servers, "random", Way(False, compression, Side.CLIENT))
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for end, side in ((pair.client, Side.CLIENT), (pair.server, Side.SERVER)):
                group.create_task(says(end, sent[side], random.Random(side)))
            heard = {
                Side.CLIENT: group.create_task(hears(pair.server)),
                Side.SERVER: group.create_task(hears(pair.client)),
            }
        events = await pair.over()
    for side in Side:
        came = messages(events, side)[: len(sent[side])]
        assert [each.message.payload.decode() for each in came] == sent[side]
        left = [after(each) for each in came]
        assert heard[side].result() == [text for text in left if text is not None]
        dropped, changed = left.count(None), sum(_did(each, "set") for each in came)
        assert COUNT * 0.1 < dropped < COUNT * 0.3
        assert COUNT * 0.1 < changed < COUNT * 0.3


def after(event: MessageEvent) -> str | None:
    """What the capture says has become of a message."""
    if "dropped" in event.flags:
        return None
    text = event.message.payload.decode()
    if not _did(event, "set"):
        return text
    changed = (
        text.replace(f'"price": {json.loads(text)["price"]}', '"price": 1') if '"price"' in text else None
    )
    return changed or '{"n":-1,"price":1}'


def _did(event: MessageEvent, rule: str) -> bool:
    verdict: Judged | None = event.verdict
    return verdict is not None and any(hit.rule == rule for hit in verdict.hits)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_rules_that_match_nothing_move_no_byte(rig: Rig, tls: bool) -> None:
    """Violations of every kind included. Only control frames might overtake fragments that are kept."""
    rng = random.Random(tls)
    streams = {side: wild_traffic(rng, masked=side is Side.CLIENT, count=120) for side in Side}
    both = await open_through(rig.stage, client_tls=tls, server_tls=tls, under="/nothing")
    async with asyncio.timeout(60):
        await asyncio.gather(
            send_in_pieces(both.client, streams[Side.CLIENT], rng),
            send_in_pieces(both.server, streams[Side.SERVER], rng),
            both.server.got(len(streams[Side.CLIENT])),
            both.client.got(len(streams[Side.SERVER])),
        )
    assert parts(bytes(both.server.received), Side.CLIENT) == parts(streams[Side.CLIENT], Side.CLIENT)
    assert parts(bytes(both.client.received), Side.SERVER) == parts(streams[Side.SERVER], Side.SERVER)
    both.client.close()
    await both.server.until(lambda end: "fin" in end.ends)
    both.server.close()
    events = await rig.proxy.over(both.target)
    assert not [each for each in events if isinstance(each, MessageEvent) and each.verdict is not None]
