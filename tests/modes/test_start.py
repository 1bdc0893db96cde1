"""Where modes listen; one that cannot start says so: a sentence, exit code 3, nothing left running."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.traffic import captured, converse, end, listening
from tests.modes.ways import by_connect, by_socks, upgrade
from tests.proxy.running import PROGRAM, RunningProxy, free_port
from wsinspect.errors import Unavailable, UsageError
from wsinspect.proxy import modes
from wsinspect.proxy.modes import parse_modes, sentence_of, with_ports


def refused(tmp: Path, *arguments: str, path: str | None = None) -> str:
    """The sentence with which `wsinspect proxy` ends, having left no process of its own."""
    command = [*PROGRAM, "proxy", "-w", str(tmp / "a.wscap"), "--set", f"confdir={tmp}", *arguments]
    env = os.environ | ({"PATH": path} if path is not None else {})
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 3, stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert stderr.startswith("wsinspect: ")
    assert len(stderr.splitlines()) == 1, stderr
    return stderr


def test_a_port_that_is_taken_ends_all_modes(tmp_path: Path) -> None:
    free = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refused(tmp_path, f"--mode=regular@{free}", f"--mode=socks5@{port}")
    assert f"127.0.0.1:{port}: Address already in use" in sentence
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", free)) != 0


@pytest.mark.slow
def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    assert "192.0.2.1" in refused(tmp_path, "--mode=regular", "--listen-host=192.0.2.1", "-p0")
    assert "192.0.2.1" in refused(tmp_path, "--mode=wireguard", "--listen-host=192.0.2.1", "-p0")


def test_wireguard_on_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert str(port) in refused(tmp_path, f"--mode=wireguard@{port}")


def test_wireguard_with_keys_that_are_none(tmp_path: Path) -> None:
    keys = tmp_path / "keys.conf"
    keys.write_text("not json")
    assert "keys.conf" in refused(tmp_path, f"--mode=wireguard:{keys}", "-p0")


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="macOS needs no sudo for it")
def test_local_without_sudo(tmp_path: Path) -> None:
    sentence = refused(tmp_path, "--mode=local:curl", path=str(tmp_path))
    assert "--mode local:curl did not start" in sentence
    assert "it needs sudo" in sentence


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="tun is Linux's")
def test_tun_on_an_interface_of_another_kind(tmp_path: Path) -> None:
    sentence = refused(tmp_path, "--mode=tun:lo")
    assert "--mode tun:lo did not start" in sentence
    assert "/dev/net/tun" in sentence


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("sock5", ["did you mean socks5?"]),
        ("reverse:", ["reverse:"]),
        ("upstream:ftp://x:1", ["upstream:ftp://x:1"]),
        ("regular@[::1]:x", ["invalid port"]),
        ("regular@70000", ["invalid port"]),
        ("socks5:x", ["takes no arguments"]),
    ],
)
def test_specs_that_are_none(spec: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as mistake:
        parse_modes([spec])
    for word in words:
        assert word in str(mistake.value)


def test_each_mode_gets_a_port_of_its_own() -> None:
    named = parse_modes(["regular", "socks5", "local:x", "tun", "regular@127.0.0.1:0", "socks5@[::1]:0"])
    specs = with_ports(named, "127.0.0.1", 0)
    ports = [int(spec.rpartition(":")[2]) for spec in specs if "@" in spec]
    assert len(set(ports)) == 4
    assert specs[2:4] == ["local:x", "tun"]
    assert specs[5].startswith("socks5@::1:")
    assert with_ports(parse_modes(["regular", "socks5", "regular@9"]), "", 8000) == [
        "regular@8000",
        "socks5@8001",
        "regular@9",
    ]


def test_a_free_port_for_both_protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    """reverse:https speaks HTTP/3 as well; mitmproxy starts it on one number."""
    (spec,) = with_ports(parse_modes(["reverse:https://x"]), "127.0.0.1", 0)
    port = int(spec.rpartition(":")[2])
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            probe.bind(("127.0.0.1", port))
    with pytest.raises(Unavailable):
        with_ports(parse_modes(["regular"]), "192.0.2.1", 0)
    monkeypatch.setattr(modes, "_bindable", _udp_is_taken)
    with pytest.raises(Unavailable, match="both"):
        with_ports(parse_modes(["reverse:https://x"]), "127.0.0.1", 0)


def _udp_is_taken(_family: object, kind: socket.SocketKind, _host: str, port: int) -> int:
    if kind is socket.SOCK_DGRAM:
        raise OSError("taken")
    return port or 1


def test_the_cause_is_told() -> None:
    error = RuntimeError("Failed to run sudo.\n\nCaused by:\n    0: No such file\n\nStack backtrace:\n  0: x")
    assert sentence_of(error) == "Failed to run sudo: No such file"
    assert sentence_of(RuntimeError()) == "RuntimeError"


def test_a_mode_that_is_like_none_gets_all_names() -> None:
    with pytest.raises(UsageError, match="--mode foo: unknown mode; the modes are regular, transparent, rev"):
        parse_modes(["foo"])


def test_a_name_to_listen_on_that_is_not_known() -> None:
    """It was `Unknown error -2`: getaddrinfo has numbers of its own."""
    error = OSError(-2, "proxy failed to listen on nohost:80 with [Errno -2] Name or service not known")
    assert sentence_of(error) == "proxy failed to listen on nohost:80: Name or service not known"
    error.__cause__ = socket.gaierror(-2, "not known here")
    assert sentence_of(error) == "proxy failed to listen on nohost:80: not known here"


def test_the_end_of_local_modes_helper_is_heard() -> None:
    """mitmproxy_rs says it in its log alone."""
    heard: list[str] = []
    log = logging.getLogger(modes.REDIRECTOR_LOGGER)
    modes.watch_redirector(parse_modes(["regular", "local:x"]), heard.append)
    try:
        child = logging.getLogger(f"{modes.REDIRECTOR_LOGGER}.linux")
        child.error("[linux-redirector] is up")
        assert heard == []
        child.error("[linux-redirector] exited: Ok(ExitStatus(unix_wait_status(256)))")
    finally:
        log.handlers.clear()
    assert len(heard) == 1
    assert heard[0].startswith("--mode local:x: its redirector has ended; it needs sudo")


@pytest.mark.slow
async def test_ipv6_addresses(tmp_path: Path, confdir: Path) -> None:
    """By --listen-host and in a spec, with brackets and without; the server is reached by IPv6 too."""
    specs = ["regular", "socks5@[::1]:0", "regular@::1:0"]
    with RunningProxy(tmp_path / "a.wscap", specs, "--listen-host", "::1", *words(confdir)) as proxy:
        assert proxy.stderr.count("listening on [::1]:") == 3
        async with listening(host="::1") as peers:
            for number, by in enumerate([by_connect, by_socks, by_connect]):
                url = f"ws://[::1]:{peers.server.port}/{uuid4().hex}"
                client = await upgrade(await by(("::1", proxy.ports[number]), url), url)
                server = await peers.next()
                await converse(client, server)
                await end(client, server)
                await captured(proxy, f"/{url.rpartition('/')[2]}", "takeover")


@pytest.mark.slow
async def test_every_address_at_once(tmp_path: Path, confdir: Path) -> None:
    with RunningProxy(tmp_path / "a.wscap", ["regular"], "--listen-host", "", *words(confdir)) as proxy:
        async with listening() as peers:
            for host in ("127.0.0.1", "::1"):
                url = f"ws://127.0.0.1:{peers.server.port}/{uuid4().hex}"
                client = await upgrade(await by_connect((host, proxy.port), url), url)
                await end(client, await peers.next())
                await proxy.over(f"/{url.rpartition('/')[2]}")
