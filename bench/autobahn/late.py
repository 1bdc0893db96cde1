"""A relay that changes no byte, but is late, as a slow network is: what comes within 3 ms goes on together.

Usage: late.py PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys

GATHER_S = 0.003
"""Longer than a handshake through a proxy takes, and than the octets of a case that sends them one by one."""


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end."""
    try:
        while data := await reader.read(1 << 20):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(GATHER_S)
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pass_on(reader, upstream), pass_on(upstream_reader, writer))
    upstream.close()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(accepted, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
