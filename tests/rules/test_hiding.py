"""What the capture has of what no rule judges: what somebody sends by command, and what rules send."""

from __future__ import annotations

import re

import pytest

from tests.rules.world import CLIENT, SERVER, World
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import Close, Send
from wsinspect.rules.conditions.payload import Text
from wsinspect.rules.view import View

PSEUDONYM = re.compile("‹redacted:[0-9a-f]{8}›")


def test_what_somebody_writes_is_hidden_by_the_rules_that_match_it() -> None:
    world = World("""
        - {id: first, when: {from: client, text: {contains: login}}, first: 1, then: [redact: 'key [a-z]+']}
        - {id: pins, when: {text: {contains: pin}}, then: [{tag: pin}, redact: '[0-9]{4}']}
        - {id: omit, when: {text: {contains: omit}}, then: [no-capture]}
        - {id: other, when: {text: {contains: hello}}, then: [drop]}
    """)

    def captured(text: str, side: Side = CLIENT) -> str:
        shown = world.rules.captured(side, Opcode.TEXT, text.encode(), 0)
        return "nothing" if shown is None else PSEUDONYM.sub("*", shown.decode())

    for _ in range(2):  # how often a rule may act is for messages that it judges
        assert captured("login, key abc") == "login, *"
    assert captured("login, key abc", SERVER) == "login, key abc"
    assert captured("a pin 1234", SERVER) == "a pin *"
    assert captured("login, key abc, pin 1234") == "login, *, pin *"
    assert captured("omit me") == "nothing"
    assert captured("hello") == "hello"
    assert world.rules.captured(CLIENT, Opcode.PING, b"1234", 0) == b"1234"
    assert world.text(CLIENT, "hello") is not None
    assert world.ruleset.hits.acted == {"other": 1}


def test_what_cannot_be_hidden_in_what_somebody_writes_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Text, view: View) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(Text, "test", fail)
    world = World("- {id: pins, when: {text: {contains: pin}}, then: [redact: '[0-9]{4}']}")
    assert world.rules.captured(CLIENT, Opcode.TEXT, b"a pin", 0) is None


def test_what_a_rule_sends_is_hidden_by_the_rules_for_what_that_side_sends() -> None:
    """A token of the server's that was kept by `capture`, and sent on with a ping, stood in the capture: only
    what the ping itself had to hide was hidden."""
    world = World("""
        - id: keep
          when: {from: server, json: {$.token: {exists: true}}}
          capture: {token: $.token}
          then: []
        - id: beat
          when: {from: server, kind: ping}
          then:
            - send: {to: server, text: 'login {{token}}', every: 1s, times: 2}
            - send: {to: client, text: 'login {{token}}'}
            - send: {to: server, text: omit}
        - id: over
          when: {from: server, kind: pong}
          then: [close: {code: 4000, reason: 'it was {{token}}'}]
        - {id: tokens, when: {from: client}, then: [redact: 'tok_[a-z]+']}
        - {id: omit, when: {text: omit}, then: [no-capture]}
    """)
    world.text(SERVER, {"token": "tok_abc"})
    beat = world.control(SERVER, Opcode.PING)
    assert beat is not None
    first, to_client, omitted = (each for each in beat.effects if isinstance(each, Send))
    assert (first.payload, to_client.captured, omitted.captured) == (b"login tok_abc", None, b"")
    assert first.again is not None
    for each in (first, first.again(world.now_ns)):
        assert each is not None
        assert each.captured is not None
        assert PSEUDONYM.sub("*", each.captured.decode()) == "login *"
    over = world.control(SERVER, Opcode.PONG)
    assert over is not None
    [close] = over.effects
    assert isinstance(close, Close)
    assert (close.reason, PSEUDONYM.sub("*", close.captured_reason or "")) == ("it was tok_abc", "it was *")
    assert world.ruleset.hits.acted == {"keep": 1, "beat": 1, "over": 1}


@pytest.mark.parametrize("shadow", [False, True])
def test_what_matched_before_another_rule_changed_it_is_hidden_too(shadow: bool) -> None:
    """The capture has it as it came, too: a rule that hides something did not look at that any more."""
    world = World(
        """
        - {id: swap, when: {text: {contains: login}}, then: [replace: {text: login, with: logout}]}
        - {id: other, when: {text: {contains: login}}, then: [{tag: no}]}
        - {id: hide, when: {text: {contains: login}}, then: [{tag: no}, redact: 'key [a-z]+']}
        - {id: both, when: {text: {contains: key}}, then: [{tag: both}, redact: 'user [a-z]+']}
        - {id: once, when: {text: {contains: login}}, first: 1, then: [no-capture]}
        - {id: stop, when: {text: {contains: logout}}, then: [], stop: true}
        """,
        shadow=shadow,
    )
    first, second = (world.text(CLIENT, "login user me, key abc") for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.uncaptured, second.uncaptured) == (True, False)
    assert second.captured is not None
    assert PSEUDONYM.sub("*", second.captured.decode()) == "login *, *"
    assert (world.ids(second), second.tags) == (["swap", "both", "stop", "hide"], ("both",))
    assert (second.captured_after is None) is shadow


def test_a_rule_that_cannot_say_whether_it_matched_before_a_change_hides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World("""
        - {id: swap, when: {kind: text}, then: [payload: x]}
        - {id: hide, when: {text: {contains: login}}, then: [redact: 'key [a-z]+']}
    """)

    def fail(self: Text, view: View) -> bool:
        if view.payload != b"x":
            raise RuntimeError("broken")
        return False

    monkeypatch.setattr(Text, "test", fail)
    plan = world.text(CLIENT, "login, key abc")
    assert plan is not None
    assert plan.captured is not None
    assert b"abc" not in plan.captured
