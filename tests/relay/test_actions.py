"""Each action, from its YAML to the bytes that the other side gets and to what the capture says of it.

Through loader, engine, decoder and session together; only sockets are left out.
"""

from __future__ import annotations

import json
import re
import textwrap

import pytest

from tests.relay.play import C, Play, S, frames
from wsinspect.capture.timeline import MessageEvent
from wsinspect.decode.registry import decoder_for
from wsinspect.formats.verdict_words import judged_words
from wsinspect.model import Judged, Opcode, Requested, Side, Violation
from wsinspect.relay.ends import Finish
from wsinspect.rules.engine import ConnectionRules
from wsinspect.rules.loading import load_text
from wsinspect.rules.ruleset import RuleSet
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder

COMPRESSIONS = [
    pytest.param(None, id="plain"),
    pytest.param(DeflateParams(), id="takeover"),
    pytest.param(
        DeflateParams(server_no_context_takeover=True, client_no_context_takeover=True), id="no-takeover"
    ),
]
EVERY_WAY = [
    pytest.mark.parametrize("deflate", COMPRESSIONS),
    pytest.mark.parametrize("side", [C, S], ids=["client", "server"]),
]


class Ruled(Play):
    """A session with the rules of a YAML text; `RULE` for one rule of these actions."""

    def __init__(self, rules: str, *, deflate: DeflateParams | None = None, url: str = "ws://h/ws") -> None:
        super().__init__(deflate=deflate)
        ruleset, requested = ruleset_of(rules), Requested(url=url)
        self.rules = ConnectionRules(ruleset, requested, conn=7, decoder=decoder_for(url))
        self.judge(self.rules, opening=True)  # type: ignore[arg-type]

    def reload(self, rules: str | RuleSet) -> None:
        """Other rules from now on, as the proxy brings them."""
        self.rules.replace(ruleset_of(rules) if isinstance(rules, str) else rules)
        self.judge(self.rules)  # type: ignore[arg-type]

    def frames_to(self, side: Side) -> list[tuple[int, int, bytes]]:
        """(opcode, fin, payload) of each frame that side gets, whatever is wrong with it."""
        decoder = FrameDecoder(side.other, rsv_allowed=7)
        return [(f.opcode, int(f.fin), f.payload) for f in decoder.receive(self.bytes_to(side))]

    def violations_to(self, side: Side) -> set[Violation]:
        decoder = FrameDecoder(side.other, rsv_allowed=4 if self.params else 0)
        return {each for frame in decoder.receive(self.bytes_to(side)) for each in frame.violations}


def ruleset_of(rules: str) -> RuleSet:
    return load_text(
        f"version: 1\nseed: 1\nrules:\n{textwrap.indent(textwrap.dedent(rules).strip(), '  ')}\n"
    )


def when_text(actions: str, text: str = "go") -> str:
    """A rule for messages with that text in them."""
    return f"- {{id: r, when: {{text: {{contains: {text}}}}}, then: [{actions}]}}"


def every_way(test: object) -> object:
    """Plain, compressed, with and without context takeover; from either side."""
    for mark in EVERY_WAY:
        test = mark(test)
    return test


MESSAGE = '{"go": 1, "list": [1, 2], "name": "Ada"}'
CHANGES = [
    ('set: {$.go: "{{$.name}}", $.new: true}', '{"go": "Ada", "list": [1, 2], "name": "Ada", "new": true}'),
    ("remove: [$.name, '$.list[0]']", '{"go": 1, "list": [2]}'),
    ("append: {$.list: {x: 1}}", '{"go": 1, "list": [1, 2, {"x": 1}], "name": "Ada"}'),
    ("replace: {text: Ada, with: 'B{{n}}'}", '{"go": 1, "list": [1, 2], "name": "B2"}'),
    ("replace: {regex: '(\\d)', with: '<\\1>', count: 2}", '{"go": <1>, "list": [<1>, 2], "name": "Ada"}'),
    ("payload: {json: {n: '{{$.go}}'}}", '{"n":1}'),
    ("payload: 'just {{size}}'", "just 40"),
    ("merge", MESSAGE),
    ("fragment: [3, 0, 5]", MESSAGE),
    ("tag: t, note: n", MESSAGE),
]


