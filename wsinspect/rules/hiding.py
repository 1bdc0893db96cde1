"""What the capture may have of what no rule judges: what somebody sends by command, and what rules send.

A rule hides by what it matches, and these are matched as if they had come: however often a rule may act, and
without being counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from wsinspect.model import Opcode, RuleHit, Side
from wsinspect.model.plans import Close, Effect, Send
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.lanes import Lane
from wsinspect.rules.redaction import hide_written
from wsinspect.rules.rule import Rule
from wsinspect.rules.turn import Turn
from wsinspect.rules.view import View
from wsinspect.wire.close_codes import encode_close

RULES_FAILED = RuleHit("", ("the rules failed: kept out of the capture",))
"""In the place of what rules would have done with a message."""

type Captured = Callable[[Side, int, bytes, int], bytes | None]
"""Side, opcode, payload and time to what the capture may have of it; None: nothing. Never raises."""


def hiding(rule: Rule, on: On) -> list[Action]:
    """Its actions that keep something out of the capture."""
    return [each for each in rule.acting[on] if each.private]


def hiders_of(lane: Lane, numbers: Iterable[int], view: View) -> dict[int, Rule]:
    """Those of the lane's rules that hide something and match what the view shows, before a rule changes it:
    the capture has that, too. One that cannot say whether it matches is among them."""
    found: dict[int, Rule] = {}
    for number in numbers:
        rule = lane.rules[number]
        try:
            if hiding(rule, lane.on) and lane.tests[number](view):
                found[number] = rule
        except Exception:
            found[number] = rule
    return found


def keep_out(rule: Rule, turn: Turn) -> None:
    """A rule that may hide something could not say what: the message is kept out of the capture."""
    turn.uncaptured = True
    turn.hits += (RuleHit(rule.id, ("failed: kept out of the capture",)),)


def shown(lane: Lane, view: View, turn: Turn) -> bytes | None:
    """What the lane's rules leave of the payload in the view, of which `turn` is new; None: nothing.

    Raises what conditions and actions do.
    """
    for rule in lane.rules:
        actions = hiding(rule, lane.on)
        if actions and rule.dynamic.test(view):
            for action in actions:
                action.apply(turn)
    return None if turn.uncaptured else hide_written(turn, turn.payload)


def beside(effect: Effect, captured: Captured, now_ns: int) -> Effect:
    """What a rule sends, with what the capture may have of it beyond what its own message had to hide."""
    match effect:
        case Send():
            came = effect.payload if effect.captured is None else effect.captured
            left = captured(effect.to.other, effect.opcode, came, now_ns)
            if left != came:
                effect = dataclasses.replace(effect, captured=left or b"")
            if (made := effect.again) is not None:
                effect = dataclasses.replace(effect, again=_again(made, captured))
            return effect
        case Close(code=int(code)):
            reason = came_reason = effect.reason if effect.captured_reason is None else effect.captured_reason
            for to in effect.to:
                left = captured(to.other, Opcode.CLOSE, encode_close(code, reason), now_ns)
                reason = left[2:].decode(errors="replace") if left else ""
            return effect if reason == came_reason else dataclasses.replace(effect, captured_reason=reason)
        case _:
            return effect


def _again(made: Callable[[int], Send | None], captured: Captured) -> Callable[[int], Send | None]:
    """Each repetition anew."""

    def again(now_ns: int) -> Send | None:
        found = made(now_ns)
        if found is None:
            return None
        sent = beside(found, captured, now_ns)
        assert isinstance(sent, Send)
        return sent

    return again
