"""`wsinspect browser`: a page on a TLS server, a real browser, nothing installed, nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.page import Page, serving
from tests.e2e.program import Background, Line, tail, until, wsinspect
from tests.proxy.running import PROGRAM
from tests.tools import need, runs
from wsinspect.capture.locks import is_being_written

PATHS = [f"/socket-{number}" for number in range(3)]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the commands of this test put what is temporary: a path as short as a user's."""
    with tempfile.TemporaryDirectory(prefix="wsi") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def command(page: Page, capture: Path, confdir: Path, *words: str) -> list[str]:
    trust = f"ssl_verify_upstream_trusted_ca={page.certfile}"
    options = ["-w", str(capture), "--set", f"confdir={confdir}", "--set", trust]
    return [*PROGRAM, "browser", "--headless", *options, *words]


async def run_until_heard(page: Page, words: list[str], number: int) -> str:
    """Let the page's sockets talk, then end the command; what it printed."""
    with Background(words) as background:
        await page.until_heard(*(f"{path} got re: hello {path[-1]}" for path in PATHS))
        assert background.stop(number) == 0, background.text
        return background.text


def texts(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line["dir"], line["text"]) for line in lines if line["kind"] == "message"]


async def assert_captured(capture: Path) -> None:
    for path in PATHS:
        lines = await tail(capture, path)
        number = path[-1]
        assert texts(lines) == [
            ("c2s", f"hello {number}"),
            ("s2c", f"re: hello {number}"),
            ("c2s", f"got re: hello {number}"),
        ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_chromium(number: int, tmp_path: Path, temporary: Path, confdir: Path) -> None:
    need("chromium")
    capture = tmp_path / "a.wscap"
    async with serving(tmp_path) as page:
        words = command(page, capture, confdir, "--browser", "chromium", page.url)
        text = await run_until_heard(page, words, number)
    await assert_captured(capture)
    assert "chromium runs through 127.0.0.1:" in text
    assert f"capture {capture}" in text
    assert "  text" in text, "the summary"
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.extra
async def test_firefox(tmp_path: Path, temporary: Path, confdir: Path) -> None:
    if not any(map(shutil.which, ("firefox", "firefox-esr"))):
        pytest.skip("firefox is not installed")
    if shutil.which("certutil") is None:
        pytest.skip("certutil is not installed")
    capture = tmp_path / "a.wscap"
    async with serving(tmp_path) as page:
        words = command(page, capture, confdir, "--browser", "firefox", page.url)
        await run_until_heard(page, words, signal.SIGINT)
    await assert_captured(capture)
    assert [path.name for path in temporary.iterdir() if path.name.startswith("wsinspect")] == []


@pytest.fixture
def fake_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in Chromium's place, to be filled."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "chromium"
    script.write_text(f"#!{sys.executable}\n")
    script.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return script


@pytest.mark.slow
async def test_a_browser_that_fails(fake_chromium: Path, tmp_path: Path, temporary: Path) -> None:
    with fake_chromium.open("a") as script:
        script.write("import sys; print('no display', sys.argv[-1]); sys.exit(7)\n")
    capture = tmp_path / "a.wscap"
    done = await wsinspect("browser", "--headless", "-w", str(capture), "--", "localhost:3")
    assert done.code == 3
    assert "ended with exit code 7; it said:\nno display http://localhost:3" in done.err
    assert done.out.startswith("connections ")
    assert list(temporary.iterdir()) == []


FAILING_SOCKET = """
import asyncio, sys, websockets
(proxy,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--proxy-server=")]
async def main():
    try:
        await websockets.connect("ws://127.0.0.1:1/", proxy=proxy)
    except websockets.InvalidHandshake:
        pass
asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_summary_of_what_is_not_saved(fake_chromium: Path, confdir: Path) -> None:
    """It was looked for when the proxy, and the memory that held it, had gone."""
    with fake_chromium.open("a") as script:
        script.write(FAILING_SOCKET)
    done = await wsinspect("browser", "--headless", "--no-save", "--set", f"confdir={confdir}")
    assert done.code == 0, done.err
    assert "connections            1   1 failed" in done.out


@pytest.mark.slow
async def test_a_duration(fake_chromium: Path, tmp_path: Path, temporary: Path) -> None:
    with fake_chromium.open("a") as script:
        script.write("import signal; signal.pause()\n")
    words = ["--headless", "--duration", "0.1", "-q", "--browser-arg=--x", "-w", str(tmp_path / "a.wscap")]
    done = await wsinspect("browser", *words)
    assert (done.code, done.err.count("capture")) == (0, 0)
    assert list(temporary.iterdir()) == []


FORKING = """
import os, pathlib, signal
os.fork()
pathlib.Path(os.environ["PIDS"], str(os.getpid())).touch()
signal.pause()
"""


@pytest.mark.slow
async def test_a_kill_leaves_nothing(
    fake_chromium: Path, tmp_path: Path, temporary: Path, confdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser, its profile and the proxy lived on."""
    pids, capture = tmp_path / "pids", tmp_path / "a.wscap"
    pids.mkdir()
    monkeypatch.setenv("PIDS", str(pids))
    with fake_chromium.open("a") as script:
        script.write(FORKING)
    with Background(
        [*PROGRAM, "browser", "--headless", "-w", str(capture), "--set", f"confdir={confdir}"]
    ) as background:
        await until(lambda: len(list(pids.iterdir())) == 2)
        assert is_being_written(capture)
        background.stop(signal.SIGKILL)
    await until(lambda: not is_being_written(capture))
    assert list(temporary.iterdir()) == []
    assert not any(runs(int(path.name)) for path in pids.iterdir())


async def test_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = await wsinspect("browser", "--headless")
    assert (done.code, done.out) == (3, "")
    assert "no browser is installed here; looked for chromium, " in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--browser", "firefix"], "did you mean firefox?"),
        (["--headles"], "did you mean --headless?"),
        (["--headless", "wss://x"], "give the page that opens it"),
        ([], "needs a terminal; without one use wsinspect browser --headless"),
    ],
)
async def test_mistakes(words: list[str], said: str) -> None:
    done = await wsinspect("browser", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
