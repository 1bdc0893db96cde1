from __future__ import annotations

from pathlib import Path

import pytest

from wsinspect.cli.options import child_options, proxy_options, settings_from
from wsinspect.cli.parser import Parser
from wsinspect.control.settings import ProxySettings
from wsinspect.errors import UsageError


def parse(*words: str) -> ProxySettings:
    parser = Parser()
    proxy_options(parser)
    child_options(parser)
    return settings_from(parser.parse_args(words))


def test_defaults() -> None:
    assert parse() == ProxySettings()


def test_all_options_by_their_short_names() -> None:
    settings = parse(
        *("-m", "regular@8081", "-m", "socks5", "-p", "0", "-w", "a.wscap", "-s", "x.py", "-k", "-q", "-vv"),
        *("--listen-host", "::1", "--set", "a=b=c", "--set", "d=", "--path", "layer"),
        *("--ready-fd", "5", "--parent-fd", "6"),
        *("--capture-limit", "1.5G", "--capture-pressure", "throttle"),
        *("--rules", "a.yaml", "--rules", "more", "--allow-python", "--shadow", "--no-reload"),
    )
    assert settings == ProxySettings(
        modes=["regular@8081", "socks5"],
        listen_host="::1",
        listen_port=0,
        capture=Path("a.wscap"),
        capture_limit=3 << 29,
        capture_pressure="throttle",
        rules=[Path("a.yaml"), Path("more")],
        allow_python=True,
        shadow=True,
        reload=False,
        options={"a": "b=c", "d": ""},
        scripts=["x.py"],
        ssl_insecure=True,
        quiet=True,
        verbose=2,
        ready_fd=5,
        parent_fd=6,
        path="layer",
    )


def test_settings_survive_the_way_to_a_child() -> None:
    settings = ProxySettings(
        modes=["reverse:http://-odd host:80", "regular"],
        listen_host="0.0.0.0",
        listen_port=0,
        capture=Path("-w.wscap"),
        capture_limit=0,
        capture_pressure="throttle",
        rules=[Path("-r.yaml"), Path("b")],
        allow_python=True,
        shadow=True,
        reload=False,
        options={"name": "-v", "other": "a=b"},
        scripts=["-s.py"],
        ssl_insecure=True,
        quiet=True,
        verbose=2,
        path="layer",
    )
    assert parse(*settings.arguments()) == settings


@pytest.mark.parametrize(
    ("word", "nbytes"),
    [
        ("2M", 2 << 20),
        ("2048k", 2 << 20),
        ("500MB", 500 << 20),
        ("1GiB", 1 << 30),
        ("9999999", 9999999),
        ("none", 0),
    ],
)
def test_sizes(word: str, nbytes: int) -> None:
    assert parse("--capture-limit", word).capture_limit == nbytes


@pytest.mark.parametrize("word", ["", "much", "-1M", "1M", "0", "2P", "M", "9999999T"])
def test_what_is_no_size(word: str) -> None:
    with pytest.raises(UsageError, match="--capture-limit"):
        parse(f"--capture-limit={word}")


def test_no_save() -> None:
    assert parse("--no-save").save is False
    assert parse(*ProxySettings(save=False).arguments()).save is False
    with pytest.raises(UsageError, match="--no-save"):
        parse("--no-save", "-w", "a.wscap")