@every_way
@pytest.mark.parametrize(("actions", "result"), CHANGES, ids=[row[0].partition(":")[0] for row in CHANGES])
def test_what_changes_a_message(actions: str, result: str, side: Side, deflate: DeflateParams | None) -> None:
    """The messages around it pass as they came, and the capture has it before and after."""
    actions = actions.replace("tag: t, note: n", "{tag: t}, {note: n}")
    play = Ruled(when_text(actions), deflate=deflate)
    for text in ("before", MESSAGE, MESSAGE, "after" * 9):
        play.say(side, text)
    got = play.texts_to(side.other)
    assert got[0] == "before"
    assert got[3] == "after" * 9
    if result[0] == "{" and "<" not in result and actions[:3] in ("set", "rem", "app"):
        assert json.loads(got[1]) == json.loads(result)
    else:
        assert got[1] == result
    assert play.captured(side) == [b"before", MESSAGE.encode(), MESSAGE.encode(), b"after" * 9]
    outcome = "passed" if result == MESSAGE and "tag" in actions else "changed"
    assert play.outcomes() == [outcome, outcome]


@every_way
def test_frames_are_as_asked(side: Side, deflate: DeflateParams | None) -> None:
    play = Ruled(when_text("fragment: 4"), deflate=deflate)
    play.say(side, "go on and on, for long enough that it cannot be one frame")
    frames = play.frames_to(side.other)
    assert len(frames) > 5
    assert all(len(payload) == 4 for _, _, payload in frames[:-1])
    assert [fin for _, fin, _ in frames] == [0] * (len(frames) - 1) + [1]
    merged = Ruled(when_text("merge"), deflate=deflate)
    merged.say(side, "go on" * 10, sizes=(3, 3))
    assert len(merged.frames_to(side.other)) == 1


@every_way
def test_whether_and_when_it_arrives(side: Side, deflate: DeflateParams | None) -> None:
    def got(actions: str, *, after_ms: float = 0.0) -> list[str]:
        play = Ruled(when_text(actions), deflate=deflate)
        for text in ("a", "go", "b", "c"):
            play.say(side, text)
        at_once = play.texts_to(side.other)
        play.wait(after_ms)
        late = play.texts_to(side.other)
        assert at_once == late[: len(at_once)]
        return [*at_once, "|", *late[len(at_once) :]]

    assert got("drop") == ["a", "b", "c", "|"]
    assert got("delay: 50ms", after_ms=51) == ["a", "|", "go", "b", "c"]
    assert got("delay: 50ms", after_ms=49) == ["a", "|"]
    assert got("delay: 10ms..20ms", after_ms=21) == ["a", "|", "go", "b", "c"]
    assert got(
        "latency: {latency: 30, stream: %s}" % ("upstream" if side is C else "downstream"), after_ms=31
    ) == [*("a", "|", "go", "b", "c")]
    assert got("reorder: {by: 1, within: 1s}") == ["a", "b", "go", "c", "|"]
    assert got("reorder: {by: 9, within: 50ms}", after_ms=51) == ["a", "b", "c", "|", "go"]
    assert got("duplicate: 3") == ["a", "go", "go", "go", "b", "c", "|"]
    assert got("hold: 1s") == ["a", "go", "b", "c", "|"], "nobody is attached"


@every_way
def test_what_is_sent_beside_and_instead(side: Side, deflate: DeflateParams | None) -> None:
    play = Ruled(
        f"""
        - id: more
          when: {{text: go}}
          then:
            - send: {{to: {side.other.word}, text: ["x{{{{n}}}}", y]}}
            - send: {{to: {side.word}, ping: hi}}
            - send: {{to: {side.word}, json: {{a: 1}}, after: 10ms}}
        - {{id: answer, when: {{text: ask}}, then: [reply: "no {{{{text}}}}"]}}
        """,
        deflate=deflate,
    )
    for text in ("go", "ask", "bye"):
        play.say(side, text)
    play.wait(11)
    assert sorted(play.texts_to(side.other)) == ["bye", "go", "x1", "y"]
    assert play.texts_to(side) == ["<ping hi>", "no ask", '{"a":1}']
    assert play.outcomes() == ["passed", "dropped"]
    assert {sent.rule for sent in play.sent()} == {"more", "answer"}


