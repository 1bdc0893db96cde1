"""`uv run python -m bench.autobahn`: does a proxy change a verdict of the Autobahn test suite?"""

from __future__ import annotations

import argparse
import platform
import re
import signal
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

from bench.autobahn import report
from bench.autobahn.compare import MORE_RUNS, STRAIGHT_RUNS, compare
from bench.autobahn.report import Row
from bench.autobahn.suite import Suite, find_wstest, versions
from bench.tools import BUILD, BenchError

PAGE = Path(__file__).parents[2] / "docs" / "autobahn.md"
MARKS = ("<!-- table begins -->", "<!-- table ends -->")
RESULTS = BUILD / "autobahn.json"
GROUPS = ["1", "2", "3", "4", "5", "6", "7", "10"]


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the children end with us
    try:
        wstest = find_wstest()
        if wstest is None:
            raise BenchError(
                "no wstest: neither WSTEST names one nor is it on PATH (bench/autobahn/README.md)"
            )
        suite_versions = versions(wstest)
        rows = run(options, wstest)
    except BenchError as error:
        print(f"autobahn: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    if options.write:
        write(f"{_machine(suite_versions)}\n\n{report.table(report.load(RESULTS))}")
    return 1 if any(row.changed for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.autobahn", description=__doc__)
    parser.add_argument(
        "cases",
        nargs="*",
        type=_cases,
        metavar="CASES",
        help="groups (4), patterns (4.1.*) or cases; default: 1 to 7, 10",
    )
    parser.add_argument("--proxy", default="wsinspect", choices=["wsinspect", "stock", "relay"])
    parser.add_argument("--wstest-is", choices=list(report.SIDES), help="default: first client, then server")
    parser.add_argument("--tls", action="store_true", help="TLS on both legs")
    parser.add_argument("--straight", type=int, default=STRAIGHT_RUNS, metavar="N", help="runs without proxy")
    parser.add_argument("--again", type=int, default=MORE_RUNS, metavar="N", help="more runs of what differs")
    parser.add_argument("--write", action="store_true", help="put all results so far into docs/autobahn.md")
    return parser.parse_args()


def _cases(word: str) -> str:
    if not re.fullmatch(r"\d+(\.(\d+|\*)){0,3}", word):
        raise argparse.ArgumentTypeError(f"{word!r} is neither a group (4) nor a pattern (4.1.*) nor a case")
    return word


def run(options: argparse.Namespace, wstest: Path) -> list[Row]:
    """One row for each side that wstest plays. Raises BenchError."""
    groups: list[str] = options.cases or GROUPS
    rows = []
    for word, side in report.SIDES.items():
        if options.wstest_is not in (None, word):
            continue
        row = Row(
            proxy=options.proxy, cases=groups, plays=word, tls=options.tls, straight_runs=options.straight
        )
        with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
            row.fill(
                compare(
                    Suite(wstest, Path(folder), side, tls=options.tls),
                    [group if "." in group else f"{group}.*" for group in groups],
                    options.proxy,
                    straight_runs=options.straight,
                    more_runs=options.again,
                    tell=lambda text, word=word: print(f"wstest as {word}: {text}", file=sys.stderr),
                )
            )
        print(row, flush=True)
        report.keep(RESULTS, row)
        rows.append(row)
    return rows


def write(text: str) -> None:
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def _machine(suite_versions: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("wsinspect", "mitmproxy", "websockets"))
    return f"{date.today()}: {packages}, Python {platform.python_version()}; {suite_versions}."


if __name__ == "__main__":
    sys.exit(main())
