from __future__ import annotations

from pathlib import Path

from wsinspect.cli.options import child_options, proxy_options, settings_from
from wsinspect.cli.parser import Parser
from wsinspect.control.settings import ProxySettings


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
    )
    assert settings == ProxySettings(
        modes=["regular@8081", "socks5"],
        listen_host="::1",
        listen_port=0,
        capture=Path("a.wscap"),
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
        options={"name": "-v", "other": "a=b"},
        scripts=["-s.py"],
        ssl_insecure=True,
        quiet=True,
        verbose=2,
        path="layer",
    )
    assert parse(*settings.arguments()) == settings
