"""Rules under mitmproxy's own mitmdump: `mitmdump -s addons/wsinspect_addon.py --set wsinspect_rules=…`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.crowd import open_pair
from tests.e2e.program import Background, tail, wsinspect
from tests.e2e.rules.test_reload import rule
from tests.e2e.test_mitmdump import ADDON, MASK, Mitmdump
from tests.proxy.raw import RawEnd, RawServer
from tests.proxy.running import free_port
from wsinspect.model import Side
from wsinspect.wire.frames import FrameDecoder, encode_frame

MITMDUMP = str(Path(sys.executable).with_name("mitmdump"))
SHOUTING = """
def websocket_message(flow):
    message = flow.websocket.messages[-1]
    message.content = message.content.upper()
"""
INJECTING = """
from mitmproxy import ctx

def websocket_message(flow):
    message = flow.websocket.messages[-1]
    if message.content == b"go":
        for to_client in (False, True):
            ctx.master.commands.call("inject.websocket", flow, to_client, b"it is hunter2")
"""


@asynccontextmanager
async def mitmdump(tmp: Path, confdir: Path, *words: str) -> AsyncIterator[Mitmdump]:
    server = await RawServer().start()
    port = free_port()
    line = [MITMDUMP, "--mode", f"reverse:http://127.0.0.1:{server.port}", "--listen-host", "127.0.0.1"]
    line += ["-p", str(port), "-s", str(ADDON), "--set", f"confdir={confdir}"]
    line += ["--set", f"wsinspect_capture={tmp / 'a.wscap'}", *words]
    with Background(line) as running:
        await running.until(lambda line: "listening at" in line)
        yield Mitmdump(running, port, server, tmp / "a.wscap", tmp / "notes")


async def arrives(end: RawEnd, sender: Side, text: str) -> None:
    def there(end: RawEnd) -> bool:
        return [frame.payload.decode() for frame in FrameDecoder(sender).receive(bytes(end.received))] == [
            text
        ]

    await end.until(there)
    end.received.clear()


async def test_rules_change_messages_and_are_loaded_anew(tmp_path: Path, confdir: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(rule("one"))
    async with mitmdump(tmp_path, confdir, "--set", f"wsinspect_rules={path}") as dump:
        await dump.running.until(lambda line: f"1 rule of {path}" in line)
        client, server = await open_pair(dump.server, dump.port, target="/chat")
        client.send(encode_frame(1, b"hi", mask=MASK))
        await arrives(server, Side.CLIENT, "hi one")
        path.write_text(rule("two"))
        await dump.running.until(lambda line: "the rules were loaded anew" in line)
        server.send(encode_frame(1, b"hi"))
        await arrives(client, Side.SERVER, "hi two")
        path.write_text("version: 1\nrules: 7\n")
        await dump.running.until(lambda line: f"{path}:2:8: " in line)
        server.send(encode_frame(1, b"hi"))
        await arrives(client, Side.SERVER, "hi two")
    lines = await tail(dump.capture, "/chat")
    assert [line["text"] for line in lines if "modified" in line.get("flags", [])] == [
        "hi one",
        "hi two",
        "hi two",
    ]


async def test_another_addon_sees_what_rules_leave(tmp_path: Path, confdir: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("one"))
    (tmp_path / "shouting.py").write_text(SHOUTING)
    words = ("--set", f"wsinspect_rules={tmp_path / 'a.yaml'}", "-s", str(tmp_path / "shouting.py"))
    async with mitmdump(tmp_path, confdir, *words) as dump:
        client, server = await open_pair(dump.server, dump.port, target="/chat")
        client.send(encode_frame(1, b"hi", mask=MASK))
        await arrives(server, Side.CLIENT, "HI ONE")


async def test_what_another_addon_injects_shows_no_secret(tmp_path: Path, confdir: Path) -> None:
    rules = "version: 1\nrules:\n  - {id: hide, then: [redact: 'hunter[0-9]']}\n"
    (tmp_path / "a.yaml").write_text(rules)
    (tmp_path / "injecting.py").write_text(INJECTING)
    words = ("--set", f"wsinspect_rules={tmp_path / 'a.yaml'}", "-s", str(tmp_path / "injecting.py"))
    async with mitmdump(tmp_path, confdir, *words) as dump:
        client, server = await open_pair(dump.server, dump.port, target="/chat")
        client.send(encode_frame(1, b"go", mask=MASK))
        await arrives(client, Side.SERVER, "it is hunter2")
        await server.until(lambda end: len(FrameDecoder(Side.CLIENT).receive(bytes(end.received))) == 2)
    lines = await tail(dump.capture, "/chat")
    injected = [line["text"] for line in lines if "injected" in line.get("flags", [])]
    assert [text.partition("‹")[0] for text in injected] == ["it is ", "it is "]
    assert "hunter2" not in str(lines)
    assert b"hunter2" not in dump.capture.read_bytes()


async def test_in_shadow_nothing_is_touched(tmp_path: Path, confdir: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("one"))
    words = ("--set", f"wsinspect_rules={tmp_path / 'a.yaml'}", "--set", "wsinspect_shadow=true")
    async with mitmdump(tmp_path, confdir, *words) as dump:
        client, server = await open_pair(dump.server, dump.port, target="/chat")
        client.send(encode_frame(1, b"hi", mask=MASK))
        await arrives(server, Side.CLIENT, "hi")
    [message] = [line for line in await tail(dump.capture, "/chat") if line["kind"] == "message"]
    assert "shadow" in message["flags"]


async def test_mistakes_end_mitmdump_before_it_listens(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\nrules:\n  - id: one\n    wen: 1\n  - id: two\n    then: [dorp]\n")
    words = ["-p", str(free_port()), "-s", str(ADDON), "--set", f"wsinspect_rules={path}"]
    done = await asyncio.wait_for(wsinspect(*words, program=[MITMDUMP]), 30)
    assert done.code == 2
    assert f"{path}:4:5: " in done.err
    assert "did you mean drop?" in done.err
    assert "Traceback" not in done.err + done.out
    assert "listening" not in done.out
