"""Tests inside rule files, run: a connection, a simulated clock, messages in, plans compared.

No socket and no relay takes part: what is compared is what the rules decided.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from wsinspect.errors import Problem
from wsinspect.model import Decoder, Fact, Frame, Header, Message, Opened, Requested, Side, opcode_word
from wsinspect.model.plans import (
    Close,
    Cut,
    Effect,
    Fate,
    HandshakePlan,
    Lift,
    LimitData,
    Plan,
    Reset,
    Send,
    Slice,
    SlowClose,
    Stall,
    StopSending,
    Throttle,
)
from wsinspect.rules.actions import words
from wsinspect.rules.engine import ConnectionRules
from wsinspect.rules.inner_reading import (
    Expected,
    ExpectedClose,
    ExpectedSend,
    InnerMessage,
    InnerTest,
    Payload,
)
from wsinspect.rules.marked import Place
from wsinspect.rules.predicates import Predicate, same
from wsinspect.rules.ruleset import RuleSet

type DecoderFor = Callable[[Requested, Opened], Decoder]

_START_NS = 1_000_000_000_000
_PSEUDONYM = re.compile("‹redacted:[0-9a-f]{8}›")
_ANY_PSEUDONYM = "‹redacted›"
_NO_VIEW: Any = None  # predicates of an expectation hold no templates


@dataclass(frozen=True, slots=True)
class Ran:
    """One test, and what went wrong in it."""

    test: InnerTest
    problems: tuple[Problem, ...]


def run_tests(ruleset: RuleSet, decoder_for: DecoderFor | None = None) -> list[Ran]:
    """Run all tests of the set, each against the rules of its own file."""
    return [Ran(test, tuple(_Run(ruleset, test, decoder_for).problems())) for test in ruleset.tests]


class _Run:
    """One test."""

    def __init__(self, ruleset: RuleSet, test: InnerTest, decoder_for: DecoderFor | None) -> None:
        self._test = test
        own = tuple(
            dataclasses.replace(rule, enabled=rule.enabled or rule.id in test.enable)
            for rule in ruleset.rules
            if rule.file == test.file
        )
        seed = ruleset.files[test.file].seed
        rules = RuleSet(own, ruleset.files, ruleset.vars, seed if seed is not None else 0)
        self._requested = Requested(url=test.url, headers=self._request_headers(), client=(test.client, 5000))
        self._opened = Opened(status=test.answer.status, headers=self._answer_headers())
        decoder = None if decoder_for is None else decoder_for(self._requested, self._opened)
        self._rules = ConnectionRules(rules, self._requested, conn=1, decoder=decoder)
        self._decoder = decoder
        self._now_ns = _START_NS
        self._frames = [0, 0]

    def _request_headers(self) -> list[Header]:
        offered = self._test.subprotocol
        return [*self._test.headers.items(), *([("Sec-WebSocket-Protocol", offered)] if offered else [])]

    def _answer_headers(self) -> list[Header]:
        agreed = self._test.subprotocol
        return [*self._test.answer.headers.items(), *([("Sec-WebSocket-Protocol", agreed)] if agreed else [])]

    def problems(self) -> Iterator[Problem]:
        """What did not come out as expected, in order."""
        test = self._test
        plan = self._rules.judge_request(self._now_ns)
        yield from self._handshake(test.handshake, plan, self._requested)
        plan = self._rules.judge_response(self._opened, self._now_ns)
        yield from self._handshake(test.answer.expect, plan, self._opened)
        if self._opened.status != 101:
            return
        self._rules.opened_fact(self._opened)
        opening = self._rules.opened(self._now_ns)
        yield from self._plan(test.opening, opening, "the opening", None)
        for message in test.messages:
            for _ in range(message.times):
                found = list(self._message(message))
                yield from found
                if found:
                    break

    def _message(self, message: InnerMessage) -> Iterator[Problem]:
        if message.at_ms is not None:
            self._now_ns = max(self._now_ns, _START_NS + int(message.at_ms * 1e6))
        side = message.side
        first = self._frames[side] + 1
        if message.opcode >= 8:
            self._frames[side] += 1
            frame = Frame(
                side, first, 0, True, 0, message.opcode, None, len(message.payload), 2, message.payload
            )
            plan = self._rules.control(frame, self._now_ns)
        else:
            self._frames[side] += message.frames
            last = self._frames[side]
            size = len(message.payload) + 2 * message.frames
            whole = Message(side, message.opcode, message.payload, first, last, size)
            plan = self._rules.message(whole, self._now_ns)
        what = f"the {side.word}'s {opcode_word(message.opcode)}"
        yield from self._plan(message.expect, plan, what, message)

    def _failures(self, place: Place) -> Iterator[Problem]:
        for _, sentence in self._rules.take_notices():
            yield self._problem(place, sentence)

    def _problem(self, place: Place, text: str) -> Problem:
        return Problem(place.file, place.line, place.column, f"{self._test.name}: {text}")

    # ----------------------------------------------------------------------------------------- messages

    def _plan(
        self, expect: Expected | None, plan: Plan | None, what: str, message: InnerMessage | None
    ) -> Iterator[Problem]:
        place = expect.place if expect else message.place if message else self._test.place
        yield from self._failures(place)
        if expect is None:
            return
        for name, wanted in expect.fields.items():
            found = self._compare(name, wanted, plan, message)
            if found is not None:
                yield self._problem(place, f"{what}: {found}")

    def _compare(self, name: str, wanted: Any, plan: Plan | None, message: InnerMessage | None) -> str | None:
        """How one expectation was missed; None where it was met."""
        effects = plan.effects if plan else ()
        match name:
            case "passes":
                return _bool("pass as it came", wanted, plan is None or not plan.touches, plan)
            case "drops":
                return _bool("be dropped", wanted, plan is not None and plan.fate is Fate.DROP, plan)
            case "text" | "json" | "binary":
                return self._payload(name, wanted, plan, message)
            case "delay":
                return _number("delay", wanted, plan.delay_ms if plan else 0.0)
            case "held":
                return _bool("be held", wanted, plan is not None and plan.hold is not None, plan)
            case "copies":
                return _equal("goes out", wanted, _copies(plan))
            case "sent":
                return self._sends(wanted, [each for each in effects if isinstance(each, Send)])
            case "closes":
                return _closes(wanted, [each for each in effects if isinstance(each, Close)])
            case "effects":
                return _equal("effects", list(wanted), [word for each in effects if (word := _word(each))])
            case "hits":
                return _equal(
                    "rules that acted", list(wanted), [each.rule for each in plan.hits] if plan else []
                )
            case "tags" | "notes":
                return _equal(name, list(wanted), list(getattr(plan, name)) if plan else [])
            case "captured":
                return _hidden("captured", wanted, _captured(plan))
            case "uncaptured":
                return _bool("be kept out of the capture", wanted, plan is not None and plan.uncaptured, plan)
            case _:
                found = {each: self._rules.values.get(each) for each in wanted}
                return None if same(found, wanted) else f"values are {_shown(found)}, not {_shown(wanted)}"

    def _payload(self, name: str, wanted: Any, plan: Plan | None, message: InnerMessage | None) -> str | None:
        if message is None:
            return "an opening has no payload"
        if plan is not None and plan.fate is Fate.DROP:
            return "it is dropped" + _why(plan)
        went = message.payload if plan is None or plan.payload is None else plan.payload
        match name:
            case "text":
                return _equal("it goes out as", wanted, went.decode(errors="replace"))
            case "binary":
                return _equal("it goes out as", wanted.hex(" "), went.hex(" "))
            case _:
                tree = self._tree(message.side, message.opcode, went)
                return None if same(tree, wanted) else f"it goes out as {_shown(tree)}, not {_shown(wanted)}"

    def _tree(self, side: Side, opcode: int, payload: bytes) -> Any:
        decoded = None if self._decoder is None else self._decoder.decode(side, opcode, payload)
        return _json(payload) if decoded is None else decoded.tree

    def _sends(self, wanted: Sequence[ExpectedSend], found: Sequence[Send]) -> str | None:
        if len(wanted) != len(found):
            return f"{words.plural(len(found), 'message')} sent beside it, not {len(wanted)}"
        for number, (want, send) in enumerate(zip(wanted, found, strict=True), 1):
            which = f"what is sent ({number})" if len(wanted) > 1 else "what is sent"
            if send.to is not want.to:
                return f"{which} goes to the {send.to.word}, not to the {want.to.word}"
            missed = _sent_payload(want.payload, send) or (
                None if want.after is None else _number("delay", want.after, send.after_ms)
            )
            if missed:
                return f"{which}: {missed}"
        return None

    # ---------------------------------------------------------------------------------------- handshake

    def _handshake(
        self, expect: Expected | None, plan: HandshakePlan | None, came: Requested | Opened
    ) -> Iterator[Problem]:
        place = expect.place if expect else self._test.place
        yield from self._failures(place)
        if expect is None:
            return
        for name, wanted in expect.fields.items():
            found = _compare_handshake(name, wanted, plan, came)
            if found is not None:
                yield self._problem(place, f"the handshake: {found}")


def _compare_handshake(
    name: str, wanted: Any, plan: HandshakePlan | None, came: Requested | Opened
) -> str | None:
    match name:
        case "passes":
            return _bool("pass as it came", wanted, plan is None or _untouched(plan), plan)
        case "rejects":
            return _equal("rejected with", wanted, plan.reject.status if plan and plan.reject else None)
        case "redirects":
            return _equal("redirected to", wanted, plan.redirect_to if plan else None)
        case "sets":
            return _equal("headers set", wanted, dict(plan.set_headers) if plan else {})
        case "removes":
            return _equal("headers removed", list(wanted), list(plan.remove_headers) if plan else [])
        case "strips":
            return _equal("extensions stripped", list(wanted), list(plan.strip_extensions) if plan else [])
        case "delay":
            return _number("delay", wanted, plan.delay_ms if plan else 0.0)
        case "captured-url" | "captured-headers":
            return _captured_of(wanted, plan, came)
        case _:
            return _equal("rules that acted", list(wanted), [each.rule for each in plan.hits] if plan else [])


def _captured_of(
    wanted: str | Mapping[str, str], plan: HandshakePlan | None, came: Requested | Opened
) -> str | None:
    """How the capture's URL or headers differ from those wanted."""
    fact: Fact = came
    for redactor in plan.redactors if plan else ():
        fact = redactor.redacted(fact)
    assert isinstance(fact, Requested | Opened)
    if isinstance(wanted, str):
        return _hidden("the captured URL", wanted, fact.url if isinstance(fact, Requested) else None)
    headers = {name.lower(): value for name, value in fact.headers}
    for name, value in wanted.items():
        missed = _hidden(f"the captured {name}", value, headers.get(name.lower()))
        if missed:
            return missed
    return None


