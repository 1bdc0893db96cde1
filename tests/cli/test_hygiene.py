"""What starts fast must not import what is slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

HEAVY = ("mitmproxy", "mitmproxy_rs", "textual", "rich", "asyncio", "cryptography")


def imported(code: str, *args: str) -> set[str]:
    script = f"{code}\nimport sys; print('modules', *sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *args], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("modules ")[2].split())


def test_importing_the_command_line() -> None:
    assert not imported("import wsinspect.cli").intersection(HEAVY)


@pytest.mark.parametrize(
    "command",
    [
        ["tail", "CAPTURE"],
        ["tail", "CAPTURE", "--format", "json"],
        ["proxy", "--help"],
        ["exec", "--help"],
        ["browser", "--help"],
        ["ca", "--help"],
    ],
)
def test_commands_without_a_screen(command: list[str], capture: Path) -> None:
    words = [str(capture) if word == "CAPTURE" else word for word in command]
    modules = imported("import sys; from wsinspect.cli import main; assert main(sys.argv[1:]) == 0", *words)
    assert not modules.intersection(HEAVY)
    assert "yaml" not in modules, "there is no config file"
    assert "wsinspect.cli.open" not in modules, "only the command that runs is imported"


def test_rules_are_checked_without_a_proxy(tmp_path: Path, capture: Path) -> None:
    rules = tmp_path / "a.yaml"
    rules.write_text("version: 1\nrules: [{id: r, when: {text: x}, then: [drop]}]\n")
    code = "import sys; from wsinspect.cli import main; assert main(sys.argv[1:]) == 0"
    for command in (["check", "--run-tests", str(rules)], ["test", str(rules), str(capture)]):
        assert not imported(code, "rules", *command).intersection(HEAVY)
