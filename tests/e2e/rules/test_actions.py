"""Each action that changes a message, its verdict or the capture, on every way: what arrives, and what the
capture says.

What actions do to frames, to the line and beside messages stands in `test_shapes.py` and `test_effects.py`;
`test_matrix.py` sees that no action is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.rules.ways import Pair, Payload, Rig, messages, ours, rig_of, rule, verdicts
from tests.proxy.running import facts
from wsinspect.capture.timeline import Event, GapEvent
from wsinspect.model import Notice, Outcome, Released, Side
from wsinspect.rules.redaction import Redaction, key_of

TICK = '{"type":"tick","price":5,"items":[1],"secret":"hunter2"}'
ORDER = b"\x82\xa4type\xa5order\xa2id\x07"
TEXT = "{PATH, from: SIDE, kind: text}"
DATA = "{PATH, from: SIDE, kind: [text, binary]}"

MODULE = """
def shout(message):
    if message.text == "drop me":
        return message.drop()
    return message.text.upper()

def tree(message):
    return None if message.tree is None else {**message.tree, "price": message.tree["price"] * 2}

def answer(message):
    message.reply({"was": message.text, "from": message.side, "n": message.number})

def beside(message):
    message.state["seen"] = message.state.get("seen", 0) + 1
    message.send(f"seen {message.state['seen']}", to=message.side)

def marks(message):
    message.delay(20)
    message.tag("seen")
    message.note(f"{message.kind} of {message.connection.path.split('/')[1]}")

def broken(message):
    raise KeyError("sabotage")