def _hidden(what: str, wanted: str, found: str | None) -> str | None:
    """`_equal`, where `‹redacted›` stands for any pseudonym: without a key they are others each time."""
    if found is not None and _ANY_PSEUDONYM in wanted:
        found = _PSEUDONYM.sub(_ANY_PSEUDONYM, found)
    return _equal(what, wanted, found)


def _untouched(plan: HandshakePlan) -> bool:
    return not (
        plan.reject
        or plan.redirect_to
        or plan.delay_ms
        or plan.set_headers
        or plan.remove_headers
        or plan.strip_extensions
    )


def _copies(plan: Plan | None) -> int:
    if plan is None:
        return 1
    return 0 if plan.fate is Fate.DROP else plan.copies


def _captured(plan: Plan | None) -> str | None:
    found = None if plan is None else plan.captured
    return None if found is None else found.decode(errors="replace")


def _closes(wanted: ExpectedClose, found: Sequence[Close]) -> str | None:
    if not found:
        return f"no Close is sent, {wanted.code} was expected"
    close = found[0]
    if close.code != wanted.code:
        return f"closes with {close.code}, not {wanted.code}"
    if wanted.reason and close.reason != wanted.reason:
        return f"closes for {_shown(close.reason)}, not {_shown(wanted.reason)}"
    if wanted.to is not None and set(close.to) != set(wanted.to):
        return f"closes {words.sides(close.to)}, not {words.sides(wanted.to)}"
    return None


