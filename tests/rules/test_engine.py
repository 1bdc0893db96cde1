"""Rules at work on one connection: order, counts, state, failures, reload."""

from __future__ import annotations

import re

import pytest

from tests.rules.world import CLIENT, SERVER, PlainDecoder, World, rules
from wsinspect.errors import NotFound
from wsinspect.model import Opcode, Opened
from wsinspect.model.plans import Fate
from wsinspect.rules.actions.drop import Drop
from wsinspect.rules.actions.set_value import SetValue
from wsinspect.rules.conditions.payload import Text
from wsinspect.rules.turn import Turn
from wsinspect.rules.view import View

TICKER = {"type": "ticker", "price": 200}


def test_a_message_that_matches_gets_a_plan_and_any_other_none() -> None:
    world = World("""
        - id: cheap
          when: {from: server, json: {$.type: ticker, $.price: {gt: 100}}}
          then: [set: {$.price: 1}]
    """)
    plan = world.text(SERVER, TICKER)
    assert plan is not None
    assert plan.payload == b'{"type": "ticker", "price": 1}'
    assert [(hit.rule, hit.did) for hit in plan.hits] == [("cheap", ("set $.price to 1",))]
    assert not plan.shadow
    assert world.text(CLIENT, TICKER) is None
    assert world.text(SERVER, {"type": "ticker", "price": 100}) is None
    assert world.text(SERVER, "ticker") is None


def test_later_rules_see_what_earlier_ones_made_of_the_message() -> None:
    world = World("""
        - id: first
          when: {json: {$.a: 1}}
          then: [set: {$.a: 2}]
        - id: second
          when: {json: {$.a: 2}}
          then: [set: {$.b: 3}]
        - id: third
          when: {json: {$.a: 1}}
          then: [drop]
    """)
    plan = world.text(CLIENT, {"a": 1})
    assert world.ids(plan) == ["first", "second"]
    assert plan is not None
    assert plan.payload == b'{"a": 2, "b": 3}'
    assert world.ids(world.text(CLIENT, {"a": 2})) == ["second"]


def test_a_dropped_message_is_seen_by_no_later_rule() -> None:
    world = World("""
        - {id: gone, when: {text: x}, then: [drop]}
        - {id: tagged, when: {text: x}, then: [tag: seen]}
    """)
    plan = world.text(CLIENT, "x")
    assert world.ids(plan) == ["gone"]
    assert plan is not None
    assert plan.fate is Fate.DROP


def test_stop_hides_the_message_from_later_rules() -> None:
    world = World("""
        - {id: stops, when: {text: x}, then: [tag: a], stop: true, first: 1}
        - {id: later, when: {text: x}, then: [tag: b]}
    """)
    assert world.ids(world.text(CLIENT, "x")) == ["stops"]
    assert world.ids(world.text(CLIENT, "x")) == ["later"]


@pytest.mark.parametrize("first", ["then: [drop]", "then: [tag: a], stop: true", "then: [reply: no]"])
def test_what_hides_something_acts_on_what_no_later_rule_sees(first: str) -> None:
    """What a rule dropped goes into the capture all the same: the secret in it must not."""
    world = World(f"""
        - {{id: first, when: {{text: {{contains: s3cret}}}}, {first}}}
        - {{id: hide, when: {{text: {{contains: s3cret}}}}, then: [tag: b, redact: s3cret]}}
        - {{id: out, when: {{kind: text}}, then: [no-capture]}}
    """)
    plan = world.text(CLIENT, "a s3cret")
    assert world.ids(plan) == ["first", "hide", "out"]
    assert plan is not None
    assert plan.captured is not None
    assert b"s3cret" not in plan.captured
    assert plan.uncaptured
    assert "b" not in plan.tags


def test_stop_leaves_a_handshake_s_secrets_hidden() -> None:
    world = World(
        """
        - {id: first, when: {kind: handshake}, then: [set-header: {X: a}], stop: true}
        - {id: later, when: {kind: handshake}, then: [set-header: {Y: a}]}
        - {id: hide, then: [redact: {headers: cookie}]}
    """,
        open=False,
    )
    plan = world.rules.judge_request(world.now_ns)
    assert plan is not None
    assert [hit.rule for hit in plan.hits] == ["first", "hide"]
    assert len(plan.redactors) == 1
    assert plan.set_headers == (("X", "a"),)


