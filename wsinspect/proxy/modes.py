"""Proxy modes by mitmproxy's specs: read, given ports, and watched while they start."""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mitmproxy.proxy import mode_servers, mode_specs

from wsinspect.control.protocol import Listener
from wsinspect.errors import Unavailable, UsageError
from wsinspect.proxy.words import mode_name

BACKLOG = 4096
"""Connections that may wait to be accepted: asyncio's 100 is too few for a thousand that come at once."""

REDIRECTOR_LOGGER = "mitmproxy.packet_sources"

NAMES = ("regular", "transparent", "reverse:", "upstream:", "socks5", "wireguard", "local", "tun")

_BRACKETS = re.compile(r"@\[([0-9a-fA-F:.]+)\](:\d+)$")
"""Around an IPv6 address to listen on, where mitmproxy expects none."""

_WANTS = {
    "local": "it needs sudo and, on Linux, BPF and cgroup2 at /sys/fs/cgroup (-v tells more)",
    "tun": "it needs Linux, /dev/net/tun, and root or CAP_NET_ADMIN",
}
"""What a mode asks of the machine, said where it does not start."""


def parse_modes(specs: Iterable[str]) -> list[mode_specs.ProxyMode]:
    """Raises UsageError with the nearest name, or all of them."""
    modes = []
    for spec in specs:
        try:
            modes.append(mode_specs.ProxyMode.parse(_BRACKETS.sub(r"@\1\2", spec)))
        except ValueError as exc:
            near = difflib.get_close_matches(
                spec.split(":")[0].split("@")[0], [name.rstrip(":") for name in NAMES], 1
            )
            hint = f"; did you mean {near[0]}?" if near and not spec.startswith(near[0]) else ""
            if not near:
                hint = f"; the modes are {', '.join(NAMES)}"
            raise UsageError(f"--mode {spec}: {exc}{hint}") from exc
    return modes


def with_ports(modes: list[mode_specs.ProxyMode], host: str, port: int | None) -> list[str]:
    """Specs in which each mode that listens has a port of its own; port 0 takes a free one for each.

    mitmproxy refuses two modes on port 0, and starts them on one port otherwise.
    """
    specs = []
    wanted = port
    for mode in modes:
        number = mode.listen_port(wanted)
        if number is None or mode.default_port is None:  # local and tun listen nowhere
            specs.append(mode.full_spec)
            continue
        own_host = mode.listen_host(host)
        if number == 0:
            number = _free_port(own_host, mode.transport_protocol)
        elif mode.custom_listen_port is None and wanted:
            wanted = number + 1
        specs.append(f"{mode_name(mode)}@{own_host + ':' if own_host else ''}{number}")
    return specs


def listeners(servers: Iterable[mode_servers.ServerInstance[Any]]) -> list[Listener]:
    """Where the started modes listen, the IPv4 address first. Raises Unavailable where one did not start."""
    found = []
    for server in servers:
        if server.last_exception is not None:
            raise Unavailable(_failure(server))
        for host, port, *_ in sorted(server.listen_addrs, key=lambda each: ":" in each[0]):
            found.append(Listener(mode_name(server.mode), host, port))
            break
        _lengthen_backlog(server)
    return found


def remarks(servers: Iterable[mode_servers.ServerInstance[Any]]) -> list[str]:
    """What a user needs to know of the started modes beside where they listen."""
    said = []
    for server in servers:
        match server:
            case mode_servers.WireGuardServerInstance():
                said.append(f"a WireGuard client's configuration:\n{server.client_conf()}")
            case mode_servers.LocalRedirectorInstance():
                said.append(f"intercepting {server.mode.data or 'every program'} ({server.mode.full_spec})")
            case mode_servers.TunInstance():
                said.append(f"intercepting what is routed to {server.tun_name} ({server.mode.full_spec})")
            case mode_servers.TransparentInstance() if _is_loopback(server):
                said.append(
                    "only this machine's own traffic can be redirected to a loopback address; "
                    "for that of others add --listen-host '' (every address)"
                )
    return said


def watch_redirector(modes: Iterable[mode_specs.ProxyMode], on_end: Callable[[str], None]) -> None:
    """Call back, from any thread, when the helper process of local mode ends: mitmproxy_rs only logs it."""
    for mode in modes:
        if isinstance(mode, mode_specs.LocalMode):
            text = f"--mode {mode.full_spec}: its redirector has ended; {_WANTS['local']}"
            logging.getLogger(REDIRECTOR_LOGGER).addHandler(_RedirectorLog(text, on_end))


def end_redirector(modes: Iterable[mode_specs.ProxyMode]) -> None:
    """End the helper of local mode: by itself it stays until the next packet that it cannot hand over."""
    if sys.platform != "linux" or not any(isinstance(mode, mode_specs.LocalMode) for mode in modes):
        return
    for listed in Path("/proc/self/task").glob("*/children"):
        for child in listed.read_text().split():
            try:
                if b"mitmproxy-linux-redirector" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGTERM)
            except OSError:
                pass  # gone already, or started by a sudo that is not ours to signal


class _RedirectorLog(logging.Handler):
    def __init__(self, text: str, on_end: Callable[[str], None]) -> None:
        super().__init__()
        self._text = text
        self._on_end = on_end

    def emit(self, record: logging.LogRecord) -> None:
        if "redirector] exited" in record.getMessage():
            self._on_end(self._text)


def _is_loopback(server: mode_servers.ServerInstance[Any]) -> bool:
    return all(ipaddress.ip_address(host).is_loopback for host, *_ in server.listen_addrs)


def _failure(server: mode_servers.ServerInstance[Any]) -> str:
    assert server.last_exception is not None
    sentence = sentence_of(server.last_exception)
    wants = _WANTS.get(server.mode.type_name)
    if wants is None:
        return sentence
    return f"--mode {server.mode.full_spec} did not start: {sentence.rstrip('.')}; {wants}"


def sentence_of(exc: Exception) -> str:
    """mitmproxy's own words, on one line; an errno is said once, not thrice."""
    if isinstance(exc, OSError) and exc.errno and exc.strerror:
        why: object = os.strerror(exc.errno)
        if exc.errno < 0:  # a name that is not known: getaddrinfo's numbers are its own
            why = getattr(exc.__cause__, "strerror", None) or exc.strerror.rpartition("] ")[2]
        return f"{exc.strerror.partition(' with ')[0]}: {why}"
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    if "Caused by:" in lines[1:-1]:
        cause = re.sub(r"^\d+: ", "", lines[lines.index("Caused by:") + 1])
        return f"{lines[0].rstrip('.')}: {cause}"
    return lines[0] if lines else type(exc).__name__


def _lengthen_backlog(server: mode_servers.ServerInstance[Any]) -> None:
    for each in getattr(server, "_servers", ()):
        for sock in getattr(each, "sockets", ()):
            with socket.socket(fileno=os.dup(sock.fileno())) as again:
                again.listen(BACKLOG)


def _free_port(host: str, protocol: str) -> int:
    """Free for each of the mode's protocols. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(10):
        try:
            port = _bindable(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM, host, 0)
        except OSError as exc:
            raise Unavailable(f"cannot listen on {host}: {exc.strerror}") from exc
        if protocol != "both":
            return port
        try:
            return _bindable(family, socket.SOCK_DGRAM, host, port)
        except OSError:
            continue
    raise Unavailable(f"cannot listen on {host}: no port is free for both TCP and UDP")


def _bindable(family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int) -> int:
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        bound: int = probe.getsockname()[1]
    return bound
