"""`wsinspect rules`: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import session, write_capture
from tests.rules.test_broken import FILES as BROKEN_FILES
from tests.rules.test_broken import FOLDER as BROKEN
from tests.rules.test_broken import expected as expected_of
from wsinspect.cli import main
from wsinspect.model import Closed, FactRecord, Opened, Read, Record, Requested, Sent, Side
from wsinspect.rules.schema import schema_text
from wsinspect.wire.frames import encode_frame

GOOD = """\
version: 1
rules:
  - {id: cheap, when: {json: {$.price: {gt: 100}}}, then: [set: {$.price: 1}]}
  - {id: gone, when: {text: hello}, then: [drop]}
  - {id: answer, when: {text: hi}, then: [{send: {to: client, text: "again"}}]}
  - {id: pings, when: {kind: ping}, then: []}
  - {id: origin, when: {kind: handshake}, then: [set-header: {Origin: http://x}]}
  - {id: "off", enabled: false, then: [drop]}
tests:
  - name: drops hello
    messages: [{from: client, text: hello, expect: drops}]
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_check_of_what_is_right(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", "--run-tests", str(good)]) == 0
    out, err = capsys.readouterr()
    assert out == "6 rules in 1 file, and nothing wrong with them\n1 test: 1 passed, 0 failed\n"
    assert err == ""


def test_check_of_a_folder_of_broken_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", str(BROKEN)]) == 2
    out, err = capsys.readouterr()
    *lines, last = err.splitlines()
    assert out == ""
    assert "Traceback" not in err
    told = [re.fullmatch(rf"({BROKEN}/[^:]+):[1-9]\d*:[1-9]\d*: \S.*", line) for line in lines]
    assert None not in told, lines[told.index(None)]
    assert {each[1] for each in told if each} == set(map(str, BROKEN_FILES))
    assert f"{BROKEN}/ids.yaml:4:10: the id same is taken (first in line 3)" in lines
    assert last == f"wsinspect: {len(lines)} mistakes in {len(BROKEN_FILES)} files"


@pytest.mark.parametrize("file", BROKEN_FILES, ids=lambda file: file.stem)
def test_check_of_a_broken_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All its mistakes at once, in order, and nothing else but how many they are."""
    assert main(["rules", "check", str(file)]) == 2
    out, err = capsys.readouterr()
    *lines, last = err.splitlines()
    assert out == ""
    assert lines == [f"{file}:{mistake}" for mistake in expected_of(file)]
    assert last.startswith(f"wsinspect: {len(lines)} mistake")


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nruls: []\n")
    assert main(["rules", "check", "--format", "json", str(bad)]) == 2
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "level": "error",
            "file": str(bad),
            "line": 2,
            "column": 1,
            "text": "a rule file has no 'ruls'; did you mean rules?",
        }
    ]
    assert err == ""


def test_a_warning_is_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "version: 1\nrules: [{id: a, stop: true, then: [tag: t]}, {id: b, when: {text: x}, then: [drop]}]\n"
    )
    assert main(["rules", "check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == f"{path}:2:46: warning: rule b never sees anything: a (line 2) stops it all\n"
    assert out == "2 rules in 1 file, and nothing wrong with them\n"


def test_a_test_that_fails_is_exit_1(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD.replace("expect: drops", "expect: passes"))
    assert main(["rules", "check", str(good)]) == 0
    capsys.readouterr()
    assert main(["rules", "check", "--run-tests", str(good)]) == 1
    out, err = capsys.readouterr()
    assert err == (f"{good}:11:52: drops hello: the client's text: it should pass as it came (gone: drop)\n")
    assert out.endswith("1 test: 0 passed, 1 failed\n")


def test_hostile_text_of_a_file_does_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        'version: 1\n"\\e[31m\\x9b\\u202e": 1\nrules: [{id: r, description: "\\e]0;x", then: [tag: "\\e"]}]\n'
    )
    assert main(["rules", "check", str(bad)]) == 2
    err = capsys.readouterr().err
    assert not set(err) & {"\x1b", "\x9b", "\u202e", "\x07"}


def test_explain(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "explain", str(good)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cheap: When a message comes and $.price is over 100: set $.price to 1."
    assert lines[5] == "off (off): When a message comes: drop it."
    assert main(["rules", "explain", "--format", "json", str(good)]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {
        "id": "cheap",
        "file": str(good),
        "line": 3,
        "enabled": True,
        "description": "",
        "explain": "When a message comes and $.price is over 100: set $.price to 1.",
    }
    assert main(["rules", "explain", str(BROKEN / "ids.yaml")]) == 2


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()


# ------------------------------------------------------------------------------------------------- test


def test_a_dry_run(good: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "test", str(good), str(capture)]) == 0
    out = capsys.readouterr().out
    assert out == (
        "#1 client the handshake  origin: set Origin\n\n"
        "#1 client message 1  gone: drop\n- hello\n\n"
        '#1 server message 1  answer: send the text "again" to the client\n> to the client: text again\n\n'
        "rule         hits  connections\n"
        "cheap           0            0\n"
        "gone            1            1\n"
        "answer          1            1\n"
        "pings           1            1\n"
        "origin          1            1\n"
        "off             0            0\n\n"
        "4 messages and control frames of 1 connection\n"
    )


def test_what_is_expected(good: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rules", "test", str(good), str(capture), "--diffs", "0"]
    assert main([*words, "--expect", "gone=1", "--expect", "cheap<1", "--expect", "pings=1..2"]) == 0
    capsys.readouterr()
    assert main([*words, "--expect", "gone>=2", "--expect", "cheap=1"]) == 1
    out, err = capsys.readouterr()
    assert err == (
        "wsinspect: gone acted once, at least 2 was expected\nwsinspect: cheap acted never, 1 was expected\n"
    )
    assert "… and 3 more; --diffs 3 shows them all" in out


def test_what_is_expected_in_a_file(
    good: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expect = tmp_path / "expect.yaml"
    expect.write_text('gone: 1\npings: ">=1"\ncheap: 0\n')
    assert main(["rules", "test", str(good), str(capture), "--expect", str(expect)]) == 0
    expect.write_text("gone: 2\n")
    assert main(["rules", "test", str(good), str(capture), "--expect", str(expect)]) == 1
    capsys.readouterr()
    expect.write_text("gon: 2\npings: many\n")
    assert main(["rules", "test", str(good), str(capture), "--expect", str(expect)]) == 2
    err = capsys.readouterr().err
    assert "expect.yaml:1:1: there is no rule 'gon'; did you mean gone?" in err


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("gon=1", "there is no rule 'gon'; did you mean gone?"),
        ("gone=x", "'x' is not a number"),
        ("gone=1.5", "'1.5' is not a whole number"),
        ("nothing.yaml", "neither a file nor an expectation such as rule=3"),
    ],
)
def test_expectations_that_make_no_sense(
    good: Path, capture: Path, expect: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "test", str(good), str(capture), "--expect", expect]) == 2
    assert said in capsys.readouterr().err


def test_a_dry_run_as_json(good: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "test", str(good), str(capture), "--format", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    hits = [line for line in lines if line["kind"] == "hit"]
    assert [(hit["what"], hit.get("outcome")) for hit in hits] == [
        ("the handshake", None),
        ("message 1", "dropped"),
        ("message 1", "passed"),
        ("frame 2", "passed"),
    ]
    assert hits[1]["before"] == "hello"
    assert hits[2]["sent"] == [{"to": "client", "type": "text", "payload": "again"}]
    assert {line["id"]: line["hits"] for line in lines if line["kind"] == "rule"}["gone"] == 1


def test_before_and_after(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = b'{"price": 200, "evil": "\x1b[31m"}'.replace(b"\x1b", b"\\u001b")
    frame = encode_frame(1, payload)
    records: list[Record] = [
        FactRecord(1, 1, Requested(url="ws://host/")),
        FactRecord(1, 2, Opened()),
        Read(1, Side.SERVER, 3, frame, 0, 1),
        Read(1, Side.SERVER, 4, encode_frame(2, b"\x9b\xff"), len(frame), 2),
        FactRecord(1, 5, Closed()),
    ]
    capture = write_capture(tmp_path / "b.wscap", records)
    assert main(["rules", "test", str(good), str(capture)]) == 0
    out = capsys.readouterr().out
    assert '-   "price": 200,' in out
    assert '+   "price": 1,' in out
    assert "\x1b" not in out


def test_a_capture_whose_handshake_is_gone(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record for record in session() if not isinstance(record, FactRecord)]
    capture = write_capture(tmp_path / "b.wscap", records)
    assert main(["rules", "test", str(good), str(capture), "--expect", "gone=1"]) == 0


def test_what_rules_did_before_is_not_tried_again(good: Path, tmp_path: Path) -> None:
    """Frames that wsinspect sent itself did not come from anybody."""
    records = session()
    ours = encode_frame(1, b"hello", mask=b"abcd")
    records.insert(3, Sent(1, Side.CLIENT, 3, ours, 0, "injected", "r"))
    capture = write_capture(tmp_path / "b.wscap", records)
    assert main(["rules", "test", str(good), str(capture), "--expect", "gone=1"]) == 0


def test_a_file_that_is_no_capture(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "test", str(good), str(good)]) == 2
    assert "is not a wsinspect capture" in capsys.readouterr().err
    assert main(["rules", "test", str(good)]) == 2
