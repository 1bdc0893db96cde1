"""What the demo's services say: made up, and the same for the same seed."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from itertools import count

PRICES = {
    "BTC-USD": 67_412.50,
    "ETH-USD": 3_518.20,
    "SOL-USD": 171.84,
    "EUR-USD": 1.0862,
    "AAPL": 228.31,
    "NVDA": 131.77,
}

SCRIPT: tuple[tuple[str, str, float], ...] = (
    ("mira", "morning! anyone else seeing the price widget freeze?", 0.7),
    ("jonas", "yes, since the load balancer change yesterday", 0.8),
    ("aiko", "it reconnects after a while, then it’s fine again 🤔", 0.9),
    ("mira", "I’ll put wsinspect in front of it and look", 1.1),
    ("jonas", "ooh, nice. what does it say?", 0.7),
    ("mira", "/alerts: the server’s side ends with a FIN and no Close frame", 1.3),
    ("mira", "each time after 2.5 s of silence", 0.6),
    ("aiko", "so something in the middle has an idle timeout…", 1.0),
    ("jonas", "proxy_read_timeout, I bet you a coffee ☕", 0.8),
    ("aiko", "prices and chat survive because they never go quiet", 1.0),
    ("mira", "exactly. the fourth try sends pings and stays up", 1.2),
    ("jonas", "shipping a heartbeat for /alerts then", 0.9),
    ("aiko", "and the 403 on /admin?", 0.8),
    ("mira", "that one is real: the token has no “admin” role", 1.0),
    ("jonas", "fair 😅", 0.6),
    ("aiko", "まとめて書いておきます — I’ll write it up", 1.4),
)
"""Who says what, and after how many seconds."""

REFUSAL = json.dumps(
    {"error": "forbidden", "detail": "token lacks role 'admin'", "trace": "7f3a91c2"}, indent=2
).encode()

JOB_ENDINGS: tuple[tuple[int, str], ...] = (
    (1000, "job done"),
    (1012, "service restart"),
    (4008, "worker lost, job requeued"),
    (1001, "region is draining"),
)


def compact(value: object) -> str:
    """JSON without spaces, as services send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Market:
    """A random walk of a few prices."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._prices = dict(PRICES)
        self._seq = count(184_200)

    def tick(self, symbols: list[str]) -> str:
        """The next price of one of the symbols."""
        symbol = self._rng.choice(symbols)
        price = self._prices[symbol] = self._prices[symbol] * (1 + self._rng.gauss(0, 0.0004))
        digits = 4 if price < 10 else 2
        spread = price * 0.0001
        return compact(
            {
                "type": "tick",
                "seq": next(self._seq),
                "symbol": symbol,
                "bid": round(price - spread, digits),
                "ask": round(price + spread, digits),
                "last": round(price, digits),
                "size": round(self._rng.expovariate(1.6), 3),
            }
        )


class Book:
    """An order book: one snapshot, then differences to it. Much repetition, so that compression pays."""

    def __init__(self, rng: random.Random, symbol: str = "ETH-USD") -> None:
        self._rng = rng
        self._symbol = symbol
        self._mid = PRICES[symbol]
        self._update = count(9_120_417)

    def snapshot(self) -> str:
        return self._message("snapshot", levels=12)

    def diff(self) -> str:
        self._mid += self._rng.gauss(0, 0.15)
        return self._message("diff", levels=self._rng.randint(1, 3))

    def _message(self, kind: str, levels: int) -> str:
        return compact(
            {
                "type": kind,
                "book": self._symbol,
                "update": next(self._update),
                "bids": [self._level(-1) for _ in range(levels)],
                "asks": [self._level(1) for _ in range(levels)],
            }
        )

    def _level(self, sign: int) -> list[str]:
        price = self._mid + sign * self._rng.randint(1, 40) * 0.05
        size = 0.0 if self._rng.random() < 0.2 else self._rng.expovariate(0.4)
        return [f"{price:.2f}", f"{size:.3f}"]


class Sensors:
    """Frames of machines' sensors: a fixed header, and now and then a burst of samples after it."""

    HEADER = struct.Struct(">4sHIffH")
    """Magic, device, sequence number, °C, bar, number of samples."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seq = count(1)

    def reading(self) -> bytes:
        return self._frame(samples=0)

    def burst(self) -> bytes:
        """A vibration record: 512 samples of 16 bits."""
        return self._frame(samples=512)

    def _frame(self, samples: int) -> bytes:
        header = self.HEADER.pack(
            b"SENS",
            self._rng.randint(0x41, 0x44),
            next(self._seq),
            21.5 + self._rng.gauss(0, 0.3),
            1.013 + self._rng.gauss(0, 0.002),
            samples,
        )
        wave = (int(self._rng.gauss(0, 900)) for _ in range(samples))
        return header + b"".join(value.to_bytes(2, signed=True) for value in wave)


def job_events(rng: random.Random, job: int) -> Iterator[str]:
    """The progress of one job, from queued to nearly done."""
    yield compact({"event": "queued", "job": job, "position": rng.randint(1, 4)})
    done = 0
    while done < 90:
        done = min(done + rng.randint(8, 26), 96)
        files = done * 31
        yield compact({"event": "progress", "job": job, "percent": done, "files": files})