"""
FILES = {"body.txt": "from the file", "template.txt": "type {{$.type}}", "mine.py": MODULE}
HEAD = "vars: {greeting: hello}\n"


@dataclass
class Change:
    """An action, and what arrives of what is sent."""

    name: str
    action: str
    sent: tuple[Payload, ...]
    arrives: tuple[str | bytes, ...]
    when: str = TEXT
    outcome: Outcome = Outcome.CHANGED
    back: tuple[str | bytes, ...] = ()
    """What comes to the sender."""
    more: str = ""
    """Other keys of the rule."""


PASSED, DROPPED = Outcome.PASSED, Outcome.DROPPED

CHANGES = [
    Change(
        "set",
        "set: {$.price: 1, $.new: 'n {{n}}'}",
        (TICK,),
        (TICK.replace("5", "1", 1)[:-1] + ',"new":"n 1"}',),
    ),
    Change("remove", "remove: [$.secret]", (TICK,), ('{"type":"tick","price":5,"items":[1]}',)),
    Change("append", "append: {$.items: 2}", (TICK,), (TICK.replace("[1]", "[1,2]"),)),
    Change("set-msgpack", "set: {$.id: 8}", (ORDER,), (ORDER[:-1] + b"\x08",), when=DATA),
    Change(
        "replace", "replace: {text: tick, with: tock}", (TICK, "none"), (TICK.replace("tick", "tock"), "none")
    ),
    Change(
        "replace-regex",
        r"""replace: {regex: 'price.:(\d+)', with: 'price":\g<1>00', count: 1}""",
        (TICK, TICK),
        (TICK.replace("5", "500"), TICK.replace("5", "500")),
    ),
    Change(
        "replace-bytes",
        "replace: {bytes: 'de ad', with-bytes: 'be ef 00'}",
        (b"\xde\xad!",),
        (b"\xbe\xef\0!",),
        when=DATA,
    ),
    Change("payload", "payload: 'was {{$.type}}'", (TICK,), ("was tick",)),
    Change("payload-json", "payload: {json: {n: '{{n}}'}}", (TICK, "two"), ('{"n":1}', '{"n":2}')),
    Change("payload-base64", "payload: {base64: 3q2+7w==, as: binary}", (TICK,), (b"\xde\xad\xbe\xef",)),
    Change("payload-hex", "payload: {hex: 68 69, as: text}", (ORDER,), ("hi",), when=DATA),
    Change("payload-file", "payload: {file: body.txt}", (TICK,), ("from the file",)),
    Change("payload-template", "payload: {file: template.txt, template: true}", (TICK,), ("type tick",)),
    Change("python", "python: mine:shout", ("hello", "grüße"), ("HELLO", "GRÜSSE")),
    Change("python-tree", "python: mine:tree", (TICK,), (TICK.replace("5", "10", 1),)),
    Change(
        "python-reply",
        "python: mine:answer",
        ("hello",),
        (),
        outcome=DROPPED,
        when="{PATH, from: SIDE, text: hello}",
        back=('{"was":"hello","from":"SIDE","n":1}',),
    ),
    Change(
        "python-send",
        "python: mine:beside",
        ("a", "b"),
        ("a", "b"),
        outcome=PASSED,
        back=("seen 1", "seen 2"),
    ),
    Change("python-marks", "python: mine:marks", (TICK,), (TICK,), outcome=PASSED),
    Change("python-drop", "python: mine:shout", ("drop me",), (), outcome=DROPPED),
    Change("drop", "drop", ("one", "two"), (), outcome=DROPPED),
    Change("duplicate", "duplicate: 3", ("one", "two"), ("one",) * 3 + ("two",) * 3, outcome=PASSED),
    Change("tag", "tag: [login, slow]", (TICK,), (TICK,), outcome=PASSED),
    Change("note", "note: 'order {{$.price}}'", (TICK,), (TICK,), outcome=PASSED),
    Change("redact-key", "redact: {json: [$.secret], key: k}", (TICK,), (TICK,), outcome=PASSED),
    Change(
        "redact-regex",
        r"redact: {regex: 'hunter\d'}",
        (TICK, b"\0hunter2"),
        (TICK, b"\0hunter2"),
        DATA,
        PASSED,
    ),
    Change("redact", "redact: {json: [$.secret]}", (TICK, "no secret"), (TICK, "no secret"), outcome=PASSED),
    Change("no-capture", "no-capture", (TICK,), (TICK,), outcome=PASSED),
    Change(
        "reply", "reply: {json: {was: '{{$.type}}'}}", (TICK,), (), outcome=DROPPED, back=('{"was":"tick"}',)
    ),
    Change("reply-late", "reply: {text: later, after: 50ms}", (TICK,), (), outcome=DROPPED, back=("later",)),
    Change("reply-hex", "reply: {hex: de ad}", (TICK,), (), outcome=DROPPED, back=(b"\xde\xad",)),
    Change("reply-base64", "reply: {base64: vu8=}", (TICK,), (), outcome=DROPPED, back=(b"\xbe\xef",)),
    Change(
        "reply-seed", "reply: {text: x, after: 1ms..9ms, seed: 4}", (TICK,), (), outcome=DROPPED, back=("x",)
    ),
    Change(
        "reply-tree",
        "reply: {tree: {id: '{{$.id}}'}}",
        (ORDER,),
        (),
        DATA,
        DROPPED,
        back=(b"\x81\xa2id\x07",),
    ),
    Change("send-back", "send: {to: SIDE, text: echo}", (TICK,), (TICK,), outcome=PASSED, back=("echo",)),
    Change(
        "send-json",
        "send: {to: SIDE, json: {n: '{{n}}'}}",
        (TICK,),
        (TICK,),
        outcome=PASSED,
        back=('{"n":1}',),
    ),
    Change("send-hex", "send: {to: SIDE, hex: de ad}", (TICK,), (TICK,), outcome=PASSED, back=(b"\xde\xad",)),
    Change(
        "send-base64", "send: {to: SIDE, base64: vu8=}", (TICK,), (TICK,), outcome=PASSED, back=(b"\xbe\xef",)
    ),
    Change(
        "send-late", "send: {to: SIDE, text: x, after: 30ms}", (TICK,), (TICK,), outcome=PASSED, back=("x",)
    ),
    Change(
        "captured",
        "payload: '{{greeting}} {{type}} {{price}}'",
        (TICK, "no tick"),
        ("hello tick 5", "hello tick 5"),
        more="capture: {type: $.type, price: {regex: '\"price\":([0-9]+)'}}",
    ),
    Change("hold-drop", "hold: {limit: 30s, default: drop}", (TICK,), (), outcome=Outcome.HELD),
    Change("hold", "hold: 30s", (TICK, "next"), (TICK, "next"), outcome=Outcome.HELD),
    Change("merge", "merge", (["in ", "three ", "pieces"],), ("in three pieces",)),
    Change(
        "slicer",
        "slicer: {average_size: 64, size_variation: 32, delay: 100, stream: STREAM, seed: 3}",
        (TICK * 20, "x"),
        (TICK * 20, "x"),
        outcome=PASSED,
    ),
]
"""What arrives does so in this order."""


def rules() -> str:
    text = "".join(rule(each.name, each.when, each.action, each.more) for each in CHANGES)
    text += rule("stops", TEXT, "tag: first", "stop: true")
    text += rule("never-seen", TEXT, "drop", path="stops")
    text += rule("broken", TEXT, "python: mine:broken")
    return (
        text
        + rule("reveals", TEXT, "note: 'it was {{$.secret}}'")
        + rule("hides", TEXT, "redact: {json: [$.secret], regex: 'hunter[0-9]'}", path="reveals")
    )


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    tmp = tmp_path_factory.mktemp("actions")
    with rig_of(tmp, rules(), "--allow-python", head=HEAD, files=FILES) as rig:
        yield rig


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name)
async def test_a_message_is_changed(rig: Rig, case: Change) -> None:
    async def check(pair: Pair) -> None:
        side = pair.way.sender
        back = [each.replace("SIDE", side.word) if isinstance(each, str) else each for each in case.back]
        await pair.send(*case.sent)
        await pair.arrives(*case.arrives)
        await pair.comes_back(*back)
        if case.when == TEXT:
            # A kind that the rule leaves alone: nothing came before it, and the windows are right.
            await pair.sender.send(b"still here " * 20)
            await pair.arrives(b"still here " * 20)
        await pair.receiver.send("and back")
        await pair.comes_back("and back")
        events = await pair.over()
        found = verdicts(events, pair.rule)
        acted = [each for each in case.sent if not (case.name == "redact" and each == "no secret")]
        if case.name == "slicer":
            acted = acted[:1]  # from then on it lasts
        assert len(found) == len(acted)
        assert {each.outcome for each in found} <= {case.outcome, PASSED}
        assert any(each.outcome is case.outcome for each in found)
        _looks_right(case, events, side)
        assert [each.message.payload for each in ours(events, side.other)] == list(map(encoded, back))

    await rig.everywhere(case.name, check)


def encoded(payload: Payload) -> bytes:
    whole = "".join(payload) if isinstance(payload, list) else payload
    return whole.encode() if isinstance(whole, str) else whole


def _looks_right(case: Change, events: list[Event], side: Side) -> None:
    """What else the capture says of some of them."""
    came = [each.message.payload for each in messages(events, side)]
    sent = list(map(encoded, case.sent))
    judged = verdicts(events, f"{case.name}-{side.word}")
    match case.name:
        case "redact" | "redact-key" | "redact-regex":
            assert not any(b"hunter2" in each for each in came)
            assert "‹redacted:".encode() in came[0]
            if case.name == "redact-key":
                assert Redaction(key_of("k")).pseudonym(b"hunter2").encode() in came[0]
            assert judged[0].captured == "redacted"
        case "no-capture":
            assert sent[0] not in came
            assert [gap for gap in events if isinstance(gap, GapEvent) and "no-capture" in gap.reason]
            assert judged[0].captured == "nothing"
        case _:
            assert came[: len(sent)] == sent  # what came is there, whatever became of it
    match case.name:
        case "tag":
            assert judged[0].tags == ["login", "slow"]
        case "note":
            assert judged[0].notes == ["order 5"]
        case "python-marks":
            assert (judged[0].tags, judged[0].notes, judged[0].delay_ms) == (
                ["seen"],
                ["text of python-marks"],
                20,
            )
        case "hold" | "hold-drop":
            released = facts(events, Released)
            assert [each.hold for each in released] == [each.hold for each in judged]
            assert {(each.how, each.by) for each in released} == {
                ("drop" if case.name == "hold-drop" else "release", "default")
            }
        case "duplicate":
            doubles = [each.message.payload for each in ours(events, side) if each.flags == ("duplicate",)]
            assert doubles == [b"one", b"one", b"two", b"two"]
    changed = [each.message.payload for each in ours(events, side) if "modified" in each.flags]
    wanted = [each for each in map(encoded, case.arrives) if each != b"none"]
    assert changed == (wanted if case.outcome is Outcome.CHANGED else [])


async def test_no_later_rule_sees_what_one_stopped(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(TICK)
        await pair.arrives(TICK)
        events = await pair.over()
        [judged] = verdicts(events, pair.rule)
        assert judged.tags == ["first"]
        assert not verdicts(events, f"never-seen-{pair.way.sender.word}")

    await rig.everywhere("stops", check)


async def test_a_rule_that_throws_is_off_and_says_so_once(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(TICK, "two", "three")
        await pair.arrives(TICK, "two", "three")
        await pair.still_works()
        events = await pair.over()
        assert not verdicts(events, pair.rule)
        [failed] = [each for each in facts(events, Notice) if each.code == "rule-failed"]
        assert pair.rule in failed.text
        assert "mine:broken raised KeyError" in failed.text

    await rig.everywhere("broken", check)


async def test_a_note_shows_no_secret(rig: Rig) -> None:
    async def check(pair: Pair) -> None:
        await pair.send(TICK)
        await pair.arrives(TICK)
        events = await pair.over()
        [note] = verdicts(events, pair.rule)[0].notes
        assert note.startswith("it was ‹redacted:")
        assert "hunter2" not in repr(events)

    await rig.everywhere("reveals", check)


def test_the_module_speaks_json() -> None:
    """The expected texts of JSON edits are JSON."""
    for case in CHANGES:
        if case.name in ("set", "remove", "append", "python-tree"):
            assert all(json.loads(each) for each in case.arrives)
