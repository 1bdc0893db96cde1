"""Proxy modes by mitmproxy's specs: read, given ports, and watched while they start."""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Iterable
from typing import Any

from mitmproxy.proxy import mode_servers, mode_specs

from wsinspect.control.protocol import Listener
from wsinspect.errors import Unavailable, UsageError
from wsinspect.proxy.attempts import mode_name

BACKLOG = 4096
"""Connections that may wait to be accepted: asyncio's 100 is too few for a thousand that come at once."""

_NAMES = ("regular", "transparent", "reverse:", "upstream:", "socks5", "wireguard", "local")


def parse_modes(specs: Iterable[str]) -> list[mode_specs.ProxyMode]:
    """Raises UsageError with the nearest name."""
    modes = []
    for spec in specs:
        try:
            modes.append(mode_specs.ProxyMode.parse(spec))
        except ValueError as exc:
            near = difflib.get_close_matches(
                spec.split(":")[0].split("@")[0], [name.rstrip(":") for name in _NAMES], 1
            )
            hint = f"; did you mean {near[0]}?" if near and not spec.startswith(near[0]) else ""
            raise UsageError(f"--mode {spec}: {exc}{hint}") from exc
    return modes


def with_ports(modes: list[mode_specs.ProxyMode], host: str, port: int | None) -> list[str]:
    """Specs in which each mode that listens has a port of its own; port 0 takes a free one for each.

    mitmproxy refuses two modes on port 0, and starts them on one port otherwise.
    """
    specs = []
    wanted = port
    for mode in modes:
        default = mode.listen_port(wanted)
        if default is None or mode.custom_listen_port is not None:
            specs.append(mode.full_spec)
            continue
        own_host = mode.listen_host(host)
        number = _free_port(own_host) if wanted == 0 else default
        shown = f"[{own_host}]" if ":" in own_host else own_host
        specs.append(f"{mode_name(mode)}@{shown + ':' if shown else ''}{number}")
        wanted = number + 1 if wanted else wanted
    return specs


def listeners(servers: Iterable[mode_servers.ServerInstance[Any]]) -> list[Listener]:
    """Where the started modes listen, the IPv4 address first. Raises Unavailable where one did not start."""
    found = []
    for server in servers:
        if server.last_exception is not None:
            raise Unavailable(sentence_of(server.last_exception))
        for host, port, *_ in sorted(server.listen_addrs, key=lambda each: ":" in each[0]):
            found.append(Listener(mode_name(server.mode), host, port))
            break
        _lengthen_backlog(server)
    return found


def sentence_of(exc: Exception) -> str:
    """mitmproxy's own words, on one line; an errno is said once, not thrice."""
    if isinstance(exc, OSError) and exc.errno and exc.strerror:
        return f"{exc.strerror.partition(' with ')[0]}: {os.strerror(exc.errno)}"
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__


def _lengthen_backlog(server: mode_servers.ServerInstance[Any]) -> None:
    for each in getattr(server, "_servers", ()):
        for sock in getattr(each, "sockets", ()):
            with socket.socket(fileno=os.dup(sock.fileno())) as again:
                again.listen(BACKLOG)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, 0))
        except OSError as exc:
            raise Unavailable(f"cannot listen on {host}: {exc.strerror}") from exc
        port: int = probe.getsockname()[1]
    return port
