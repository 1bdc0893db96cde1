"""Upstream mode through a real squid: which way an upgrade takes, credentials, refusals."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.squid import Squid, squid
from tests.modes.traffic import captured, converse, end, listening
from tests.modes.ways import Refused, by_connect, upgrade
from tests.proxy.running import RunningProxy, facts, free_port
from wsinspect.model import Altered, Failed
from wsinspect.peer.connection import Connection
from wsinspect.peer.errors import ConnectFailed
from wsinspect.peer.tcp import connect_tcp

pytestmark = pytest.mark.slow

ALLOW = "http_access allow all"
UPGRADES = "http_upgrade_request_protocols websocket allow all"
"""squid compares the name with the Upgrade header letter by letter."""
ONLY_443 = ("acl SSL_ports port 443", "acl CONNECT method CONNECT", "http_access deny CONNECT !SSL_ports")
"""As Debian ships it."""
PASSWORD = (
    "auth_param basic program {folder}/check",
    "auth_param basic realm squid",
    "acl known proxy_auth REQUIRED",
    "http_access allow known",
    "http_access deny all",
)
CREDENTIALS = "Basic " + base64.b64encode(b"me:open sesame").decode()


@contextmanager
def behind(parent: Squid, tmp: Path, confdir: Path, *arguments: str) -> Iterator[RunningProxy]:
    mode = f"upstream:http://127.0.0.1:{parent.port}"
    with RunningProxy(tmp / "squid.wscap", [mode], *words(confdir), *arguments) as proxy:
        yield proxy


async def open_at(proxy: RunningProxy, form: str, url: str, **headers: str) -> Connection:
    """By a request in absolute form, or through CONNECT."""
    at = ("127.0.0.1", proxy.port)
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if form == "absolute":
        return await upgrade(await connect_tcp(at), url, absolute=True, headers=named)
    return await upgrade(await by_connect(at, url), url)


forms = pytest.mark.parametrize("form", ["absolute", "connect"])
legs = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@legs
@forms
@pytest.mark.parametrize("rules", [(ALLOW,), (UPGRADES, ALLOW)], ids=["no-upgrades", "upgrades"])
async def test_every_byte_passes_by_connect(
    tmp_path: Path, confdir: Path, context: ssl.SSLContext, rules: tuple[str, ...], form: str, tls: bool
) -> None:
    with squid(*rules) as parent, behind(parent, tmp_path, confdir) as proxy:
        async with listening(0, context if tls else None) as peers:
            url = f"{'wss' if tls else 'ws'}://localhost:{peers.server.port}/{uuid4().hex}"
            client = await open_at(proxy, form, url)
            server = await peers.next()
            assert server.request.target == urlsplit(url).path
            await converse(client, server)
            await end(client, server)
        events = await captured(proxy, urlsplit(url).path, "takeover")
        ways = [each.after for each in facts(events, Altered) if each.what == "way to the parent proxy"]
        assert ways == (["CONNECT"] if form == "absolute" else [])


@legs
async def test_squid_saw_a_tunnel_and_nothing_else(
    tmp_path: Path, confdir: Path, context: ssl.SSLContext, tls: bool
) -> None:
    with squid(UPGRADES, ALLOW) as parent, behind(parent, tmp_path, confdir) as proxy:
        async with listening(0, context if tls else None) as peers:
            url = f"{'wss' if tls else 'ws'}://localhost:{peers.server.port}/{uuid4().hex}"
            client = await open_at(proxy, "absolute", url)
            await end(client, await peers.next())
        await proxy.over(urlsplit(url).path)
        await proxy.until(lambda _: bool(parent.requests()))
        assert parent.requests() == [f"CONNECT localhost:{peers.server.port}"]


async def test_where_connect_is_refused_the_absolute_form_is_tried(tmp_path: Path, confdir: Path) -> None:
    with squid(*ONLY_443, UPGRADES, ALLOW) as parent, behind(parent, tmp_path, confdir) as proxy:
        async with listening() as peers:
            url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
            client = await open_at(proxy, "absolute", url)
            server = await peers.next()
            await converse(client, server)
            await end(client, server)
        events = await captured(proxy, urlsplit(url).path, "takeover")
        assert all(each.what != "way to the parent proxy" for each in facts(events, Altered))
        assert parent.requests()[0] == f"CONNECT localhost:{peers.server.port}"


async def test_where_squid_allows_neither_the_failure_is_recorded(tmp_path: Path, confdir: Path) -> None:
    """squid takes the Upgrade header away, and the server answers a plain request."""
    with squid(*ONLY_443, ALLOW) as parent, behind(parent, tmp_path, confdir) as proxy:
        async with listening(strict=True) as peers:
            url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
            with pytest.raises(Refused) as refused:
                await open_at(proxy, "absolute", url)
        assert refused.value.response.status in (400, 426)
        events = await proxy.over(urlsplit(url).path)
        (failed,) = facts(events, Failed)
        assert failed.status == refused.value.response.status


@forms
async def test_the_option_upstream_auth(tmp_path: Path, confdir: Path, form: str) -> None:
    option = ("--set", "upstream_auth=me:open sesame")
    with squid(*PASSWORD) as parent, behind(parent, tmp_path, confdir, *option) as proxy:
        async with listening() as peers:
            url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
            client = await open_at(proxy, form, url)
            server = await peers.next()
            assert server.request.header("proxy-authorization") is None, "they are for the parent alone"
            await converse(client, server)
            await end(client, server)
        await captured(proxy, urlsplit(url).path, "takeover")


@forms
async def test_the_clients_own_credentials(tmp_path: Path, confdir: Path, form: str) -> None:
    with squid(*PASSWORD) as parent, behind(parent, tmp_path, confdir) as proxy:
        async with listening() as peers:
            url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
            if form == "absolute":
                client = await open_at(proxy, form, url, Proxy_Authorization=CREDENTIALS)
            else:
                at = ("127.0.0.1", proxy.port)
                client = await upgrade(await by_connect(at, url, userinfo="me:open%20sesame@"), url)
            server = await peers.next()
            assert server.request.header("proxy-authorization") is None
            await converse(client, server)
            await end(client, server)


@forms
async def test_without_credentials_the_parents_refusal_is_recorded(
    tmp_path: Path, confdir: Path, form: str
) -> None:
    with squid(*PASSWORD) as parent, behind(parent, tmp_path, confdir) as proxy:
        url = f"ws://localhost:{free_port()}/{uuid4().hex}"
        with pytest.raises((Refused, ConnectFailed)):
            await open_at(proxy, form, url)
        events = await proxy.over()
        assert any("407" in each.message for each in facts(events, Failed)), facts(events, Failed)


async def test_a_parent_that_is_not_there(tmp_path: Path, confdir: Path) -> None:
    mode = f"upstream:http://127.0.0.1:{free_port()}"
    with RunningProxy(tmp_path / "a.wscap", [mode], *words(confdir)) as proxy:
        url = f"ws://localhost:{free_port()}/{uuid4().hex}"
        with pytest.raises(Refused) as refused:
            await open_at(proxy, "absolute", url)
        assert refused.value.response.status == 502
        (failed,) = facts(await proxy.over(urlsplit(url).path), Failed)
        assert (failed.phase, failed.errno) == ("connect", "ECONNREFUSED")
