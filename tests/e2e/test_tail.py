"""`wsinspect tail` against what the peers themselves say they sent."""

from __future__ import annotations

import asyncio
import base64
import random
import signal
import string
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.crowd import open_pair
from tests.e2e.program import Background, Line, tail, tell
from tests.proxy.conftest import Stage
from tests.proxy.raw import TIMEOUT_S
from tests.proxy.running import PROGRAM, trusting
from wsinspect.capture.reader import Reader
from wsinspect.model import Read, Requested, Side
from wsinspect.peer import Connection, connect, serve
from wsinspect.wire.frames import encode_frame

type Said = tuple[str, str | bytes]
"""A kind of NDJSON line, and the payload."""


class Speaker:
    """One side of a connection, which notes what it says."""

    def __init__(self, connection: Connection, seed: str) -> None:
        self.connection = connection
        self.said: list[Said] = []
        self._rng = random.Random(seed)

    async def talk(self, turns: int) -> None:
        """Messages of every kind, with pings and pongs between and inside them."""
        for _ in range(turns):
            await self._rng.choice([self._text, self._binary, self._fragments, self._beat])()

    async def _text(self) -> None:
        letters = self._rng.choice([string.printable, "grüße, мир, 世界 🎉\u202e\x1b[31m\n"])
        text = "".join(self._rng.choices(letters, k=self._rng.choice([0, 1, 30, 126, 5000])))
        await self.connection.send(text, fragments=self._rng.choice([None, 2, 5]))
        self.said.append(("message", text))

    async def _binary(self) -> None:
        data = self._rng.randbytes(self._rng.choice([0, 1, 125, 70000]))
        await self.connection.send(data)
        self.said.append(("message", data))

    async def _fragments(self) -> None:
        """Uncompressed, by hand, with a control frame in the middle."""
        await self.connection.send_frame(1, b"one ", fin=False)
        await self._beat()
        await self.connection.send_frame(0, b"two ", fin=False)
        await self.connection.send_frame(0, b"three")
        self.said.append(("message", "one two three"))

    async def _beat(self) -> None:
        data = self._rng.randbytes(self._rng.choice([0, 4, 125]))
        kind = self._rng.choice(["ping", "pong"])
        await (self.connection.ping(data) if kind == "ping" else self.connection.pong(data))
        self.said.append((kind, data))


async def converse(
    stage: Stage, talk: Callable[[Speaker, Speaker], Awaitable[None]], *, tls: bool, deflate: bool
) -> tuple[str, Speaker, Speaker]:
    """A conversation through the stage's proxy; its target and both sides, once it is over."""
    arrived: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def handler(connection: Connection) -> None:
        arrived.set_result(connection)
        await connection.wait_ended()

    target = f"/{uuid4().hex}"
    scheme, port = ("wss", stage.proxy.ports[1]) if tls else ("ws", stage.proxy.ports[0])
    context = stage.server_context if tls else None
    server = await serve(
        handler, port=stage.server_ports[tls], ssl=context, deflate=deflate or None, auto_pong=False
    )
    async with server:
        url = f"{scheme}://127.0.0.1:{port}{target}"
        ssl = trusting() if tls else None
        connection = await connect(url, ssl=ssl, deflate=deflate or None, auto_pong=False)
        client, other = Speaker(connection, "client"), Speaker(await arrived, "server")
        async with asyncio.timeout(TIMEOUT_S):
            await talk(client, other)
        await connection.close(4000, "that is all")
    await stage.proxy.over(target)
    return target, client, other


def heard(lines: list[Line], direction: str) -> list[Said]:
    """What the lines say that one side sent; None where a payload is not known."""
    kinds = ("message", "ping", "pong")
    return [
        (line["kind"], payload_of(line))
        for line in lines
        if line["kind"] in kinds and line["dir"] == direction
    ]


