"""Every mode, plain and TLS on either leg, taken over and driven through mitmproxy's layers.

All modes run in one proxy at once. docs/transparency.md shows these tests as a table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.modes.conftest import MODES, Rig
from tests.modes.traffic import captured, converse, end, listening
from tests.modes.ways import by_connect, by_socks, secured, upgrade
from tests.proxy.running import facts
from wsinspect.model import Ended, How, Opened, Requested, Side
from wsinspect.peer.connection import Connection
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import connect_tcp

type Way = Callable[[Rig, str], Awaitable[Connection]]


def absolute(mode: str, *, secure_proxy: bool = False) -> Way:
    async def way(rig: Rig, url: str) -> Connection:
        stream: Stream = await connect_tcp(rig.at(mode))
        return await upgrade(await secured(stream) if secure_proxy else stream, url, absolute=True)

    return way


def connect(mode: str, *, secure_proxy: bool = False) -> Way:
    async def way(rig: Rig, url: str) -> Connection:
        return await upgrade(await by_connect(rig.at(mode), url, secure_proxy=secure_proxy), url)

    return way


async def socks(rig: Rig, url: str) -> Connection:
    return await upgrade(await by_socks(rig.at("socks5"), url), url)


def reverse(mode: str, *, client_tls: bool) -> Way:
    async def way(rig: Rig, url: str) -> Connection:
        stream: Stream = await connect_tcp(rig.at(mode))
        return await upgrade(await secured(stream) if client_tls else stream, url)

    return way


class Cell(NamedTuple):
    """One way through the proxy."""

    way: Way
    server_tls: bool
    client_tls: bool


PLAIN, TLS = False, True
WAYS = {
    "regular-absolute-ws": Cell(absolute("regular"), PLAIN, PLAIN),
    "regular-absolute-wss": Cell(absolute("regular"), TLS, PLAIN),
    "regular-over-tls-absolute-ws": Cell(absolute("regular", secure_proxy=True), PLAIN, TLS),
    "regular-over-tls-absolute-wss": Cell(absolute("regular", secure_proxy=True), TLS, TLS),
    "regular-connect-plain": Cell(connect("regular"), PLAIN, PLAIN),
    "regular-connect-tls": Cell(connect("regular"), TLS, TLS),
    "regular-over-tls-connect-plain": Cell(connect("regular", secure_proxy=True), PLAIN, TLS),
    "regular-over-tls-connect-tls": Cell(connect("regular", secure_proxy=True), TLS, TLS),
    "socks5-plain": Cell(socks, PLAIN, PLAIN),
    "socks5-tls": Cell(socks, TLS, TLS),
    "reverse-http-plain": Cell(reverse("reverse:http", client_tls=False), PLAIN, PLAIN),
    "reverse-http-tls": Cell(reverse("reverse:http", client_tls=True), PLAIN, TLS),
    "reverse-https-plain": Cell(reverse("reverse:https", client_tls=False), TLS, PLAIN),
    "reverse-https-tls": Cell(reverse("reverse:https", client_tls=True), TLS, TLS),
    "upstream-http-absolute-ws": Cell(absolute("upstream:http"), PLAIN, PLAIN),
    "upstream-http-absolute-wss": Cell(absolute("upstream:http"), TLS, PLAIN),
    "upstream-http-connect-plain": Cell(connect("upstream:http"), PLAIN, PLAIN),
    "upstream-http-connect-tls": Cell(connect("upstream:http"), TLS, TLS),
    "upstream-https-absolute-ws": Cell(absolute("upstream:https"), PLAIN, PLAIN),
    "upstream-https-absolute-wss": Cell(absolute("upstream:https"), TLS, PLAIN),
    "upstream-https-connect-plain": Cell(connect("upstream:https"), PLAIN, PLAIN),
    "upstream-https-connect-tls": Cell(connect("upstream:https"), TLS, TLS),
}

ways = pytest.mark.parametrize("name", WAYS)


@asynccontextmanager
async def opened_by(rig: Rig, name: str) -> AsyncIterator[tuple[Connection, Connection, str]]:
    """The client's end, the server's end, and the URL, which no other connection has."""
    way, server_tls, _ = WAYS[name]
    port = rig.tls_port if server_tls else rig.plain_port
    url = f"{'wss' if server_tls else 'ws'}://localhost:{port}/{uuid4().hex}"
    async with listening(port, rig.server_context if server_tls else None) as peers:
        client = await way(rig, url)
        yield client, await peers.next(), url
        client.stream.close()


@ways
async def test_every_byte_passes(rig: Rig, name: str) -> None:
    async with opened_by(rig, name) as (client, server, url):
        target, port = urlsplit(url).path, urlsplit(url).port
        assert server.request.target == target, "the server sees the origin form"
        assert server.request.header("host") == f"localhost:{port}"
        await converse(client, server)
        await end(client, server)
    events = await captured(rig.proxy, target, rig.path)
    (requested,) = facts(events, Requested)
    (opened,) = facts(events, Opened)
    assert requested.url == url
    assert (requested.tls is not None) == WAYS[name].client_tls
    assert (opened.tls is not None) == WAYS[name].server_tls
    mode = next(mode for mode in MODES if name.startswith(mode.replace(":", "-")))
    assert requested.mode.startswith(mode)
    via_parent = mode.startswith("upstream")
    assert opened.server == ("127.0.0.1", rig.parent.port if via_parent else port)
    if via_parent:
        await captured(rig.parent, target, "takeover")


@ways
async def test_a_reset_is_mirrored(rig: Rig, name: str) -> None:
    """On the layers' path it becomes a FIN, and the capture says which path it was."""
    async with opened_by(rig, name) as (client, server, url):
        await server.send("the last words")
        server.abort()
        message = await client.receive_message(10)
        how = await client.wait_ended(10)
    events = await rig.proxy.over(urlsplit(url).path)
    ended = facts(events, Ended)[0]
    assert ended.side is Side.SERVER
    if rig.path == "takeover":
        assert message is not None
        assert message.text == "the last words"
        assert (how, ended.how) == (How.RST, How.RST)
    else:
        assert how is not None
        assert ended.how is How.FIN
