"""The tutorial of docs/rules.md, done as it says: its files, its commands, and what they print."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.control.conftest import runtime
from tests.rules.test_schema import fits
from wsinspect.cli import main

__all__ = ["runtime"]

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "rules.md").read_text().partition("\n## Reference\n")[0]
BLOCK = re.compile(r"^(?:<!-- ([\w ]+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

OFF = {"to-my-machine"}
"""Rules that the tutorial has switched off."""
WITHOUT_TESTS = {"completed.yaml"}


class Block(NamedTuple):
    note: str
    """The comment in front of it."""
    language: str
    text: str


BLOCKS = [Block(*found.groups("")) for found in BLOCK.finditer(TUTORIAL)]


def _files() -> dict[str, str]:
    """What the blocks with a file's name in their first line contain, by that name."""
    named = [(re.match(r"# lab/(\S+)\n", each.text), each) for each in BLOCKS if each.language in NAMED]
    return {found[1]: each.text for found, each in named if found}


NAMED = ("yaml", "python")
FILES = _files()
RULE_FILES = [name for name in FILES if name.endswith(".yaml")]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the reader works in."""
    monkeypatch.chdir(tmp_path)
    Path("lab").mkdir()
    for name, text in FILES.items():
        Path("lab", name).write_text(text)
    return tmp_path


def test_every_block_is_a_file_or_a_session() -> None:
    assert len(FILES) == sum(each.language in NAMED for each in BLOCKS) > 10
    assert {each.language for each in BLOCKS} <= {*NAMED, "console", "sh"}


@pytest.mark.parametrize("name", RULE_FILES)
def test_the_tests_of_a_file_pass(name: str, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["rules", "check", "--run-tests", "--allow-python", f"lab/{name}"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    passed = re.search(r"^(\d+) tests?: \1 passed, 0 failed$", out, re.MULTILINE)
    assert passed, out
    assert (int(passed[1]) == 0) == (name in WITHOUT_TESTS)
    assert fits(FILES[name]), "an editor would underline it"


def test_the_files_get_on_with_each_other(lab: Path) -> None:
    assert main(["rules", "check", "--allow-python", "lab"]) == 0


@pytest.mark.slow
def test_the_sessions_print_what_they_show(
    lab: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All in one folder, in order; then every rule has something to do in the demo."""
    tool = lab / "bin" / "wsinspect"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m wsinspect "$@"\n')
    tool.chmod(0o755)
    environment = os.environ | {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    code = 0
    for block in BLOCKS:
        if block.language == "console":
            for command, shown in _commands(block.text):
                line = f"exec 2>&1; (exit {code}); {command}"
                done = subprocess.run(
                    ["bash", "-c", line], env=environment, stdout=subprocess.PIPE, text=True, timeout=60
                )
                code = done.returncode
                vary = block.note == "numbers vary"
                assert _is_shown(done.stdout, shown, vary), f"$ {command}\n{done.stdout}"
    for name in RULE_FILES:
        assert main(["rules", "test", "--allow-python", "--format=json", f"lab/{name}", "plain.wscap"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        hits = {line["id"]: line["hits"] for line in lines if line["kind"] == "rule"}
        assert {rule for rule, count in hits.items() if count == 0} <= OFF, name


def _commands(session: str) -> list[tuple[str, str]]:
    """Each command of a session, and the output shown for it."""
    return [(each[0], each[1]) for each in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)]


def _is_shown(output: str, shown: str, numbers_vary: bool) -> bool:
    """A line of nothing but `…` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "…\n" else re.escape(_levelled(line, numbers_vary))
        for line in shown.splitlines(keepends=True)
    )
    lines = output.splitlines(keepends=True)
    return re.fullmatch(pattern, "".join(_levelled(line, numbers_vary) for line in lines)) is not None


def _levelled(line: str, numbers_vary: bool) -> str:
    """Without what differs from run to run: the time of day, the connection, and numbers where they vary."""
    line = re.sub(r"\d\d:\d\d:\d\d\.\d{3} +#\d+", "TIME #N", line)
    return re.sub(r" +", " ", re.sub(r"\d[\d,]*", "N", line)) if numbers_vary else line
