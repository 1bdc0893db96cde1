"""The rows of the performance table: what is sent, what counts, and what must be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

type Measure = Literal[
    "msg_per_s", "mb_per_s", "p50_us", "p99_us", "kb_per_conn", "kb_per_held", "kb_per_million", "lag_ms"
]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    measure: Measure
    client: str
    """Arguments of the load client."""
    tls: bool = False
    stock_must: float | None = None
    """At least that many times stock mitmdump (at most, where small is good)."""
    relay_must: float | None = None
    """At least that part of the bare relay (at most, where small is good)."""
    stock_aim: float | None = None
    relay_aim: float | None = None
    most: float | None = None
    """wsinspect's own figure, at most."""
    most_aim: float | None = None
    mockttp_aim: float | None = None
    """At least that many times mockttp with message events, where that is installed."""
    times: int = 1
    """So often in each round, where it varies with where the scheduler puts whom."""
    once: bool = False
    """In the first round alone, since it takes a minute."""
    rules: str = ""
    """wsinspect runs with this file of `bench/rules`, and the messages are those of `bench.messages`."""
    comes_back: Mapping[str, Any] = field(default_factory=dict)
    """What its rules set in each message, by path. Other proxies pass it on as it is."""

    def fits(self, round_number: int, *, has_process: bool, captures: bool) -> bool:
        """Whether it is measured in that round of such a proxy."""
        if self.measure == "lag_ms":
            return captures
        return (has_process or not self.measure.startswith("kb_")) and not (self.once and round_number > 1)

    @property
    def small_is_good(self) -> bool:
        return self.measure not in ("msg_per_s", "mb_per_s")


ECHO = "--scenario echo --size 64"
PING = "--scenario pingpong --size 64"
JSON = "--scenario echo --window 1024"

ROWS = [
    Row("echo1", "echo 64 B, one connection, pipelined", "msg_per_s", f"{ECHO} --window 1024",
        stock_must=800, relay_must=0.30, stock_aim=1200, relay_aim=0.4),
    Row("echo50", "echo 64 B, 50 connections, pipelined", "msg_per_s", f"{ECHO} --conns 50 --window 64",
        stock_must=400, relay_must=0.25, stock_aim=800, relay_aim=0.4),
    Row("flood", "one-way flood 64 B", "msg_per_s", "--scenario flood --size 64",
        stock_must=1200, relay_must=0.12, stock_aim=2000, relay_aim=0.2),
    Row("single50", "50 connections, one message in flight each", "msg_per_s",
        f"{ECHO} --conns 50 --window 1", stock_must=10, relay_must=0.75, relay_aim=0.9, times=3),
    Row("echo1M", "echo 1 MiB", "mb_per_s", "--scenario echo --size 1048576 --binary --window 2",
        stock_must=3, relay_must=0.55, stock_aim=6, relay_aim=0.85),
    Row("tls1", "TLS both sides, echo 64 B", "msg_per_s", f"{ECHO} --window 1024", tls=True,
        stock_must=500, stock_aim=900),
    Row("ping50", "round trip, p50", "p50_us", PING, relay_must=1.15, relay_aim=1.05, times=3),
    Row("ping99", "round trip, p99", "p99_us", PING, relay_must=1.6, relay_aim=1.3, times=3),
    Row("idle", "resident memory per idle connection", "kb_per_conn", "1000", stock_must=1.2),
    Row("idletls", "the same, TLS both sides", "kb_per_conn", "1000", tls=True, stock_must=1.2),
    Row("held", "5,000 connections held for a minute, heartbeats every 5 s: memory for each", "kb_per_held",
        "--scenario beat --conns 5000 --every 5 --dur 60", stock_must=1.2, once=True),
    Row("grow", "memory growth per million messages", "kb_per_million",
        f"{ECHO} --window 256 --count 8000000 --dur 20", most=2048),
    Row("rules20", "20 rules that look into each JSON message of 150 B, none matching", "msg_per_s", JSON,
        stock_must=25, stock_aim=25, mockttp_aim=1, rules="inspect.yaml"),
    Row("rules20deep", "the same, with numbers so near that each message is decoded", "msg_per_s", JSON,
        rules="inspect-deep.yaml"),
    Row("rewrite", "each JSON message of 150 B rewritten, on its way back", "msg_per_s", JSON,
        stock_must=10, stock_aim=20, rules="rewrite.yaml", comes_back={"$.price": 1}, times=3),
    Row("rewrite2", "the same, rewritten on its way there too", "msg_per_s", JSON,
        rules="rewrite-both.yaml", comes_back={"$.price": 1, "$.user.name": "bob"}),
    Row("lag", "what the capture lacks after SIGKILL, in time: the worst round", "lag_ms",
        f"{ECHO} --window 1024 --warm 0 --dur 30", most=200, most_aim=50),
]  # fmt: skip
