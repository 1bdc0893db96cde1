"""`wsinspect exec`: programs that know nothing of a proxy, their TLS WebSockets in the capture."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.page import Page, serving
from tests.e2e.program import Background, Done, tail, until, wsinspect
from tests.proxy.running import PROGRAM
from tests.tools import need
from wsinspect.capture.locks import is_being_written

pytestmark = pytest.mark.slow

PYTHON = """
import faulthandler, sys
faulthandler.dump_traceback_later(30, exit=True)  # where it hangs is said before the test's time is up
from websockets.sync.client import connect
with connect(sys.argv[1]) as socket:
    socket.send("hello from python")
    print(socket.recv())
sys.exit(7)
"""

NODE = """
import http from "node:http";
import https from "node:https";
import tls from "node:tls";
const proxy = new URL(process.env.HTTPS_PROXY), url = new URL(process.argv[2].replace("wss:", "https:"));
http.request({ host: proxy.hostname, port: proxy.port, method: "CONNECT", path: url.host })
  .on("connect", (answer, socket) => {
    https.request({
      host: url.hostname, path: url.pathname,
      createConnection: () => tls.connect({ socket, servername: url.hostname }),
      headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
    }).on("upgrade", (answer, socket) => { console.log(answer.statusCode); socket.end(); }).end();
  }).end();
"""

JAVA = """
import java.net.URI;
import java.net.http.*;
import java.util.concurrent.*;

public class Client {
  public static void main(String[] words) throws Exception {
    var got = new CompletableFuture<String>();
    var listener = new WebSocket.Listener() {
      public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
        got.complete(text.toString());
        return null;
      }
    };
    var builder = HttpClient.newHttpClient().newWebSocketBuilder();
    var socket = builder.buildAsync(URI.create(words[0]), listener).get();
    socket.sendText("hello from java", true).get();
    System.out.println(got.get(20, TimeUnit.SECONDS));
    System.exit(0);
  }
}
"""

TRAPS = """
trap 'echo heard; exit 5' TERM
echo ready
while :; do sleep 0.05; done
"""


def options(page: Page, capture: Path, confdir: Path) -> list[str]:
    trust = f"ssl_verify_upstream_trusted_ca={page.certfile}"
    return ["exec", "-w", str(capture), "--set", f"confdir={confdir}", "--set", trust]


async def texts(capture: Path) -> list[tuple[str, str]]:
    lines = await tail(capture, "/socket")
    return [(line["dir"], line["text"]) for line in lines if line["kind"] == "message"]


async def ran(page: Page, capture: Path, confdir: Path, *words: str) -> Done:
    done = await wsinspect(*options(page, capture, confdir), "--", *words)
    assert f"capture {capture}" in done.err.splitlines()[-1], done.err
    return done


async def test_python(tmp_path: Path, confdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is the program's; loopback goes through although the user has it bypassed."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    script, capture = tmp_path / "client.py", tmp_path / "a.wscap"
    script.write_text(PYTHON)
    async with serving(tmp_path) as page:
        done = await ran(page, capture, confdir, sys.executable, str(script), page.socket_url)
    assert (done.code, done.out) == (7, "re: hello from python\n"), done.err
    assert "1 connection, 4 frames, " in done.err
    assert await texts(capture) == [("c2s", "hello from python"), ("s2c", "re: hello from python")]


async def test_curl(tmp_path: Path, confdir: Path) -> None:
    need("curl")
    async with serving(tmp_path) as page:
        done = await ran(page, tmp_path / "a.wscap", confdir, "curl", "-sS", "--max-time", "20", page.url)
    assert done.code == 0, done.err
    assert "<title>page</title>" in done.out


async def test_node(tmp_path: Path, confdir: Path) -> None:
    need("node")
    script, capture = tmp_path / "client.mjs", tmp_path / "a.wscap"
    script.write_text(NODE)
    async with serving(tmp_path) as page:
        done = await ran(page, capture, confdir, "node", str(script), page.socket_url)
    assert (done.code, done.out) == (0, "101\n"), done.err
    assert "open" in [line["kind"] for line in await tail(capture, "/socket")]


@pytest.mark.extra
async def test_java(tmp_path: Path, confdir: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("no JDK is installed")
    script, capture = tmp_path / "Client.java", tmp_path / "a.wscap"
    script.write_text(JAVA)
    async with serving(tmp_path) as page:
        done = await ran(page, capture, confdir, "java", str(script), page.socket_url)
    assert (done.code, done.out) == (0, "re: hello from java\n"), done.err
    assert await texts(capture) == [("c2s", "hello from java"), ("s2c", "re: hello from java")]


async def test_a_signal_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy ends well after it, and what is temporary goes."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = [*PROGRAM, "exec", "-w", str(tmp_path / "a.wscap"), "--", "sh", "-c", TRAPS]
    with Background(words) as background:
        await background.until(lambda line: line == "ready")
        assert len(list(temporary.iterdir())) == 1
        assert background.stop(signal.SIGTERM) == 5
        assert "heard\n" in background.text
        assert "capture" in background.text
    assert list(temporary.iterdir()) == []


async def test_a_kill_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy and the folder lived on, and the program without a proxy."""
    temporary, ended, capture = tmp_path / "t", tmp_path / "ended", tmp_path / "a.wscap"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    script = f"trap 'touch {ended}; exit' TERM; echo ready; while :; do sleep 0.05; done"
    with Background([*PROGRAM, "exec", "-w", str(capture), "--", "sh", "-c", script]) as background:
        await background.until(lambda line: line == "ready")
        assert is_being_written(capture)
        background.stop(signal.SIGKILL)
    await until(lambda: not is_being_written(capture))
    assert ended.exists()
    assert list(temporary.iterdir()) == []


async def test_a_kill_as_soon_as_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program lived on: who ran it had not yet said which process it was."""
    temporary, ended, capture = tmp_path / "t", tmp_path / "ended", tmp_path / "a.wscap"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    script = f"trap 'touch {ended}; exit' TERM; kill -KILL $PPID; while :; do sleep 0.05; done"
    with Background([*PROGRAM, "exec", "-w", str(capture), "--", "sh", "-c", script]) as background:
        await until(lambda: background.process.poll() is not None)
        await until(ended.exists)
    await until(lambda: not is_being_written(capture))
    assert list(temporary.iterdir()) == []


async def test_a_program_ended_by_a_signal(tmp_path: Path) -> None:
    words = ["-q", "-w", str(tmp_path / "a.wscap"), "--", "sh", "-c", "kill -KILL $$"]
    done = await wsinspect("exec", *words)
    assert (done.code, done.out, done.err) == (128 + signal.SIGKILL, "", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "which program?"),
        (["--"], 2, "which program?"),
        (["--", "no-such-program"], 127, "there is no program no-such-program"),
        (["--", "/etc/passwd"], 126, "/etc/passwd is not a program"),
        (["--wirte", "x", "--", "true"], 2, "did you mean --write?"),
        (["--upstream", "ftp://x", "--", "true"], 2, "ftp://x"),
    ],
)
async def test_mistakes(words: list[str], code: int, said: str) -> None:
    done = await wsinspect("exec", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