@pytest.mark.parametrize(
    ("keys", "acting"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("first: 3", [1, 2, 3]),
        ("after: 7", [8, 9]),
        ("every: 4", [4, 8]),
        ("limit: 2", [1, 2]),
        ("after: 2, first: 3", [3, 4, 5]),
        ("after: 1, every: 3, limit: 2", [4, 7]),
        ("first: 4, every: 2", [2, 4]),
    ],
)
def test_which_matches_act(keys: str, acting: list[int]) -> None:
    world = World(f"- {{id: r, when: {{text: x}}, then: [tag: t]{', ' + keys if keys else ''}}}")
    acted = [n for n in range(1, 10) if world.text(CLIENT, "x") is not None]
    assert acted == acting
    assert world.ruleset.hits.acted == {"r": len(acting)}


def test_chance_repeats_with_a_seed_and_differs_between_connections() -> None:
    text = "version: 1\nseed: 7\nrules: [{id: r, when: {text: x}, chance: 50%, then: [tag: t]}]"

    def run(conn: int) -> list[bool]:
        world = World(rules(text), conn=conn)
        return [world.hit(CLIENT, "x") for _ in range(40)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 8 < sum(run(1)) < 32


def test_what_is_captured_is_there_for_actions_and_conditions() -> None:
    world = World("""
        - id: ask
          when: {from: client, json: {$.op: ask}}
          capture: {id: $.id}
          then: []
        - id: answer
          when: {from: server, json: {$.id: "{{id}}"}}
          then: [note: "answers {{id}}"]
    """)
    assert not world.hit(SERVER, {"id": 5})
    assert world.ids(world.text(CLIENT, {"op": "ask", "id": 5})) == ["ask"]
    assert not world.hit(SERVER, {"id": 6})
    plan = world.text(SERVER, {"id": 5})
    assert plan is not None
    assert plan.notes == ("answers 5",)
    assert world.hit(SERVER, {"id": "5"}), "captured values compare as text"


def test_a_huge_value_is_not_captured_and_said_once() -> None:
    world = World("- {id: r, when: {json: {$.id: {exists: true}}}, capture: {id: $.id}, then: []}")
    world.text(CLIENT, {"id": "x" * 70_000})
    world.text(CLIENT, {"id": ["x" * 1000] * 100})
    assert "id" not in world.rules.values
    assert [code for code, _ in world.rules.take_notices()] == ["rule-capture"]
    world.text(CLIENT, {"id": [1, {"a": "b"}]})
    assert world.rules.values["id"] == [1, {"a": "b"}]


def test_a_rule_that_raises_is_off_for_this_connection_and_the_message_goes_on() -> None:
    ruleset = rules("""
        - {id: before, when: {text: {contains: x}}, then: [tag: a]}
        - {id: bad, when: {text: {contains: x}}, then: [tag: b, note: "{{$.missing}}"]}
        - {id: behind, when: {text: {contains: x}}, then: [tag: c]}
    """)
    world = World(ruleset)
    plan = world.text(CLIENT, "x")
    assert plan is not None
    assert world.ids(plan) == ["before", "behind"]
    assert plan.tags == ("a", "c"), "what the rule did before it raised is undone"
    assert plan.payload is None
    ((code, sentence),) = world.rules.take_notices()
    assert code == "rule-failed"
    assert sentence.startswith("rule bad failed and is off for this connection: ")
    world.text(CLIENT, "x")
    assert world.rules.take_notices() == []
    assert ruleset.hits.failed == {"bad": 1}
    assert World(ruleset).rules.take_notices() == []


def test_a_change_is_undone_where_a_later_action_of_the_rule_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SetValue, turn: Turn) -> str:
        turn.set_payload(b"half")
        turn.fate = Fate.DROP
        raise RuntimeError("broken")

    monkeypatch.setattr(SetValue, "apply", fail)
    world = World("""
        - {id: bad, when: {text: {contains: x}}, then: [set: {$.a: 1}]}
        - {id: good, when: {text: x}, then: [tag: t]}
    """)
    plan = world.text(CLIENT, "x")
    assert plan is not None
    assert (plan.payload, plan.fate, plan.tags) == (None, Fate.FORWARD, ("t",))
    assert world.rules.take_notices()[0][1].endswith("RuntimeError: broken")


def test_a_condition_that_raises_disables_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Text, view: View) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(Text, "test", fail)
    world = World("""
        - {id: bad, when: {text: {contains: x}}, then: [drop]}
        - {id: good, when: {size: 1}, then: [tag: t]}
    """)
    assert world.ids(world.text(CLIENT, "x")) == ["good"]
    assert [code for code, _ in world.rules.take_notices()] == ["rule-failed"]


