"""Sees a reset where asyncio is blind: while reading is paused, and after a FIN.

asyncio drops a socket from its selector when reading pauses or EOF was read, and so misses the RST
that follows [measured]. One epoll descriptor, itself a reader of the loop, holds every taken socket
edge-triggered; EPOLLERR and EPOLLHUP always come through. Elsewhere than on Linux there is no watcher.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import Callable
from typing import Any

from wsinspect.proxy.sockets import take_error

logger = logging.getLogger(__name__)


class EdgeWatcher:
    """Calls back with the errno as soon as a watched socket has failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, tuple[socket.socket, Callable[[int], None]]] = {}
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, sock: socket.socket, on_error: Callable[[int], None]) -> None:
        """`on_error(errno)` once, when the socket fails. `sock` must stay open until `forget`."""
        if self._epoll is None:
            return
        self._watched[sock.fileno()] = (sock, on_error)
        self._epoll.register(sock.fileno(), select.EPOLLET | select.EPOLLERR | select.EPOLLHUP)

    def forget(self, sock: socket.socket) -> None:
        """Before the descriptor is closed."""
        if self._epoll is None or self._watched.pop(sock.fileno(), None) is None:
            return
        try:
            self._epoll.unregister(sock.fileno())
        except OSError:
            pass  # closing a descriptor takes it out of epoll by itself

    def close(self) -> None:
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._watched.clear()

    def _ready(self) -> None:
        for fd, flags in self._epoll.poll(0):
            found = self._watched.get(fd)
            if found is None or not flags & select.EPOLLERR:
                continue  # EPOLLHUP alone: both sides have sent FIN
            sock, on_error = found
            try:
                number = take_error(sock)
                if number:
                    on_error(number)
            except Exception:  # an edge comes once: the others of this batch must not be lost with it
                logger.exception("fault in the watcher")
