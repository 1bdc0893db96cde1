"""The proxies under test: how each is started in front of a server."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.tools import BUILD, HERE, MITMDUMP, PYTHON, Process, certificate, free_port
from wsinspect.control.client import ControlClient

HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port} {bind}
  default_backend back
backend back
  server server 127.0.0.1:{upstream} {verify}
"""


@dataclass
class Proxy:
    """One running proxy, or none (`direct`)."""

    name: str
    port: int
    process: Process | None
    headers: list[str] = field(default_factory=list)
    """More arguments for the load client."""
    capture: Path | None = None
    """What wsinspect writes."""
    ruled: bool = False
    """It runs with rules."""
    dropped: int = 0
    """Reads that its capture lacked when it was asked last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def newly_dropped(self) -> int:
        """Reads that wsinspect's capture lacks since it was asked last. Raises ProxyUnreachable."""
        if self.capture is None or self.process is None:
            return 0
        before = self.dropped
        with ControlClient(self.process.pid) as control:
            self.dropped = control.status().gaps
        return self.dropped - before


def available() -> list[str]:
    """Baselines that can run here, wsinspect last."""
    names = ["direct", "relay"]
    if shutil.which("haproxy"):
        names.append("haproxy")
    if shutil.which("node") and (BUILD / "node_modules" / "mockttp").is_dir():
        names.append("mockttp")
    return [*names, "stock", "wsinspect"]


def start(
    name: str, upstream: int, *, tls: bool, capture: Path, rules: str = "", logs: Path | None = None
) -> Proxy:
    """Raises BenchError where it does not come up.

    `rules`: a file of `bench/rules`, for wsinspect alone. `logs`: the folder for its log.
    """
    if name == "direct":
        return Proxy(name, upstream, None)
    port = free_port()
    command = _command(name, port, upstream, tls=tls, capture=capture)
    ruled = bool(rules) and name == "wsinspect"
    if ruled:
        command += ["--rules", str(HERE / "rules" / rules)]
    process = Process(name, command, {"BENCH_NODE": str(BUILD)}, logs)
    try:
        process.listens(port)
    except Exception:
        process.stop()
        raise
    return Proxy(name, port, process, capture=capture if name == "wsinspect" else None, ruled=ruled)


def _command(name: str, port: int, upstream: int, *, tls: bool, capture: Path) -> list[str]:
    cert, key, both = certificate()
    scheme = "https" if tls else "http"
    reverse = f"reverse:{scheme}://127.0.0.1:{upstream}"
    match name:
        case "wsinspect":
            capture.unlink(missing_ok=True)
            words = ["-m", "wsinspect", "proxy", "-m", reverse, "-p", str(port), "-k", "-w", str(capture)]
            return [PYTHON, *words]
        case "stock":
            words = ["-m", reverse, "-p", str(port), "--listen-host", "127.0.0.1", "-q", "-k"]
            return [str(MITMDUMP), *words, "--set", "flow_detail=0", "--set", "termlog_verbosity=error"]
        case "relay":
            return [PYTHON, str(HERE / "baselines" / "relay.py"), str(port), str(upstream)]
        case "late":
            return [PYTHON, str(HERE / "autobahn" / "late.py"), str(port), str(upstream)]
        case "haproxy":
            config = BUILD / "haproxy.cfg"
            bind, verify = (f"ssl crt {both}", "ssl verify none") if tls else ("", "")
            config.write_text(HAPROXY.format(port=port, upstream=upstream, bind=bind, verify=verify))
            return ["haproxy", "-f", str(config), "-db"]
        case "mockttp":
            script = str(HERE / "baselines" / "mockttp.js")
            return ["node", script, str(port), str(upstream), "wss" if tls else "ws", str(cert), str(key)]
    raise ValueError(name)
