"""Every way on which a message can go through rules: plain and TLS, compressed or not, from either side.

A rule of the matrix stands in the file twice, once for each sender, under the path `/CASE/SENDER/…`; a test
of a case runs on all twelve ways at once, through one proxy.
"""

from __future__ import annotations

import asyncio
import enum
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.e2e.conftest import own_stage
from tests.proxy.conftest import Stage
from tests.proxy.running import TIMEOUT_S, RunningProxy, facts, trusting
from wsinspect.capture.timeline import Event, FrameEvent, MessageEvent
from wsinspect.model import Judged, Notice, Side

type WebSocket = ClientConnection | ServerConnection
type Payload = str | bytes | list[str]
"""A list is a text in fragments."""

SECONDS = 20.0


class Compression(enum.Enum):
    OFF = "off"
    FRESH = "no context takeover"
    TAKEOVER = "context takeover"


@dataclass(frozen=True)
class Way:
    tls: bool
    compression: Compression
    sender: Side

    def __str__(self) -> str:
        line = "TLS" if self.tls else "plain"
        return f"{line}, compression {self.compression.value}, the {self.sender.word} sends"


WAYS = [Way(*each) for each in product((False, True), Compression, Side)]


def for_both(case: str, body: str, more: str = "", path: str = "") -> str:
    """A rule for each sender. `SIDE` and `OTHER` in `body` stand for the sender and the other side, `STREAM`
    is what toxiproxy calls the sender's stream.

    body: what stands in `when` beside the path, and `then`; as flow or with an indent of four.
    path: of the case that it is a further rule of.
    """
    rules = ""
    for side in Side:
        stream = "upstream" if side is Side.CLIENT else "downstream"
        text = body.replace("SIDE", side.word).replace("OTHER", side.other.word).replace("STREAM", stream)
        rules += f"  - id: {case}-{side.word}\n    {more}{text.strip()}\n".replace(
            "PATH", f"path: /{path or case}/{side.word}/*"
        )
    return rules


def rule(case: str, when: str, action: str, more: str = "", path: str = "") -> str:
    """A rule of one action for each sender; `more`: other keys of it, each on its line."""
    then = f"{{{action}}}" if ":" in action else action
    return for_both(case, f"when: {when}\n    then: [{then}]", f"{more}\n    " if more else "", path)


@dataclass
class Pair:
    """Both ends of a connection through the proxy."""

    case: str
    way: Way
    client: ClientConnection
    server: ServerConnection
    target: str
    proxy: RunningProxy
    looked: bool = False
    """Somebody has asked what the capture says."""

    @property
    def rule(self) -> str:
        """The case's rule for this sender."""
        return f"{self.case}-{self.way.sender.word}"

    @property
    def sender(self) -> WebSocket:
        return self.client if self.way.sender is Side.CLIENT else self.server

    @property
    def receiver(self) -> WebSocket:
        return self.server if self.way.sender is Side.CLIENT else self.client

    async def send(self, *payloads: Payload) -> None:
        for payload in payloads:
            await self.sender.send(payload)

    async def arrives(self, *wanted: str | bytes, within_s: float = SECONDS) -> None:
        """These messages come to the receiver, in that order, and no other before them."""
        async with asyncio.timeout(within_s):
            found = [await self.receiver.recv() for _ in wanted]
        assert found == list(wanted)

    async def comes_back(self, *wanted: str | bytes, within_s: float = SECONDS) -> None:
        """These come to the sender."""
        async with asyncio.timeout(within_s):
            found = [await self.sender.recv() for _ in wanted]
        assert found == list(wanted)

    async def still_works(self) -> None:
        """Messages pass in both directions, and nothing came before them; so the windows are right."""
        await self.sender.send("still " * 40)
        await self.arrives("still " * 40)
        await self.receiver.send("there " * 40)
        await self.comes_back("there " * 40)

    async def over(self) -> list[Event]:
        """Close; then what the capture says of the connection."""
        await self.client.close()
        await self.server.close()
        return await self.captured()

    async def judged(self) -> list[Judged]:
        """Close; then all that the capture has of the case's rule."""
        return verdicts(await self.over(), self.rule)

    async def captured(self) -> list[Event]:
        self.looked = True
        events = await self.proxy.over(self.target)
        bad = [each.text for each in facts(events, Notice) if each.level == "error"]
        assert not bad, bad
        return events