def test_a_condition_that_raises_before_something_is_hidden_hides_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: Text, view: View) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(Text, "test", fail)
    world = World("- {id: secret, when: {text: {contains: x}}, then: [no-capture]}")
    plan = world.text(CLIENT, "x")
    assert plan is not None
    assert plan.uncaptured


def test_a_private_rule_that_raises_keeps_the_message_out_of_the_capture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: Drop, turn: Turn) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr(Drop, "apply", fail)
    monkeypatch.setattr(Drop, "private", True)
    world = World("- {id: secret, when: {text: x}, then: [drop]}")
    for _ in range(2):
        plan = world.text(CLIENT, "x")
        assert plan is not None
        assert plan.uncaptured
        assert plan.fate is Fate.FORWARD
    assert len(world.rules.take_notices()) == 1
    assert world.ruleset.hits.failed == {"secret": 1}


def test_a_decoder_that_raises_is_no_reason_to_fail() -> None:
    class Broken(PlainDecoder):
        def decode(self, *_: object) -> None:  # type: ignore[override]
            raise RuntimeError("broken")

    world = World("- {id: r, when: {json: {$.a: 1}}, then: [drop]}", decoder=Broken())
    assert world.text(CLIENT, {"a": 1}) is None
    assert "RuntimeError" in world.rules.take_notices()[0][1]
    world.text(CLIENT, {"a": 1})
    assert world.rules.take_notices() == [], "said once, not with each message"


def test_a_message_is_decoded_once_whoever_asks() -> None:
    world = World("""
        - {id: a, when: {json: {$.a: 1}}, then: [tag: "a"]}
        - {id: b, when: {json: {$.b: 2}}, then: [note: "{{$.b}}"]}
        - {id: c, when: {message-kind: x, json: {$.a: 1}}, then: [set: {$.a: 1}]}
    """)
    plan = world.text(CLIENT, {"a": 1, "b": 2, "event": "x"})
    assert world.ids(plan) == ["a", "b", "c"]
    assert world.asked == 1


def test_a_lost_payload_is_judged_only_by_rules_that_need_none() -> None:
    world = World("""
        - {id: text, when: {text: {contains: x}}, then: [drop]}
        - {id: not-text, when: {not: {text: x}}, then: [drop]}
        - {id: all, when: {from: client}, then: [tag: t]}
    """)
    assert world.ids(world.message(CLIENT, b"", lost="gap")) == ["all"]
    assert world.ids(world.message(CLIENT, b"x", truncated=True)) == ["all"]
    assert world.ids(world.message(CLIENT, b"x")) == ["text"]


def test_what_no_rule_can_touch_is_not_watched() -> None:
    nothing = World("- {id: r, when: {url: '*/other'}, then: [drop]}")
    assert nothing.rules.watch(CLIENT).nothing
    assert nothing.rules.watch(SERVER).nothing
    data = World("- {id: r, when: {from: server, text: x}, then: [drop]}")
    assert data.rules.watch(CLIENT).nothing
    assert (data.rules.watch(SERVER).data, data.rules.watch(SERVER).control) == (True, False)
    waiting = World(
        "- {id: r, when: {from: server, text: x, after: {from: client, kind: ping}}, then: [drop]}"
    )
    assert (waiting.rules.watch(CLIENT).data, waiting.rules.watch(CLIENT).control) == (False, True)
    idle = World("- {id: r, when: {from: server, kind: text, idle: '>1s'}, then: [drop]}")
    assert (idle.rules.watch(CLIENT).data, idle.rules.watch(CLIENT).control) == (True, True)
    off = World("- {id: r, enabled: false, then: [drop]}")
    assert off.rules.watch(CLIENT).nothing


def test_only_rules_that_could_keep_something_out_of_the_capture_make_a_direction_private() -> None:
    text = "- {id: r, when: {from: client, text: secret}, then: [no-capture]}"
    world = World(text)
    assert (world.rules.watch(CLIENT).private, world.rules.watch(SERVER).private) == (True, False)
    assert World(text, shadow=True).rules.watch(CLIENT).private


def test_shadow_marks_plans() -> None:
    world = World("- {id: r, when: {text: x}, then: [drop]}", shadow=True)
    plan = world.text(CLIENT, "x")
    assert plan is not None
    assert plan.shadow