def test_a_repeated_send_ends_at_its_condition() -> None:
    play = Ruled("""
        - id: beat
          when: {kind: open}
          then: [send: {to: server, text: "beat {{counter}}", every: 10ms, until: {from: client, text: stop}}]
    """)
    play.wait(25)
    assert play.texts_to(S) == ["beat 1", "beat 2", "beat 3"]
    play.say(C, "stop")
    play.wait(100)
    assert play.texts_to(S) == ["beat 1", "beat 2", "beat 3", "stop"]


def test_a_close_ends_what_goes_to_that_side() -> None:
    play = Ruled(when_text("close: {code: 1012, reason: later, to: client}"))
    play.say(S, "go")
    play.say(S, "more")
    assert play.frames_to(C)[-1] == (Opcode.CLOSE, 1, encode_close(1012, "later"))
    assert "more" not in play.texts_to(C)
    play.say(C, "still there")
    assert "still there" in play.texts_to(S)


@pytest.mark.parametrize(
    ("actions", "ends"),
    [
        ("reset", [[Finish.RST], [Finish.RST]]),
        ("reset: client", [[Finish.RST], []]),
        ("cut: {bytes: 3, how: fin}", [[Finish.FIN], [Finish.FIN]]),
        ("cut: 30%", [[Finish.RST], [Finish.RST]]),
    ],
)
def test_ends(actions: str, ends: list[list[Finish]]) -> None:
    play = Ruled(when_text(actions))
    play.say(S, "before")
    play.say(S, "go, a text of some length")
    before = len(b"\x81\x06before")
    cut = {"cut: {bytes: 3, how: fin}": 3, "cut: 30%": 8}.get(actions)
    if cut is not None:
        assert len(play.bytes_to(C)) - before == cut
    assert [play.ends_to(side) for side in (C, S)] == ends


def test_a_stall_is_a_black_hole_or_a_half_open_connection() -> None:
    for how, ends in (("black-hole", [Finish.FIN]), ("half-open", [])):
        play = Ruled(when_text(f"stall: {{from: server, how: {how}}}"))
        play.say(S, "go")
        play.say(S, "lost")
        play.say(C, "other way")
        play.end(S)
        assert "lost" not in play.texts_to(C)
        assert play.texts_to(S) == ["other way"]
        assert play.ends_to(C) == ends
        assert b"lost" in play.captured(S)
    for_a_while = Ruled(when_text("stall: {from: server, for: 50ms}"))
    for_a_while.say(S, "go")
    for_a_while.say(S, "late")
    assert "late" not in for_a_while.texts_to(C)
    for_a_while.wait(51)
    assert for_a_while.texts_to(C) == ["go", "late"]


def test_toxics_on_the_stream() -> None:
    def opened(actions: str) -> Ruled:
        return Ruled(f"- {{id: r, then: [{actions}]}}")

    slow = opened("bandwidth: {rate: 1}")
    slow.say(S, "x" * 998)
    assert len(slow.bytes_to(C)) < 500
    slow.wait(1100)
    assert slow.texts_to(C) == ["x" * 998]

    hole = opened("timeout: {timeout: 40}")
    hole.say(S, "lost")
    hole.wait(39)
    assert (hole.bytes_to(C), hole.ends_to(C)) == (b"", [])
    hole.wait(2)
    assert [hole.ends_to(side) for side in (C, S)] == [[Finish.FIN], [Finish.FIN]]

    reset = opened("reset_peer: {timeout: 10}")
    reset.wait(11)
    assert reset.ends_to(C) == [Finish.RST]

    limited = opened("limit_data: {bytes: 7, stream: upstream}")
    limited.say(C, "abcdef")
    assert len(limited.bytes_to(S)) == 7
    assert limited.ends_to(S) == [Finish.FIN]

    late = opened("slow_close: {delay: 30}")
    late.end(S)
    assert late.ends_to(C) == []
    late.wait(31)
    assert late.ends_to(C) == [Finish.FIN]

    sliced = opened("slicer: {average_size: 10, delay: 1000}")
    sliced.say(S, "y" * 98)
    sliced.wait(200)
    pieces = [each for each in sliced.got[C] if isinstance(each, bytes)]
    assert [len(each) for each in pieces] == [10] * 10

    throttled = opened("throttle: {rate: 1KB/s, from: client}")
    throttled.say(C, "z" * 990)
    throttled.wait(1100)
    assert throttled.texts_to(S) == ["z" * 990]


@every_way
@pytest.mark.parametrize(
    ("fault", "violation"),
    [
        ("no-mask", Violation.UNMASKED_CLIENT),
        ("reserved-bits", Violation.RESERVED_BITS),
        ("reserved-opcode", Violation.RESERVED_OPCODE),
        ("stray-continuation", Violation.UNEXPECTED_CONTINUATION),
        ("unfinished", Violation.EXPECTED_CONTINUATION),
        ("long-control", Violation.LONG_CONTROL),
        ("fragmented-control", Violation.FRAGMENTED_CONTROL),
        ("wide-length", Violation.NON_MINIMAL_LENGTH),
    ],
)
def test_each_fault_is_the_violation_that_it_says(
    fault: str, violation: Violation, side: Side, deflate: DeflateParams | None
) -> None:
    """A ping that was to be too long was compressed where messages are, and so was short."""
    play = Ruled(when_text(f"corrupt: {fault}"), deflate=deflate)
    play.say(side, "go wrong")
    play.say(side, "next")
    found = play.violations_to(side.other)
    if fault == "no-mask" and side is S:
        assert not found
    else:
        assert violation in found
    assert play.captured(side) == [b"go wrong", b"next"], "the capture has what came"


def test_a_wrong_mask() -> None:
    client = Ruled(when_text("corrupt: wrong-mask"))
    client.say(C, "go wrong")
    ((opcode, fin, payload),) = client.frames_to(S)
    assert (opcode, fin, len(payload)) == (Opcode.TEXT, 1, 8)
    assert payload != b"go wrong"
    server = Ruled(when_text("corrupt: wrong-mask"))
    server.say(S, "go wrong")
    assert Violation.MASKED_SERVER in server.violations_to(C)


@every_way
def test_payloads_that_are_broken(side: Side, deflate: DeflateParams | None) -> None:
    for fault in ("flip-bits", "truncated", "bad-utf8"):
        play = Ruled(when_text(f"corrupt: {{how: {fault}, seed: 3}}"), deflate=deflate)
        play.say(side, "go wrong, but in a frame that is whole")
        play.say(side, "fine")
        assert not play.violations_to(side.other) - {Violation.BAD_UTF8}
        assert play.captured(side)[1] == b"fine"
        assert play.outcomes() == ["changed"]


# ----------------------------------------------------------------------------------------------- privacy


@every_way
def test_what_is_redacted_passes_and_is_nowhere_in_the_capture(
    side: Side, deflate: DeflateParams | None
) -> None:
    play = Ruled("- {id: r, then: [redact: {json: $.token, regex: 'tok_\\w+'}]}", deflate=deflate)
    sent = ['{"token": "s3cret", "n": 1}', "and tok_s3cret too", "plain"]
    for text in sent:
        play.say(side, text)
    play.receive(side, frames(side, b"tok_s3cret", Opcode.PING))
    assert play.texts_to(side.other) == [*sent, "<ping tok_s3cret>"]
    raw = play.raw_capture()
    assert b"s3cret" not in raw
    shown = [payload.decode() for payload in play.captured(side)]
    assert re.sub("‹redacted:[0-9a-f]{8}›", "*", shown[1]) == "and * too"
    assert json.loads(shown[0])["n"] == 1
    assert shown[2] == "plain"


