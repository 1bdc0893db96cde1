from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.conftest import proxy, runtime
from wsinspect.capture.writer import Writer
from wsinspect.model import Closed, Ended, FactRecord, How, Opened, Read, Record, Requested, Side

__all__ = ["proxy", "runtime"]

ROOT = Path(__file__).parents[2]
type Program = Callable[..., subprocess.Popen[bytes]]


def read(data: bytes, side: Side = Side.SERVER, *, offset: int = 0, frame: int = 1, t_ns: int = 5) -> Read:
    return Read(1, side, t_ns, data, offset, frame)


def session() -> list[Record]:
    """A connection: hello both ways, a ping, a Close, FIN."""
    return [
        FactRecord(1, 1, Requested(url="ws://host/chat", client=("127.0.0.1", 5000))),
        FactRecord(1, 2, Opened(server=("127.0.0.1", 80))),
        read(b"\x81\x85\0\0\0\0hello", Side.CLIENT, t_ns=3),
        read(b"\x81\x02hi\x89\x01p", t_ns=4),
        read(b"\x88\x02\x03\xe8", offset=7, frame=3, t_ns=5),
        FactRecord(1, 6, Ended(side=Side.SERVER, how=How.FIN)),
        FactRecord(1, 7, Closed(frames=(1, 3), wire_bytes=(11, 11))),
    ]


def write_capture(path: Path, records: list[Record] | None = None) -> Path:
    writer = Writer(path)
    for record in session() if records is None else records:
        writer.append(record)
    writer.close()
    return path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_capture(tmp_path / "a.wscap")


@pytest.fixture
def program(runtime: Path) -> Program:
    """Start `wsinspect ARGS...` as a process of its own; it must end before the test does."""

    def start(*args: str | Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "wsinspect", *map(str, args)],
            cwd=ROOT,
            env=os.environ | {"PYTHONWARNINGS": "error::ResourceWarning"},
            stdin=stdin,
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start
