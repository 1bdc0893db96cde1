"""`rules test`: a dry run over a capture, as a table of hits and the messages before and after."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterator
from typing import Any

from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import Timeline
from wsinspect.cli.narration import say
from wsinspect.decode.printable import clean
from wsinspect.errors import DamagedInput
from wsinspect.formats.diff import payload_diff
from wsinspect.formats.dry_run import DryRun, Outcome
from wsinspect.formats.ndjson import dump
from wsinspect.model import opcode_word
from wsinspect.model.plans import Fate, HandshakePlan, Plan, Send
from wsinspect.rules.actions import words
from wsinspect.rules.expectations import missed, read_expectations
from wsinspect.rules.loading import load_rules

MAX_NOTICES = 20
DIFF_LINES = 40
"""Of one message."""


def test(args: argparse.Namespace) -> int:
    """Print what the rules would do. Exit 1 where an expectation is missed. Raises BadRules, NotACapture …"""
    ruleset = load_rules(args.files, allow_python=args.allow_python)
    expected = read_expectations(args.expect, ruleset.ids)
    shown = left_out = 0
    with Reader(args.capture) as reader:
        run = DryRun(ruleset, reader.wall_ns)
        for outcome in _outcomes(reader, run):
            if args.format == "json":
                print(dump(_json(outcome, reader.wall_ns(outcome.t_ns))))
            elif not _changes(outcome):
                continue
            elif shown < args.diffs:
                shown += 1
                print("\n".join(clean(line, newline="\n") for line in _lines(outcome)) + "\n")
            else:
                left_out += 1
        damage = reader.damaged or reader.cut_off_bytes
    counts = {rule: tried.acted for rule, tried in run.tried.items()}
    if args.format == "json":
        for rule, tried in run.tried.items():
            line = {"kind": "rule", "id": rule, "hits": tried.acted, "connections": len(tried.connections)}
            print(dump(line))
    else:
        if left_out:
            print(f"… and {left_out:,} more; --diffs {shown + left_out} shows them all\n")
        _table(run)
    _tell_notices(run)
    wrong = missed(expected, counts)
    for sentence in wrong:
        say(sentence)
    if damage and not wrong:
        raise DamagedInput("the capture is damaged; the rules were tried on what could be read of it")
    return 1 if wrong else 0


def _outcomes(reader: Reader, run: DryRun) -> Iterator[Outcome]:
    timeline = Timeline()
    while batch := reader.read():
        for _, record in batch:
            for event in timeline.feed(record):
                yield from run.feed(event)


def _table(run: DryRun) -> None:
    width = max((len(rule) for rule in run.tried), default=4)
    print(f"{'rule':<{width}}  {'hits':>9}  connections")
    for rule, tried in run.tried.items():
        print(f"{rule:<{width}}  {tried.acted:>9,}  {len(tried.connections):>11,}")
    tried_on = words.plural(run.messages, "message")
    print(f"\n{tried_on} and control frames of {words.plural(run.connections, 'connection')}")


def _tell_notices(run: DryRun) -> None:
    for conn, sentence in run.notices[:MAX_NOTICES]:
        say(f"#{conn}: {sentence}")
    if len(run.notices) > MAX_NOTICES:
        say(f"and {len(run.notices) - MAX_NOTICES} more failures of rules")


# ------------------------------------------------------------------------------------------------ text


def _changes(outcome: Outcome) -> bool:
    """Whether anything would be other than it came."""
    plan = outcome.plan
    if isinstance(plan, HandshakePlan):
        return bool(_handshake_words(plan))
    return plan.touches or bool(plan.effects)


def _lines(outcome: Outcome) -> Iterator[str]:
    """One changed message: whose, by which rules, before and after."""
    plan = outcome.plan
    did = "; ".join(f"{hit.rule}: {', '.join(hit.did) or 'matched'}" for hit in plan.hits)
    yield f"#{outcome.conn} {outcome.side.word} {outcome.place}  {did}"
    if isinstance(plan, HandshakePlan):
        return
    before = outcome.before
    if before is not None and plan.fate is Fate.DROP:
        yield from _cut([f"- {line}" for _, line in payload_diff(before, b"")])
    elif before is not None and plan.payload is not None:
        yield from _cut([f"{mark} {line}" for mark, line in payload_diff(before, plan.payload)])
    for effect in plan.effects:
        if isinstance(effect, Send):
            what = _shown(effect.payload)
            yield f"> to the {effect.to.word}: {opcode_word(effect.opcode)} {what}"


def _cut(lines: list[str]) -> list[str]:
    kept = [line if len(line) <= 200 else line[:199] + "…" for line in lines[:DIFF_LINES]]
    return [*kept, f"  … {len(lines) - DIFF_LINES:,} more lines"] if len(lines) > DIFF_LINES else kept


def _shown(payload: bytes) -> str:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return words.shown(payload)
    return text if len(text) <= 200 else text[:199] + "…"


def _handshake_words(plan: HandshakePlan) -> list[str]:
    return [
        *(["rejected"] if plan.reject else []),
        *([f"redirected to {plan.redirect_to}"] if plan.redirect_to else []),
        *(["delayed"] if plan.delay_ms else []),
        *(f"set {name}" for name, _ in plan.set_headers),
        *(f"removed {name}" for name in plan.remove_headers),
        *(f"stripped {name}" for name in plan.strip_extensions),
    ]


# ------------------------------------------------------------------------------------------------ JSON


def _json(outcome: Outcome, wall_ns: int) -> dict[str, Any]:
    plan = outcome.plan
    line: dict[str, Any] = {
        "kind": "hit",
        "t": round(wall_ns / 1e9, 6),
        "conn": outcome.conn,
        "from": outcome.side.word,
        "what": outcome.place,
        "hits": [{"rule": hit.rule, "did": list(hit.did)} for hit in plan.hits],
    }
    if isinstance(plan, HandshakePlan):
        return line | {"changes": _handshake_words(plan)}
    line["outcome"] = _outcome(plan)
    if outcome.before is not None:
        line |= _payload("before", outcome.before)
    if plan.payload is not None:
        line |= _payload("after", plan.payload)
    if plan.delay_ms:
        line["delay_ms"] = plan.delay_ms
    sent = [each for each in plan.effects if isinstance(each, Send)]
    if sent:
        line["sent"] = [
            {"to": each.to.word, "type": opcode_word(each.opcode), **_payload("payload", each.payload)}
            for each in sent
        ]
    return line


def _outcome(plan: Plan) -> str:
    if plan.fate is Fate.DROP:
        return "dropped"
    if plan.hold is not None:
        return "held"
    return "changed" if plan.touches else "passed"


def _payload(name: str, payload: bytes) -> dict[str, str]:
    try:
        return {name: payload.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(payload).decode()}
