"""Rules at the start: what they are, and every mistake in them before anything listens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.program import wsinspect
from tests.proxy.running import PROGRAM, RunningProxy, facts
from wsinspect.control.client import ControlClient
from wsinspect.model import Ruled

GOOD = """\
version: 1
rules:
  - id: fake-price
    when: {from: server, kind: text}
    then: [{set: {$.price: 1}}]
  - id: quiet
    enabled: false
    when: {kind: ping}
    then: [drop]
"""
BAD = """\
version: 1
rules:
  - id: one
    wen: {kind: text}
    then: [drop]
  - id: two
    then: [{dealy: 200ms}]
"""
PYTHON = """\
version: 1
rules:
  - {id: mine, when: {kind: text}, then: [{python: mine:shout}]}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    return path


def test_rules_are_told_at_the_start(rules: Path, tmp_path: Path) -> None:
    with RunningProxy(tmp_path / "a.wscap", ["regular"], "--rules", str(rules), "--shadow") as proxy:
        with ControlClient(proxy.process.pid) as control:
            status = control.rules()
            brief = control.status().rules
        assert [(each.id, each.enabled, each.hits) for each in status.rules] == [
            ("fake-price", True, 0),
            ("quiet", False, 0),
        ]
        assert status.rules[0].place == f"{rules}:3"
        assert "$.price" in status.rules[0].explain
        assert brief is not None
        assert (brief.count, brief.off, brief.shadow) == (2, 1, True)
        proxy.stop()
        assert f"2 rules of {rules}, in shadow: no traffic is touched\n" in proxy.stderr
        [ruled] = facts(proxy.events(), Ruled)
        assert (ruled.files, ruled.rules, ruled.off) == ([str(rules)], ["fake-price", "quiet"], ["quiet"])
        assert ruled.shadow


def test_a_proxy_without_rules_says_nothing_of_them(tmp_path: Path) -> None:
    with RunningProxy(tmp_path / "a.wscap", ["regular"]) as proxy:
        with ControlClient(proxy.process.pid) as control:
            assert control.rules().rules == ()
            assert control.status().rules is None
        proxy.stop()
        assert not facts(proxy.events(), Ruled)


@pytest.mark.parametrize(
    "words",
    [
        ["proxy", "-p", "0"],
        ["exec", "--", "true"],
        ["demo", "--headless", "--duration", "1"],
    ],
    ids=lambda words: words[0],
)
async def test_all_mistakes_are_told_and_nothing_listens(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    capture = tmp_path / "a.wscap"
    command, *rest = words
    done = await wsinspect(command, "--rules", str(path), "-w", str(capture), *rest)
    assert done.code == 2
    assert f"{path}:4:5: " in done.err
    assert "did you mean when?" in done.err
    assert f"{path}:7:13: " in done.err
    assert "did you mean delay?" in done.err
    assert "listening" not in done.err
    assert "Traceback" not in done.err
    assert not capture.exists()


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD)
    done = await wsinspect("proxy", "-p", "0", "--rules", str(tmp_path / "rule.yaml"))
    assert done.code == 2
    assert "no such file; did you mean" in done.err


async def test_python_only_where_it_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(PYTHON)
    (tmp_path / "mine.py").write_text("def shout(message):\n    return message.payload.upper()\n")
    done = await wsinspect("proxy", "-p", "0", "--rules", str(path))
    assert done.code == 2
    assert "--allow-python" in done.err
    with RunningProxy(tmp_path / "a.wscap", ["regular"], "--rules", str(path), "--allow-python") as proxy:
        assert proxy.stop() == 0


async def test_a_rule_file_in_the_config_file(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"rules: [{rules}]\nshadow: true\nno-reload: true\n")
    monkeypatch.setenv("WSINSPECT_CONFIG", str(config))
    with (
        RunningProxy(tmp_path / "a.wscap", ["regular"]) as proxy,
        ControlClient(proxy.process.pid) as control,
    ):
        status = control.rules()
        assert [each.id for each in status.rules] == ["fake-price", "quiet"]
        assert status.shadow


@pytest.mark.slow
async def test_the_demo_counts_hits(rules: Path, tmp_path: Path) -> None:
    done = await wsinspect("demo", "--headless", "--duration", "2", "--rules", str(rules))
    assert done.code == 0, done.err
    [line] = [line for line in done.out.splitlines() if line.strip().startswith("fake-price")]
    assert int(line.split()[1].replace(",", "")) > 5
    assert "changed" in line


@pytest.mark.slow
async def test_the_program_of_exec_gets_what_rules_leave(rules: Path, tmp_path: Path) -> None:
    """`exec --rules`: the options reach the proxy of its own."""
    code = "import os, json; print(json.dumps('HTTP_PROXY' in os.environ))"
    done = await wsinspect("exec", "--rules", str(rules), "--", PROGRAM[0], "-c", code)
    assert (done.code, json.loads(done.out)) == (0, True)
    assert f"2 rules of {rules}" not in done.out
