"""What readers make of a ruled session: each verdict at its message, each change with before and after.

Rules, relay, capture file and readers together; only sockets are left out.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.test_index import check_against_timeline, index_of
from tests.relay.play import C, S, frames
from tests.relay.test_actions import COMPRESSIONS, Ruled
from wsinspect.capture.index import FrameIndex
from wsinspect.capture.timeline import Event, FactEvent, FrameEvent, MessageEvent, Timeline
from wsinspect.formats.lines import TextLines
from wsinspect.formats.ndjson import NdjsonLines
from wsinspect.model import Closed, FactRecord, Judged, Opened, Record
from wsinspect.wire.deflate import DeflateParams

RULES = """
- {id: fake, when: {text: {contains: fake}}, then: [{replace: {text: fake, with: real}}]}
- {id: gone, when: {text: {contains: gone}}, then: [drop]}
- {id: slow, when: {text: {contains: slow}}, then: [{delay: 50ms}, {tag: late}]}
- {id: twice, when: {text: {contains: twice}}, then: [{duplicate: 2}]}
- {id: pieces, when: {text: {contains: pieces}}, then: [{fragment: [3, 4]}]}
- {id: answer, when: {from: client, text: {contains: ask}}, then: [{reply: answered}]}
- {id: wait, when: {text: {contains: wait}}, then: [{hold: 10s}]}
- {id: no-pings, when: {kind: ping}, then: [drop]}
- {id: beside, when: {text: {contains: beside}}, then: [{send: {to: client, text: hello}}]}
"""
WORDS = ("fake", "gone", "slow", "twice", "pieces", "ask", "wait", "beside", "plain", "plain")


def records_of(play: Ruled) -> list[Record]:
    return [
        FactRecord(7, 0, Opened(headers=play.headers)),
        *play.records,
        FactRecord(7, play.now_ns, Closed()),
    ]


def events_of(records: list[Record]) -> list[Event]:
    timeline = Timeline()
    return [event for record in records for event in timeline.feed(record)]


def talk(rng: random.Random, deflate: DeflateParams | None) -> Ruled:
    play = Ruled(RULES, deflate=deflate)
    play.session.attend(True, 0)
    for number in range(rng.randrange(4, 25)):
        side = rng.choice([C, S])
        if rng.random() < 0.1:
            play.receive(side, frames(side, b"beat %d" % number, 9))
            continue
        text = f'{{"n":{number},"word":"{rng.choice(WORDS)}"}}'
        play.say(side, text, sizes=(5, 2) if rng.random() < 0.2 else ())
        play.wait(rng.choice([0, 0, 20, 200]))
    play.wait(60_000)
    return play


@pytest.mark.parametrize("deflate", COMPRESSIONS)
@given(seed=st.integers())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_reader_finds_what_rules_did(tmp_path: Path, deflate: DeflateParams | None, seed: int) -> None:
    play = talk(random.Random(seed), deflate)
    records = records_of(play)
    events = events_of(records)
    judged = [r.fact for r in records if isinstance(r, FactRecord) and isinstance(r.fact, Judged)]
    messages = [event for event in events if isinstance(event, MessageEvent)]
    controls = [event for event in events if isinstance(event, FrameEvent) and event.frame.is_control]
    carried = [event.verdict for event in [*messages, *controls] if event.verdict is not None]
    told = [event.fact for event in events if isinstance(event, FactEvent) and isinstance(event.fact, Judged)]
    assert not told, "each of these messages is in the capture"
    assert sorted(carried, key=repr) == sorted(judged, key=repr)
    befores = {(each.side, each.message.first_frame, each.message.last_frame): each for each in messages}
    for after in (event for event in messages if event.ours):
        assert not after.message.lost
        if after.of[1]:
            before = befores[(after.side, *after.of)]
            assert before.verdict is not None
            if "modified" in after.flags and before.verdict.hits[0].rule == "fake":
                assert after.message.payload == before.message.payload.replace(b"fake", b"real")
                assert before.flags == ("replaced",)
                assert after.rule == "fake"
    for side in (C, S):
        got = play.texts_to(side)
        for event in messages:
            if event.side is side.other and "dropped" in event.flags:
                assert event.message.text not in got
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)
        assert index.judged.rules.hits == len(judged)
        assert not index.judged.held
    for lines in (TextLines(lambda t_ns: t_ns), NdjsonLines(lambda t_ns: t_ns)):
        assert all(isinstance(line, str) for event in events for line in lines.feed(event))


def test_a_session_has_something_of_everything() -> None:
    """Else the test above would say little."""
    events = [event for seed in range(20) for event in events_of(records_of(talk(random.Random(seed), None)))]
    flags = {flag for event in events if isinstance(event, MessageEvent | FrameEvent) for flag in event.flags}
    assert flags >= {
        "replaced", "modified", "dropped", "delayed", "held", "duplicate", "injected", "tag:late",
    }  # fmt: skip
    kinds = {event.fact.kind for event in events if isinstance(event, FactEvent)}
    assert {"released", "closed"} <= kinds


@pytest.mark.parametrize("deflate", COMPRESSIONS)
def test_what_is_kept_out_of_the_capture_says_so(tmp_path: Path, deflate: DeflateParams | None) -> None:
    play = Ruled(
        """
        - {id: hide, when: {from: client, text: {contains: token}}, then: [{redact: {json: $.token}}]}
        - {id: never, when: {from: client, text: {contains: secret}}, then: [no-capture]}
        """,
        deflate=deflate,
    )
    for text in ('{"token":"t-1"}', '{"secret":1}', '{"open":1}'):
        play.say(C, text)
    play.say(S, "from the server")
    records = records_of(play)
    assert not any(b"t-1" in payload for payload in play.captured(C))
    assert '{"token":"t-1"}' in play.texts_to(S)
    lines = [line for event in events_of(records) for line in TextLines(lambda t_ns: t_ns).feed(event)]
    text = "\n".join(lines)
    assert "[░ redacted by hide]" in text
    assert "never matched the client's text message 2" in text
    assert "no-capture" in text
    assert "from the server" in text
    with index_of(tmp_path / "a.wscap", records) as index:
        check_against_timeline(index, records)
        flags = {index.message(row).text: index.judged.verdict(row) for row in frame_rows(index)}  # type: ignore[union-attr]
    assert flags['{"open":1}'] is None
    redacted = next(verdict for text, verdict in flags.items() if text and "token" in text)
    assert redacted is not None
    assert redacted.captured == "redacted"


def frame_rows(index: FrameIndex) -> list[int]:
    return [row for row in range(len(index)) if index.row(row).opcode is not None]