def payload_of(line: Line) -> str | bytes:
    if "b64" in line:
        return base64.b64decode(line["b64"])
    text: str = line["text"]
    return text.encode() if line["kind"] != "message" or line["opcode"] == 2 else text


@pytest.mark.parametrize(("tls", "deflate"), [(False, False), (True, True)], ids=["plain", "tls-compressed"])
async def test_it_prints_all_that_both_sides_said(stage: Stage, tls: bool, deflate: bool) -> None:
    async def talk(client: Speaker, server: Speaker) -> None:
        await asyncio.gather(client.talk(60), server.talk(60))

    target, client, server = await converse(stage, talk, tls=tls, deflate=deflate)
    lines = await tail(stage.proxy.capture, target)
    assert heard(lines, "c2s") == client.said
    assert heard(lines, "s2c") == server.said
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["kind"] in ("open", "note")
    if deflate:
        assert any("compressed" in line["flags"] for line in lines if line["kind"] == "message")
    closes = [(line["dir"], line["code"], line["reason"]) for line in lines if line["kind"] == "close"]
    assert closes == [("c2s", 4000, "that is all"), ("s2c", 4000, "that is all")]
    ends = [line for line in lines if line["kind"] == "end"]
    assert {(end["side"], end["how"]) for end in ends} >= {("client", "fin"), ("server", "fin")}
    assert {end["how"] for end in ends} == ({"fin", "close_notify"} if tls else {"fin"})
    for end in ends:
        assert end["errno"] is None
        assert end["tcp_info"]
    assert (lines[-1]["kind"], lines[-1]["code"]) == ("note", "closed")


