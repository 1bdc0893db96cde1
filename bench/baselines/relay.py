"""A bare asyncio.Protocol relay: what this runtime can do at most. Usage: relay.py PORT UPSTREAM_PORT"""

from __future__ import annotations

import asyncio
import sys


class Relay(asyncio.Protocol):
    """Bytes to the peer, nothing else."""

    def __init__(self) -> None:
        self.peer: Relay | None = None
        self.early: list[bytes] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.transport.write(data)
        else:
            self.early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None:
            self.peer.transport.close()

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.resume_reading()


class Accepted(Relay):
    tasks: set[asyncio.Task[None]] = set()  # noqa: RUF012 - one set for the process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self.dial())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def dial(self) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(Relay, "127.0.0.1", int(sys.argv[2]))
        upstream.peer, self.peer = self, upstream
        for data in self.early:
            upstream.transport.write(data)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(
        Accepted, "127.0.0.1", int(sys.argv[1]), backlog=4096
    )
    await server.serve_forever()


asyncio.run(main())
