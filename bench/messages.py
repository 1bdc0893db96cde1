"""The JSON messages of the rows with rules, and what those rules make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.tools import BUILD
from wsinspect.rules.jsonpath import parse

COUNT = 1024
"""After that many they repeat."""

MARKETS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "BTC-JPY")
NAMES = ("alice", "carol", "dave", "oscar")


def trades() -> list[dict[str, Any]]:
    """A feed of trades, of 145 to 153 bytes each."""
    return [
        {
            "type": "trade",
            "symbol": MARKETS[number % len(MARKETS)],
            "price": round(100 + number * 61.37, 2),
            "size": (number % 97 + 1) / 64,
            "side": "buy" if number % 3 else "sell",
            "seq": 100_000 + number,
            "user": {"id": 7_000 + number % 89, "name": NAMES[number % len(NAMES)]},
            "tags": ["spot", "maker" if number % 2 else "taker"],
        }
        for number in range(COUNT)
    ]


def changed(trade: Any, changes: Mapping[str, Any]) -> Any:
    """The message with other values at these paths."""
    for path, value in changes.items():
        trade, _ = parse(path).set(trade, value)
    return trade


def files(changes: Mapping[str, Any]) -> tuple[Path, Path]:
    """The messages, and what they are with those changes: one a line, for the load generator."""
    BUILD.mkdir(exist_ok=True)
    sent = trades()
    paths = BUILD / "trades.jsonl", BUILD / "trades-changed.jsonl"
    for path, messages in zip(paths, (sent, [changed(each, changes) for each in sent]), strict=True):
        path.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in messages))
    return paths
