"""The config file: what it sets, what wins over it, and every mistake with its place."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from wsinspect.cli import commands, main
from wsinspect.cli.config import config_path, parse
from wsinspect.cli.options import settings_from
from wsinspect.control.settings import ProxySettings

type Configured = Callable[[str], Path]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configured:
    """Write the config file that all commands of this test read."""

    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        monkeypatch.setenv("WSINSPECT_CONFIG", str(path))
        return path

    return write


def parsed(line: str) -> argparse.Namespace:
    name, *words = line.split()
    return parse(name, commands.load(name).parser, words)


def test_defaults_for_every_kind_of_option(configured: Configured) -> None:
    configured(
        """
        mode: reverse:http://127.0.0.1:3000
        listen-port: 9000
        listen-host: "::1"
        write: ~/a.wscap
        ssl-insecure: true
        quiet: no
        verbose: 2
        script: [one.py, two.py]
        set: {confdir: /ca, block_global: false}
        """
    )
    assert settings_from(parsed("proxy")) == ProxySettings(
        modes=["reverse:http://127.0.0.1:3000"],
        listen_host="::1",
        listen_port=9000,
        capture=Path("~/a.wscap").expanduser(),
        options={"confdir": "/ca", "block_global": "false"},
        scripts=["one.py", "two.py"],
        ssl_insecure=True,
        verbose=2,
    )
    assert parsed("exec -- true").ssl_insecure
    assert dict(parsed("ca").set)["confdir"] == "/ca"


def test_the_command_line_wins(configured: Configured) -> None:
    configured("{mode: [regular, socks5], listen-port: 9000, set: [a=1, b=2], script: x.py}")
    args = parsed("proxy -m transparent -p 0 --set b=3 -s y.py")
    assert (args.mode, args.listen_port, args.script) == (["transparent"], 0, ["y.py"])
    assert settings_from(args).options == {"a": "1", "b": "3"}
    assert parsed("proxy --no-config").mode is None


@pytest.mark.parametrize(
    ("text", "line", "save"),
    [("no-save: true", "exec -w a -- x", True), ("exec: {write: a}", "exec --no-save -- x", False)],
)
def test_one_of_two_that_exclude_each_other_wins_on_the_command_line(
    text: str, line: str, save: bool, configured: Configured
) -> None:
    """Both were there, and refused, although the user had typed but one."""
    configured(text)
    args = parsed(line)
    assert (args.write is not None, not args.no_save) == (save, save)


def test_a_limit_of_the_config_spares_a_capture_that_is_one_file(
    tmp_path: Path, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-w` on it was refused, for a word that the user had not typed."""
    path = configured("capture-limit: 500M")
    single, new = tmp_path / "a.wscap", tmp_path / "b.wscap"
    single.touch()
    assert parsed(f"exec -w {single} -- x").capture_limit is None
    said = f"{single} is one file and grows without a limit; capture-limit in {path} is for new captures"
    assert said in capsys.readouterr().err
    assert parsed(f"exec -w {new} -- x").capture_limit == 500 << 20
    assert parsed(f"exec -w {single} --capture-limit 2G -- x").capture_limit == 2 << 30
    configured(f"{{capture-limit: 500M, write: {single}}}")
    assert parsed("proxy").capture_limit is None
    assert "grows without a limit" in capsys.readouterr().err
    assert parsed("proxy --no-save").capture_limit == 500 << 20
    assert parsed("demo").write == single
    assert capsys.readouterr().err == ""


def test_a_command_may_have_its_own(configured: Configured) -> None:
    configured("format: json\ntail: {format: text, frames: true}\nctl: {side: client}\nbrowser: firefox")
    assert (parsed("tail a").format, parsed("tail a").frames) == ("text", True)
    assert parsed("ctl status").format == "json"
    assert parsed("ctl close 1").side == "client"
    assert parsed("browser").browser == "firefox"
    assert parsed("proxy").verbose == 0


def test_all_mistakes_at_once(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    path = configured(
        """\
listen_port: 8081
listen-port: many
ssl-insecure: 1
set: {a: [1]}
tail:
  formt: json
  format: jsn
verbose: loud
quiet: true
quiet: false
mode:
? [odd]
: 1
script: [a.py, {b: c}]
listen-host: true
"""
    )
    assert main(["tail", "x.wscap"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.removeprefix("wsinspect: ").splitlines() == [
        f"{path}:1:1: there is no option listen_port; did you mean listen-port?",
        f"{path}:2:14: listen-port: 'many' is not a number from 0 to 65535",
        f"{path}:3:15: ssl-insecure: wants true or false, not '1'",
        f"{path}:4:10: set: wants a value, not a list",
        f"{path}:6:3: wsinspect tail has no option formt; did you mean format?",
        f"{path}:7:11: format: 'jsn' is not one of text, json; did you mean json?",
        f"{path}:8:10: verbose: wants a number, not 'loud'",
        f"{path}:10:1: quiet stands here a second time (first on line 9)",
        f"{path}:11:6: mode: wants a value, not nothing",
        f"{path}:12:3: a name is wanted here, not a list",
        f"{path}:14:16: script: wants a value, not a mapping",
        f"{path}:15:14: listen-host: wants a value, not 'true'",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", ":1:9: "),
        ("a:\n\t- b", ":2:1: "),
        ("- a", ":1:1: the file must hold NAME: VALUE, not a list"),
        ("text", ":1:1: the file must hold NAME: VALUE, not 'text'"),
        ("a: 1\n---\nb: 2", ":2:1: "),
        ("exec: true", ":1:7: exec must hold NAME: VALUE, not 'true'"),
        ("ready-fd: 3", ":1:1: there is no option ready-fd"),
        ("no-config: true", ":1:1: there is no option no-config"),
        ("a: \x01", ": "),
    ],
)
def test_a_broken_file(
    text: str, words: str, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(text)
    assert main(["version"]) == 2
    err = capsys.readouterr().err
    assert f"{path}{words}" in err
    assert "Traceback" not in err
    assert main(["version", "--no-config"]) == 0


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file(text: str, configured: Configured) -> None:
    configured(text)
    assert settings_from(parsed("proxy")) == ProxySettings()


def test_a_file_that_cannot_be_read(
    configured: Configured, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configured("")
    path.write_bytes(b"mode: \xff")
    assert main(["version"]) == 2
    assert f"{path}: not UTF-8 at byte 6" in capsys.readouterr().err
    monkeypatch.setenv("WSINSPECT_CONFIG", str(path.parent))
    assert main(["version"]) == 2
    err = capsys.readouterr().err
    assert f"cannot read the config file {path.parent}: Is a directory; WSINSPECT_CONFIG names it" in err
    monkeypatch.setenv("WSINSPECT_CONFIG", str(path.parent / "none.yaml"))
    assert main(["version"]) == 2
    assert "none.yaml: no such file; WSINSPECT_CONFIG names it" in capsys.readouterr().err


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSINSPECT_CONFIG", "")
    assert config_path() is None
    monkeypatch.delenv("WSINSPECT_CONFIG")
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path / name)
    assert config_path() is None
    (tmp_path / "wsinspect").mkdir()
    (tmp_path / "wsinspect" / "config.yaml").write_text("quiet: true")
    assert config_path() == tmp_path / "wsinspect" / "config.yaml"
    assert parsed("proxy").quiet
