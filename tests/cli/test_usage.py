"""Every way to mistype a command line: a sentence with the nearest valid name, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsinspect import __version__
from wsinspect.cli import commands, main
from wsinspect.cli.config import parse
from wsinspect.cli.parser import Parser, seconds


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tial a.wscap", ["'tial'", "did you mean tail?"]),
        ("xyzzy", ["'xyzzy'", "wsinspect --help"]),
        ("help nope", ["'nope'"]),
        ("tail", ["SOURCE", "wsinspect tail --help"]),
        ("tail a b", ["'b'", "one word too many"]),
        ("tail --fomat json a", ["--fomat", "did you mean --format?"]),
        ("tail --format jsn a", ["'jsn'", "text, json", "did you mean json?"]),
        ("tail --frame a", ["--frame", "did you mean --frames?"]),
        ("proxy --listen-prot 80", ["--listen-prot", "did you mean --listen-port?"]),
        ("proxy -p 65536", ["'65536'", "0 to 65535"]),
        ("proxy -p -1", ["'-1'", "0 to 65535"]),
        ("proxy --set x", ["'x'", "NAME=VALUE"]),
        ("proxy --set =x", ["'=x'", "NAME=VALUE"]),
        ("proxy --path raw", ["'raw'", "auto, layer"]),
        ("--mod regular", ["--mod", "did you mean --mode?", "wsinspect run --help"]),
        ("demo --duration -3", ["duration"]),
        ("demo --duration soon", ["'soon'", "seconds"]),
        ("ctl", ["COMMAND"]),
        ("ctl statsu", ["'statsu'", "did you mean status?"]),
        ("ctl send x hello", ["'x'", "CONN"]),
        ("ctl send 1 hello --opcode pin", ["'pin'", "did you mean ping?"]),
        ("ctl close 1 --sid client", ["--sid", "did you mean --side?"]),
        ("ctl close 1 --code 70000", ["70000"]),
        ("ctl hold", ["ACTION is missing", "list, release, edit", "wsinspect ctl hold --help"]),
        ("ctl hold --proxy 7", ["ACTION is missing", "list, release, edit", "wsinspect ctl hold --help"]),
        ("ctl --proxy 7", ["COMMAND is missing", "status, stop, send"]),
        ("ctl status 7 --proxy 8", ["--proxy", "ADDRESS"]),
        ("ctl status --opcode ping", ["--opcode", "belongs behind ctl send", "wsinspect ctl status --help"]),
        ("ctl --format json status", ["belongs behind ctl status, ctl rules, ctl reload or ctl hold list"]),
        ("ctl --fomat json status", ["--fomat", "did you mean --format?"]),
        ("ctl hold list --prox 7", ["--prox", "did you mean --proxy?", "wsinspect ctl hold list --help"]),
        ("captures", ["COMMAND is missing", "list, purge"]),
        ("captures --no-config", ["COMMAND is missing", "list, purge"]),
        ("captures --format json list", ["belongs behind captures list;"]),
        ("captures list --all", ["--all", "belongs behind captures purge;"]),
        ("rules check --diffs=3 x", ["--diffs", "belongs behind rules test;"]),
        ("transparent", ["COMMAND is missing", "rules;"]),
        ("transparent --user me", ["--user", "belongs behind transparent rules;"]),
        ("transparent -i eth0 rules", ["no option -i here", "belongs behind transparent rules;"]),
        ("transparent rules rules", ["'rules'", "one word too many"]),
        ("ca --foo", ["no option --foo; see wsinspect ca --help"]),
    ],
)
def test_a_mistake_gets_a_sentence(line: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wsinspect: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    "line",
    [
        "ctl --proxy 7 hold list",
        "ctl hold --proxy 7 list",
        "ctl hold list --proxy 7",
        "ctl --proxy 5 hold --proxy 6 list --proxy=7",
        "ctl status --proxy 7",
        "ctl --proxy 7 status --no-config",
        "ctl --no-config stop 7",
    ],
)
def test_the_proxy_may_be_named_behind_each_word(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`ctl status --proxy 7` said `there is no option --proxy; did you mean --proxy?`."""
    config = tmp_path / "config.yaml"
    config.write_text("ctl: {proxy: 4}")
    monkeypatch.setenv("WSINSPECT_CONFIG", str(config))
    words = line.split()[1:]
    args = parse("ctl", commands.load("ctl").parser, words)
    assert args.proxy == "7"
    assert parse("ctl", commands.load("ctl").parser, ["hold", "list"]).proxy == "4"
    assert parse("ctl", commands.load("ctl").parser, ["hold", "list", "--no-config"]).proxy is None


def test_hidden_options_are_never_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proxy", "--ready-fds", "3"]) == 2
    assert "did you mean --ready-fd" not in capsys.readouterr().err
    assert main(["proxy", "--help"]) == 0
    assert "-fd" not in capsys.readouterr().out


def test_a_file_in_place_of_a_command(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(capture)]) == 2
    assert f"did you mean wsinspect open {capture}?" in capsys.readouterr().err


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_of_each_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"usage: wsinspect {'[run]' if name == 'run' else name}" in out
    assert err == ""
    assert main(["help", name]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("line", ["--help", "-h", "help"])
def test_the_overview_names_every_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([line]) == 0
    out = capsys.readouterr().out
    for name, summary in commands.COMMANDS.items():
        assert name in out
        assert summary in out


@pytest.mark.parametrize("line", ["version", "--version"])
def test_version(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([line]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"wsinspect {__version__}\n")
    assert "mitmproxy 12." in out


def test_without_a_command_it_runs() -> None:
    assert commands.split([]) == ("run", [])
    assert commands.split(["-p", "0"]) == ("run", ["-p", "0"])


@pytest.mark.parametrize("line", ["", "run", "attach", "demo"])
def test_a_screen_needs_a_terminal(line: str, capsys: pytest.CaptureFixture[str], proxy: object) -> None:
    assert main(line.split()) in (2, 3)
    err = capsys.readouterr().err
    assert "needs a terminal" in err or "has no capture" in err


def test_windows_gets_a_clear_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert main(["--help"]) == 3
    assert "Windows is not supported" in capsys.readouterr().err


def test_what_stands_on_stderr_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["\x1b[2Jtail"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_seconds() -> None:
    parser = Parser()
    parser.add_argument("--wait", type=seconds)
    assert parser.parse_args(["--wait", "0.5"]).wait == 0.5
