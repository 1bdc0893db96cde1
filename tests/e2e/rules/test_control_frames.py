"""Conditions and actions on pings, pongs and Close frames through real sockets, on every way."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.rules.ways import WAYS, Compression, Rig, controls, rig_of, rule, verdicts
from tests.proxy.running import TIMEOUT_S, trusting
from wsinspect.capture.timeline import Event, FrameEvent
from wsinspect.model import Frame, Judged, Opcode, Outcome, Side
from wsinspect.peer import Connection, connect, serve
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.deflate import DeflateParams

WORDS = {Opcode.TEXT: "text", Opcode.PING: "ping", Opcode.PONG: "pong", Opcode.CLOSE: "close"}
SENT = ("ping one", "pong two", "ping three", "text four", "close 4001 bye")


DEFLATE = {
    Compression.OFF: None,
    Compression.FRESH: DeflateParams(server_no_context_takeover=True, client_no_context_takeover=True),
    Compression.TAKEOVER: DeflateParams(),
}
PSEUDONYM = re.compile("‹redacted:[0-9a-f]{8}›")


@dataclass
class Case:
    """What arrives of `SENT`."""

    name: str
    when: str
    action: str
    arrives: tuple[str, ...]
    back: tuple[str, ...] = ()
    caught: int = 0
    """Frames of which the capture has a verdict."""
    outcome: Outcome = Outcome.DROPPED


ALL = SENT
CASES = [
    Case("ping", "kind: ping", "drop", (SENT[1], *SENT[3:]), caught=2),
    Case("pong", "kind: pong", "drop", (SENT[0], *SENT[2:]), caught=1),
    Case("both-kinds", "kind: [ping, pong]", "drop", SENT[3:], caught=3),
    Case("any-kind", "kind: any", "tag: seen", SENT, caught=5, outcome=Outcome.PASSED),
    Case("close", "kind: close", "drop", SENT[:4], caught=1),
    Case("close-code", "close-code: [1001, 4000..4999]", "tag: seen", SENT, caught=1, outcome=Outcome.PASSED),
    Case("close-code-other", "close-code: 1001", "drop", SENT),
    Case("close-reason", "close-reason: {contains: by}", "drop", SENT[:4], caught=1),
    Case("second-ping", "kind: ping, index: 2", "drop", (*SENT[:2], *SENT[3:]), caught=1),
    Case("ping-bytes", "kind: ping, bytes: '6f 6e 65'", "drop", SENT[1:], caught=1),
    Case("ping-size", "kind: ping, size: '>4'", "drop", (*SENT[:2], *SENT[3:]), caught=1),
    Case(
        "ping-payload", "kind: ping", "payload: 'n {{n}}'", ("ping n 1", SENT[1], "ping n 2", *SENT[3:]),
        caught=2, outcome=Outcome.CHANGED,
    ),
    Case(
        "close-payload", "kind: close", "payload: {hex: 03 f4}", (*SENT[:4], "close 1012"),
        caught=1, outcome=Outcome.CHANGED,
    ),
    Case(
        "ping-reply", "kind: ping, index: 1", "reply: {pong: one}", SENT[1:], back=("pong one",), caught=1,
    ),
    Case(
        "ping-send", "kind: ping, index: 1", "send: {to: SIDE, text: seen}", SENT, back=("text seen",),
        caught=1, outcome=Outcome.PASSED,
    ),
    Case("ping-redact", "kind: [ping, pong]", "redact: 't(hre)e'", SENT, caught=1, outcome=Outcome.PASSED),
    Case("close-redact", "kind: close", "redact: 'b(y)e'", SENT, caught=1, outcome=Outcome.PASSED),
    Case("close-redact-all", "kind: close", "redact: '(?s).+'", SENT, caught=1, outcome=Outcome.PASSED),
    Case("close-hidden", "kind: close", "no-capture", SENT, caught=1, outcome=Outcome.PASSED),
    Case("ping-hidden", "kind: ping", "no-capture", SENT, caught=2, outcome=Outcome.PASSED),
]  # fmt: skip


@dataclass
class Ends:
    """Both ends of a connection, and what came to them."""

    client: Connection
    server: Connection
    sender: Side
    came: dict[Side, list[str]] = field(default_factory=lambda: {Side.CLIENT: [], Side.SERVER: []})

    @property
    def sending(self) -> Connection:
        return self.client if self.sender is Side.CLIENT else self.server

    async def sends(self, *what: str) -> None:
        for each in what:
            kind, _, text = each.partition(" ")
            match kind:
                case "ping":
                    await self.sending.ping(text.encode())
                case "pong":
                    await self.sending.pong(text.encode())
                case "text":
                    await self.sending.send(text)
                case "close":
                    code, _, reason = text.partition(" ")
                    await self.sending.send_frame(Opcode.CLOSE, encode_close(int(code), reason))

    async def comes(self, to: Side, *wanted: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while len(self.came[to]) < len(wanted):
                    await asyncio.sleep(0.002)
        except TimeoutError:
            pass
        assert self.came[to] == list(wanted)


def word(frame: Frame, compressed: bool) -> str:
    if frame.opcode == Opcode.CLOSE:
        code, reason = int.from_bytes(frame.payload[:2]), frame.payload[2:].decode()
        return f"close {code} {reason}".rstrip()
    if frame.opcode == Opcode.TEXT and compressed and frame.rsv:
        return "text four"
    return f"{WORDS[Opcode(frame.opcode)]} {frame.payload.decode()}"


def rules() -> str:
    text = "".join(rule(case.name, f"{{PATH, from: SIDE, {case.when}}}", case.action) for case in CASES)
    return text + rule("delay", "{PATH, from: SIDE, kind: ping, index: 1}", "delay: 200ms")


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("control"), rules()) as rig:
        yield rig


async def everywhere(rig: Rig, name: str, check: Callable[[Ends], Awaitable[None]]) -> None:
    """On every way, one after the other, by a server for each."""
    for way in WAYS:
        tls, deflate, sender = way.tls, DEFLATE[way.compression], way.sender
        accepted: asyncio.Queue[Connection] = asyncio.Queue()
        over = asyncio.Event()

        async def handler(
            connection: Connection, queue: asyncio.Queue[Connection] = accepted, over: asyncio.Event = over
        ) -> None:
            queue.put_nowait(connection)
            await over.wait()

        target = f"/{name}/{sender.word}/{uuid4().hex}"
        came: dict[Side, list[str]] = {Side.CLIENT: [], Side.SERVER: []}
        deaf = {"auto_pong": False, "auto_close": False}
        server = await serve(
            handler, "127.0.0.1", rig.stage.server_ports[tls],
            ssl=rig.stage.server_context if tls else None, deflate=deflate,
            on_frame=lambda frame, came=came, z=bool(deflate): came[Side.SERVER].append(word(frame, z)),  # type: ignore[misc]
            **deaf,  # type: ignore[arg-type]
        )  # fmt: skip
        client = await connect(
            f"{'wss' if tls else 'ws'}://127.0.0.1:{rig.proxy.ports[tls]}{target}",
            ssl=trusting() if tls else None, deflate=deflate,
            on_frame=lambda frame, came=came, z=bool(deflate): came[Side.CLIENT].append(word(frame, z)),  # type: ignore[misc]
            **deaf,  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            await check(Ends(client, await accepted.get(), sender, came))
            client.abort()
            events = await rig.proxy.over(target)
        except BaseException as error:
            error.add_note(f"on the way: {way}")
            raise
        finally:
            client.abort()
            over.set()
            await server.close(timeout_s=0.1)
        found = verdicts(events, f"{name}-{sender.word}")
        if name == "delay":
            assert [(each.opcode, each.delay_ms) for each in found] == [(Opcode.PING, 200)]
        else:
            _captured(next(each for each in CASES if each.name == name), events, sender, found)


def _captured(case: Case, events: list[Event], sender: Side, found: list[Judged]) -> None:
    assert len(found) == case.caught
    assert {each.outcome for each in found} <= {case.outcome}
    shown = [word(each.frame, True) for each in controls(events, sender)]
    wanted = [each for each in SENT if not each.startswith("text")]
    match case.name:
        case "ping-redact":
            assert "ping three" not in shown
            assert any("‹redacted:" in each for each in shown)
        case "ping-hidden":
            assert shown == [SENT[1], SENT[4]]
        case "close-hidden":
            assert shown == list(SENT[:3])
        case "close-redact":
            assert PSEUDONYM.sub("*", shown[-1]) == "close 4001 b*e"
        case "close-redact-all":
            assert PSEUDONYM.sub("*", shown[-1]) == "close 4001 *"
        case _:
            assert shown == wanted  # as they came
    hidden = {"redact": "redacted", "no-capture": "nothing"}.get(case.action.partition(":")[0], "whole")
    assert {each.captured for each in found} <= {hidden}
    replaced = [word(each.frame, True) for each in events if isinstance(each, FrameEvent) and each.ours]
    if case.outcome is Outcome.CHANGED:
        assert replaced == [each for each in case.arrives if each not in SENT]
    if case.back:
        assert replaced == list(case.back)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_control_frame(rig: Rig, case: Case) -> None:
    async def check(ends: Ends) -> None:
        await ends.sends(*SENT)
        await ends.comes(ends.sender.other, *case.arrives)
        await ends.comes(ends.sender, *case.back)

    await everywhere(rig, case.name, check)


async def test_a_ping_comes_later_and_messages_do_not_wait(rig: Rig) -> None:
    async def check(ends: Ends) -> None:
        start = time.monotonic()
        await ends.sends("ping one", "text four")
        await ends.comes(ends.sender.other, "text four", "ping one")
        assert time.monotonic() - start >= 0.2

    await everywhere(rig, "delay", check)