async def ended(end: WebSocket) -> ConnectionClosed:
    """How it ends for one side, whatever still comes before."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await end.recv()
            except ConnectionClosed as closed:
                return closed


@dataclass
class Rig:
    """The proxy with its rules, and where its servers have to listen."""

    stage: Stage

    @property
    def proxy(self) -> RunningProxy:
        return self.stage.proxy

    @asynccontextmanager
    async def servers(self) -> AsyncIterator[Servers]:
        """Strict servers of the `websockets` library behind both modes of the proxy."""
        found = Servers()
        options = {"ping_interval": None, "max_size": None, "subprotocols": ["chat.v1"], "close_timeout": 5}
        plain, secret = self.stage.server_ports
        async with (
            serve(found.handler, "127.0.0.1", plain, **options) as first,  # type: ignore[arg-type]
            serve(found.handler, "127.0.0.1", secret, ssl=self.stage.server_context, **options) as second,  # type: ignore[arg-type]
        ):
            found.listening = [first, second]
            try:
                yield found
            finally:
                found.done.set()

    async def open(
        self, servers: Servers, case: str, way: Way, *, query: str = "", headers: dict[str, str] | None = None
    ) -> Pair:
        target = f"/{case}/{way.sender.word}/{uuid4().hex}{query}"
        scheme = "wss" if way.tls else "ws"
        client = await connect(
            f"{scheme}://127.0.0.1:{self.proxy.ports[way.tls]}{target}",
            ssl=_context() if way.tls else None,
            compression=None,
            extensions=_offer(way.compression),
            additional_headers=headers,
            subprotocols=["chat.v1"],  # type: ignore[list-item]
            ping_interval=None,
            max_size=None,
            close_timeout=5,
            proxy=None,
        )
        server = await servers.accepted(target)
        agreed = str(server.protocol.extensions)
        assert ("PerMessageDeflate" in agreed) is (way.compression is not Compression.OFF), agreed
        return Pair(case, way, client, server, target, self.proxy)

    async def everywhere(
        self,
        case: str,
        check: Callable[[Pair], Awaitable[None]],
        ways: Iterable[Way] = WAYS,
        **options: object,
    ) -> None:
        """Run the check on every way, all at once; the first failure names its way.

        A check says what the peer receives and what the capture says: one that never looks there fails.
        """
        async with self.servers() as servers:

            async def on(way: Way) -> None:
                try:
                    pair = await self.open(servers, case, way, **options)  # type: ignore[arg-type]
                    try:
                        await check(pair)
                        assert pair.looked, "the check has not looked into the capture"
                    finally:
                        pair.client.transport.abort()
                        pair.server.transport.abort()
                except BaseException as error:
                    error.add_note(f"on the way: {way}")
                    raise

            async with asyncio.TaskGroup() as group:
                for way in ways:
                    group.create_task(on(way), name=str(way))


class Servers:
    """Hands each connection to whoever waits for its target."""

    def __init__(self) -> None:
        self.listening: list[Server] = []
        self.done = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[ServerConnection]] = {}

    async def handler(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self._future(connection.request.path).set_result(connection)
        await self.done.wait()

    async def accepted(self, target: str) -> ServerConnection:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._future(target)

    def _future(self, target: str) -> asyncio.Future[ServerConnection]:
        return self._waiting.setdefault(target, asyncio.get_running_loop().create_future())


def _offer(compression: Compression) -> list[ClientPerMessageDeflateFactory] | None:
    match compression:
        case Compression.OFF:
            return None
        case Compression.FRESH:
            return [
                ClientPerMessageDeflateFactory(
                    server_no_context_takeover=True, client_no_context_takeover=True
                )
            ]
        case Compression.TAKEOVER:
            return [ClientPerMessageDeflateFactory(client_max_window_bits=True)]


def _context() -> ssl.SSLContext:
    return trusting()


# ------------------------------------------------------------------------------- what the capture says


def messages(events: list[Event], sender: Side) -> list[MessageEvent]:
    """What the sender sent, without what went out instead of it."""
    return [
        each for each in events if isinstance(each, MessageEvent) and each.side is sender and not each.ours
    ]


def ours(events: list[Event], sender: Side) -> list[MessageEvent]:
    """What went out in the sender's name, instead or beside."""
    return [each for each in events if isinstance(each, MessageEvent) and each.side is sender and each.ours]


def our_frames(events: list[Event], sender: Side) -> list[FrameEvent]:
    """The frames of what went out in the sender's name."""
    return [each for each in events if isinstance(each, FrameEvent) and each.side is sender and each.ours]


def controls(events: list[Event], sender: Side) -> list[FrameEvent]:
    return [
        each
        for each in events
        if isinstance(each, FrameEvent) and each.side is sender and each.frame.is_control and not each.ours
    ]


def verdicts(events: list[Event], rule: str) -> list[Judged]:
    """All that the rule was part of: with messages, with control frames, and of handshakes."""
    found = [event.verdict for event in events if isinstance(event, MessageEvent) and event.verdict]
    found += [
        event.verdict
        for event in events
        if isinstance(event, FrameEvent) and event.frame.is_control and event.verdict
    ]
    found += facts(events, Judged)
    return [each for each in found if any(hit.rule == rule for hit in each.hits)]


def settled(rig: Rig) -> None:
    """The writer has written all that came."""
    size = -1
    while size != (size := rig.proxy.capture.stat().st_size):
        time.sleep(0.1)


@contextmanager
def rig_of(
    tmp: Path, rules: str, *words: str, head: str = "", files: Mapping[str, str] | None = None
) -> Iterator[Rig]:
    """A proxy with these rules, and files beside them; `head`: other keys of the rule file."""
    text = f"version: 1\n{head}rules:\n{rules}"
    folder = folder_of(tmp, {"rules.yaml": text, **(files or {})})
    with own_stage(tmp, "--rules", str(folder), *words) as stage:
        yield Rig(stage)
    assert "Traceback" not in stage.proxy.stderr


def folder_of(tmp: Path, texts: dict[str, str]) -> Path:
    """A folder of rule files."""
    folder = tmp / "rules"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder
