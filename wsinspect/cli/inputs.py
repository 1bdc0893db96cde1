"""Where a command reads records from: a file, stdin, or what a running proxy captures."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wsinspect.capture import locks
from wsinspect.capture.format import MAGIC
from wsinspect.capture.reader import Reader
from wsinspect.cli.narration import say
from wsinspect.control.client import ControlClient
from wsinspect.control.paths import is_address
from wsinspect.control.protocol import CaptureMoved
from wsinspect.errors import Unavailable, WsinspectError
from wsinspect.model import Record

type Place = tuple[Path, int, int]
"""A capture, a position in it, and where the one before it ends: as `Reader.go_on` takes them."""

_CHUNK_BYTES = 1 << 16
"""Less than the reader takes at once, so that nothing waits for the next chunk."""
_DAMAGES_SAID = 10


@dataclass(slots=True)
class Input:
    """A capture to print."""

    reader: Reader
    over: Callable[[], bool]
    """Whether what is there now is all there will be. May wait for more."""
    moved: Callable[[], Place | None] = lambda: None
    """Where the records go on, once they do elsewhere."""
    said: int = 0

    def read(self) -> list[tuple[int, Record]]:
        """The next records, wherever they are; [] when nothing is new."""
        while (place := self.moved()) is not None:
            self.reader.go_on(*place)
        return self.reader.read()

    def say_damage(self) -> None:
        """Tell what was skipped since the last call."""
        for sentence in self.reader.damage[self.said : _DAMAGES_SAID]:
            say(f"{self.reader.path}: {sentence}")
        self.said = self.reader.damaged

    def damaged(self) -> bool:
        """Tell the rest of the damage, at the end; whether there was any."""
        self.say_damage()
        if self.said > _DAMAGES_SAID:
            say(f"{self.reader.path}: and {self.said - _DAMAGES_SAID} more places like that")
        if torn := self.reader.cut_off_bytes:
            say(f"{self.reader.path}: its last {torn} bytes are not a whole record; the writer was cut off")
            return True
        return self.said > 0


@contextmanager
def open_input(word: str, *, follow: bool) -> Iterator[Input]:
    """The capture that `word` means. Raises NotFound, NotACapture, ProxyUnreachable, Unavailable."""
    if word == "-":
        with _stdin() as source:
            yield source
    elif is_address(word):
        with ControlClient(word) as client, Moves(client) as moves, Reader(capture_of(client)) as reader:
            over = _proxy_is_gone(client, reader) if follow else lambda: True
            yield Input(reader, over, moves.take)
    else:
        with Reader(Path(word)) as reader:
            yield Input(reader, lambda: not follow)


def capture_of(client: ControlClient) -> Path:
    """Where a proxy's records begin. Raises Unavailable where it keeps none."""
    found = client.info.saved or client.info.capture
    if found is None:
        raise Unavailable(f"the proxy {client.info.pid} has no capture")
    return Path(found)


class Moves:
    """The places to which a proxy's records move, from those of now on."""

    def __init__(self, client: ControlClient) -> None:
        self._events = client.watch(attached=False)
        self._places: list[Place] = []
        self._ended = False
        info = client.info
        if info.capture is not None and info.saved not in (None, info.capture):
            self._places.append((Path(info.capture), info.capture_position, info.capture_left))

    def take(self) -> Place | None:
        """The next one, if there is one."""
        while not self._ended:
            try:
                event = self._events.next(timeout_s=0)
            except WsinspectError:
                self._ended = True
                break
            if event is None:
                break
            if isinstance(event, CaptureMoved):
                self._places.append((Path(event.path), event.position, event.left))
        return self._places.pop(0) if self._places else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()


def _proxy_is_gone(client: ControlClient, reader: Reader) -> Callable[[], bool]:
    """A proxy closes its control socket before the capture's last records are written: wait for both."""
    return lambda: client.gone() and not reader.is_written()


@contextmanager
def _stdin() -> Iterator[Input]:
    """A Reader wants a file to seek in, so what comes is spooled, under the lock of a live capture."""
    with tempfile.NamedTemporaryFile(prefix="wsinspect-", suffix=".wscap") as spool:
        locks.try_lock(spool.fileno())

        def spool_more() -> bool:
            chunk = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
            spool.write(chunk)
            spool.flush()
            if not chunk:
                fcntl.flock(spool.fileno(), fcntl.LOCK_UN)  # what is torn now stays torn
            return not chunk

        while spool.tell() < len(MAGIC) and not spool_more():
            pass  # the magic must be whole before the file can be called a capture
        first = True

        def over() -> bool:
            nonlocal first
            if first:  # what came with the magic is printed before we wait for more
                first = False
                return False
            return spool_more()

        with Reader(Path(spool.name)) as reader:
            yield Input(reader, over)