@every_way
def test_a_secret_stays_hidden_where_rules_change_drop_and_answer(
    side: Side, deflate: DeflateParams | None
) -> None:
    play = Ruled(
        """
        - {id: hide, then: [redact: s3cret]}
        - {id: change, when: {text: {contains: change}}, then: [replace: {text: change, with: changed}]}
        - {id: drop, when: {text: {contains: drop}}, then: [drop]}
        - {id: answer, when: {text: {contains: ask}}, then: [reply: "you said {{text}}"]}
        """,
        deflate=deflate,
    )
    for word in ("change", "drop", "ask"):
        play.say(side, f"{word} s3cret")
    assert play.texts_to(side.other) == ["changed s3cret"]
    assert play.texts_to(side) == ["you said ask s3cret"]
    assert b"s3cret" not in play.raw_capture()
    assert len(play.captured(side)) >= 3


@every_way
def test_no_capture(side: Side, deflate: DeflateParams | None) -> None:
    play = Ruled(when_text("no-capture", "s3cret"), deflate=deflate)
    for text in ("a", "the s3cret", "b"):
        play.say(side, text)
    assert play.texts_to(side.other) == ["a", "the s3cret", "b"]
    assert b"s3cret" not in play.raw_capture()
    assert len(play.gaps()) == 1


def test_socket_io_is_edited_as_it_came() -> None:
    """Engine.IO's and Socket.IO's prefixes stay right, and so do those of an answer by `tree`."""
    play = Ruled(
        """
        - {id: price, when: {json: {"$.data[1].price": {gt: 1}}}, then: [set: {"$.data[1].price": 1}]}
        - id: ack
          when: {json: {"$.data[0]": ask}}
          then: [reply: {tree: {type: ACK, namespace: "{{$.namespace}}", id: "{{$.id}}", data: [ok]}}]
        """,
        url="ws://h/socket.io/?EIO=4&transport=websocket",
    )
    play.say(S, '42["tick",{"price":10,"of":"A"}]')
    play.say(C, '425["ask",{}]')
    assert play.texts_to(C) == ['42["tick",{"price":1,"of":"A"}]', '435["ok"]']
    assert play.texts_to(S) == []


# ------------------------------------------------------------------------------------------------ reload

OTHER = "- {id: other, when: {text: {contains: zzz}}, then: [drop]}"


@pytest.mark.parametrize(
    "actions",
    [
        "throttle: {rate: 1KB/s}",
        "bandwidth: {rate: 1}",
        "slicer: {average_size: 100, delay: 1000000}",
        "stall: {from: server, for: 1h}",
    ],
)
def test_a_line_is_as_it_was_once_the_rule_is_gone(actions: str) -> None:
    """And a rule that a reload brings spoils a line that is open already."""
    play, rule = Ruled(OTHER), f"- {{id: slow, then: [{actions}]}}"
    play.reload(f"{OTHER}\n{rule}")
    play.say(S, "x" * 5000)
    assert len(play.bytes_to(C)) < 5000
    play.reload(f"{OTHER}\n{rule}")
    assert len(play.bytes_to(C)) < 5000, "the same rule goes on"
    play.reload(OTHER)
    assert play.texts_to(C) == ["x" * 5000]
    play.say(S, "y" * 5000)
    assert play.texts_to(C)[-1] == "y" * 5000


def test_an_end_comes_when_it_comes_and_a_limit_is_none_once_the_rule_is_gone() -> None:
    play = Ruled("- {id: slow, then: [slow_close: 60000, limit_data: 100]}")
    play.say(S, "x" * 50)
    play.reload(OTHER)
    play.say(S, "y" * 200)
    play.end(S)
    assert play.texts_to(C) == ["x" * 50, "y" * 200]
    assert play.ends_to(C) == [Finish.FIN]