def _sent_payload(want: Payload, send: Send) -> str | None:
    if send.opcode != want.opcode:
        return f"a {opcode_word(send.opcode)}, not a {opcode_word(want.opcode)}"
    if want.is_tree:
        tree = _json(send.payload)
        return None if same(tree, want.tree) else f"{_shown(tree)}, not {_shown(want.tree)}"
    if send.payload == want.data:
        return None
    return (
        f"{_shown(send.payload.decode(errors='replace'))}, not {_shown(want.data.decode(errors='replace'))}"
    )


def _word(effect: Effect) -> str:
    """As `effects` names it; empty where another expectation does."""
    match effect:
        case Send() | Close():
            return ""
        case StopSending():
            return "stop-sending"
        case Lift():
            return "lift"
        case Reset():
            return "reset"
        case Stall():
            return "stall"
        case Cut():
            return "cut"
        case Throttle():
            return "throttle"
        case Slice():
            return "slice"
        case LimitData():
            return "limit-data"
        case SlowClose():
            return "slow-close"
        case _:
            assert_never(effect)


def _bool(what: str, wanted: bool, found: bool, plan: Plan | HandshakePlan | None) -> str | None:
    if wanted is found:
        return None
    return f"it should {'' if wanted else 'not '}{what}{_why(plan)}"


def _why(plan: Plan | HandshakePlan | None) -> str:
    """What the rules did, in brackets."""
    if plan is None:
        return " (no rule acted)"
    did = [f"{hit.rule}: {', '.join(hit.did) or 'matched'}" for hit in plan.hits]
    return f" ({'; '.join(did)})"


def _number(what: str, wanted: Predicate, found: float) -> str | None:
    if wanted.holds(found, _NO_VIEW):
        return None
    return f"the {what} is {words.duration(found)}, but {wanted.explain().removeprefix('is ')} was expected"


def _equal(what: str, wanted: Any, found: Any) -> str | None:
    return None if wanted == found else f"{what}: {_shown(found)}, not {_shown(wanted)}"


def _shown(value: Any) -> str:
    return words.shown(value) if value is not None else "nothing"


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode(errors="replace")
