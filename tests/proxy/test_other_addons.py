"""Other addons beside ours in mitmdump: bodies they edit, messages they see, change and drop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.proxy.conftest import Opened, open_through, staged
from tests.proxy.raw import TIMEOUT_S, RawServer, raw_connect, request, response
from tests.proxy.running import RunningProxy, facts, free_port
from wsinspect.capture.timeline import FrameEvent, MessageEvent
from wsinspect.control.client import ControlClient
from wsinspect.model import Ended, How, Notice, Side
from wsinspect.model import Opened as OpenedFact
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

JUDGING = Path(__file__).with_name("judging.py")
ADDON = Path(__file__).parents[2] / "addons" / "wsinspect_addon.py"

EDITS_BODIES = """
def response(flow):
    if flow.response.content is not None:
        flow.response.content = flow.response.content.replace(b"plain", b"edited")
"""

EDITS_MESSAGES = """
def websocket_message(flow):
    message = flow.websocket.messages[-1]
    if message.content == b"drop me":
        message.drop()
    message.content = message.content.replace(b"plain", b"edited")
    if message.content == b"kill me":
        flow.kill()
"""


class Mitmdump(RunningProxy):
    """A real mitmdump with our addon and another script; the capture is read like any."""

    def __init__(self, tmp_path: Path, server_port: int, script: str, *arguments: str) -> None:
        (tmp_path / "other_script.py").write_text(script)
        self.mitmdump_port = free_port()
        words = ["--mode", f"reverse:http://127.0.0.1:{server_port}", "--listen-host", "127.0.0.1"]
        words += ["-p", str(self.mitmdump_port), "-s", str(ADDON)]
        words += ["-s", str(tmp_path / "other_script.py")]
        words += ["--set", f"confdir={tmp_path / 'ca'}", "--set", f"wsinspect_capture={tmp_path / 'a.wscap'}"]
        self._start(
            tmp_path / "a.wscap", [str(Path(sys.executable).with_name("mitmdump")), *words, *arguments]
        )


@asynccontextmanager
async def beside(tmp_path: Path, script: str, *arguments: str) -> AsyncIterator[tuple[Mitmdump, RawServer]]:
    server = await RawServer().start()
    mitmdump = Mitmdump(tmp_path, server.port, script, *arguments)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    (await raw_connect(mitmdump.mitmdump_port)).close()
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        (await server.accepted()).close()  # the probe's: mitmproxy connects at once
        yield mitmdump, server
    finally:
        mitmdump.stop()


async def opened(mitmdump: Mitmdump, server: RawServer, **headers: str) -> Opened:
    target = f"/{uuid4().hex}"
    client = await raw_connect(mitmdump.mitmdump_port)
    client.send(request(target))
    end = await server.accepted()
    end.send(response(await end.take_head(), **headers))
    assert (await client.take_head()).startswith(b"HTTP/1.1 101 ")
    return Opened(client, end, target)


async def fetch(mitmdump: Mitmdump, server: RawServer, content_type: str) -> bytes:
    """A body in two pieces; the second is sent once the first arrived, where it does at all."""
    client = await raw_connect(mitmdump.mitmdump_port)
    client.send(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    end = await server.accepted()
    await end.take_head()
    end.send(
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\nplain one,".encode()
    )
    if content_type == "text/event-stream":
        await client.until(lambda each: b"plain one," in each.received)
    end.send(b"plain two")
    end.close()
    await client.until(lambda each: "fin" in each.ends)
    return bytes(client.received).partition(b"\r\n\r\n")[2]


@pytest.mark.slow
@pytest.mark.parametrize(("stream", "word"), [("auto", b"edited"), ("all", b"plain"), ("off", b"edited")])
async def test_an_addon_that_edits_bodies_sees_them_unless_all_streams(
    tmp_path: Path, stream: str, word: bytes
) -> None:
    async with beside(tmp_path, EDITS_BODIES, "--set", f"wsinspect_stream={stream}") as (mitmdump, server):
        body = await fetch(mitmdump, server, "text/html")
        assert body.count(word) == 2
        if stream == "off":
            return
        events = await fetch(mitmdump, server, "text/event-stream")
        assert b"plain one," in events
        assert b"plain two" in events
        assert b"edited" not in events


@pytest.mark.slow
async def test_an_addon_that_edits_messages_is_obeyed_and_told_of(tmp_path: Path) -> None:
    async with beside(tmp_path, EDITS_MESSAGES) as (mitmdump, server):
        both = await opened(mitmdump, server)
        untouched = encode_frame(1, b"as it ", fin=False) + encode_frame(0, b"was")
        both.server.send(encode_frame(1, b"a plain word") + untouched + encode_frame(1, b"drop me"))
        both.server.send(encode_frame(9, b"?"))
        expected = encode_frame(1, b"a edited word") + untouched + encode_frame(9, b"?")
        assert await both.client.got(len(expected)) == expected
        both.client.send(encode_frame(2, b"plain", mask=b"abcd"))
        assert await both.server.got(12) == encode_frame(2, b"edited", mask=b"abcd")
        both.server.send(encode_frame(8, b"\x0f\xa0"))
        both.server.fin()
        await both.client.until(lambda end: "fin" in end.ends)
        both.client.close()
        events = await mitmdump.over(both.target)
    assert facts(events, OpenedFact)[0].path == "layer"
    notices = [(notice.code, notice.side) for notice in facts(events, Notice)]
    assert notices == [
        ("hooks", None), ("modified", Side.SERVER), ("dropped", Side.SERVER), ("modified", Side.CLIENT)
    ]  # fmt: skip
    assert "other_script has websocket_message" in facts(events, Notice)[0].text
    messages = [(event.message.payload, event.flags) for event in events if isinstance(event, MessageEvent)]
    assert sorted(messages) == sorted([
        (b"a plain word", ()), (b"a edited word", ("modified",)), (b"as it was", ()), (b"drop me", ()),
        (b"plain", ()), (b"edited", ("modified",)),
    ])  # fmt: skip


@pytest.mark.slow
async def test_compressed_messages_are_edited_and_the_rest_still_inflates(tmp_path: Path) -> None:
    async with beside(tmp_path, EDITS_MESSAGES) as (mitmdump, server):
        both = await opened(mitmdump, server, Sec_WebSocket_Extensions="permessage-deflate")
        deflater, texts = Deflater(), [b"same words", b"same plain words", b"same words", b"same words again"]
        for text in texts:
            both.server.send(encode_frame(1, deflater.deflate(text), rsv=4))
        frames = FrameDecoder(Side.SERVER, rsv_allowed=4)
        messages = MessageAssembler(Side.SERVER, DeflateParams())
        await both.client.until(
            lambda end: FrameDecoder(Side.SERVER, rsv_allowed=4).receive(bytes(end.received))[3:] != []
        )
        got = [
            found.payload
            for frame in frames.receive(bytes(both.client.received))
            if (found := messages.receive(frame))
        ]
        assert got == [text.replace(b"plain", b"edited") for text in texts]
        both.server.send(
            encode_frame(1, deflater.deflate(b"x" * (17 << 20)), rsv=4)
        )  # too large to compress anew
        await mitmdump.until(
            lambda events: "window-broken" in [notice.code for notice in facts(events, Notice)], both.target
        )


@pytest.mark.slow
async def test_rules_come_first_and_an_addon_edits_what_they_leave(tmp_path: Path) -> None:
    """Also what rules delay; and of a side with private rules nothing but what they leave is recorded."""
    script = f"import runpy\nrunpy.run_path({str(JUDGING)!r})\n{EDITS_MESSAGES}"
    async with beside(tmp_path, script) as (mitmdump, server):
        both = await opened(mitmdump, server)
        for words in (b"swap", b"drop", b"late and plain", b"plain behind"):
            both.server.send(encode_frame(1, words))
        expected = [b"swapped, for edited words", b"late and edited", b"edited behind"]
        await both.client.until(
            lambda end: [f.payload for f in FrameDecoder(Side.SERVER).receive(bytes(end.received))]
            == expected
        )
        both.server.send(encode_frame(1, b"hold me") + encode_frame(1, b"half a plain one")[:5])
        both.server.fin()
        both.client.reset()
        events = await mitmdump.over(both.target)
    came = [event.message.payload for event in events if isinstance(event, MessageEvent) and not event.ours]
    assert came == [b"swap", b"drop", b"late and plain", b"plain behind", b"hold me"]
    ours = [event.message.payload for event in events if isinstance(event, MessageEvent) and event.ours]
    assert ours == [b"swapped, for plain words"]


@pytest.mark.slow
async def test_flow_kill_in_a_message_hook_ends_the_connection(tmp_path: Path) -> None:
    async with beside(tmp_path, EDITS_MESSAGES) as (mitmdump, server):
        both = await opened(mitmdump, server)
        both.server.send(encode_frame(1, b"kill me"))
        for end in (both.client, both.server):
            await end.until(lambda each: "fin" in each.ends)
            end.close()
        events = await mitmdump.over(both.target)
        assert {end.how for end in facts(events, Ended)} == {How.INSPECTOR}


@pytest.mark.slow
async def test_nothing_follows_a_close_of_ours_through_hooks_either(tmp_path: Path) -> None:
    """In a proxy of our own with such a script: mitmdump has no control socket."""
    (tmp_path / "script.py").write_text(EDITS_MESSAGES)
    for stage in staged(tmp_path, "-s", str(tmp_path / "script.py")):
        both = await open_through(stage, client_tls=False, server_tls=False)
        both.server.send(encode_frame(1, b"half of ", fin=False))
        events = await stage.proxy.until(
            lambda events: any(isinstance(each, FrameEvent) for each in events), both.target
        )
        assert [notice.code for notice in facts(events, Notice)] == ["hooks"]
        with ControlClient(stage.proxy.process.pid) as control:
            assert control.close_connection(events[0].conn, 1001, "", (Side.CLIENT,)) == "sent"
        close = encode_frame(8, b"\x03\xe9")
        assert await both.client.got(4) == close
        both.server.send(encode_frame(0, b"it") + encode_frame(1, b"plain"))
        both.server.fin()
        await both.client.until(lambda end: "fin" in end.ends)
        assert both.client.received == close
        both.client.close()
        await stage.proxy.over(both.target)


@pytest.mark.slow
async def test_with_hooks_off_messages_are_taken_over_all_the_same(tmp_path: Path) -> None:
    async with beside(tmp_path, EDITS_MESSAGES, "--set", "wsinspect_hooks=off") as (mitmdump, server):
        both = await opened(mitmdump, server)
        both.server.send(encode_frame(1, b"plain"))
        assert await both.client.got(7) == encode_frame(1, b"plain")
        both.server.reset()
        await both.client.ended("rst")
        events = await mitmdump.over(both.target)
    assert facts(events, OpenedFact)[0].path == "takeover"
    assert [event.frame.payload for event in events if isinstance(event, FrameEvent)] == [b"plain"]
