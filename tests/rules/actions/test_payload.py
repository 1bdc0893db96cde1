import json
from pathlib import Path
from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of, template, value
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode
from wsinspect.model.plans import Shape
from wsinspect.rules.actions import payload as payload_module


def test_text_with_a_template() -> None:
    act = action("payload", text=template("hi {{$.name}}"))
    plan = plan_of(FakeTalk().turn({"name": "Ada"}), act)
    assert plan.payload == b"hi Ada"
    assert plan.shape is None
    assert did(plan) == 'payload: the text "hi {{$.name}}"'
    assert act.explain() == 'send the text "hi {{$.name}}" instead'


def test_json_keeps_types() -> None:
    act = action("payload", json=value({"id": "{{$.id}}", "l": [1.5, None, "é"]}))
    assert plan_of(FakeTalk().turn({"id": 7}), act).payload == '{"id":7,"l":[1.5,null,"é"]}'.encode()
    assert plan_of(FakeTalk().turn("x"), action("payload", json=value(None))).payload == b"null"


def test_bytes_and_the_kind_of_message() -> None:
    plan = plan_of(FakeTalk().turn("x"), action("payload", hex_=b"\xde\xad"))
    assert plan.payload == b"\xde\xad"
    assert plan.shape is None
    act = action("payload", base64=b"\xde\xad", as_="binary")
    assert act.explain() == "send the bytes dead (hex) instead in a binary message"
    assert plan_of(FakeTalk().turn("x"), act).shape == Shape(opcode=Opcode.BINARY)
    assert plan_of(FakeTalk().turn(b"x"), act).shape is None


def test_a_file_is_read_at_load_and_is_a_template_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"got": {{$.id}}}')
    plain, filled = action("payload", file=path), action("payload", file=path, template=True)
    path.unlink()
    assert plan_of(FakeTalk().turn({"id": 1}), plain).payload == b'{"got": {{$.id}}}'
    assert plan_of(FakeTalk().turn({"id": 1}), filled).payload == b'{"got": 1}'
    assert filled.explain() == "send what answer.json holds instead"
    assert [each.source for each in filled.expressions()] == ["$.id"]


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    with pytest.raises(ValueError, match=r"x\.bin: No such file"):
        action("payload", file=path)
    path.write_bytes(b"\xff{{")
    assert plan_of(FakeTalk().turn("a"), action("payload", file=path)).payload == b"\xff{{"
    with pytest.raises(ValueError, match=r"x\.bin is not UTF-8"):
        action("payload", file=path, template=True)
    monkeypatch.setattr(payload_module, "MAX_FILE_BYTES", 2)
    with pytest.raises(ValueError, match=r"x\.bin is larger than 2 bytes"):
        action("payload", file=path)


def test_control_frames_stay_within_125_bytes() -> None:
    act = action("payload", text=template("{{long}}"))
    assert plan_of(FakeTalk({"long": "x" * 125}).control(Opcode.PING, b"p"), act).payload == b"x" * 125
    with pytest.raises(ValueError, match="126 bytes are too many for a control frame"):
        act.apply(FakeTalk({"long": "x" * 126}).control(Opcode.PING, b"p"))
    plan = plan_of(FakeTalk().control(Opcode.PING), action("payload", text=template("a"), as_="binary"))
    assert plan.shape is None


def test_the_same_payload_is_no_change() -> None:
    turn = FakeTalk().turn(json.dumps({"a": 1}))
    assert plan_of(turn, action("payload", text=template("{{text}}"))).payload is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of text, json, base64, hex or file is missing"),
        ({"text": template("a"), "hex_": b""}, "text and hex cannot both"),
        ({"text": template("a"), "template": True}, "`template` belongs to `file`"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("payload", **fields)
