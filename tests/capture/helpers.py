"""What the capture's tests share."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from wsinspect.capture.format import MAGIC, Segment, encode, segment_record
from wsinspect.capture.reader import Reader
from wsinspect.model import Read, Record, Side


def wait_until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait for a condition; fail where it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


def read_all(path: Path, max_bytes: int = 1 << 20) -> list[Record]:
    """The records of a capture, without the clock pairs."""
    with Reader(path) as reader:
        return [record for _, record in drain(reader, max_bytes) if type(record).__name__ != "Clock"]


def drain(reader: Reader, max_bytes: int = 1 << 20) -> list[tuple[int, Record]]:
    found = []
    while records := reader.read(max_bytes):
        found += records
    return found


def capture_bytes(records: Iterable[Record]) -> bytes:
    """A capture as it would stand in a file."""
    parts = [MAGIC, segment_record(Segment(10**18, 0, 1, "host", "0", 1))]
    for record in records:
        parts += encode(record)
    return b"".join(parts)


def reads(count: int, size: int = 70, conn: int = 1, side: Side = Side.CLIENT) -> list[Read]:
    """Consecutive reads with recognisable data, one frame each."""
    return [
        Read(conn, side, n + 1, (b"%08d" % n).ljust(size, b"."), offset=n * size, frame=n + 1)
        for n in range(count)
    ]


def start_python(code: str, *arguments: object, stdin: int | None = None) -> subprocess.Popen[str]:
    """Another interpreter that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
