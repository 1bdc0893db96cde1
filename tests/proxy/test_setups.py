"""Set-ups that fail are recorded with what went wrong; odd 101s are taken over all the same."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certs import make_cert
from tests.proxy.conftest import Stage, open_through
from tests.proxy.raw import TIMEOUT_S, RawServer, raw_connect, request, response
from tests.proxy.running import RunningProxy, facts, free_port, trusting
from wsinspect.capture.timeline import MessageEvent, RawEvent
from wsinspect.model import Failed, Opened, Requested
from wsinspect.wire.frames import encode_frame


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """A regular proxy that verifies servers' certificates."""
    tmp = tmp_path_factory.mktemp("regular")
    with RunningProxy(tmp / "regular.wscap", ["regular"], "--set", f"confdir={tmp / 'ca'}") as proxy:
        yield proxy


async def test_a_refusal_is_kept_with_its_bounded_body(stage: Stage) -> None:
    server = await stage.server(False).start()
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=False)
    client.send(request(target))
    end = await server.accepted()
    await end.take_head()
    body = b"no entry\n" * 1000
    end.send(b"HTTP/1.1 403 Forbidden\r\nX-Why: policy\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = await client.take_head()
    assert answer.startswith(b"HTTP/1.1 403 Forbidden")
    assert await client.got(len(body)) == body
    events = await stage.proxy.over(target)
    (failed,) = facts(events, Failed)
    assert (failed.phase, failed.status, failed.reason) == ("http", 403, "Forbidden")
    assert ("X-Why", "policy") in failed.headers
    assert failed.body == body[:4096]
    assert failed.truncated


async def test_a_refused_server_is_a_502_and_a_fact(stage: Stage) -> None:
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=False)
    client.send(request(target))
    assert (await client.take_head()).startswith(b"HTTP/1.1 502 ")
    (failed,) = facts(await stage.proxy.over(target), Failed)
    assert (failed.phase, failed.errno) == ("connect", "ECONNREFUSED")


async def test_a_client_that_leaves_before_the_answer(stage: Stage) -> None:
    server = await stage.server(False).start()
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=False)
    client.send(request(target))
    end = await server.accepted()
    await end.take_head()
    client.reset()
    (failed,) = facts(await stage.proxy.over(target), Failed)
    assert (failed.phase, failed.message) == ("http", "Client disconnected.")


async def test_a_server_without_tls(stage: Stage) -> None:
    server = await RawServer(None, stage.server_ports[True]).start()
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=True)
    client.send(request(target))
    end = await server.accepted()
    end.send(b"this is not TLS, and never was\r\n")
    assert (await client.take_head()).startswith(b"HTTP/1.1 502 ")
    (failed,) = facts(await stage.proxy.over(target), Failed)
    assert failed.phase == "tls-server"


async def test_a_client_that_distrusts_the_ca(stage: Stage) -> None:
    await raw_connect(stage.proxy.ports[0], ssl.create_default_context(), name="app.example")
    events = await stage.proxy.until(
        lambda events: any(f.phase == "tls-client" for f in facts(events, Failed))
    )
    failed = [each for each in facts(events, Failed) if each.phase == "tls-client"]
    assert "unknown ca" in failed[-1].message
    unknown = [each for each in facts(events, Requested) if not each.method]
    assert unknown[-1].url == "app.example"


def client_hello(name: str) -> bytes:
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


@pytest.mark.parametrize("sent", ["nothing", "half-a-hello", "hello"])
async def test_a_client_that_leaves_unasked_has_not_failed(stage: Stage, sent: str) -> None:
    """It never saw the certificate: Chromium's connections to spare were told as failures."""
    before = len(facts(stage.proxy.events(), Failed))
    hello = client_hello("spare.example")
    with socket.create_connection(("127.0.0.1", stage.proxy.port)) as client:
        data = {"nothing": b"", "half-a-hello": hello[:60], "hello": hello}[sent]
        client.send(data, getattr(socket, "MSG_MORE", 0))  # in one segment with the FIN
        client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        async with asyncio.timeout(TIMEOUT_S):
            while await asyncio.get_running_loop().sock_recv(client, 65536):
                pass
    distrustful = await stage.client(False, server_tls=False)
    distrustful.send(client_hello(f"{sent}.example"))
    await distrustful.got(1000)
    distrustful.fin()
    events = await stage.proxy.until(lambda events: len(facts(events, Failed)) > before)
    assert [each.phase for each in facts(events, Failed)[before:]] == ["tls-client"]
    assert [each for each in facts(events, Requested) if each.url == f"{sent}.example"]


async def connect(proxy: RunningProxy, authority: str, context: ssl.SSLContext | None = None):  # type: ignore[no-untyped-def]
    client = await raw_connect(proxy.port)
    client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    return client, await client.take_head()