def test_a_repeated_send_ends_with_its_rule_and_goes_on_with_it() -> None:
    beat = '- {id: beat, when: {kind: open}, then: [send: {to: client, text: "beat", every: 10ms}]}'
    play = Ruled(beat)
    play.wait(15)
    play.reload(f"{OTHER}\n{beat}")
    play.wait(10)
    assert play.texts_to(C) == ["beat"] * 3
    play.reload(OTHER)
    play.wait(1000)
    assert play.texts_to(C) == ["beat"] * 3
    play.reload(beat)
    play.wait(1000)
    assert play.texts_to(C) == ["beat"] * 3, "the connection is open already"


def test_what_waits_for_its_time_is_off_once_the_rule_is_gone() -> None:
    for actions in ("close: {after: 50ms}", "reset: {after: 50ms}", "reset_peer: {timeout: 50}"):
        play = Ruled(f"- {{id: end, then: [{actions}]}}")
        play.reload(OTHER)
        play.wait(100)
        play.say(S, "alive")
        assert play.texts_to(C) == ["alive"]
        assert play.ends_to(C) == []


def test_a_rule_that_is_switched_off_and_on() -> None:
    rules = ruleset_of("- {id: slow, then: [bandwidth: 1]}")
    play = Ruled("- {id: slow, then: [bandwidth: 1]}")
    play.reload(rules.with_enabled(["slow"], False))
    play.say(S, "x" * 5000)
    assert play.texts_to(C) == ["x" * 5000]
    play.reload(rules.with_enabled(["slow"], True))
    play.say(S, "y" * 5000)
    assert len(play.bytes_to(C)) < 6000


def test_the_capture_says_what_is_over() -> None:
    play = Ruled("- {id: slow, then: [bandwidth: 1]}")
    play.reload("- {id: slow, then: [bandwidth: 2]}")
    did = [(hit.rule, hit.did) for fact in play.facts(Judged) for hit in fact.hits]
    assert did == [
        ("slow", ("bandwidth 1 KB/s",)),
        ("slow", ("over: the rule is gone",)),
        ("slow", ("bandwidth 2 KB/s",)),
    ]
    assert [judged_words(fact) for fact in play.facts(Judged)] == [
        "rule slow matched the opening: bandwidth 1 KB/s",
        "the rules changed: slow (over: the rule is gone), slow (bandwidth 2 KB/s)",
    ]


@pytest.mark.parametrize("how", ["black-hole", "half-open"])
@pytest.mark.parametrize("deflate", [None, DeflateParams()], ids=["plain", "compressed"])
def test_a_stall_for_good_is_over_once_its_rule_is_gone(how: str, deflate: DeflateParams | None) -> None:
    """What came meanwhile arrives, as it does when a firewall lets a line pass again."""
    play = Ruled(when_text(f"stall: {{from: server, how: {how}}}"), deflate=deflate)
    for text in ("go", "one", "two"):
        play.say(S, text)
    assert play.texts_to(C) == ["go"]
    play.reload(OTHER)
    assert play.texts_to(C) == ["go", "one", "two"]
    play.say(S, "three")
    play.end(S)
    assert play.texts_to(C)[-1] == "three"
    assert play.ends_to(C) == [Finish.FIN]


def test_an_end_that_vanished_comes_with_the_rest_once_the_rule_is_gone() -> None:
    play = Ruled(when_text("stall: {from: server, how: half-open}"))
    for text in ("go", "last words"):
        play.say(S, text)
    play.end(S)
    assert play.ends_to(C) == []
    play.reload(OTHER)
    assert play.texts_to(C) == ["go", "last words"]
    assert play.ends_to(C) == [Finish.FIN]
    assert not play.session.owes_end(C)


def test_a_stall_stays_where_it_has_swallowed_too_much() -> None:
    play = Ruled(when_text("stall: server"))
    play.say(S, "go")
    for _ in range(5):
        play.say(S, "x" * (1 << 20))
    play.reload(OTHER)
    play.say(S, "after a hole")
    assert play.texts_to(C) == ["go"]
    assert play.codes() == ["discarded", "stalled"]


