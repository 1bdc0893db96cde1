"""A real proxy process for tests, and what its capture says."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import Event, FactEvent, Timeline
from wsinspect.model import Closed, Failed, Requested

TIMEOUT_S = 20.0
PROGRAM = [sys.executable, "-m", "wsinspect"]


def close_read(pipe: IO[str] | None, reading: threading.Thread) -> None:
    """Close the pipe of a process that has ended, and that a thread has read to its end.

    Where a process that was left behind still holds it, `close` would wait for that thread, and no signal
    ends such a wait: the test fails instead.
    """
    reading.join(TIMEOUT_S)
    assert not reading.is_alive(), "a process that was left behind holds the pipe"
    assert pipe is not None
    pipe.close()


def stop(process: subprocess.Popen[str], number: int, pipe: IO[str] | None, reading: threading.Thread) -> int:
    """End a process by a signal, and its exit code. `reading` reads the pipe."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        close_read(pipe, reading)


class RunningProxy:
    """`wsinspect proxy …` as a child process; one port for each mode."""

    def __init__(
        self, capture: Path, modes: list[str], *arguments: str, program: list[str] | None = None
    ) -> None:
        """With `--no-save` among the arguments the proxy is not told of `capture`."""
        words = [f"--mode={mode}" for mode in modes]
        if "--no-save" not in arguments:
            words += ["-w", str(capture)]
        self._start(capture, [*(program or [*PROGRAM, "proxy"]), *words, "-p", "0", *arguments])
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.ports) < len(modes) and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.ports) == len(modes), self.stderr

    def _start(self, capture: Path, words: list[str]) -> None:
        self.capture = capture
        self.ports: list[int] = []
        self._reader: Reader | None = None
        self._timeline = Timeline()
        self._events: list[Event] = []
        self._places: defaultdict[int, list[int]] = defaultdict(list)
        """By connection, of its events."""
        self._conns: defaultdict[str, dict[int, None]] = defaultdict(dict)
        """By target, the connections that asked for it."""
        self.stderr = ""
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._reading = threading.Thread(target=self._read_stderr, daemon=True)
        self._reading.start()

    @property
    def port(self) -> int:
        return self.ports[0]

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line
            if line.startswith("listening on "):
                self.ports.append(int(line.split()[2].rpartition(":")[2]))

    def __enter__(self) -> RunningProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and its exit code."""
        return stop(self.process, number, self.process.stderr, self._reading)

    def events(self, target: str | None = None) -> list[Event]:
        """What a reader of the capture sees so far; of the connections to `target` alone, if given."""
        if self._reader is None:
            self._reader = Reader(self.capture)
        while batch := self._reader.read():
            for _, record in batch:
                for event in self._timeline.feed(record):
                    self._keep(event)
        assert not self._reader.damage
        if target is None:
            return list(self._events)
        found = heapq.merge(*(self._places[conn] for conn in self._conns[target]))
        return [self._events[place] for place in found]

    def _keep(self, event: Event) -> None:
        """By connection too: tests ask one proxy every few milliseconds about a few events of thousands."""
        self._places[event.conn].append(len(self._events))
        self._events.append(event)
        if isinstance(event, FactEvent) and isinstance(event.fact, Requested):
            self._conns[event.fact.target][event.conn] = None

    async def until(self, condition: Callable[[list[Event]], bool], target: str | None = None) -> list[Event]:
        """Wait until the capture's events fulfil `condition`."""
        events: list[Event] = []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not condition(events := self.events(target)):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError("\n".join(map(repr, events[-20:])) + "\n" + self.stderr) from None
        return events

    async def over(self, target: str | None = None, count: int = 1) -> list[Event]:
        """Wait until that many connections have ended or failed."""
        return await self.until(
            lambda events: len(facts(events, Closed)) + len(facts(events, Failed)) >= count, target
        )


def facts[T](events: list[Event], kind: type[T]) -> list[T]:
    return [event.fact for event in events if isinstance(event, FactEvent) and isinstance(event.fact, kind)]


def trusting() -> ssl.SSLContext:
    """A client's context that asks no questions: the proxy's CA is not installed here.

    A default one would read all CAs of the machine first, which takes 30 ms each time.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def free_port() -> int:
    """A port for later: below those that the kernel gives to whoever connects or asks for any.

    Tests with thousands of connections would take it before the one that asked listens there.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _own_ports() -> Iterator[int]:
    """Each once before one comes again; other ones for each worker, and for each run most likely."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count, first = 2000, 16_000 + worker % 8 * 2000
    start = os.getpid() * 41 % count
    return itertools.cycle(first + (start + step) % count for step in range(count))


_PORTS = _own_ports()
