"""The program as a user runs it: its commands as processes, their output and exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.running import PROGRAM, TIMEOUT_S, stop

type Line = dict[str, Any]


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[Line]:
        """stdout as NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]


async def wsinspect(*words: str, program: list[str] | None = None) -> Done:
    """Run a command to its end; the test's own peers go on meanwhile."""
    return await asyncio.to_thread(_run, [*(program or PROGRAM), *words])


def _run(words: list[str]) -> Done:
    ended = subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


async def tail(capture: Path, target: str, *words: str) -> list[Line]:
    """What `tail --format json` prints of the connections to `target`."""
    done = await wsinspect("tail", str(capture), "--format", "json", *words)
    assert (done.code, done.err) == (0, "")
    return connection_lines(done.lines(), target)


def connection_lines(lines: list[Line], target: str) -> list[Line]:
    """Those of the connections to `target`, by their `open` or `error` line."""
    conns = {line["conn"] for line in lines if (line.get("request") or {}).get("target") == target}
    return [line for line in lines if line["conn"] in conns]


async def until(condition: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError("it did not come") from None


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A measured figure, for whoever reads the log of the tests."""
    with capsys.disabled():
        sys.stdout.write(f"[{text}] ")
        sys.stdout.flush()


class Background:
    """A process whose output is read as it comes."""

    def __init__(self, words: list[str]) -> None:
        self.output: list[tuple[float, str]] = []
        """Lines of stdout and stderr, with the time (monotonic) at which each came."""
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append((time.monotonic(), line.rstrip("\n")))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.output)

    async def until(self, condition: Callable[[str], bool]) -> tuple[float, str]:
        """The first line that fulfils `condition`, and when it came."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    for stamp, line in list(self.output):
                        if condition(line):
                            return stamp, line
                    assert self.process.poll() is None, self.text
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(self.text) from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and its exit code."""
        return stop(self.process, number, self.process.stdout, self._reading)

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
