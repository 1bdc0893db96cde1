"""`wsinspect transparent rules`: commands on stdout, nothing else; tests/modes runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tools import need
from wsinspect.cli import main
from wsinspect.cli.redirects import Redirect, Tool, commands


@pytest.fixture(autouse=True)
def _no_proxy_runs(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    """The port of one in transparent mode would be taken."""
    (runtime / "none").mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "none"))


def rules(capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    assert main(["transparent", "rules", *line.split()]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_nft_for_an_interface(capsys: pytest.CaptureFixture[str]) -> None:
    lines = rules(capsys, "--tool nft -i eth1 -p 9000 --ports 80,443,8443")
    assert lines[-1].endswith('iifname "eth1" tcp dport { 80, 443, 8443 } redirect to :9000\'')
    assert "sysctl -w net.ipv4.ip_forward=1" in lines


def test_undo_takes_our_table_only(capsys: pytest.CaptureFixture[str]) -> None:
    lines = rules(capsys, "--tool nft -i eth1 --undo")
    assert [line for line in lines if not line.startswith("#")] == ["nft delete table inet wsinspect"]


def test_iptables_undo_mirrors_what_was_added(capsys: pytest.CaptureFixture[str]) -> None:
    added = rules(capsys, "--tool iptables --user proxy -p 9000")
    taken = rules(capsys, "--tool iptables --user proxy -p 9000 --undo")
    assert taken == [line.replace(" -A ", " -D ") for line in added]
    assert len(added) == 2


def test_pf_names_both_families_and_goes_back_to_its_own_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    added = "\n".join(rules(capsys, "--tool pf -i en0"))
    assert "rdr pass on en0 inet proto tcp to any port { 80, 443 } -> 127.0.0.1 port 8080" in added
    assert "rdr pass on en0 inet6" in added
    assert rules(capsys, "--tool pf -i en0 --undo")[0] == "pfctl -f /etc/pf.conf"


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("interface", ["eth1", None])
@pytest.mark.parametrize("tool", [Tool.NFT, Tool.IPTABLES])
def test_a_shell_reads_every_line(tool: Tool, interface: str | None, undo: bool) -> None:
    lines = commands(tool, Redirect(port=1, ports=(80,), interface=interface, user="me"), undo=undo)
    subprocess.run([need("sh"), "-nc", "\n".join(lines)], check=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["COMMAND"]),
        ("rulez", ["did you mean rules?"]),
        ("rules -i eth0;reboot", ["'eth0;reboot'", "not the name"]),
        ("rules --user $(id)", ["'$(id)'"]),
        ("rules -i -x", ["expected one argument"]),
        ("rules --user me -i eth0", ["not allowed with"]),
        ("rules --ports 80,", ["''"]),
        ("rules -p 0", ["1 to 65535"]),
        ("rules --tool ntf", ["did you mean nft?"]),
        ("rules --tool pf --user me", ["--mode local"]),
    ],
)
def test_mistakes(line: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transparent", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for word in words:
        assert word in err
