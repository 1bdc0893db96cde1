"""`uv run python -m bench`: interleaved rounds, and docs/performance.md."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from bench import proxies, report
from bench.measure import Result, measure
from bench.proxies import Proxy
from bench.rows import ROWS, Row
from bench.tools import (
    BenchError,
    Process,
    allow_many_files,
    build,
    captures_folder,
    certificate,
    free_port,
    touch_memory,
)
from wsinspect.errors import ProxyUnreachable

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
MARKS = ("<!-- table begins -->", "<!-- table ends -->")


def main() -> int:
    options = _options()
    rows = [row for row in ROWS if not options.rows or row.key in options.rows]
    names = options.proxies or proxies.available()
    results: dict[str, dict[str, list[Result]]] = {row.key: defaultdict(list) for row in rows}
    allow_many_files()
    try:
        where = options.captures or captures_folder()
        with tempfile.TemporaryDirectory(dir=where, prefix="wsinspect-bench-") as folder:
            for chosen in alike(rows):
                run(chosen, names, results, Path(folder), options.rounds, options.duration)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    text = report.table(rows, names, results)
    print(text)
    if options.write:
        write(text)
    return 1 if any("missed" in report.verdict(row, results) for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rows", nargs="*", metavar="ROW", help=", ".join(row.key for row in ROWS))
    parser.add_argument("--proxies", nargs="*", metavar="NAME", help="default: all that can run here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=1.2, help="seconds of each measurement")
    parser.add_argument(
        "--captures", help="folder for the captures (default: memory, else the temporary folder)"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args()


def alike(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows that one proxy can serve, in their order; one that is killed cannot tell what it dropped."""
    groups: dict[tuple[bool, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.tls, row.rules, row.measure == "lag_ms"].append(row)
    return [*groups.values()]


def run(
    rows: list[Row],
    names: list[str],
    results: dict[str, dict[str, list[Result]]],
    folder: Path,
    rounds: int,
    duration_s: float,
) -> None:
    """All rounds of rows that are alike, the proxies fresh in each."""
    port, tls, rules = free_port(), rows[0].tls, rows[0].rules
    cert, key, _ = certificate()
    words = [str(build()), "server", "--port", str(port)]
    with Process("server", [*words, *(["--cert", str(cert), "--key", str(key)] if tls else [])]) as server:
        server.listens(port)
        for number in range(1, rounds + 1):
            capture = folder / "bench.wscap"
            with ExitStack() as started:
                running = [
                    started.enter_context(proxies.start(name, port, tls=tls, rules=rules, capture=capture))
                    for name in names
                ]
                often = [row for row in rows for _ in range(row.times)]
                for row, proxy in itertools.product(often, running):
                    if row.fits(number, has_process=proxy.process is not None, captures=bool(proxy.capture)):
                        one(number, row, proxy, results, duration_s)


def one(
    number: int,
    row: Row,
    proxy: Proxy,
    results: dict[str, dict[str, list[Result]]],
    duration_s: float,
) -> None:
    """One row of one proxy; the next one follows when it rests."""
    try:
        if proxy.capture is not None:
            touch_memory(proxy.capture.parent)
        result = measure(row, proxy, duration_s=duration_s)
        if row.measure != "lag_ms":  # which kills the proxy
            result.dropped = proxy.newly_dropped()
    except (BenchError, ProxyUnreachable) as error:
        print(f"bench: {error}", file=sys.stderr)
        return
    results[row.key][proxy.name].append(result)
    cost = f"  {result.us_per_message:.2f} us/message" if result.us_per_message else ""
    cost += f"  {result.dropped:,} reads dropped" if result.dropped else ""
    print(f"round {number}  {proxy.name:10} {row.key:9} {result.value:14,.1f}{cost}", file=sys.stderr)
    if proxy.process is not None and row.measure != "lag_ms":
        proxy.process.settle()


def write(text: str) -> None:
    """Replace the table in docs/performance.md."""
    page = PAGE.read_text()
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{report.machine()}\n\n{text}\n\n{MARKS[1]}{after}")


if __name__ == "__main__":
    sys.exit(main())
