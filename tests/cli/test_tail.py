from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from tests.capture.ruled import ruled_session
from tests.cli.conftest import Program, read, session, write_capture
from tests.control.fake_proxy import FakeProxy
from wsinspect.capture import locks
from wsinspect.capture.writer import Writer
from wsinspect.cli import main
from wsinspect.model import FactRecord, Gap, Judged, Side

KINDS = ["open", "message", "message", "ping", "close", "end", "note"]


def tail(capsys: pytest.CaptureFixture[str], *args: str | Path, code: int = 0) -> list[dict[str, Any]]:
    assert main(["tail", *map(str, args), "--format", "json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def line_of(stream: IO[bytes] | None) -> dict[str, Any]:
    assert stream is not None
    return dict(json.loads(stream.readline()))


def test_json(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tail(capsys, capture)
    assert [line["kind"] for line in lines] == KINDS
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert [line.get("text") for line in lines[1:4]] == ["hello", "hi", "p"]
    assert [line.get("dir") for line in lines[1:4]] == ["c2s", "s2c", "s2c"]
    assert (lines[4]["code"], lines[5]["how"]) == (1000, "fin")
    assert all(line["t"] is not None for line in lines)


def test_frames(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [line["kind"] for line in tail(capsys, capture, "--frames")]
    assert kinds == ["open", "frame", "message", "frame", "message", "ping", "close", "end", "note"]


def test_text(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", str(capture)]) == 0
    out = capsys.readouterr().out
    assert "→ text           5 B  hello" in out
    assert "1000 normal closure" in out
    assert "\x1b" not in out


def test_no_such_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["tail", str(tmp_path / "none.wscap")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_not_a_capture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary, today")
    assert main(["tail", str(tmp_path / "notes.txt")]) == 2
    assert "not a wsinspect capture" in capsys.readouterr().err


def test_damage_is_said_and_the_rest_is_printed(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(capture.read_bytes())
    data[data.index(b"hello") + 1] ^= 0xFF
    capture.write_bytes(data)
    assert main(["tail", str(capture), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds == [kind for n, kind in enumerate(KINDS) if n != 1]
    assert "checksum" in err
    assert "damaged" in err


def test_a_torn_tail_of_a_capture_that_nobody_writes(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture.write_bytes(capture.read_bytes()[:-3])
    assert main(["tail", str(capture), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == len(KINDS) - 1
    assert "not a whole record" in err


def test_a_capture_that_is_being_written_has_no_torn_tail(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture.write_bytes(capture.read_bytes()[:-3])
    with capture.open("ab") as file:
        assert locks.try_lock(file.fileno())
        assert len(tail(capsys, capture)) == len(KINDS) - 1


def test_gaps_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [*session()[:3], Gap(1, Side.SERVER, 4, 0, 7, "slow disk"), *session()[4:]]
    lines = tail(capsys, write_capture(tmp_path / "a.wscap", records))
    assert [line["kind"] for line in lines] == ["open", "message", "note", "close", "end", "note"]
    assert lines[2]["nbytes"] == 7


def test_stdin(capture: Path, program: Program) -> None:
    with program("tail", "-", "--format", "json", stdin=subprocess.PIPE) as child:
        out, err = child.communicate(capture.read_bytes(), timeout=30)
    assert (child.returncode, err) == (0, b"")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == KINDS


def test_stdin_is_printed_as_it_comes(capture: Path, program: Program) -> None:
    data = capture.read_bytes()
    half = data.index(b"hello") + 20
    with program("tail", "-", "--format", "json", stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for part in (data[:3], data[3:half]):
            child.stdin.write(part)
            child.stdin.flush()
        assert line_of(child.stdout)["kind"] == "open"
        child.stdin.write(data[half:-1])
        child.stdin.close()
        assert child.stdout is not None
        assert len(child.stdout.read().splitlines()) == len(KINDS) - 2
        assert child.wait(30) == 1, "its last byte is missing"


@pytest.mark.parametrize("data", [b"", b"WSCAP"])
def test_stdin_that_is_too_short(data: bytes, program: Program) -> None:
    with program("tail", "-", stdin=subprocess.PIPE) as child:
        out, err = child.communicate(data, timeout=30)
    assert out == b""
    assert b"Traceback" not in err


def test_follow_until_interrupted(tmp_path: Path, program: Program) -> None:
    writer = Writer(tmp_path / "a.wscap")
    with program("tail", tmp_path / "a.wscap", "-f", "--format", "json") as child:
        for record in session()[:3]:
            writer.append(record)
        assert line_of(child.stdout)["kind"] == "open"
        assert line_of(child.stdout)["text"] == "hello"
        writer.append(read(b"\x81\x02hi"))
        assert line_of(child.stdout)["text"] == "hi"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    writer.close()
    assert (child.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_has_seen_enough(tmp_path: Path, program: Program) -> None:
    records = [*session()[:2], *(read(b"\x81\x02hi", offset=4 * n, frame=n + 1) for n in range(5000))]
    capture = write_capture(tmp_path / "a.wscap", records)
    with program("tail", capture, "--format", "json") as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr is not None
        assert child.stderr.read() == b""
        assert child.wait(30) == 0


def test_a_running_proxy(capture: Path, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeProxy(str(capture)) as proxy:
        assert [line["kind"] for line in tail(capsys, str(os.getpid()))] == KINDS
        assert [line["kind"] for line in tail(capsys, proxy.path)] == KINDS


def test_follow_a_proxy_until_it_stops(tmp_path: Path, program: Program) -> None:
    writer = Writer(tmp_path / "a.wscap")
    proxy = FakeProxy(str(tmp_path / "a.wscap"))
    with proxy, program("tail", proxy.path, "-f", "--format", "json") as child:
        for record in session()[:3]:
            writer.append(record)
        assert line_of(child.stdout)["kind"] == "open"
        proxy.stop()
        for record in session()[3:]:  # a proxy's last records come after its socket has closed
            writer.append(record)
        writer.close()
        out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, b"")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == KINDS[1:]


def test_no_such_proxy(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "1"]) == 3
    assert "no proxy with the process id 1" in capsys.readouterr().err


def test_a_proxy_without_a_capture(proxy: FakeProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", str(proxy.path)]) == 3
    assert "has no capture" in capsys.readouterr().err


def test_what_rules_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = write_capture(tmp_path / "a.wscap", ruled_session())
    assert main(["tail", str(capture)]) == 0
    out = capsys.readouterr().out
    for words in (
        "[≠ replaced by fake-price]",
        '$.price 64210 → 1 · {"type":"tick"',
        "[✎ modified by fake-price]",
        "[✗ dropped by no-heartbeats]",
        "[◷ delayed 200 ms by slow-chat] [⚑ chat]",
        "[✚ injected by mock-order]",
        "[░ redacted by hide-token]",
        "[☾ shadow: watch-errors would have dropped it]",
        "[‖ held by ask-me]",
        "the held message 4 of the client went on with another payload, after 1,204 ms",
        '$.text "shall I?" → "I shall!"',
        "who-asks changed the request: set header X-Seen to 1",
        "hide-token matched the client's text message 3: keep it out of the capture",
        "the rules stay as they were: rules/demo.yaml:12:7",
    ):
        assert words in out


def test_each_verdict_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On its message's line where there is one; as a note where there is none, also at the very end."""
    records = ruled_session()
    last = FactRecord(2, 10**12, Judged(side=Side.CLIENT, first_frame=99, last_frame=99))
    lines = tail(capsys, write_capture(tmp_path / "a.wscap", [*records, last]))
    verdicts = [line["verdict"] for line in lines if "verdict" in line]
    facts = [record.fact for record in records if isinstance(record, FactRecord)]
    assert len(verdicts) == sum(isinstance(fact, Judged) for fact in facts) + 1
    notes = [line for line in lines if line.get("code") == "judged"]
    assert [note["frames"] for note in notes] == [[0, 0], [3, 3], [99, 99]]
    modified = {(line["conn"], *line["of"]) for line in lines if "modified" in line.get("flags", ())}
    replaced = {(line["conn"], *line["frames"]) for line in lines if "replaced" in line.get("flags", ())}
    assert replaced < modified
    assert len(modified) == 4