async def test_connect_to_nobody(regular: RunningProxy) -> None:
    port = free_port()
    _, answer = await connect(regular, f"127.0.0.1:{port}")
    assert answer.startswith(b"HTTP/1.1 502 ")
    events = await regular.until(lambda events: bool(facts(events, Failed)))
    requested = next(each for each in facts(events, Requested) if each.url == f"127.0.0.1:{port}")
    assert requested.method == ""
    assert facts(events, Failed)[0].errno == "ECONNREFUSED"


async def test_connect_to_a_name_that_does_not_exist(regular: RunningProxy) -> None:
    _, answer = await connect(regular, "no.such.host.invalid:443")
    assert answer.startswith(b"HTTP/1.1 502 ")
    events = await regular.until(lambda events: any(each.phase == "dns" for each in facts(events, Failed)))
    assert any(each.url == "no.such.host.invalid:443" for each in facts(events, Requested))


async def test_a_plain_websocket_through_connect(regular: RunningProxy) -> None:
    server = await RawServer().start()
    client, answer = await connect(regular, f"127.0.0.1:{server.port}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    target = f"/{uuid4().hex}"
    client.send(request(target))
    end = await server.accepted()
    end.send(response(await end.take_head()))
    assert (await client.take_head()).startswith(b"HTTP/1.1 101 ")
    frame = encode_frame(1, b"through the tunnel", mask=b"abcd")
    client.send(frame)
    assert await end.got(len(frame)) == frame
    end.fin()
    await client.ended("fin")
    client.fin()
    events = await regular.over(target)
    assert [event.message.text for event in events if isinstance(event, MessageEvent)] == [
        "through the tunnel"
    ]
    assert [each.url for each in facts(events, Requested)] == [f"ws://127.0.0.1:{server.port}{target}"]


async def test_a_server_whose_certificate_is_not_trusted(regular: RunningProxy, tmp_path: Path) -> None:
    certfile, keyfile = make_cert(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    server = await RawServer(context).start()
    client = await raw_connect(regular.port)
    target = f"/{uuid4().hex}"
    client.send(request(f"https://localhost:{server.port}{target}"))
    assert (await client.take_head()).startswith(b"HTTP/1.1 502 ")
    events = await regular.until(lambda events: any(f.phase == "tls-server" for f in facts(events, Failed)))
    failed = next(each for each in facts(events, Failed) if each.phase == "tls-server")
    assert "ertificate verify failed" in failed.message


async def test_a_101_without_a_version_is_taken_all_the_same(stage: Stage) -> None:
    """mitmproxy calls it TCP."""
    server = await stage.server(False).start()
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=False)
    client.send(request(target, Sec_WebSocket_Version=""))
    end = await server.accepted()
    end.send(response(await end.take_head()))
    await client.take_head()
    frame = encode_frame(1, b"hello", mask=b"abcd")
    client.send(frame)
    assert await end.got(len(frame)) == frame
    end.reset()
    await client.ended("rst")
    events = await stage.proxy.over(target)
    assert [(each.transport, each.path) for each in facts(events, Opened)] == [("websocket", "takeover")]
    assert [event.message.text for event in events if isinstance(event, MessageEvent)] == ["hello"]


async def test_a_101_to_another_protocol_passes_raw(stage: Stage) -> None:
    server = await stage.server(False).start()
    target = f"/{uuid4().hex}"
    client = await stage.client(False, server_tls=False)
    client.send(request(target, Upgrade="chatter/1"))
    end = await server.accepted()
    await end.take_head()
    end.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chatter/1\r\nConnection: Upgrade\r\n\r\nHELO\r\n")
    await client.take_head()
    assert await client.got(6) == b"HELO\r\n"
    client.send(b"EHLO\r\n")
    assert await end.got(6) == b"EHLO\r\n"
    end.fin()
    await client.ended("fin")
    client.fin()
    events = await stage.proxy.over(target)
    assert [each.transport for each in facts(events, Opened)] == ["raw"]
    assert [event.data for event in events if isinstance(event, RawEvent)] == [b"HELO\r\n", b"EHLO\r\n"]


async def test_a_wrong_accept_is_relayed_and_seen(stage: Stage) -> None:
    """mitmproxy does not check; the client decides, and the reader says what was wrong."""
    both = await open_through(
        stage, client_tls=False, server_tls=False, Sec_WebSocket_Accept="bm90IHRoZSByaWdodCBvbmU="
    )
    both.server.send(encode_frame(1, b"hi"))
    assert await both.client.got(4) == encode_frame(1, b"hi")
    both.client.reset()
    events = await stage.proxy.over(both.target)
    assert facts(events, Opened)[0].path == "takeover"
