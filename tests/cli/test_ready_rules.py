"""The ready rule files: each loads, passes its own tests, and runs against the demo."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Program as StartProgram

FOLDER = Path(__file__).parents[2] / "rules"
FILES = sorted(FOLDER.glob("*.yaml"))
ACT_AT_ONCE = {"captive-portal", "fake-prices", "flaky-mobile", "slow-consumer", "strip-compression"}
"""Of these the first two seconds of the demo must show a hit."""


def test_there_are_a_dozen_and_the_page_names_each() -> None:
    page = (FOLDER / "README.md").read_text()
    assert len(FILES) >= 12
    assert [path.name for path in FILES if f"({path.name})" not in page] == []
    assert [path.name for path in FILES if not path.read_text().startswith("# ")] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_own_tests_pass(path: Path) -> None:
    words = [sys.executable, "-m", "wsinspect", "rules", "check", "--run-tests", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* tests?: [1-9]\d* passed, 0 failed$", done.stdout, re.M), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_runs_against_the_demo(path: Path, program: StartProgram) -> None:
    with program("demo", "--headless", "--duration", "2", "--rules", path) as child:
        out, err = child.communicate(timeout=90)
    assert child.returncode == 0, err
    assert b"Traceback" not in err
    hits = re.search(r"^rule hits +(\d+)", out.decode(), re.M)
    assert hits, out
    if path.stem in ACT_AT_ONCE:
        assert int(hits[1]) > 0
