"""The commands that lead TCP traffic into a transparent proxy, and those that undo it. Pure text."""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass

TABLE = "wsinspect"


class Tool(enum.StrEnum):
    """What redirects."""

    NFT = "nft"
    IPTABLES = "iptables"
    PF = "pf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """What goes where."""

    port: int
    """The proxy's."""
    ports: tuple[int, ...]
    """Destination ports that are redirected."""
    interface: str | None
    """Where other machines' traffic comes in; None: this machine's own traffic is meant."""
    user: str | None = None
    """For own traffic: who runs the proxy, and whose connections are therefore left alone."""

    @property
    def port_list(self) -> str:
        return ", ".join(map(str, self.ports))


def commands(tool: Tool, redirect: Redirect, *, undo: bool) -> list[str]:
    """Lines for a root shell; comments begin with `#`. Raises ValueError where the tool cannot do it."""
    match tool:
        case Tool.NFT:
            return _nft_undo(redirect) if undo else _forwarding(redirect) + _nft(redirect)
        case Tool.IPTABLES:
            rules = _iptables(redirect, "-D" if undo else "-A")
            return rules + _forwarding_stays(redirect) if undo else _forwarding(redirect) + rules
        case Tool.PF:
            return _pf(redirect, undo=undo)


def _forwarding(redirect: Redirect) -> list[str]:
    """The machine becomes a router for what is not redirected, and does not tell clients of a shorter way."""
    if redirect.interface is None:
        return []
    return [
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
        "sysctl -w net.ipv4.conf.all.send_redirects=0",
        shlex.join(["sysctl", "-w", f"net/ipv4/conf/{redirect.interface}/send_redirects=0"]),
    ]


def _forwarding_stays(redirect: Redirect) -> list[str]:
    if redirect.interface is None:
        return []
    return [
        "# Forwarding stays on, since others (Docker, libvirt) may need it. To switch it off:",
        "# sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
    ]


def _nft(redirect: Redirect) -> list[str]:
    if redirect.interface is not None:
        chain, hook, who = "prerouting", "prerouting priority dstnat", f'iifname "{redirect.interface}"'
    else:
        chain, hook, who = "output", "output priority -100", f'meta skuid != "{redirect.user}"'
    rule = f"{who} tcp dport {{ {redirect.port_list} }} redirect to :{redirect.port}"
    return [
        f"nft add table inet {TABLE}",
        f"nft {shlex.quote(f'add chain inet {TABLE} {chain} {{ type nat hook {hook}; }}')}",
        f"nft {shlex.quote(f'add rule inet {TABLE} {chain} {rule}')}",
    ]


def _nft_undo(redirect: Redirect) -> list[str]:
    return [f"nft delete table inet {TABLE}", *_forwarding_stays(redirect)]


def _iptables(redirect: Redirect, action: str) -> list[str]:
    if redirect.interface is not None:
        where = ["PREROUTING", "-i", redirect.interface]
    else:
        where = ["OUTPUT", "-m", "owner", "!", "--uid-owner", str(redirect.user)]
    ports = ",".join(map(str, redirect.ports))
    rest = ["-p", "tcp", "-m", "multiport", "--dports", ports, "-m", "comment", "--comment", TABLE]
    target = ["-j", "REDIRECT", "--to-ports", str(redirect.port)]
    return [
        shlex.join([tool, "-t", "nat", action, *where, *rest, *target]) for tool in ("iptables", "ip6tables")
    ]


def _pf(redirect: Redirect, *, undo: bool) -> list[str]:
    if redirect.interface is None:
        raise ValueError("pf does not redirect a machine's own traffic; use --mode local there")
    if undo:
        return ["pfctl -f /etc/pf.conf", "pfctl -d", "sysctl -w net.inet.ip.forwarding=0"]
    rules = "\\n".join(
        f"rdr pass on {redirect.interface} {family} proto tcp to any port {{ {redirect.port_list} }} "
        f"-> {host} port {redirect.port}"
        for family, host in (("inet", "127.0.0.1"), ("inet6", "::1"))
    )
    return [
        "sysctl -w net.inet.ip.forwarding=1",
        "# These rules stand in for those in force until --undo loads /etc/pf.conf again.",
        f"printf {shlex.quote(rules + chr(92) + 'n')} | pfctl -ef -",
        "# Unless the proxy runs as root, it must be allowed to ask pf where a connection was going:",
        "# ALL ALL=NOPASSWD: /sbin/pfctl -s state     (a line for `visudo`)",
    ]
