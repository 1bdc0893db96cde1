"""The addon inside mitmproxy's own mitmdump: `mitmdump -s addons/wsinspect_addon.py`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.crowd import open_pair
from tests.e2e.program import Background, Line, tail
from tests.proxy.raw import TIMEOUT_S, RawServer, raw_connect
from tests.proxy.running import free_port, trusting
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.frames import encode_frame

ADDON = Path(__file__).parents[2] / "addons" / "wsinspect_addon.py"
MASK = b"\x01\x02\x03\x04"

OTHER_ADDON = """
import json, pathlib

class Other:
    def load(self, loader):
        loader.add_option("noted", str, "", "Where the hooks are noted.")

    def note(self, flow, hook):
        from mitmproxy import ctx
        socket = flow.websocket
        line = {"hook": hook, "path": flow.request.path, "code": socket and socket.close_code,
                "by_client": socket and socket.closed_by_client}
        with pathlib.Path(ctx.options.noted).open("a") as notes:
            notes.write(json.dumps(line) + "\\n")

    def websocket_start(self, flow):
        self.note(flow, "start")

    def websocket_end(self, flow):
        self.note(flow, "end")

    def response(self, flow):
        if flow.response.status_code == 200:
            flow.response.content = flow.response.content.upper()

addons = [Other()]
"""


@dataclass
class Mitmdump:
    """A running mitmdump in front of `server`."""

    running: Background
    port: int
    server: RawServer
    capture: Path
    notes: Path

    async def hooks(self, target: str, count: int) -> list[Line]:
        """What the other addon noted of the flows to `target`, once it noted so much."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                text = self.notes.read_text() if self.notes.exists() else ""
                found = [json.loads(line) for line in text.splitlines()]
                found = [line for line in found if line["path"] == target]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)


@pytest.fixture
async def mitmdump(tmp_path: Path, confdir: Path) -> AsyncIterator[Mitmdump]:
    (tmp_path / "other_addon.py").write_text(OTHER_ADDON)
    server = await RawServer().start()
    port = free_port()
    words = [str(Path(sys.executable).with_name("mitmdump"))]
    words += ["--mode", f"reverse:http://127.0.0.1:{server.port}", "--listen-host", "127.0.0.1"]
    words += ["-p", str(port), "-s", str(ADDON), "-s", str(tmp_path / "other_addon.py")]
    options = {"confdir": confdir, "wsinspect_capture": tmp_path / "a.wscap", "noted": tmp_path / "notes"}
    for name, value in options.items():
        words += ["--set", f"{name}={value}"]
    with Background(words) as running:
        await running.until(lambda line: "listening at" in line)
        yield Mitmdump(running, port, server, tmp_path / "a.wscap", tmp_path / "notes")


async def test_it_takes_over_and_leaves_the_rest_to_mitmproxy(mitmdump: Mitmdump) -> None:
    first, second, live = (f"/{uuid4().hex}" for _ in range(3))
    await _a_page_passes_the_other_addon(mitmdump)
    await _frames_pass_and_a_reset_is_mirrored(mitmdump, first)
    await _a_close_is_reported(mitmdump, second)
    client, server = await open_pair(mitmdump.server, mitmdump.port, trusting(), target=live)
    client.send(encode_frame(1, b"live", mask=MASK))
    await server.got(10)
    code = await asyncio.to_thread(mitmdump.running.stop)  # with a live connection
    assert code == 0, mitmdump.running.text
    for end in (client, server):
        await end.until(lambda each: "fin" in each.ends)
    # A traceback of asyncio's own may stand there, as without the addon (Python 3.12.1); none of ours does.
    for ours in ("wsinspect/proxy", "wsinspect:"):
        assert ours not in mitmdump.running.text
    hooks = await mitmdump.hooks(live, 2)
    assert [line["hook"] for line in hooks] == ["start", "end"]
    lines = await tail(mitmdump.capture, live)
    assert [line["text"] for line in lines if line["kind"] == "message"] == ["live"]
    assert {line["how"] for line in lines if line["kind"] == "end"} >= {"inspector"}
    assert lines[-1]["code"] == "closed"
    assert [line["path"] for line in lines if line["kind"] == "open"] == ["takeover"]


async def _a_page_passes_the_other_addon(mitmdump: Mitmdump) -> None:
    """HTTP is mitmproxy's own: another addon changes the body."""
    client = await raw_connect(mitmdump.port)
    client.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    server = await mitmdump.server.accepted()
    await server.take_head()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello page")
    await client.take_head()
    assert await client.got(10) == b"HELLO PAGE"
    client.close()


async def _frames_pass_and_a_reset_is_mirrored(mitmdump: Mitmdump, target: str) -> None:
    client, server = await open_pair(mitmdump.server, mitmdump.port, target=target)
    up = encode_frame(1, "grüße".encode(), mask=MASK) + encode_frame(9, b"are you there", mask=MASK)
    down = encode_frame(10, b"are you there") + encode_frame(2, bytes(300), fin=False)
    down += encode_frame(9, b"inside") + encode_frame(0, b"the end")
    client.send(up)
    assert await server.got(len(up)) == up
    server.send(down)
    assert await client.got(len(down)) == down
    server.reset()
    await client.ended("rst")
    hooks = await mitmdump.hooks(target, 2)
    assert [line["hook"] for line in hooks] == ["start", "end"]
    assert (hooks[1]["code"], hooks[1]["by_client"]) == (1006, False)
    lines = await tail(mitmdump.capture, target)
    said = [(line["kind"], line["dir"], line.get("text")) for line in lines if "dir" in line]
    assert said == [
        ("message", "c2s", "grüße"),
        ("ping", "c2s", "are you there"),
        ("pong", "s2c", "are you there"),
        ("ping", "s2c", "inside"),
        ("message", "s2c", None),
    ]
    assert [line["len"] for line in lines if line["kind"] == "message"] == [len("grüße".encode()), 307]
    [end] = [line for line in lines if line["kind"] == "end"]
    assert (end["side"], end["how"], end["errno"]) == ("server", "rst", "ECONNRESET")


async def _a_close_is_reported(mitmdump: Mitmdump, target: str) -> None:
    client, server = await open_pair(mitmdump.server, mitmdump.port, target=target)
    client.send(encode_frame(8, encode_close(4002, "enough"), mask=MASK))
    await server.got(6 + 8)
    server.send(encode_frame(8, encode_close(4002, "enough")))
    await client.got(2 + 8)
    server.fin()
    await client.ended("fin")
    client.fin()
    hooks = await mitmdump.hooks(target, 2)
    assert [line["hook"] for line in hooks] == ["start", "end"]
    assert (hooks[1]["code"], hooks[1]["by_client"]) == (4002, True)
