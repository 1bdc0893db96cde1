"""The demo's services, all on one port.

/prices     JSON ticks for the symbols that a client subscribes to
/chat       a room with heartbeats (subprotocol chat.v1)
/depth      an order book, compressed where the client offers it
/telemetry  binary frames, bursts in fragments
/alerts     behind something that drops what is silent too long
/jobs       progress of a job, ended by a Close with a code and a reason
/lab        one rarity of the protocol at a time
/admin      403
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from wsinspect.demo.content import JOB_ENDINGS, REFUSAL, Book, Market, Sensors, compact, job_events
from wsinspect.demo.lab import RARITIES
from wsinspect.demo.pace import Pace, until_first
from wsinspect.errors import TimedOut
from wsinspect.model import Frame, Header, Message, opcode_word
from wsinspect.peer import Connection, ConnectionEnded, Request, Server, serve

CHAT_PROTOCOL = "chat.v1"


class DemoServer:
    """All services; `start` listens on a free port of the loopback interface."""

    def __init__(self, seed: int, pace: Pace, idle_limit_s: float, frames: Counter[str]) -> None:
        self._seed = seed
        self._pace = pace
        self._idle_limit_s = idle_limit_s
        self._frames = frames
        self._room: dict[Connection, str] = {}
        self._message_ids = count(1041)
        self._jobs = count(4711)
        self._rounds = count()
        self._server: Server | None = None
        self.idle_drops = 0
        """Connections that were dropped at the idle limit."""
        self._services: dict[str, Callable[[Connection], Awaitable[None]]] = {
            "/prices": self._prices,
            "/chat": self._chat,
            "/depth": self._depth,
            "/telemetry": self._telemetry,
            "/alerts": self._alerts,
            "/jobs": self._job,
            "/lab": self._lab,
        }

    async def start(self) -> int:
        """Listen; gives the port. Raises Unavailable."""
        self._server = await serve(
            self._route,
            deflate=True,
            subprotocols=[CHAT_PROTOCOL],
            on_request=self._admit,
            headers=[("Server", "demo-gateway/2.4")],
            on_frame=self._count,
            close_timeout_s=1.0,
        )
        return self._server.port

    async def close(self) -> None:
        """Close all connections (1001), and stop listening."""
        if self._server is not None:
            await self._server.close(reason="demo over", timeout_s=0.5)

    def _count(self, frame: Frame) -> None:
        self._frames[opcode_word(frame.opcode)] += 1

    def _admit(self, request: Request) -> tuple[int, list[Header], bytes] | None:
        if request.path in self._services:
            return None
        kind = ("Content-Type", "application/json")
        if request.path == "/admin":
            return 403, [kind, ("Server", "demo-gateway/2.4")], REFUSAL
        return 404, [kind], b'{"error":"no such service"}'

    async def _route(self, connection: Connection) -> None:
        await self._services[connection.request.path](connection)

    def _random(self, name: str) -> random.Random:
        """Each connection of a service begins its content anew, so that it does not depend on the order."""
        return random.Random(f"{self._seed} {name}")

    # ------------------------------------------------------------------------------------------- services

    async def _prices(self, connection: Connection) -> None:
        market = Market(self._random("prices"))
        symbols: list[str] = []

        async def requests() -> None:
            async for message in connection:
                asked = json_of(message)
                if asked.get("op") == "subscribe":
                    symbols.extend(str(symbol) for symbol in asked.get("symbols", []))
                await connection.send(compact({"type": "subscribed", "symbols": symbols}))

        async def ticks() -> None:
            while True:
                if symbols:
                    await connection.send(market.tick(symbols))
                await self._pace.sleep(0.05)

        await until_first(requests(), ticks())

    async def _chat(self, connection: Connection) -> None:
        user = parse_qs(connection.request.target.partition("?")[2]).get("user", ["guest"])[0]
        self._room[connection] = user
        await self._tell({"type": "join", "user": user, "online": sorted(set(self._room.values()))})

        async def listen() -> None:
            async for message in connection:
                said = json_of(message)
                if said.get("type") == "typing":
                    await self._tell({"type": "typing", "user": user}, but=connection)
                else:
                    number, text = next(self._message_ids), said.get("text")
                    await self._tell({"type": "message", "id": number, "from": user, "text": text})

        async def heartbeat() -> None:
            for beat in count(1):
                await self._pace.sleep(2)
                await connection.ping(f"beat {beat}".encode())

        try:
            await until_first(listen(), heartbeat())
        finally:
            del self._room[connection]
            await self._tell({"type": "leave", "user": user, "online": sorted(set(self._room.values()))})

    async def _tell(self, what: dict[str, object], but: Connection | None = None) -> None:
        text = compact(what)
        for member in list(self._room):
            if member is not but:
                try:
                    await member.send(text)
                except ConnectionEnded:
                    pass  # its own handler is about to notice

    async def _depth(self, connection: Connection) -> None:
        book = Book(self._random("depth"))

        async def requests() -> None:
            async for _ in connection:
                await connection.send(book.snapshot())

        async def diffs() -> None:
            await connection.send(book.snapshot())
            while True:
                await self._pace.sleep(0.12)
                await connection.send(book.diff())

        await until_first(requests(), diffs())

    async def _telemetry(self, connection: Connection) -> None:
        sensors = Sensors(self._random("telemetry"))

        async def frames() -> None:
            for number in count(1):
                if number % 6 == 0:
                    await connection.send(sensors.burst(), fragments=[400, 400])
                else:
                    await connection.send(sensors.reading())
                await self._pace.sleep(0.25)

        async def acknowledgements() -> None:
            async for _ in connection:
                pass

        await until_first(frames(), acknowledgements())

    async def _alerts(self, connection: Connection) -> None:
        """Answers at once, and drops what is silent too long as a middlebox does: FIN, no Close."""
        while True:
            try:
                item = await connection.receive(self._idle_limit_s / self._pace.speed)
            except TimedOut:
                self.idle_drops += 1
                await connection.drop(timeout_s=1)
                return
            if item is None:
                return
            if isinstance(item, Message):
                await connection.send(compact({"type": "watching", "severity": "warning", "open_alerts": 0}))

    async def _job(self, connection: Connection) -> None:
        job = next(self._jobs)
        for event in job_events(self._random(f"job {job}"), job):
            await connection.send(event)
            await self._pace.sleep(0.22)
        code, reason = JOB_ENDINGS[(job - 4711) % len(JOB_ENDINGS)]
        await connection.close(code, reason)

    async def _lab(self, connection: Connection) -> None:
        rarity = RARITIES[next(self._rounds) % len(RARITIES)]
        await connection.receive_message()
        await connection.send(compact({"experiment": rarity.title}))
        await rarity.show(connection)
        await self._pace.sleep(0.3)
        await connection.close(None)


def json_of(message: Message) -> dict[str, Any]:
    """The JSON object of a text message; empty for anything else."""
    try:
        value = json.loads(message.payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