def test_in_shadow_what_is_really_captured_is_redacted() -> None:
    """Not what the actions before would have made of it, nor what they would have sent."""
    text = """
        - id: swap
          when: {text: {contains: pin}}
          then: [payload: 'a pin 5678', {send: {to: server, text: 'pin 5678'}}, redact: '[0-9]{4}']
        - {id: late, when: {text: {contains: pin}}, then: [redact: 'of [a-z]+']}
        """
    plan = World(text, shadow=True).text(CLIENT, "the pin 1234 of mine")
    assert plan is not None
    assert plan.captured is not None
    assert re.sub("‹redacted:[0-9a-f]{8}›", "*", plan.captured.decode()) == "the pin * *"
    assert (plan.captured_after, [hit.did for hit in plan.hits]) == (
        None,
        [('payload: the text "a pin 5678"', 'send the text "pin 5678" to the server', "redact"), ("redact",)],
    )  # fmt: skip
    plan = World(text, shadow=True).text(CLIENT, "a pin")
    assert plan is not None
    assert plan.captured is None
    assert [hit.did[-1] for hit in plan.hits] == ['send the text "pin 5678" to the server']


def test_in_shadow_a_rule_hides_as_often_as_it_may_and_behind_one_that_stops() -> None:
    world = World(
        """
        - {id: stop, when: {text: {contains: pin}}, then: [drop], stop: true}
        - {id: once, when: {text: {contains: pin}}, first: 1, then: [{tag: pin}, no-capture]}
        """,
        shadow=True,
    )
    found = [world.text(CLIENT, "a pin") for _ in range(2)]
    assert [plan.uncaptured for plan in found if plan is not None] == [True, False]
    assert [world.ids(plan) for plan in found] == [["stop", "once"], ["stop"]]
    assert world.rules.captured(CLIENT, Opcode.TEXT, b"a pin", 0) is None


def test_rules_can_be_switched_while_they_run() -> None:
    ruleset = rules("- {id: r, when: {text: x}, then: [drop]}")
    world = World(ruleset)
    assert world.hit(CLIENT, "x")
    off = ruleset.with_enabled(["r"], False)
    world.rules.replace(off)
    assert not world.hit(CLIENT, "x")
    assert world.rules.watch(CLIENT).nothing
    world.rules.replace(off.with_enabled(["r"], True))
    assert world.hit(CLIENT, "x")
    assert ruleset.hits.acted == {"r": 2}
    with pytest.raises(NotFound, match="did you mean r"):
        ruleset.with_enabled(["rr"], True)


def test_a_reload_keeps_the_state_of_what_did_not_change() -> None:
    old = rules("""
        version: 1
        vars: {greeting: hello}
        rules:
          - {id: same, when: {text: x}, then: [tag: t], first: 2}
          - {id: other, when: {text: x}, then: [tag: t], first: 1}
          - {id: waits, when: {text: y, after: {text: login}}, then: [tag: t]}
          - {id: keeps, when: {json: {$.id: {exists: true}}}, capture: {id: $.id}, then: []}
    """)
    world = World(old)
    assert world.ids(world.text(CLIENT, "x")) == ["same", "other"]
    world.text(CLIENT, "login")
    world.text(CLIENT, {"id": 7})
    new = rules("""
        version: 1
        vars: {greeting: hi, id: none}
        rules:
          - {id: waits, when: {text: y, after: {text: login}}, then: [tag: t]}
          - {id: other, when: {text: x}, then: [tag: u], first: 1}
          - {id: same, when: {text: x},
             then: [tag: t], first: 2}     # moved, and still the same
    """).after(old)
    world.rules.replace(new)
    assert world.rules.values == {"greeting": "hi", "id": 7}
    assert world.ids(world.text(CLIENT, "x")) == ["other", "same"]
    assert world.ids(world.text(CLIENT, "x")) == []
    assert world.ids(world.text(CLIENT, "y")) == ["waits"]
    assert new.hits.acted == {"same": 2, "other": 1, "waits": 1}


def test_a_reload_that_first_asks_for_silence_does_not_take_the_unseen_for_silence() -> None:
    world = World("- {id: r, when: {from: server, text: x}, then: [drop]}")
    world.wait(60)
    world.rules.replace(rules("- {id: quiet, when: {idle: '>5s'}, then: [drop]}"))
    assert not world.hit(CLIENT, "y")
    world.wait(6)
    assert world.hit(CLIENT, "y")


def test_a_reload_keeps_switches_made_by_hand() -> None:
    text = "- {id: r, when: {text: x}, then: [drop]}"
    old = rules(text).with_enabled(["r"], False)
    assert not rules(text).after(old).rule("r").enabled
    assert rules(text.replace("drop", "tag: t")).after(old).rule("r").enabled


