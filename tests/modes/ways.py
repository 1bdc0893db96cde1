"""The ways on which a client reaches a server through a proxy, each on its own bare stream."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from tests.proxy.running import trusting
from wsinspect.model import Address, Header, Side
from wsinspect.peer.client import make_request
from wsinspect.peer.connection import Connection
from wsinspect.peer.handshake_io import Response, parse_response, read_head
from wsinspect.peer.options import Agreement, Options
from wsinspect.peer.proxying import open_tunnel
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import connect_tcp
from wsinspect.peer.tls import TlsStream


class Refused(Exception):
    """Another answer than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.reason} {response.headers}")
        self.response = response


async def secured(stream: Stream, name: str = "localhost") -> TlsStream:
    """TLS on top of it; the certificate is not looked at."""
    tls = TlsStream(stream, trusting(), server_hostname=name)
    await tls.handshake()
    return tls


async def by_connect(proxy: Address, url: str, *, secure_proxy: bool = False, userinfo: str = "") -> Stream:
    """A CONNECT to the server of the URL, over TLS to the proxy where told; TLS inside for wss."""
    stream: Stream = await connect_tcp(proxy)
    try:
        if secure_proxy:
            stream = await secured(stream)
        await open_tunnel(stream, f"http://{userinfo}proxy:1", address_of(url))
    except BaseException:
        stream.close()
        raise
    return await secured(stream) if url.startswith("wss:") else stream


async def by_socks(proxy: Address, url: str, *, userinfo: str = "") -> Stream:
    stream: Stream = await connect_tcp(proxy)
    try:
        await open_tunnel(stream, f"socks5://{userinfo}proxy:1", address_of(url))
    except BaseException:
        stream.close()
        raise
    return await secured(stream) if url.startswith("wss:") else stream


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname
    return parts.hostname, parts.port or (443 if parts.scheme == "wss" else 80)


async def upgrade(
    stream: Stream, url: str, *, absolute: bool = False, headers: Iterable[Header] = ()
) -> Connection:
    """The opening handshake; then a connection that answers and ends nothing by itself. Raises Refused."""
    request = make_request(url, headers, (), None, None)
    if absolute:
        request.target = url
    try:
        stream.write(request.encode())
        response = parse_response(await read_head(stream, "the proxy"))
        if response.status != 101:
            raise Refused(response)
    except BaseException:
        stream.close()
        raise
    options = Options(auto_pong=False, auto_close=False, keep_raw=True)
    return Connection(stream, Side.CLIENT, Agreement(request=request, response=response), options)
