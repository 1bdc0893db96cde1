"""The `seed` of a rule file: what is random repeats from one run of the proxy to the next, by connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.rules.ways import WAYS, Rig, Way, rig_of, rule, verdicts
from wsinspect.model import Side

TEXT = "{PATH, from: SIDE, kind: text}"
RULES = rule("often", TEXT, "delay: 1ms..9ms", "chance: 50%") + rule(
    "toxic", TEXT, "latency: {latency: 5, toxicity: 50%, stream: STREAM}", path="often"
)
MESSAGES = [f"message {number}" for number in range(10)]

type Drawn = list[tuple[int, float, bool]]
"""Of each message that a rule acted on: its number, its delay, whether the connection has the toxic."""


async def drawn(rig: Rig, way: Way) -> Drawn:
    async with rig.servers() as servers:
        pair = await rig.open(servers, "often", way)
        await pair.send(*MESSAGES)
        await pair.arrives(*MESSAGES)
        events = await pair.over()
    toxic = {each.first_frame for each in verdicts(events, f"toxic-{way.sender.word}") if each.hits[-1].did}
    return [
        (each.first_frame, each.delay_ms, each.first_frame in toxic) for each in verdicts(events, pair.rule)
    ]


async def run(tmp: Path, ways: list[Way]) -> list[Drawn]:
    tmp.mkdir()
    with rig_of(tmp, RULES, head="seed: 7\n") as rig:
        return [await drawn(rig, way) for way in ways]


@pytest.mark.slow
async def test_a_seed_repeats_connection_by_connection(runtime: Path, tmp_path: Path) -> None:
    clients = [way for way in WAYS if way.sender is Side.CLIENT]
    first = await run(tmp_path / "first", clients)
    assert await run(tmp_path / "second", clients) == first
    assert all(0 < len(each) < len(MESSAGES) for each in first)
    assert len({str(each) for each in first}) == len(first), "connections differ from each other"
    assert {toxic for each in first for _, _, toxic in each} == {False, True}