def test_counters_of_other_rules() -> None:
    world = World("""
        - {id: failed, when: {text: bad}, then: []}
        - {id: thrice, when: {text: bad, counter: {failed: 3}}, then: [tag: t]}
    """)
    assert [world.ids(world.text(CLIENT, "bad")) for _ in range(4)] == [
        ["failed"],
        ["failed"],
        ["failed", "thrice"],
        ["failed"],
    ]


def test_after_sees_only_earlier_messages_and_within_forgets() -> None:
    world = World("- {id: r, when: {text: x, after: {text: x, within: 5s}}, then: [tag: t]}")
    assert not world.hit(CLIENT, "x")
    world.wait(5)
    assert world.hit(SERVER, "x")
    world.wait(5.001)
    assert not world.hit(CLIENT, "x")


def test_the_opening() -> None:
    world = World("- {id: r, when: {kind: open, url: '*/ws'}, then: [tag: t, note: 'to {{host}}']}")
    assert world.ids(world.opening) == ["r"]
    assert world.opening is not None
    assert world.opening.notes == ("to host",)
    assert world.rules.watch(CLIENT).nothing


def test_control_frames() -> None:
    world = World("- {id: r, when: {kind: [ping, close]}, every: 2, then: [drop]}")
    plans = [world.control(CLIENT, opcode) for opcode in (9, 9, 10, 8, 8)]
    assert [plan is not None for plan in plans] == [False, True, False, False, True]
    assert world.rules.watch(CLIENT).control
    assert not world.rules.watch(CLIENT).data


def test_a_subprotocol_is_known_when_the_connection_opens() -> None:
    offered = [("Sec-WebSocket-Protocol", "chat, superchat")]
    text = "- {id: r, when: {subprotocol: superchat, text: x}, then: [drop]}"
    agreed = World(text, headers=offered, answer=[("Sec-WebSocket-Protocol", "superchat")])
    other = World(text, headers=offered, answer=[("Sec-WebSocket-Protocol", "chat")])
    assert agreed.hit(CLIENT, "x")
    assert not other.hit(CLIENT, "x")
    assert other.rules.watch(CLIENT).nothing


def test_handshakes() -> None:
    world = World(
        """
        - {id: asks, when: {kind: handshake, header: {Origin: "*evil*"}}, then: []}
        - {id: answers, when: {from: server, kind: handshake, status: ">=400"}, then: []}
        """,
        headers=[("Origin", "https://evil.example")],
        open=False,
    )
    asked = world.rules.judge_request(1)
    assert asked is not None
    assert [hit.rule for hit in asked.hits] == ["asks"]
    assert world.rules.judge_response(Opened(), 2) is None
    answered = world.rules.judge_response(Opened(status=403), 2)
    assert answered is not None
    assert [hit.rule for hit in answered.hits] == ["answers"]


def test_nothing_of_a_message_is_kept() -> None:
    world = World("- {id: r, when: {text: {contains: x}}, then: [tag: t]}")
    world.text(CLIENT, "x" * 100)
    view = world.rules._view
    assert (view.payload, view.message, world.rules._decoded) == (b"", None, None)


def test_binary_messages_are_decoded_too() -> None:
    world = World("- {id: r, when: {json: {$.a: 1}}, then: [set: {$.a: 2}]}")
    plan = world.binary(CLIENT, b'{"a": 1}')
    assert plan is not None
    assert plan.payload == b'{"a": 2}'
    assert world.message(CLIENT, b'{"a": 1}', Opcode.BINARY) is not None


def test_what_acts_everywhere_takes_no_other_action_along() -> None:
    """`drop` beside `redact` is for messages; pings and the handshake are for `redact` alone."""
    world = World(
        "- {id: a, then: [redact: {regex: s3cret, headers: cookie}, drop]}",
        open=False,
    )
    request = world.rules.judge_request(world.now_ns)
    assert request is not None
    assert len(request.redactors) == 1
    world.rules.opened_fact(Opened())
    assert world.rules.opened(world.now_ns) is None
    ping = world.control(CLIENT, Opcode.PING, b"s3cret")
    assert ping is not None
    assert ping.fate is Fate.FORWARD
    assert ping.captured
    text = world.text(CLIENT, "s3cret")
    assert text is not None
    assert text.fate is Fate.DROP
    assert text.captured


def test_hiding_a_header_does_not_make_messages_be_watched() -> None:
    world = World("- {id: a, then: [redact: {headers: cookie}]}")
    assert world.rules.watch(CLIENT).nothing
    assert not world.rules.watch(CLIENT).private
