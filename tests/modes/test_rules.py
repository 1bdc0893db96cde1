"""Rules at the handshake, in every mode that needs no privilege: rejected, and led to another server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.modes.conftest import words
from tests.modes.traffic import converse, end, listening
from tests.modes.ways import Refused, by_connect, by_socks, upgrade
from tests.proxy.running import RunningProxy, free_port
from wsinspect.capture.timeline import Event, FactEvent
from wsinspect.model import Altered, Closed, Fact, Opened, Requested
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import connect_tcp

SCRIPT = str(Path(__file__).parents[1] / "proxy" / "planned.py")
WAYS = (
    "regular-absolute",
    "regular-connect",
    "regular-tls",
    "socks5",
    "socks5-tls",
    "upstream",
    "upstream-tls",
)


@pytest.fixture(scope="module")
def planned(
    parent: RunningProxy, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProxy]:
    capture = tmp_path_factory.mktemp("planned") / "planned.wscap"
    modes = ["regular", "socks5", f"upstream:http://127.0.0.1:{parent.port}"]
    with RunningProxy(capture, modes, *words(confdir), "-s", SCRIPT) as proxy:
        yield proxy


async def told[T](proxy: RunningProxy, target: str, kind: type[T]) -> list[T]:
    """Facts of the connection with this target, in whatever form it was asked for, once it has ended."""

    def of_target(events: list[Event]) -> list[Fact]:
        all_facts = [(event.conn, event.fact) for event in events if isinstance(event, FactEvent)]
        conns = {conn for conn, fact in all_facts if isinstance(fact, Requested) and target in fact.target}
        return [fact for conn, fact in all_facts if conn in conns]

    events = await proxy.until(lambda events: any(isinstance(each, Closed) for each in of_target(events)))
    return [each for each in of_target(events) if isinstance(each, kind)]


async def way_to(way: str, proxy: RunningProxy, url: str) -> tuple[Stream, bool]:
    """A stream on which the request goes out, and whether in absolute form."""
    regular, socks5, upstream = (("127.0.0.1", port) for port in proxy.ports)
    match way.partition("-")[0], way.partition("-")[2]:
        case "regular", "absolute":
            return await connect_tcp(regular), True
        case "regular", _:
            return await by_connect(regular, url), False
        case "socks5", _:
            return await by_socks(socks5, url), False
        case "upstream", "tls":
            return await by_connect(upstream, url), False
        case _:
            return await connect_tcp(upstream), True


@pytest.mark.parametrize("to_tls", [False, True], ids=["to-plain", "to-tls"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_request_is_led_to_another_server(
    planned: RunningProxy, context: ssl.SSLContext, way: str, to_tls: bool
) -> None:
    tls = way.endswith("tls")
    async with (
        listening(context=context if tls else None) as named,
        listening(context=context if to_tls else None) as other,
    ):
        to = f"{'wss' if to_tls else 'ws'}://localhost:{other.server.port}"
        target = f"/redirect/{uuid4().hex}?to={to}"
        url = f"{'wss' if tls else 'ws'}://localhost:{named.server.port}{target}"
        stream, absolute = await way_to(way, planned, url)
        client = await upgrade(stream, url, absolute=absolute)
        server = await other.next()
        assert dict(server.request.headers)["Host"] == f"localhost:{other.server.port}"
        await converse(client, server)
        await end(client, server)
        assert named.accepted.empty()
    changes = {each.what: each.after for each in await told(planned, target, Altered)}
    assert changes["upstream"].startswith(f"{to}/redirect/")


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_is_rejected(planned: RunningProxy, context: ssl.SSLContext, way: str) -> None:
    tls = way.endswith("tls")
    async with listening(context=context if tls else None) as named:
        target = f"/reject/{uuid4().hex}"
        url = f"{'wss' if tls else 'ws'}://localhost:{named.server.port}{target}"
        stream, absolute = await way_to(way, planned, url)
        with pytest.raises(Refused) as refused:
            await upgrade(stream, url, absolute=absolute)
        assert refused.value.response.status == 418
        assert named.accepted.empty()


async def test_a_server_that_is_not_there_need_not_be(planned: RunningProxy) -> None:
    """A request that is led elsewhere does not need its own server."""
    async with listening() as other:
        target = f"/redirect/{uuid4().hex}?to=ws://localhost:{other.server.port}"
        url = f"ws://localhost:{free_port()}{target}"
        stream, absolute = await way_to("regular-absolute", planned, url)
        client = await upgrade(stream, url, absolute=absolute)
        server = await other.next()
        await converse(client, server)
        await end(client, server)
    assert len(await told(planned, target, Opened)) == 1
