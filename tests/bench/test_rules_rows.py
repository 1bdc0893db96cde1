"""The rows with rules measure what they say, and the report judges them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import messages, report
from bench.__main__ import alike
from bench.measure import Result
from bench.rows import ROWS
from bench.tools import HERE
from tests.rules.world import World
from wsinspect.decode.registry import ContentDecoder
from wsinspect.model import Side
from wsinspect.rules.conditions import Json
from wsinspect.rules.loading import load_rules
from wsinspect.rules.ruleset import RuleSet

ROW = {row.key: row for row in ROWS}


def ruleset(row: str) -> RuleSet:
    return load_rules([HERE / "rules" / ROW[row].rules])


def written(tree: dict[str, Any]) -> str:
    return json.dumps(tree, separators=(",", ":"))


@pytest.mark.parametrize("row", ["rules20", "rules20deep"])
def test_each_of_the_twenty_rules_asks_for_values_that_each_message_has(row: str) -> None:
    rules, trades = ruleset(row).rules, messages.trades()
    assert len(rules) == 20
    for rule in rules:
        conditions = [each for each in rule.conditions() if isinstance(each, Json)]
        assert conditions
        paths = [path for each in conditions for path in each.value]
        assert all(path.find(trade) for path in paths for trade in trades), rule.id


@pytest.mark.parametrize(("row", "decoded"), [("rules20", False), ("rules20deep", True)])
def test_none_of_them_matches_on_either_way(row: str, decoded: bool) -> None:
    world = World(ruleset(row))
    assert not any(world.text(side, written(trade)) for trade in messages.trades() for side in Side)
    assert world.asked == (2 * messages.COUNT if decoded else 0)


@pytest.mark.parametrize("row", ["rewrite", "rewrite2"])
def test_each_message_comes_back_as_the_row_says(row: str) -> None:
    world, changes = World(ruleset(row), decoder=ContentDecoder()), ROW[row].comes_back
    assert changes
    for trade in messages.trades():
        payload = written(trade)
        for side in Side:
            plan = world.text(side, payload)
            assert (plan is None) == (row == "rewrite" and side is Side.CLIENT)
            payload = plan.payload.decode() if plan is not None and plan.payload is not None else payload
        assert payload == written(messages.changed(trade, changes)) != written(trade)


def test_the_files_have_a_message_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "BUILD", tmp_path / "build")
    sent, answers = (path.read_text().splitlines() for path in messages.files({"$.user.name": "bob"}))
    assert list(map(json.loads, sent)) == messages.trades()
    assert {trade["user"]["name"] for trade in map(json.loads, answers)} == {"bob"}


def test_rows_share_a_proxy_where_tls_and_rules_are_the_same() -> None:
    groups = alike(ROWS)
    assert sorted(row.key for group in groups for row in group) == sorted(ROW)
    ruled = [row.key for group in groups if group[0].rules for row in group]
    assert ruled == ["rules20", "rules20deep", "rewrite", "rewrite2"]
    assert all(len({(row.tls, row.rules) for row in group}) == 1 for group in groups)


@pytest.mark.parametrize(
    ("ours", "mockttp", "faults", "said"),
    [
        (2400.0, None, 0, "**missed**"),
        (2600.0, None, 0, "must"),
        (2600.0, 2700.0, 0, "must"),
        (2600.0, 2500.0, 0, "aim"),
        (2600.0, 2500.0, 1, "**missed**"),
    ],
)
def test_the_aim_is_to_beat_mockttp_and_a_wrong_message_misses_it_all(
    ours: float, mockttp: float | None, faults: int, said: str
) -> None:
    found = {"stock": [Result(100.0)], "wsinspect": [Result(ours, faults=faults)]}
    if mockttp is not None:
        found["mockttp"] = [Result(mockttp)]
    assert report.verdict(ROW["rules20"], {"rules20": found}) == said
