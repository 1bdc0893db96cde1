"""The way through a proxy: HTTP CONNECT and SOCKS5 (RFC 1928, RFC 1929), spoken on a fresh stream."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote, urlsplit

from wsinspect.model import Address
from wsinspect.peer.errors import ConnectFailed
from wsinspect.peer.handshake_io import basic_auth, encode_head, parse_response, read_head
from wsinspect.peer.stream import ShortInputError, Stream, read_exactly

SOCKS_REPLIES = {
    1: "general failure",
    2: "not allowed by the ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


def proxy_address(proxy: str) -> Address:
    """Where the proxy of that URL listens. Raises ValueError for a scheme that is not spoken here."""
    parts = urlsplit(proxy)
    defaults = {"http": 8080, "socks5": 1080, "socks5h": 1080}
    if parts.scheme not in defaults or not parts.hostname:
        raise ValueError(f"{proxy!r}: a proxy is http://HOST:PORT or socks5://HOST:PORT")
    return parts.hostname, parts.port or defaults[parts.scheme]


async def open_tunnel(stream: Stream, proxy: str, target: Address) -> None:
    """Have the proxy connect the stream to the target. Raises ConnectFailed (phase `proxy`)."""
    parts = urlsplit(proxy)
    userinfo = parts.netloc.rpartition("@")[0]
    if parts.scheme == "http":
        await _connect(stream, userinfo, target)
        return
    try:
        await _socks5(stream, userinfo, target)
    except ShortInputError:
        raise ConnectFailed("proxy", "the SOCKS proxy ended the connection") from None


def authority(address: Address) -> str:
    """`host:port`, an IPv6 literal in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _connect(stream: Stream, userinfo: str, target: Address) -> None:
    where = authority(target)
    headers = [("Host", where)]
    if userinfo:
        headers.append(("Proxy-Authorization", basic_auth(userinfo)))
    stream.write(encode_head(f"CONNECT {where} HTTP/1.1", headers))
    head = await read_head(stream, "the proxy", "proxy")
    try:
        response = parse_response(head)
    except ValueError as error:
        raise ConnectFailed("proxy", f"the proxy's answer is {error}") from None
    if not 200 <= response.status < 300:
        raise ConnectFailed("proxy", f"the proxy refused: {response.status} {response.reason}")


async def _socks5(stream: Stream, userinfo: str, target: Address) -> None:
    stream.write(b"\x05\x02\x00\x02" if userinfo else b"\x05\x01\x00")
    version, method = await read_exactly(stream, 2)
    if version != 5 or method not in (0, 2) or (method == 2 and not userinfo):
        raise ConnectFailed("proxy", f"the SOCKS proxy accepts no method of ours ({version}, {method})")
    if method == 2:
        await _socks5_login(stream, userinfo)
    stream.write(b"\x05\x01\x00" + _socks5_address(target))
    _, reply, _, kind = await read_exactly(stream, 4)
    if reply:
        reason = SOCKS_REPLIES.get(reply, f"reply {reply}")
        raise ConnectFailed("proxy", f"the SOCKS proxy refused: {reason}")
    if kind == 3:
        (size,) = await read_exactly(stream, 1)
    else:
        size = 16 if kind == 4 else 4
    await read_exactly(stream, size + 2)  # the address it bound, of no use here


async def _socks5_login(stream: Stream, userinfo: str) -> None:
    user, _, password = (unquote(part).encode() for part in userinfo.partition(":"))
    if len(user) > 255 or len(password) > 255:
        raise ConnectFailed("proxy", "SOCKS takes a user and a password of at most 255 bytes")
    stream.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
    _, status = await read_exactly(stream, 2)
    if status:
        raise ConnectFailed("proxy", "the SOCKS proxy refused the password")


def _socks5_address(target: Address) -> bytes:
    host, port = target
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return b"\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + port.to_bytes(2, "big")
