"""A capture under pressure, beside traffic that must not notice: a limit, a slow disk, a full one, none."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.certs import make_cert, server_context
from tests.e2e.program import PROGRAM, Background, Line, until, wsinspect
from tests.e2e.test_mitmdump import ADDON
from tests.proxy.raw import MORE_THAN_FITS, RawEnd, RawServer, close_all, raw_connect, request, response
from tests.proxy.running import TIMEOUT_S, RunningProxy, free_port, trusting
from wsinspect.capture.reader import Reader
from wsinspect.capture.ring import PREFIX
from wsinspect.capture.segments import listed
from wsinspect.control.client import ControlClient, EventReader
from wsinspect.control.protocol import CaptureMoved
from wsinspect.model import FactRecord, Gap, Notice, Read, Record, Side
from wsinspect.peer import Connection, connect, serve
from wsinspect.wire.frames import encode_frame

SLOW_DISK = str(Path(__file__).with_name("slow_disk.py"))
STUCK_DISK = str(Path(__file__).with_name("stuck_disk.py"))
STREAM = encode_frame(2, bytes(range(256)) * 4096, mask=b"abcd") * (MORE_THAN_FITS >> 20)


async def echo(connection: Connection) -> None:
    async for message in connection:
        text = message.text
        await connection.send(message.payload if text is None else text)


@asynccontextmanager
async def echoed(
    capture: Path, confdir: Path, *arguments: str, deflate: bool = False, tls: Path | None = None
) -> AsyncIterator[tuple[RunningProxy, Connection]]:
    """A proxy before an echo server, and a connection through it."""
    context = server_context(*make_cert(tls)) if tls else None
    async with await serve(echo, deflate=deflate, ssl=context) as server:
        mode = f"reverse:{'https' if tls else 'http'}://127.0.0.1:{server.address[1]}"
        words = ("-k", "--set", f"confdir={confdir}", *arguments)
        proxy = await asyncio.to_thread(RunningProxy, capture, [mode], *words)
        try:
            url = f"{'wss' if tls else 'ws'}://127.0.0.1:{proxy.port}/live"
            async with await connect(url, deflate=deflate, ssl=trusting() if tls else None) as client:
                yield proxy, client
        finally:
            await asyncio.to_thread(proxy.stop)


async def exchange(client: Connection, texts: list[str]) -> None:
    """Send them, some at a time, and get each back as it went, in order."""
    for some in itertools.batched(texts, 8):
        for text in some:
            await client.send(text)
        for text in some:
            message = await client.receive_message(TIMEOUT_S)
            assert message is not None
            assert message.text == text


def random_texts(rng: random.Random, first: int, count: int, size: int) -> list[str]:
    return [f"{number} {rng.randbytes(size // 2).hex()}" for number in range(first, first + count)]


def messages(lines: list[Line], direction: str = "c2s") -> list[Line]:
    return [line for line in lines if line["kind"] == "message" and line["dir"] == direction]


async def status_of(proxy: RunningProxy) -> Line:
    done = await wsinspect("ctl", "status", str(proxy.process.pid), "--format", "json")
    assert done.code == 0, done.err
    return done.lines()[0]


# --------------------------------------------------------------------------------------------- a limit


def _size(folder: Path) -> int:
    """Octets in a segmented capture that is still written: what was evicted meanwhile counts nothing."""
    size = 0
    for _, file in listed(folder):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


@pytest.mark.slow
async def test_eviction_under_live_compressed_traffic(tmp_path: Path, confdir: Path) -> None:
    """Attach in mid-connection: frames counted right, text right or marked lost, the traffic unharmed."""
    capture = tmp_path / "a.wscap"
    texts = random_texts(random.Random(3), 0, 500, 20_000)
    limit = ("--capture-limit", "2M")
    async with echoed(capture, confdir, *limit, deflate=True) as (proxy, client):
        pid = str(proxy.process.pid)
        with Background([*PROGRAM, "tail", "-f", pid, "--format", "json"]) as early:
            await early.until(lambda line: '"kind":"open"' in line)
            await exchange(client, texts[:300])
            await until(lambda: listed(capture)[0][0] > 1)
            with Background([*PROGRAM, "tail", "-f", pid, "--format", "json"]) as late:
                await late.until(lambda line: '"kind":"message"' in line)
                await exchange(client, texts[300:])
                for follower in (early, late):
                    await follower.until(lambda line: '"frames":[500,500]' in line and '"c2s"' in line)
            await until(lambda: _size(capture) <= 2 << 20)
            followed = [json.loads(line) for _, line in early.output]
            joined = [json.loads(line) for _, line in late.output]
        second = await wsinspect("proxy", "-p", "0", "-w", str(capture), *limit)
        assert second.code == 3
        assert "another process writes" in second.err
    # Who was there from the start has the window all along.
    assert [line["text"] for line in messages(followed)] == texts
    printed = await wsinspect("tail", str(capture), "--format", "json")
    assert (printed.code, printed.err) == (0, "")
    for lines in (joined, printed.lines()):
        sent = messages(lines)
        numbers = [line["frames"][0] for line in sent]
        assert numbers == list(range(numbers[0], 501))
        assert numbers[0] > 1
        for line in sent:
            lost = {"window-lost", "gap"} & set(line["flags"])
            assert lost or line["text"] == texts[line["frames"][0] - 1]
        gone = [line["text"] for line in lines if "were evicted" in line.get("text", "")]
        assert gone, [line for line in lines if line["kind"] == "note"]


# ---------------------------------------------------------------------------------------- a slow disk


@asynccontextmanager
async def behind_a_stuck_disk(
    tmp: Path, confdir: Path, *arguments: str
) -> AsyncIterator[tuple[RunningProxy, RawEnd, RawEnd]]:
    """A proxy whose disk waits for a.wscap.go, and both ends of a connection through it."""
    server = await RawServer().start()
    words = ("--set", f"confdir={confdir}", "-s", STUCK_DISK, *arguments)
    mode = f"reverse:http://127.0.0.1:{server.port}"
    proxy = await asyncio.to_thread(RunningProxy, tmp / "a.wscap", [mode], *words)
    try:
        client = await raw_connect(proxy.port)
        client.send(request("/live"))
        end = await server.accepted()
        end.send(response(await end.take_head()))
        await client.take_head()
        yield proxy, client, end
    finally:
        (tmp / "a.wscap.go").touch()
        await close_all()
        await asyncio.to_thread(proxy.stop)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["auto", "layer"])
async def test_throttle_holds_the_sender_up_while_the_disk_takes_nothing(
    path: str, tmp_path: Path, confdir: Path
) -> None:
    """The server reads on all the while, and the sender is stuck; nothing is lost once the disk goes on."""
    words = ("--capture-pressure", "throttle", "--path", path)
    async with behind_a_stuck_disk(tmp_path, confdir, *words) as (proxy, client, server):
        client.send(STREAM)
        await client.blocked()
        assert len(server.received) < len(STREAM) / 2
        (tmp_path / "a.wscap.go").touch()
        assert await server.got(len(STREAM)) == STREAM
        client.close()
        server.close()
        await proxy.over("/live")
    reads = [record for record in _records(tmp_path / "a.wscap") if isinstance(record, Read)]
    assert b"".join(read.data for read in reads if read.side is Side.CLIENT) == STREAM


@pytest.mark.slow
async def test_without_throttle_the_sender_notices_nothing(tmp_path: Path, confdir: Path) -> None:
    async with behind_a_stuck_disk(tmp_path, confdir) as (_, client, server):
        client.send(STREAM)
        assert await server.got(len(STREAM)) == STREAM
    assert any(isinstance(record, Gap) for record in _records(tmp_path / "a.wscap"))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["auto", "tls"])
async def test_throttled_traffic_loses_nothing_under_a_slow_disk(
    path: str, tmp_path: Path, confdir: Path
) -> None:
    capture = tmp_path / "a.wscap"
    texts = random_texts(random.Random(4), 0, 120, 50_000)
    words = ["--capture-pressure", "throttle", "-s", SLOW_DISK]
    async with echoed(capture, confdir, *words, tls=tmp_path if path == "tls" else None) as (proxy, client):
        await exchange(client, texts)
        status = await status_of(proxy)
        assert status["gaps"] == 0
        assert status["trouble"] == []
    records = _records(capture)
    assert not [record for record in records if isinstance(record, Gap)]
    printed = await wsinspect("tail", str(capture), "--format", "json")
    assert [line["text"] for line in messages(printed.lines())] == texts
    assert [line["text"] for line in messages(printed.lines(), "s2c")] == texts


@pytest.mark.slow
async def test_dropping_is_the_default_and_is_said(tmp_path: Path, confdir: Path) -> None:
    capture = tmp_path / "a.wscap"
    texts = random_texts(random.Random(5), 0, 120, 50_000)
    async with echoed(capture, confdir, "-s", SLOW_DISK) as (proxy, client):
        await exchange(client, texts)
        async with asyncio.timeout(TIMEOUT_S):  # it is said once the write under way has ended
            while not (status := await status_of(proxy))["trouble"]:
                await asyncio.sleep(0.01)
        assert status["gaps"] > 0
        assert "slower" in status["trouble"][0]
    assert [record for record in _records(capture) if isinstance(record, Gap)]
    printed = await wsinspect("tail", str(capture), "--format", "json")
    assert {line["text"] for line in messages(printed.lines()) if "text" in line} < set(texts)


def _records(capture: Path) -> list[Record]:
    found: list[Record] = []
    with Reader(capture) as reader:
        while batch := reader.read():
            found += [record for _, record in batch]
        assert reader.damage == []
    return found


# ---------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        reason = "a tmpfs cannot be mounted here"
        if os.environ.get("WSINSPECT_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["", "3M"], ids=["file", "segments"])
async def test_a_full_disk_costs_the_traffic_and_the_screen_nothing(
    limit: str, small_disk: Path, tmp_path: Path, confdir: Path
) -> None:
    capture = small_disk / "a.wscap"
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_500_000))
    texts = random_texts(random.Random(6), 0, 150, 20_000)
    words = ["--capture-limit", limit] if limit else []
    async with echoed(capture, confdir, *words, deflate=True) as (proxy, client):
        pid = str(proxy.process.pid)
        with (
            Background([*PROGRAM, "tail", "-f", pid, "--format", "json"]) as follower,
            ControlClient(pid) as control,
        ):
            events = control.watch()
            try:
                await exchange(client, texts[:100])  # does not fit
                gone = await _moved(events)
                status = await status_of(proxy)
                assert (status["capture"], status["saved"]) == (gone.path, str(capture))
                assert status["memory"] == gone.path
                assert not gone.saved
                assert "No space left on device" in status["trouble"][0]
                assert stat.S_IMODE(Path(gone.path).stat().st_mode) == 0o700
                text = await wsinspect("ctl", "status", pid)
                assert "in memory, until" in text.out
                # Whoever attaches now sees the file, then the memory, as one.
                late = await wsinspect("tail", pid, "--format", "json")
                assert (late.code, late.err) == (0, "")
                await exchange(client, texts[100:110])
                filler.unlink()
                back = await _moved(events)
                assert (back.path, back.saved) == (str(capture), True)
                await exchange(client, texts[110:])
                assert (await status_of(proxy))["trouble"] == []
                await follower.until(lambda line: '"frames":[150,150]' in line and '"c2s"' in line)
                in_memory = await wsinspect("tail", gone.path, "--format", "json")
            finally:
                events.close()
        followed = [json.loads(line) for _, line in follower.output if line.startswith("{")]
    assert [line["text"] for line in messages(followed)] == texts
    assert len([line for line in followed if line["kind"] == "open"]) == 1
    assert [line["text"] for line in messages(late.lines())] == texts[: len(messages(late.lines()))]
    assert len(messages(late.lines())) >= 100
    assert messages(in_memory.lines())
    assert not Path(gone.path).exists()
    printed = await wsinspect("tail", str(capture), "--format", "json")
    assert (printed.code, printed.err) == (0, "")
    lines = printed.lines()
    sent = messages(lines)
    assert [line["frames"][0] for line in sent][-40:] == list(range(111, 151))
    assert all("text" not in line or line["text"] == texts[line["frames"][0] - 1] for line in sent)
    assert [line for line in sent if "window-lost" in line["flags"]]
    assert [line for line in lines if line.get("code") == "gap"]
    assert [line for line in lines if "not in this capture: No space left" in line.get("text", "")]
    records = _records(capture)
    for side in Side:
        expected = 0
        for record in records:
            if isinstance(record, Read | Gap) and record.side is side and not limit:
                assert record.offset == expected
                expected += len(record.data) if isinstance(record, Read) else record.nbytes


async def test_under_mitmdump_the_log_says_where_the_capture_goes_on(
    small_disk: Path, tmp_path: Path, confdir: Path
) -> None:
    """There is no control socket and no screen: moves to memory and back were said nowhere."""
    capture, filler = small_disk / "a.wscap", small_disk / "filler"
    filler.write_bytes(bytes(3_500_000))
    texts = random_texts(random.Random(7), 0, 110, 20_000)
    async with await serve(echo) as server:
        port = free_port()
        words = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(ADDON), "-p", str(port)]
        words += ["--mode", f"reverse:http://127.0.0.1:{server.address[1]}", "--listen-host", "127.0.0.1"]
        words += ["--set", f"confdir={confdir}", "--set", f"wsinspect_capture={capture}"]
        with Background(words) as running:
            await running.until(lambda line: "listening at" in line)
            async with await connect(f"ws://127.0.0.1:{port}/live") as client:
                await exchange(client, texts[:100])
                await running.until(lambda line: "No space left on device; records go to" in line)
                filler.unlink()
                await running.until(lambda line: f"the capture {capture} goes on" in line)
                await exchange(client, texts[100:])
    notes = [record.fact.text for record in _records(capture) if is_move(record)]
    assert len(notes) == 2
    assert "records go to" in notes[0]
    assert "goes on; it lacks" in notes[1]


def is_move(record: Record) -> TypeGuard[FactRecord]:
    return (
        isinstance(record, FactRecord)
        and isinstance(record.fact, Notice)
        and record.fact.code == "capture-moved"
    )


async def _moved(events: EventReader) -> CaptureMoved:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            event = await asyncio.to_thread(events.next, 0.2)
            if isinstance(event, CaptureMoved):
                return event


# ---------------------------------------------------------------------------------------------- no disk


def rings_of(pid: int) -> list[Path]:
    parents = {Path("/dev/shm"), Path(tempfile.gettempdir())}
    return [ring for parent in parents for ring in parent.glob(f"{PREFIX}{pid}-*")]


async def test_no_save_leaves_no_file(tmp_path: Path, confdir: Path, runtime: Path) -> None:
    before = sorted(runtime.rglob("*.wscap"))
    texts = [f"text {number}" for number in range(50)]
    async with echoed(tmp_path / "none", confdir, "--no-save") as (proxy, client):
        pid = proxy.process.pid
        assert "capture in memory" in proxy.stderr
        with Background([*PROGRAM, "tail", "-f", str(pid), "--format", "json"]) as follower:
            await exchange(client, texts)
            await follower.until(lambda line: '"text 49"' in line)
            status = await status_of(proxy)
            assert status["saved"] is None
            assert [Path(status["capture"])] == rings_of(pid)
            assert stat.S_IMODE(Path(status["capture"]).stat().st_mode) == 0o700
            await client.close()
            await asyncio.to_thread(proxy.stop)
            assert await asyncio.to_thread(follower.process.wait, TIMEOUT_S) == 0
            lines = [json.loads(line) for _, line in follower.output if line.startswith("{")]
    assert [line["text"] for line in messages(lines)] == texts
    assert lines[-1]["code"] == "closed"
    assert rings_of(pid) == []
    assert sorted(runtime.rglob("*.wscap")) == before
    assert not (tmp_path / "none").exists()


async def test_what_a_killed_proxy_leaves_in_memory_is_swept_away(tmp_path: Path, confdir: Path) -> None:
    async with echoed(tmp_path / "none", confdir, "--no-save") as (proxy, client):
        await exchange(client, ["one"])
        pid = proxy.process.pid
        assert len(rings_of(pid)) == 1
        await asyncio.to_thread(proxy.stop, signal.SIGKILL)
        assert len(rings_of(pid)) == 1
    async with echoed(tmp_path / "none", confdir, "--no-save") as (other, _):
        assert rings_of(pid) == []
        assert len(rings_of(other.process.pid)) == 1


async def test_no_save_and_a_name_contradict_each_other(tmp_path: Path) -> None:
    done = await wsinspect("proxy", "--no-save", "-w", str(tmp_path / "a.wscap"))
    assert done.code == 2
    assert "--no-save" in done.err
