"""One measurement: a load client against a port, and the proxy's own processor time and memory beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from bench import messages
from bench.proxies import Proxy
from bench.rows import Row
from bench.tools import BenchError, build, touch_memory
from wsinspect.capture.reader import Reader
from wsinspect.model import Read, Side

LIMIT_S = 120
HELD_LIMIT_S = 300
"""Stock mitmdump opens some hundred connections a second."""


@dataclass
class Result:
    """What one round of one row gave."""

    value: float
    us_per_message: float | None = None
    """Processor time of the proxy."""
    faults: int = 0
    """Messages that came back wrong, connections that ended early."""
    dropped: int = 0
    """Reads that the capture lacks."""
    alive: int | None = None
    """Connections whose last heartbeat was answered, where they were held."""


def measure(row: Row, proxy: Proxy, *, duration_s: float) -> Result:
    """Raises BenchError."""
    match row.measure:
        case "kb_per_conn":
            return _idle(row, proxy)
        case "lag_ms":
            return _lag(row, proxy)
        case "kb_per_held":
            return _held(row, proxy)
        case _:
            return _load(row, proxy, duration_s)


def _client(row: Row, proxy: Proxy, words: list[str]) -> subprocess.Popen[str]:
    command = [str(build()), "client", "--port", str(proxy.port), *words, *proxy.headers]
    return subprocess.Popen(
        [*command, *(["--tls"] if row.tls else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _load(row: Row, proxy: Proxy, duration_s: float) -> Result:
    words = row.client.split()
    if row.rules:
        sent, back = messages.files(row.comes_back if proxy.ruled else {})
        words += ["--messages", str(sent), "--answers", str(back)]
    if row.measure == "kb_per_million":
        _warm_up(row, proxy, words)
    if "--dur" not in words:
        words += ["--warm", "0.4", "--dur", str(duration_s)]
    client = _client(row, proxy, words)
    killer = threading.Timer(LIMIT_S, client.kill)
    killer.start()
    cpu = rss = 0.0
    end: dict[str, Any] | None = None
    try:
        assert client.stdout is not None
        for line in client.stdout:
            mark = json.loads(line)
            if mark.get("mark") == "start" and proxy.process is not None:
                cpu, rss = proxy.process.cpu_s(), proxy.process.rss_kb()
            elif mark.get("mark") == "end":
                end = mark
                if proxy.process is not None:
                    cpu, rss = proxy.process.cpu_s() - cpu, proxy.process.rss_kb() - rss
        _, errors = client.communicate()
    finally:
        killer.cancel()
        client.kill()
    if end is None or not end["messages"]:
        raise BenchError(f"{row.key} through {proxy.name}: {errors.strip()[:300] or 'no result'}")
    return Result(
        value=_value(row, end, rss),
        us_per_message=cpu * 1e6 / end["messages"] if proxy.process is not None else None,
        faults=end.get("mismatches", 0) + end.get("early_closes", 0),
    )


def _warm_up(row: Row, proxy: Proxy, words: list[str]) -> None:
    """The same once before, uncounted: what queues and buffers grow to is no growth per message."""
    client = _client(row, proxy, words)
    try:
        client.communicate(timeout=LIMIT_S)
    finally:
        client.kill()
    if proxy.capture is not None:
        touch_memory(proxy.capture.parent)


def _value(row: Row, end: dict[str, Any], rss_kb: float) -> float:
    match row.measure:
        case "p50_us":
            return float(end["lat_us"]["p50"])
        case "p99_us":
            return float(end["lat_us"]["p99"])
        case "kb_per_million":
            return rss_kb / (2 * end["messages"]) * 1e6  # each echoed message passes twice
    return float(end[row.measure])


def _lag(row: Row, proxy: Proxy) -> Result:
    """Kill the proxy under load, and compare what the client had got with what the capture has."""
    if proxy.process is None or proxy.capture is None:
        raise BenchError("only a capture can lag")
    client = _client(row, proxy, row.client.split())
    try:
        assert client.stdout is not None
        client.stdout.readline()
        time.sleep(1.5)
        os.kill(proxy.process.pid, signal.SIGKILL)
        end = json.loads(client.communicate(timeout=LIMIT_S)[0])
    finally:
        client.kill()
    received = end["messages"] * (end["size"] + 2)
    captured = 0
    with Reader(proxy.capture, final=True) as reader:
        while found := reader.read():
            captured += sum(
                len(each.data) for _, each in found if isinstance(each, Read) and each.side is Side.SERVER
            )
    rate = received / end["elapsed_s"]
    return Result(max(0, received - captured) / rate * 1000)


def _idle(row: Row, proxy: Proxy) -> Result:
    if proxy.process is None:
        raise BenchError("there is no memory to measure without a proxy")
    proxy.process.settle()
    before = proxy.process.rss_kb()
    client = _client(row, proxy, ["--scenario", "idle", "--conns", row.client])
    try:
        assert client.stdout is not None
        if not client.stdout.readline():
            raise BenchError(f"{row.key} through {proxy.name}: the connections did not open")
        proxy.process.settle()
        return Result((proxy.process.rss_kb() - before) / int(row.client))
    finally:
        client.communicate("")
        client.kill()


def _held(row: Row, proxy: Proxy) -> Result:
    """The memory of each of many connections at the end, with heartbeats through them all the while."""
    if proxy.process is None:
        raise BenchError("there is no memory to measure without a proxy")
    proxy.process.settle()
    before = proxy.process.rss_kb()
    client = _client(row, proxy, row.client.split())
    killer = threading.Timer(HELD_LIMIT_S, client.kill)
    killer.start()
    try:
        assert client.stdout is not None
        line = client.stdout.readline()
        if not line:
            assert client.stderr is not None
            raise BenchError(f"{row.key} through {proxy.name}: {client.stderr.read().strip() or 'no result'}")
        end = json.loads(line)
        grown = proxy.process.rss_kb() - before
    finally:
        killer.cancel()
        client.communicate("")
        client.kill()
    faults = end["mismatches"] + end["conns"] - end["alive"]
    return Result(grown / end["conns"], faults=faults, alive=end["alive"])
