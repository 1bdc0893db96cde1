"""A script for `wsinspect proxy -s`: after half a second without an answer the kernel gives a socket up."""

import socket

from wsinspect.proxy.takeover import Takeover

start = Takeover.start


async def start_with_timeout(self: Takeover) -> None:
    for leg in self.legs:
        leg.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
    await start(self)


Takeover.start = start_with_timeout  # type: ignore[method-assign]