async def test_follow_prints_a_message_as_it_passes(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tail", str(stage.proxy.capture), "--follow", "--format", "json"]
    server = await stage.server(tls=False).start()
    with Background([*PROGRAM, *words]) as following:
        client, end = await open_pair(server, stage.proxy.port)
        client.send(encode_frame(1, b"it has caught up", mask=b"abcd"))
        await following.until(lambda line: "it has caught up" in line)
        lags_ms = []
        for number in range(5):
            sent = time.monotonic()
            end.send(encode_frame(1, b"number %d" % number))
            printed, _ = await following.until(lambda line, text=f"number {number}": text in line)  # type: ignore[misc]
            lags_ms.append((printed - sent) * 1000)
        assert following.stop(signal.SIGINT) == 130
        assert "Traceback" not in following.text
    tell(
        capsys,
        f"tail --follow prints a message {min(lags_ms):.0f} to {max(lags_ms):.0f} ms after it was sent",
    )
    assert max(lags_ms) < 10_000


# ------------------------------------------------------------------------------------------------ a hole


async def chatter(client: Speaker, server: Speaker) -> None:
    """Messages that compress well and refer to each other, one at a time, so that each is a read."""
    for number in range(40):
        for speaker, other in ((client, server), (server, client)):
            text = (
                f'{{"type":"price","symbol":"ACME","number":{number},"by":"{speaker.connection.side.word}"}}'
            )
            await speaker.connection.send(text)
            speaker.said.append(("message", text))
            await other.connection.receive_message(TIMEOUT_S)


def without_read(capture: Path, target: str, side: Side, ordinal: int, to: Path) -> Read:
    """Copy a capture but for one READ of the connection to `target`; the record left out."""
    positions: list[tuple[int, Read]] = []
    conn = 0
    with Reader(capture) as reader:
        while batch := reader.read():
            for position, record in batch:
                if isinstance(getattr(record, "fact", None), Requested) and record.fact.target == target:  # type: ignore[union-attr]
                    conn = record.conn  # type: ignore[union-attr]
                if isinstance(record, Read) and (record.conn, record.side) == (conn, side):
                    positions.append((position, record))
    data = capture.read_bytes()
    position, gone = positions[ordinal]
    length = int.from_bytes(data[position + 4 : position + 8], "little")
    to.write_bytes(data[:position] + data[position + 24 + length :])
    return gone


@pytest.mark.parametrize("side", list(Side), ids=["client", "server"])
async def test_a_missing_read_costs_no_later_count_and_no_wrong_text(
    stage: Stage, tmp_path: Path, side: Side
) -> None:
    target, client, server = await converse(stage, chatter, tls=False, deflate=True)
    direction, speaker = (("c2s", client), ("s2c", server))[side]
    other = "s2c" if direction == "c2s" else "c2s"
    whole = await tail(stage.proxy.capture, target, "--frames")
    assert heard(whole, direction) == speaker.said
    hole = tmp_path / "hole.wscap"
    gone = without_read(stage.proxy.capture, target, side, 20, hole)
    lines = await tail(hole, target, "--frames")
    assert heard(lines, other) == heard(whole, other)
    gaps = [line for line in lines if line["kind"] == "note" and line["code"] == "gap"]
    assert [(gap["dir"], gap["nbytes"]) for gap in gaps] == [(direction, len(gone.data))]

    def numbers(of: list[Line]) -> list[tuple[int, int]]:
        return [
            (line["number"], line["offset"])
            for line in of
            if line.get("dir") == direction and "number" in line
        ]

    inside = range(gone.offset, gone.offset + len(gone.data))
    assert numbers(lines) == [each for each in numbers(whole) if each[1] not in inside]
    messages = [line for line in lines if line["kind"] == "message" and line["dir"] == direction]
    assert len(messages) == 39
    known = dict(enumerate(speaker.said, start=1))
    lost = 0
    for line in messages:
        if "text" in line:
            assert ("message", line["text"]) == known[line["frames"][0]]
        else:
            assert {"window-lost", "gap"} & set(line["flags"])
            assert line["len"] is None
            assert line["frames"][0] > gone.frame
            lost += 1
    assert lost > 0  # else the messages did not refer to each other, and this test shows nothing


@pytest.mark.parametrize("ordinal", [11, 24, 37])
async def test_a_missing_part_of_a_frame_costs_that_frame_alone(
    stage: Stage, tmp_path: Path, ordinal: int
) -> None:
    """Reads of a few bytes: the one that is gone may hold half a header, half a payload, or both."""
    rng = random.Random(ordinal)
    texts = [f"number {number} " + "x" * rng.choice([0, 3, 130]) for number in range(40)]
    stream = b"".join(encode_frame(1, text.encode(), mask=b"abcd") for text in texts)
    target = f"/{uuid4().hex}"
    listening = await stage.server(tls=False).start()
    client, server = await open_pair(listening, stage.proxy.port, target=target)
    position = 0
    while position < len(stream):
        client.send(stream[position : position + rng.randint(1, 40)])
        position = len(await server.got(position + 1))
    client.reset()
    await stage.proxy.over(target)
    whole = await tail(stage.proxy.capture, target, "--frames")
    hole = tmp_path / "hole.wscap"
    gone = without_read(stage.proxy.capture, target, Side.CLIENT, ordinal, hole)
    lines = await tail(hole, target, "--frames")
    known = {line["number"]: line for line in whole if line["kind"] == "frame"}
    frames = [line for line in lines if line["kind"] == "frame"]
    assert frames[-1]["number"] == len(texts)
    hurt = set(known) - {frame["number"] for frame in frames if not frame["flags"]}
    assert hurt
    assert all(gone.frame <= number <= gone.frame + 4 for number in hurt)
    for line in frames:
        before = known[line["number"]]
        for name in ("offset", "len", "wire", "fin", "opcode", "mask"):
            assert line[name] == before[name]
    for line in lines:
        if line["kind"] in ("frame", "message"):
            number = line["number"] if line["kind"] == "frame" else line["frames"][0]
            exact = texts[number - 1]
            assert line["text"] == exact or (
                number in hurt and "truncated" in line["flags"] and exact.startswith(line["text"])
            )
