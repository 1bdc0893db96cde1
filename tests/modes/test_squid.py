"""Upstream mode through a real squid: which way an upgrade takes, credentials, refusals."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.squid import Squid, squid
from tests.modes.traffic import captured, converse, end, listening
from tests.modes.ways import Refused, by_connect, upgrade
from tests.proxy.running import RunningProxy, facts, free_port
from wsinspect.capture.timeline import Event, FactEvent
from wsinspect.model import Address, Altered, Failed, Requested
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


RULES = {
    "closed": (ALLOW,),
    "upgrades": (UPGRADES, ALLOW),
    "443-upgrades": (*ONLY_443, UPGRADES, ALLOW),
    "443": (*ONLY_443, ALLOW),
    "password": PASSWORD,
}


@dataclass
class Lab:
    """A squid for each set of rules, and proxies with a mode for each squid."""

    squids: dict[str, Squid]
    plain: RunningProxy
    knowing: RunningProxy
    """With `upstream_auth`."""

    def at(self, name: str, proxy: RunningProxy | None = None) -> Address:
        return "127.0.0.1", (proxy or self.plain).ports[list(RULES).index(name)]


@pytest.fixture(scope="module")
def lab(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    tmp = tmp_path_factory.mktemp("squid")
    with ExitStack() as stack:
        squids = {name: stack.enter_context(squid(*rules)) for name, rules in RULES.items()}
        modes = [f"upstream:http://127.0.0.1:{each.port}" for each in squids.values()]
        option = ("--set", "upstream_auth=me:open sesame")
        plain = stack.enter_context(RunningProxy(tmp / "plain.wscap", modes, *words(confdir)))
        knowing = stack.enter_context(RunningProxy(tmp / "auth.wscap", modes, *words(confdir), *option))
        yield Lab(squids, plain, knowing)


async def open_at(at: Address, form: str, url: str, **headers: str) -> Connection:
    """By a request in absolute form, or through CONNECT."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if form == "absolute":
        return await upgrade(await connect_tcp(at), url, absolute=True, headers=named)
    return await upgrade(await by_connect(at, url), url)


forms = pytest.mark.parametrize("form", ["absolute", "connect"])
legs = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@legs
@forms
@pytest.mark.parametrize("rules", ["closed", "upgrades"])
async def test_every_byte_passes_by_connect(
    lab: Lab, context: ssl.SSLContext, rules: str, form: str, tls: bool
) -> None:
    async with listening(0, context if tls else None) as peers:
        url = f"{'wss' if tls else 'ws'}://localhost:{peers.server.port}/{uuid4().hex}"
        client = await open_at(lab.at(rules), form, url)
        server = await peers.next()
        assert server.request.target == urlsplit(url).path
        await converse(client, server)
        await end(client, server)
    events = await captured(lab.plain, urlsplit(url).path, "takeover")
    ways = [each.after for each in facts(events, Altered) if each.what == "way to the parent proxy"]
    assert ways == (["CONNECT"] if form == "absolute" else [])
    wanted = f"CONNECT localhost:{peers.server.port}"
    await lab.plain.until(lambda _: wanted in lab.squids[rules].requests())
    assert not [each for each in lab.squids[rules].requests() if each.startswith("GET")]


async def test_where_connect_is_refused_the_absolute_form_is_tried(lab: Lab) -> None:
    async with listening() as peers:
        url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
        client = await open_at(lab.at("443-upgrades"), "absolute", url)
        server = await peers.next()
        await converse(client, server)
        await end(client, server)
    events = await captured(lab.plain, urlsplit(url).path, "takeover")
    assert all(each.what != "way to the parent proxy" for each in facts(events, Altered))
    assert f"CONNECT localhost:{peers.server.port}" in lab.squids["443-upgrades"].requests()


async def test_where_squid_allows_neither_the_failure_is_recorded(lab: Lab) -> None:
    """squid takes the Upgrade header away, and the server answers a plain request."""
    async with listening(strict=True) as peers:
        url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
        with pytest.raises(Refused) as refused:
            await open_at(lab.at("443"), "absolute", url)
    assert refused.value.response.status in (400, 426)
    (failed,) = facts(await lab.plain.over(urlsplit(url).path), Failed)
    assert failed.status == refused.value.response.status


@forms
async def test_the_option_upstream_auth(lab: Lab, form: str) -> None:
    async with listening() as peers:
        url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
        client = await open_at(lab.at("password", lab.knowing), form, url)
        server = await peers.next()
        assert server.request.header("proxy-authorization") is None, "they are for the parent alone"
        await converse(client, server)
        await end(client, server)
    await captured(lab.knowing, urlsplit(url).path, "takeover")


@forms
async def test_the_clients_own_credentials(lab: Lab, form: str) -> None:
    async with listening() as peers:
        url = f"ws://localhost:{peers.server.port}/{uuid4().hex}"
        if form == "absolute":
            client = await open_at(lab.at("password"), form, url, Proxy_Authorization=CREDENTIALS)
        else:
            client = await upgrade(
                await by_connect(lab.at("password"), url, userinfo="me:open%20sesame@"), url
            )
        server = await peers.next()
        assert server.request.header("proxy-authorization") is None
        await converse(client, server)
        await end(client, server)


@forms
async def test_without_credentials_the_parents_refusal_is_recorded(lab: Lab, form: str) -> None:
    where = f"localhost:{free_port()}"
    with pytest.raises((Refused, ConnectFailed)):
        await open_at(lab.at("password"), form, f"ws://{where}/")

    def recorded(events: list[Event]) -> bool:
        conns = {
            event.conn
            for event in events
            if isinstance(event, FactEvent) and isinstance(event.fact, Requested) and where in event.fact.url
        }
        return any("407" in each.message for each in facts([e for e in events if e.conn in conns], Failed))

    await lab.plain.until(recorded)


async def test_a_parent_that_is_not_there(tmp_path: Path, confdir: Path) -> None:
    mode = f"upstream:http://127.0.0.1:{free_port()}"
    with RunningProxy(tmp_path / "a.wscap", [mode], *words(confdir)) as proxy:
        url = f"ws://localhost:{free_port()}/{uuid4().hex}"
        with pytest.raises(Refused) as refused:
            await open_at(("127.0.0.1", proxy.port), "absolute", url)
        assert refused.value.response.status == 502
        (failed,) = facts(await proxy.over(urlsplit(url).path), Failed)
        assert (failed.phase, failed.errno) == ("connect", "ECONNREFUSED")
