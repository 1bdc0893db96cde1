"""What rules decide about a handshake is carried out on the wire, and stands in the capture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.proxy.conftest import Stage, open_through, staged
from tests.proxy.raw import RawEnd, RawServer, request, response
from tests.proxy.running import facts, free_port
from wsinspect.capture.timeline import Event, FactEvent
from wsinspect.model import Altered, Failed, Judged, Notice, Opened, Outcome, Requested, RuleHit, Side
from wsinspect.wire.frames import encode_frame

SCRIPT = str(Path(__file__).with_name("planned.py"))
MASK = b"\x01\x02\x03\x04"


@pytest.fixture(scope="module", params=["takeover", "layer"])
def planned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    more = ["--path", "layer"] if request.param == "layer" else []
    yield from staged(tmp_path_factory.mktemp("planned"), "-s", SCRIPT, *more)


tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


def events_of(stage: Stage, target: str) -> list[Event]:
    """Those of the connection, also where its target was hidden."""
    events = stage.proxy.events()
    conn = next(
        event.conn
        for event in events
        if isinstance(event, FactEvent) and isinstance(event.fact, Requested) and event.fact.target == target
    )
    return [event for event in events if event.conn == conn]


def the_judged(events: list[Event]) -> Judged:
    [judged] = facts(events, Judged)
    return judged


def altered(events: list[Event]) -> dict[str, tuple[str, str]]:
    return {each.what: (each.before, each.after) for each in facts(events, Altered)}


async def ask(stage: Stage, target: str, tls: bool, **headers: str) -> RawEnd:
    client = await stage.client(tls, server_tls=tls)
    client.send(request(target, **headers))
    return client


async def echo(client: RawEnd, server: RawEnd) -> None:
    """Bytes pass both ways."""
    client.send(frame := encode_frame(1, b"there", mask=MASK))
    assert await server.got(len(frame)) == frame
    server.send(back := encode_frame(1, b"back"))
    assert await client.got(len(back)) == back


@tls
async def test_the_server_never_hears_of_a_rejected_request(planned: Stage, tls: bool) -> None:
    server = await planned.server(tls).start()
    target = f"/reject/{uuid4().hex}"
    client = await ask(planned, target, tls)
    head = await client.take_head()
    assert head.startswith(b"HTTP/1.1 418 ")
    assert b"X-Why: tea Injected: yes\r\n" in head
    assert head.count(b"Set-Cookie: ") == 2
    assert await client.got(9) == b"no coffee"
    await client.until(lambda end: "fin" in end.ends or "close_notify" in end.ends)
    events = await planned.proxy.over(target)
    [failed] = facts(events, Failed)
    assert (failed.status, failed.body) == (418, b"no coffee")
    assert failed.message.startswith("rule rule-reject answered 418")
    judged = the_judged(events)
    assert (judged.side, judged.outcome, judged.last_frame) == (Side.CLIENT, Outcome.DROPPED, 0)
    assert judged.hits == [RuleHit(rule="rule-reject", did=("reject",))]
    assert server.heard == []


@tls
@pytest.mark.parametrize("glued", [b"", b"\x81\x02hi"], ids=["", "early-data"])
async def test_an_answer_is_rejected(planned: Stage, tls: bool, glued: bytes) -> None:
    server = await planned.server(tls).start()
    target = f"/answer-reject/{uuid4().hex}"
    client = await ask(planned, target, tls)
    end = await server.accepted()
    end.send(response(await end.take_head()) + glued)
    assert (await client.take_head()).startswith(b"HTTP/1.1 418 ")
    assert await client.got(9) == b"no coffee"
    await client.until(lambda end: "fin" in end.ends or "close_notify" in end.ends)
    await end.until(lambda end: bool(end.ends))
    events = await planned.proxy.over(target)
    [failed] = facts(events, Failed)
    assert (failed.status, failed.body) == (418, b"no coffee")
    judged = the_judged(events)
    assert (judged.side, judged.outcome) == (Side.SERVER, Outcome.DROPPED)
    assert "has crashed" not in planned.proxy.stderr


async def test_another_answer_is_rejected_without_waiting_for_its_body(planned: Stage) -> None:
    server = await planned.server(False).start()
    target = f"/answer-reject/{uuid4().hex}"
    client = await ask(planned, target, False)
    end = await server.accepted()
    await end.take_head()
    end.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe beginning")
    assert (await client.take_head()).startswith(b"HTTP/1.1 418 ")
    assert await client.got(9) == b"no coffee"
    end.close()


async def test_a_status_without_body_has_none(planned: Stage) -> None:
    await planned.server(False).start()
    client = await ask(planned, f"/no-content/{uuid4().hex}", False)
    head = await client.take_head()
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"content-length" not in head.lower()
    await client.ended("fin")
    assert client.received == b""


async def test_in_shadow_nothing_is_touched(planned: Stage) -> None:
    both = await open_through(planned, client_tls=False, server_tls=False, under="/shadow")
    await echo(both.client, both.server)
    events = await planned.proxy.until(lambda events: bool(facts(events, Opened)), both.target)
    assert the_judged(events).shadow


@tls
@pytest.mark.parametrize("to_tls", [False, True], ids=["to-plain", "to-tls"])
async def test_a_request_is_redirected(planned: Stage, tls: bool, to_tls: bool) -> None:
    elsewhere = await RawServer(planned.server_context if to_tls else None).start()
    url = f"{'wss' if to_tls else 'ws'}://localhost:{elsewhere.port}"
    target = f"/redirect/{uuid4().hex}?to={url}"
    client = await ask(planned, target, tls)
    end = await elsewhere.accepted()
    head = await end.take_head()
    assert head.startswith(b"GET /redirect/")  # a URL without a path leaves the request's
    assert f"Host: localhost:{elsewhere.port}\r\n".encode() in head
    end.send(response(head))
    assert (await client.take_head()).startswith(b"HTTP/1.1 101 ")
    await echo(client, end)
    events = await planned.proxy.until(lambda events: bool(facts(events, Opened)), target)
    before, after = altered(events)["upstream"]
    assert before.startswith(f"{'wss' if tls else 'ws'}://127.0.0.1:{planned.server_ports[tls]}/redirect/")
    assert after.startswith(f"{url}/redirect/")
    assert facts(events, Opened)[0].server == ("127.0.0.1", elsewhere.port)
    assert the_judged(events).outcome is Outcome.CHANGED


async def test_a_url_with_a_path_replaces_the_requests(planned: Stage) -> None:
    elsewhere = await RawServer().start()
    await ask(planned, f"/redirect/{uuid4().hex}?to=ws://127.0.0.1:{elsewhere.port}/other%3Fa=b", False)
    assert (await (await elsewhere.accepted()).take_head()).startswith(b"GET /other?a=b HTTP/1.1\r\n")


async def test_a_redirect_to_nowhere_is_said_and_ignored(planned: Stage) -> None:
    server = await planned.server(False).start()
    target = f"/redirect/{uuid4().hex}?to=gopher://x"
    await ask(planned, target, False)
    assert (await (await server.accepted()).take_head()).startswith(b"GET /redirect/")
    events = await planned.proxy.until(lambda events: bool(facts(events, Notice)), target)
    assert "gopher://x" in facts(events, Notice)[0].text


async def test_a_redirect_to_a_closed_port_fails_as_such(planned: Stage) -> None:
    target = f"/redirect/{uuid4().hex}?to=ws://127.0.0.1:{free_port()}"
    client = await ask(planned, target, False)
    assert (await client.take_head()).startswith(b"HTTP/1.1 502 ")
    [failed] = facts(await planned.proxy.over(target), Failed)
    assert (failed.phase, failed.errno) == ("connect", "ECONNREFUSED")


@tls
async def test_headers_of_the_request(planned: Stage, tls: bool) -> None:
    both = await open_through(
        planned, client_tls=tls, server_tls=tls, under="/headers",
        ask={"X_Gone": "yes", "User-Agent": "them"},
    )  # fmt: skip
    assert b"X-Gone" not in both.request_head
    assert both.request_head.count(b"X-New: ") == 2
    assert b"User-Agent: us Injected: yes\r\n" in both.request_head
    events = await planned.proxy.until(lambda events: bool(facts(events, Opened)), both.target)
    changes = altered(events)
    assert changes["request header X-New"] == ("", "one, two")
    assert changes["request header X-Gone"] == ("yes", "")
    assert changes["request header User-Agent"] == ("them", "us Injected: yes")
    assert dict(facts(events, Requested)[0].headers)["User-Agent"] == "them"


@tls
async def test_headers_of_the_answer(planned: Stage, tls: bool) -> None:
    both = await open_through(planned, client_tls=tls, server_tls=tls, under="/answer-headers", X_Gone="yes")
    assert b"X-Gone" not in both.answer_head
    assert both.answer_head.count(b"X-New: ") == 2
    await echo(both.client, both.server)
    events = await planned.proxy.until(lambda events: bool(facts(events, Opened)), both.target)
    assert altered(events)["answer header X-Gone"] == ("yes", "")
    assert ("X-Gone", "yes") in facts(events, Opened)[0].headers


@pytest.mark.parametrize(
    ("word", "offer", "left"),
    [
        ("strip", "permessage-deflate; client_max_window_bits", None),
        ("strip", "x-one, PERMESSAGE-DEFLATE;a=1, x-two;b=\"1\"", b"x-one, x-two;b=\"1\""),
        ("strip-all", "x-one, permessage-deflate", None),
    ],
)  # fmt: skip
async def test_extensions_are_taken_out_of_the_offer(
    planned: Stage, word: str, offer: str, left: bytes | None
) -> None:
    both = await open_through(
        planned, client_tls=False, server_tls=False, under=f"/{word}",
        ask={"Sec-WebSocket-Extensions": offer},
    )  # fmt: skip
    found = [line for line in both.request_head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Ext")]
    assert found == ([] if left is None else [b"Sec-WebSocket-Extensions: " + left])


async def test_hiding_a_used_extension_from_the_client_is_said(planned: Stage) -> None:
    both = await open_through(
        planned, client_tls=False, server_tls=False, under="/answer-strip",
        Sec_WebSocket_Extensions="permessage-deflate",
    )  # fmt: skip
    assert b"permessage-deflate" not in both.answer_head
    events = await planned.proxy.until(lambda events: bool(facts(events, Notice)), both.target)
    assert "does not hear" in facts(events, Notice)[0].text
    deflated = encode_frame(1, b"\xaaV\xcaH\xcd\xc9\xc9\x07\x00", rsv=4)
    both.server.send(deflated)
    assert await both.client.got(len(deflated)) == deflated


async def test_an_answer_that_lost_its_upgrade_still_leads_to_frames(planned: Stage) -> None:
    both = await open_through(planned, client_tls=False, server_tls=False, under="/answer-bare")
    assert b"Upgrade: " not in both.answer_head
    await echo(both.client, both.server)
    events = await planned.proxy.until(lambda events: bool(facts(events, Opened)), both.target)
    assert facts(events, Opened)[0].transport == "websocket"


async def test_a_slow_handshake_holds_nobody_else_up(planned: Stage) -> None:
    server = await planned.server(False).start()
    start = time.monotonic()
    target = f"/slow/{uuid4().hex}"
    slow = await ask(planned, target, False)
    await planned.proxy.until(lambda events: bool(facts(events, Judged)), target)
    other = await open_through(planned, client_tls=False, server_tls=False, listening=server)
    await echo(other.client, other.server)
    assert slow.received == b""
    end = await server.accepted()
    end.send(response(await end.take_head()))
    assert (await slow.take_head()).startswith(b"HTTP/1.1 101 ")
    assert time.monotonic() - start >= 0.4
    await echo(slow, end)
    assert the_judged(planned.proxy.events(target)).delay_ms == 400


async def test_a_client_that_leaves_a_slow_handshake(planned: Stage) -> None:
    await planned.server(False).start()
    target = f"/slow/{uuid4().hex}"
    client = await ask(planned, target, False)
    await planned.proxy.until(lambda events: bool(facts(events, Judged)), target)
    client.reset()
    events = await planned.proxy.over(target)
    assert len(facts(events, Failed)) == 1


async def test_what_rules_hide_is_not_in_the_capture(planned: Stage) -> None:
    server = await planned.server(False).start()
    word = uuid4().hex
    await ask(planned, f"/hide/{word}?token=secret", False, Cookie="session=secret")
    end = await server.accepted()
    head = await end.take_head()
    assert b"?token=secret" in head  # the traffic has it
    assert b"session=secret" in head
    hidden = f"/hide/{word}?token=‹redacted›"
    await planned.proxy.until(lambda events: bool(facts(events, Judged)), hidden)
    assert dict(facts(events_of(planned, hidden), Requested)[0].headers)["Cookie"] == "session=‹redacted›"
    assert f"/hide/{word}?token=secret".encode() not in planned.proxy.capture.read_bytes()


async def test_where_hiding_fails_nothing_is_recorded_that_could_be_hidden(planned: Stage) -> None:
    server = await planned.server(False).start()
    word = uuid4().hex
    await ask(planned, f"/hide-broken/{word}", False, Cookie="session=secret")
    await (await server.accepted()).take_head()
    await planned.proxy.until(lambda events: "rule-hide-broken" in repr(facts(events, Judged)))
    assert word.encode() not in planned.proxy.capture.read_bytes()


@pytest.mark.parametrize("word", ["raise", "answer-raise"])
async def test_a_fault_of_the_rules_lets_the_handshake_pass(planned: Stage, word: str) -> None:
    both = await open_through(planned, client_tls=False, server_tls=False, under=f"/{word}")
    await echo(both.client, both.server)


async def test_what_rules_have_to_say_is_noted(planned: Stage) -> None:
    both = await open_through(planned, client_tls=False, server_tls=False, under="/notice")
    events = await planned.proxy.until(lambda events: bool(facts(events, Notice)), both.target)
    assert facts(events, Notice)[0].text == "rule-notice is off"
