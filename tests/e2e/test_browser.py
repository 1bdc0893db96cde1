"""A page in headless Chromium, its TLS server, and the proxy between them in `regular` mode."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certs import make_cert, server_context
from tests.proxy.running import RunningProxy, facts
from tests.tools import need
from wsinspect.capture.timeline import Event, FrameEvent, MessageEvent
from wsinspect.model import Ended, Failed, How, Opcode, Opened, Requested, Side
from wsinspect.peer import Connection, Request, Server, serve
from wsinspect.peer.accepting import Answer
from wsinspect.wire.close_codes import parse_close

pytestmark = pytest.mark.slow

PAGE = Path(__file__).with_name("page.html")
TEXT = "grüße, 世界 🎉"
BINARY = bytes(index * 7 % 256 for index in range(70000))
CHROMIUM_LIMIT_S = 60.0
LOOPBACK_ONLY = """
def server_connect(data):
    if data.server.address[0] != "127.0.0.1":
        data.server.error = "the test stays on this machine"
"""
"""A script for the proxy: Chromium asks for its maker's hosts, whatever its flags."""
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-default-apps",
    "--disable-features=OptimizationHints,MediaRouter,Translate", "--proxy-bypass-list=<-loopback>",
]  # fmt: skip


class Site:
    """The page, and the WebSockets that it wants."""

    def __init__(self) -> None:
        self.verdict: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.pongs: list[bytes] = []
        self.server: Server

    def answer(self, request: Request) -> Answer | None:
        """HTTP; /plain agrees to no extension."""
        if request.target == "/":
            return 200, [("Content-Type", "text/html; charset=utf-8")], PAGE.read_bytes()
        if request.target.startswith("/verdict?"):
            self.verdict.set_result(json.loads(unquote(request.target.partition("?")[2])))
            return 200, [], b"thanks"
        if request.target.startswith("/plain"):
            return 101, [("Sec-WebSocket-Extensions", None)], b""
        return None if request.header("Upgrade") else (404, [], b"")

    async def serve_one(self, connection: Connection) -> None:
        if connection.request.target == "/ended":
            await connection.receive_message()
            await connection.close(4002, "that is enough")
            return
        if connection.request.target == "/plain/text":
            await connection.ping(b"are you there")
        while (item := await connection.receive()) is not None:
            if getattr(item, "opcode", None) == Opcode.PONG:
                self.pongs.append(item.payload)
            elif item.opcode in (Opcode.TEXT, Opcode.BINARY):
                await connection.send(item.payload.decode() if item.opcode == Opcode.TEXT else item.payload)


@asynccontextmanager
async def running_site(folder: Path) -> AsyncIterator[Site]:
    site = Site()
    site.server = await serve(
        site.serve_one,
        ssl=server_context(*make_cert(folder)),
        deflate=True,
        subprotocols=["inspected"],
        on_request=site.answer,
    )
    async with site.server:
        yield site


def spki_hash(confdir: Path) -> str:
    """Of the CA's key, which mitmproxy's leaf certificates carry too."""
    certificate = x509.load_pem_x509_certificate((confdir / "mitmproxy-ca-cert.pem").read_bytes())
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@asynccontextmanager
async def chromium(url: str, proxy_port: int, confdir: Path, folder: Path) -> AsyncIterator[Path]:
    """Chromium at that page, with a profile of its own; its log."""
    program = need("chromium")
    log = folder / "chromium.log"
    words = [
        program,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--proxy-server=127.0.0.1:{proxy_port}",
        f"--ignore-certificate-errors-spki-list={spki_hash(confdir)}",
        "--enable-logging=stderr",
        url,
    ]
    with log.open("wb") as output:
        browser = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield log
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await asyncio.to_thread(browser.wait)


