"""What a run needs: the load generator, a certificate, free ports, and processes that surely end."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
BUILD = HERE / "build"
MEMORY = Path("/dev/shm")
TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A sentence for whoever runs the benchmark."""


def build() -> Path:
    """The load generator, compiled where it is missing or older than its source. Raises BenchError."""
    BUILD.mkdir(exist_ok=True)
    program, source = BUILD / "wsload", HERE / "wsload.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise BenchError("a C compiler is needed (Debian: gcc libssl-dev zlib1g-dev)")
        command = [compiler, "-O2", "-march=native", "-o", program, source, "-lssl", "-lcrypto", "-lz"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise BenchError(f"the load generator does not build (libssl-dev zlib1g-dev?):\n{built.stderr}")
    return program


def certificate() -> tuple[Path, Path, Path]:
    """Certificate, key, and both in one file, for localhost."""
    BUILD.mkdir(exist_ok=True)
    cert, key, both = (BUILD / name for name in ("cert.pem", "key.pem", "both.pem"))
    if not both.exists():
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=localhost"]
        command = ["openssl", "req", *words, "-addext", names, "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True)
        both.write_bytes(cert.read_bytes() + key.read_bytes())
    return cert, key, both


def captures_folder() -> str | None:
    """Where captures go by default: in memory where 8 GiB of it are free, so that no disk is measured."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= 8 << 30:
        return str(MEMORY)
    return None


def touch_memory(folder: Path, nbytes: int = 2 << 30) -> None:
    """Write as much as one measurement puts into a capture, and delete it; nothing where that is a disk.

    A virtual machine gets its pages from the host when it touches them first, and gives them back some
    seconds after they are free: the next write of 1 MiB takes up to 35 ms [measured: 0.3 to 0.5 GB/s, and
    2.5 to 5 GB/s where the pages are there]. Without this the writer's pace is the host's.
    """
    if not folder.is_relative_to(MEMORY):
        return
    path, block = folder / "touched", bytes(1 << 20)
    nbytes = min(nbytes, shutil.disk_usage(folder).free // 2)
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(nbytes // len(block)):
                file.write(block)
    finally:
        path.unlink()


def allow_many_files() -> None:
    """As many descriptors as the system gives, for the children too: a proxy needs two a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Process:
    """A child with a log; it ends with the `with` block, and its children with it."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str] | None = None, logs: Path | None = None
    ) -> None:
        logs = logs or BUILD / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = logs / f"{name}.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **(env or {})}
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, number)
                self.child.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
            return

    def listens(self, port: int, limit_s: float = 30) -> None:
        """Wait until it accepts connections. Raises BenchError."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.child.returncode}: {self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise BenchError(f"{self.name} does not listen on {port}: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-500:]

    def cpu_s(self) -> float:
        """Processor time of the process itself, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_kb(self) -> int:
        """Resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def settle(self, limit_s: float = 5.0) -> None:
        """Wait until it has nothing to do."""
        deadline = time.monotonic() + limit_s
        before = self.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(0.15)
            after = self.cpu_s()
            if after - before < 0.03:
                return
            before = after


PYTHON = sys.executable
MITMDUMP = Path(sys.executable).with_name("mitmdump")