def test_after_a_close_nothing_follows_though_the_stall_is_over() -> None:
    """A Close of ours that was swallowed too must be the last frame when it comes back."""
    stall_and_close = """
        - {id: dark, when: {text: go}, then: [stall: server]}
        - {id: bye, when: {text: bye}, then: [close: {to: client}, drop]}
    """
    play = Ruled(stall_and_close)
    for text in ("go", "one", "bye", "two"):
        play.say(S, text)
    play.reload(OTHER)
    play.say(S, "three")
    assert play.texts_to(C) == ["go", "one", "<close \x03\ufffd>"]


def test_a_stall_for_a_time_does_not_take_one_for_good_along() -> None:
    dark = "- {id: dark, when: {text: go}, then: [stall: server]}"
    play = Ruled(f"{dark}\n- {{id: pause, when: {{text: wait}}, then: [stall: {{from: server, for: 1s}}]}}")
    for text in ("go", "wait", "one"):
        play.say(S, text)
    play.reload(dark)
    assert play.texts_to(C) == ["go"]
    play.reload(OTHER)
    assert play.texts_to(C) == ["go", "wait", "one"]


def test_no_rules_at_all_any_more() -> None:
    play = Ruled("""
        - {id: beat, when: {kind: open}, then: [send: {to: server, text: beat, every: 10ms}]}
        - {id: slow, then: [bandwidth: 1]}
    """)
    play.say(S, "x" * 5000)
    play.judge(None)
    assert play.texts_to(C) == ["x" * 5000]
    play.wait(1000)
    assert play.texts_to(S) == ["beat"]
    assert "fault" not in play.codes()


# ------------------------------------------------------------------------------- what is sent repeatedly


def test_what_is_repeated_is_filled_in_anew_each_time() -> None:
    play = Ruled("""
        - {id: who, when: {json: {$.name: {exists: true}}}, capture: {name: $.name}, then: []}
        - id: beat
          when: {text: go}
          then: [send: {to: client, text: "n {{counter}} of {{name}}", every: 10ms, times: 4}]
        - {id: echo, when: {text: size}, then: [send: {to: server, text: "{{text}} {{now_ms}}", every: .1s}]}
    """)
    play.say(C, '{"name":"a"}')
    play.say(C, "go")
    play.wait(15)
    play.say(C, '{"name":"b"}')
    play.wait(100)
    assert play.texts_to(C) == ["n 1 of a", "n 2 of a", "n 3 of b", "n 4 of b"]
    play.say(S, "size")
    play.wait(250)
    texts = play.texts_to(S)[3:]
    assert [text[:5] for text in texts] == ["size "] * 3
    first, *later = [int(text[5:]) for text in texts]
    assert [each - first for each in later] == [100, 200], "the time of each"


def test_a_repetition_that_cannot_be_filled_in_is_the_last() -> None:
    play = Ruled("""
        - {id: who, when: {json: {$.name: {exists: true}}}, capture: {name: $.name}, then: []}
        - {id: beat, when: {text: go}, then: [send: {to: client, ping: '{{name}}', every: 10ms}]}
    """)
    play.say(C, '{"name":"a"}')
    play.say(C, "go")
    play.say(C, json.dumps({"name": "x" * 200}))
    play.wait(50)
    play.say(C, "more")
    assert play.texts_to(C) == ["<ping a>"]
    assert "rule-failed" in play.codes()


def test_each_repetition_is_hidden_from_the_capture() -> None:
    play = Ruled("""
        - {id: who, when: {json: {$.token: {exists: true}}}, capture: {token: $.token}, then: []}
        - {id: hide, then: [redact: {regex: secret-\\w+}]}
        - {id: beat, when: {text: go}, then: [send: {to: server, text: 'with {{token}}', every: 10ms}]}
    """)
    play.say(C, '{"token":"secret-one"}')
    play.say(C, "go")
    play.say(C, '{"token":"secret-two"}')
    play.wait(15)
    assert play.texts_to(S)[-1] == "with secret-two"
    shown = [event.message.payload for event in play.events() if isinstance(event, MessageEvent)]
    assert sum(each.startswith(b"with ") for each in shown) == 2
    assert not any(b"secret-" in each for each in shown)