async def test_the_websockets_of_a_page_work_and_are_captured(tmp_path: Path, confdir: Path) -> None:
    need("chromium")
    script = tmp_path / "loopback_only.py"
    script.write_text(LOOPBACK_ONLY)
    arguments = ("-k", "-s", str(script), "--set", f"confdir={confdir}")
    async with running_site(tmp_path) as site:
        with RunningProxy(tmp_path / "a.wscap", ["regular"], *arguments) as proxy:
            url = f"https://127.0.0.1:{site.server.port}/"
            async with chromium(url, proxy.port, confdir, tmp_path) as log:
                try:
                    async with asyncio.timeout(CHROMIUM_LIMIT_S):
                        verdict = await site.verdict
                except TimeoutError:
                    pytest.fail(f"the page never told its verdict\n{proxy.stderr}\n{log.read_text()[-3000:]}")
                events = {
                    target: await proxy.over(target)
                    for target in ("/plain/text", "/plain/binary", "/deflate", "/ended")
                }
    check_verdict(verdict)
    assert site.pongs == [b"are you there"]
    check_text(events["/plain/text"])
    check_binary(events["/plain/binary"])
    check_compressed(events["/deflate"])
    check_ended(events["/ended"])


def check_verdict(verdict: dict[str, Any]) -> None:
    """What the page itself saw."""
    assert verdict["text"] == {
        "echo": TEXT,
        "protocol": "inspected",
        "extensions": "",
        "over": {"code": 3001, "reason": "text is done", "clean": True},
    }
    assert verdict["binary"] == {"same": True, "over": {"code": 1005, "reason": "", "clean": True}}
    assert verdict["compressed"]["echoes"] == [0, 1, 2, 3, 4]
    assert "permessage-deflate" in verdict["compressed"]["extensions"]
    assert verdict["compressed"]["over"] == {"code": 1000, "reason": "", "clean": True}
    assert verdict["ended"] == {"over": {"code": 4002, "reason": "that is enough", "clean": True}}


def messages(events: list[Event], side: Side) -> list[MessageEvent]:
    return [event for event in events if isinstance(event, MessageEvent) and event.side is side]


def frames(events: list[Event], side: Side, opcode: Opcode) -> list[bytes]:
    return [
        event.frame.payload
        for event in events
        if isinstance(event, FrameEvent) and event.side is side and event.frame.opcode == opcode
    ]


def closes(events: list[Event]) -> list[tuple[int | None, str]]:
    """Codes and reasons of the Close frames, the client's first."""
    return [parse_close(payload)[:2] for side in Side for payload in frames(events, side, Opcode.CLOSE)]


def check_set_up(events: list[Event]) -> None:
    [requested] = facts(events, Requested)
    [opened] = facts(events, Opened)
    assert requested.mode == "regular"
    assert requested.url.startswith("wss://127.0.0.1:")
    assert any(name == "User-Agent" and "Chrome" in value for name, value in requested.headers)
    assert requested.tls is not None
    assert opened.tls is not None
    assert opened.path == "takeover"
    assert not facts(events, Failed)
    assert facts(events, Ended)
    assert not [end for end in facts(events, Ended) if end.how is How.INSPECTOR]
    violations = [event.frame.violations for event in events if isinstance(event, FrameEvent)]
    assert not any(violations)


def check_text(events: list[Event]) -> None:
    check_set_up(events)
    for side in Side:
        assert not any(event.message.compressed for event in messages(events, side))
        assert [event.message.text for event in messages(events, side)] == [TEXT]
    assert frames(events, Side.SERVER, Opcode.PING) == [b"are you there"]
    assert frames(events, Side.CLIENT, Opcode.PONG) == [b"are you there"]
    assert closes(events) == [(3001, "text is done")] * 2


def check_binary(events: list[Event]) -> None:
    check_set_up(events)
    for side in Side:
        assert [event.message.payload for event in messages(events, side)] == [BINARY]
    assert closes(events) == [(None, "")] * 2


def check_compressed(events: list[Event]) -> None:
    check_set_up(events)
    for side in Side:
        found = messages(events, side)
        assert all(event.message.compressed for event in found)
        assert [json.loads(event.message.text or "")["number"] for event in found] == [0, 1, 2, 3, 4]
        assert sum(event.message.wire_bytes for event in found) < 1000
    assert closes(events) == [(1000, "")] * 2


def check_ended(events: list[Event]) -> None:
    check_set_up(events)
    assert [event.message.text for event in messages(events, Side.CLIENT)] == ["end me"]
    assert closes(events) == [(4002, "that is enough")] * 2
