"""One run of the suite: wstest, the peer it tests, and between them a proxy or nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import proxies
from bench.autobahn.verdicts import Verdict, Verdicts
from bench.tools import PYTHON, BenchError, Process, certificate, free_port
from wsinspect.model import Side

PEERS = Path(__file__).with_name("peers.py")
PEER_ENV = {"WEBSOCKETS_MAX_FRAGMENTS": "100000"}
"""Cases 9.3.1 and 9.4.1 send a message in 65,536 fragments; the library takes 4,096 unless told."""
STALL_S = 600
"""A run whose log stands still for so long is ended. The suite's own limit for a case is 480 s."""
RELAYS = ("relay", "late")
"""They leave the Host as it is, which wstest as a server compares with its own port."""
AGENT = "peer"
"""By this name the suite files its verdicts."""


def find_wstest() -> Path | None:
    """The program that WSTEST names, else `wstest` on PATH. Raises BenchError where WSTEST names none."""
    named = os.environ.get("WSTEST")
    found = shutil.which(named or "wstest")
    if named and found is None:
        raise BenchError(f"WSTEST={named}: there is no such program")
    return Path(found) if found else None


def versions(wstest: Path) -> str:
    """`Autobahn 0.10.9, AutobahnTestSuite 25.10.1`. Raises BenchError where it does not run."""
    told = subprocess.run([wstest, "-a"], capture_output=True, text=True, timeout=60, check=False)
    if told.returncode:
        raise BenchError(f"{wstest} does not run: {told.stderr.strip()[-300:]}")
    return ", ".join(told.stdout.split("\n")).strip(", ")


@dataclass
class Suite:
    """Runs cases with wstest as one side of each connection."""

    wstest: Path
    folder: Path
    """For specs, reports, captures and logs."""
    plays: Side
    """The side that is wstest's; the other is our echo peer's."""
    tls: bool = False

    def run(self, cases: Sequence[str], proxy: str | None) -> Verdicts:
        """The verdicts on `cases` (ids or patterns such as `4.1.*`), straight or through the proxy of that
        name in bench.proxies. Raises BenchError."""
        out = self.folder / "report"
        shutil.rmtree(out, ignore_errors=True)
        run = self._as_client if self.plays is Side.CLIENT else self._as_server
        spec = {"outdir": str(out), "cases": list(cases), "exclude-cases": [], "exclude-agent-cases": {}}
        run(spec, proxy)
        try:
            report = json.loads((out / "index.json").read_text())
        except FileNotFoundError:
            raise BenchError(f"wstest wrote no report: {self._log_tail()}") from None
        return {
            case: Verdict(told["behavior"], told["behaviorClose"])
            for case, told in report.get(AGENT, {}).items()
        }

    def _as_client(self, spec: dict[str, Any], proxy: str | None) -> None:
        """wstest -> proxy -> echo server."""
        echo = free_port()
        pair = [str(path) for path in certificate()[:2]] if self.tls else []
        with self._start_peer(str(echo), *pair) as server:
            server.listens(echo)
            with self._proxy(proxy, echo) as front:
                spec["servers"] = [{"agent": AGENT, "url": self._url(front.port)}]
                with self._start_wstest("fuzzingclient", spec) as fuzzer:
                    _wait(fuzzer, fuzzer)

    def _as_server(self, spec: dict[str, Any], proxy: str | None) -> None:
        """Echo client -> proxy -> wstest."""
        port = free_port()
        spec |= {"url": self._url(port), "webport": 0}
        if self.tls:
            spec["cert"], spec["key"] = (str(path) for path in certificate()[:2])
        with self._start_wstest("fuzzingserver", spec, "-u", "0") as fuzzer:
            fuzzer.listens(port)
            with self._proxy(proxy, port) as front:
                url = self._url(port if proxy in RELAYS else front.port)
                with self._start_peer(url, AGENT, str(front.port)) as client:
                    _wait(client, fuzzer)
                    if client.child.returncode:
                        raise BenchError(f"the fuzzing server cannot be asked: {client.tail()}")

    @contextmanager
    def _proxy(self, name: str | None, upstream: int) -> Iterator[proxies.Proxy]:
        """Raises BenchError at the end where wsinspect failed open: then the verdicts prove nothing."""
        capture = self.folder / "autobahn.wscap"
        with proxies.start(
            name or "direct", upstream, tls=self.tls, capture=capture, logs=self.folder
        ) as proxy:
            yield proxy
        if proxy.process and (fault := re.search(r"fault in connection .*", proxy.process.log.read_text())):
            raise BenchError(f"{name} met a fault of its own: {fault[0]}")

    def _start_peer(self, *arguments: str) -> Process:
        return Process("peer", [PYTHON, str(PEERS), *arguments], PEER_ENV, self.folder)

    def _start_wstest(self, mode: str, spec: dict[str, Any], *more: str) -> Process:
        path = self.folder / f"{mode}.json"
        path.write_text(json.dumps(spec))
        command = [str(self.wstest), "-m", mode, "-s", str(path), *more]
        return Process("wstest", command, {"PYTHONUNBUFFERED": "1"}, self.folder)

    def _url(self, port: int) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{port}"

    def _log_tail(self) -> str:
        return (self.folder / "wstest.log").read_text(errors="replace")[-500:]


def _wait(child: Process, fuzzer: Process) -> None:
    """Until `child` has ended. Raises BenchError where wstest stands still."""
    size, since = -1, 0.0
    while child.child.poll() is None:
        now = time.monotonic()
        if (grown := fuzzer.log.stat().st_size) != size:
            size, since = grown, now
            if "will run 0 test cases" in fuzzer.log.read_text(errors="replace")[:4000]:
                raise BenchError("the suite has no such cases")  # wstest itself would wait for ever
        elif now - since > STALL_S:
            raise BenchError(f"wstest stands still: {fuzzer.tail()}")
        time.sleep(0.1)
