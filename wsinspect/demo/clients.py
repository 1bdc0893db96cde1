"""The demo's clients: what an app's users would do, on and on, until they are stopped."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count, cycle
from typing import Any

from wsinspect.demo.content import SCRIPT, compact
from wsinspect.demo.pace import Pace, until_first
from wsinspect.demo.server import CHAT_PROTOCOL
from wsinspect.errors import TimedOut
from wsinspect.model import Frame, opcode_word
from wsinspect.peer import ConnectFailed, Connection, ConnectionEnded, HandshakeFailed, connect

ORIGIN = "https://trading.example"
AGENT = "demo-app/3.1"
SILENT_TRIES = 3
"""So often /alerts is watched in silence, and lost, before the client has learnt to send pings."""


class DemoClients:
    """All clients, against one base URL (`ws://127.0.0.1:8080`)."""

    def __init__(self, base_url: str, seed: int, pace: Pace, frames: Counter[str]) -> None:
        self._base_url = base_url.rstrip("/")
        self._pace = pace
        self._frames = frames
        self._rng = random.Random(f"{seed} clients")
        self.refused = 0
        """Handshakes that were answered with something else than a 101."""
        self.unreachable = 0
        """Tries that came to nothing for another reason."""

    async def run(self) -> None:
        """Run until cancelled; open connections are then closed with 1001."""
        habits: list[Callable[[], Awaitable[None]]] = [
            self._prices,
            self._depth,
            self._telemetry,
            self._chat_room,
            self._alerts,
            self._jobs,
            self._lab,
            self._admin,
        ]
        async with asyncio.TaskGroup() as group:
            for habit in habits:
                group.create_task(self._again_and_again(habit), name=habit.__name__)

    async def _again_and_again(self, habit: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await habit()
            except HandshakeFailed:
                self.refused += 1
            except (ConnectFailed, TimedOut):
                self.unreachable += 1
            except ConnectionEnded:
                pass
            await self._pace.sleep(1)

    async def _open(self, path: str, **options: Any) -> Connection:
        return await connect(
            self._base_url + path,
            headers=[("User-Agent", AGENT)],
            origin=ORIGIN,
            on_frame=self._count,
            close_timeout_s=0.5,
            **options,
        )

    def _count(self, frame: Frame) -> None:
        self._frames[opcode_word(frame.opcode)] += 1

    # --------------------------------------------------------------------------------------------- habits

    async def _prices(self) -> None:
        async with await self._open("/prices") as connection:
            await connection.send(compact({"op": "subscribe", "symbols": ["BTC-USD", "ETH-USD", "SOL-USD"]}))

            async def change_mind() -> None:
                for symbol in ("NVDA", "EUR-USD", "AAPL"):
                    await self._pace.sleep(4)
                    await connection.send(compact({"op": "subscribe", "symbols": [symbol]}))
                await asyncio.Event().wait()

            await until_first(listen(connection), change_mind())

    async def _depth(self) -> None:
        async with await self._open("/depth", deflate=True) as connection:

            async def resync() -> None:
                while True:
                    await self._pace.sleep(3)
                    await connection.send(compact({"op": "resync", "book": "ETH-USD"}))

            await until_first(listen(connection), resync())

    async def _telemetry(self) -> None:
        async with await self._open("/telemetry") as connection:
            received = 0
            async for _ in connection:
                received += 1
                if received % 8 == 0:
                    await connection.send(b"ACK" + received.to_bytes(4))

    async def _chat_room(self) -> None:
        """Everybody reads; who speaks next stands in the script. One goes for lunch now and then."""
        room: dict[str, Connection] = {}
        await until_first(
            self._member("mira", room, 1.4),
            self._member("jonas", room, 1.7),
            self._member("aiko", room, 2.0, lunch_after_s=3.2),
            self._conversation(room),
        )

    async def _member(
        self, user: str, room: dict[str, Connection], beat_s: float, lunch_after_s: float = 3600
    ) -> None:
        while True:
            async with await self._open(f"/chat?user={user}", subprotocols=[CHAT_PROTOCOL]) as connection:
                room[user] = connection
                try:
                    async with asyncio.timeout(lunch_after_s / self._pace.speed):
                        await until_first(listen(connection), self._heartbeat(connection, beat_s))
                except TimeoutError:
                    await connection.close(1000, "lunch")
                    lunch_after_s = self._rng.uniform(12, 20)
                finally:
                    del room[user]
            await self._pace.sleep(2)

    async def _heartbeat(self, connection: Connection, every_s: float) -> None:
        for beat in count(1):
            await self._pace.sleep(every_s)
            await connection.ping(f"hb-{beat}".encode())

    async def _conversation(self, room: dict[str, Connection]) -> None:
        for user, text, pause_s in cycle(SCRIPT):
            await self._pace.sleep(pause_s / 2)
            connection = room.get(user)
            if connection is None:
                continue
            try:
                await connection.send(compact({"type": "typing"}))
                await self._pace.sleep(pause_s / 2)
                await connection.send(compact({"type": "say", "text": text}))
            except ConnectionEnded:
                continue  # on the way out

    async def _alerts(self) -> None:
        """Watches for alerts. There are none: silence, and the connection is lost. In the end it learns."""
        for _ in range(SILENT_TRIES):
            async with await self._open("/alerts") as connection:
                await connection.send(compact({"op": "watch", "severity": "warning", "team": "payments"}))
                await connection.wait_ended()
            await self._pace.sleep(0.6)
        async with await self._open("/alerts") as connection:
            await connection.send(compact({"op": "watch", "severity": "warning", "team": "payments"}))
            try:
                async with asyncio.timeout(12 / self._pace.speed):
                    await until_first(listen(connection), self._heartbeat(connection, 1))
            except TimeoutError:
                await connection.close(1000, "token rotation")

    async def _jobs(self) -> None:
        await self._pace.sleep(0.6)
        async with await self._open("/jobs?kind=export") as connection:
            await listen(connection)
        await self._pace.sleep(4)

    async def _lab(self) -> None:
        await self._pace.sleep(1.1)
        async with await self._open("/lab") as connection:
            await connection.send(compact({"op": "surprise me"}))
            await listen(connection)
        await self._pace.sleep(6)

    async def _admin(self) -> None:
        await self._pace.sleep(1.8)
        try:
            await (await self._open("/admin")).close()
        except HandshakeFailed:
            self.refused += 1
        await self._pace.sleep(12)


async def listen(connection: Connection) -> None:
    """Take what comes, until the end."""
    async for _ in connection:
        pass
