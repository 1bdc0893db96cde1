"""What rules did, as pages: about one message, with what changed; about a connection, by rule."""

from __future__ import annotations

from wsinspect.formats.diff import Mark, payload_diff
from wsinspect.formats.verdict_words import (
    NOT_TOUCHED,
    delay_words,
    flag_words,
    released_words,
    sent_marks,
    verdict_marks,
)
from wsinspect.model import Judged, Outcome, Side
from wsinspect.tui.cells import size, span
from wsinspect.tui.source import ConnectionDetail, RuleDetail
from wsinspect.tui.widgets.page import Line, Page, pair, wrapped

DIFF_ROLES = {Mark.SAME: "muted", Mark.GONE: "error", Mark.CAME: "ok", Mark.LEFT_OUT: "faint"}

_OUTCOMES = {
    Outcome.PASSED: "it went on as it came",
    Outcome.CHANGED: "something else went on in its place",
    Outcome.DROPPED: "it did not go on",
    Outcome.HELD: "it waits for somebody's word",
}
_IN_SHADOW = {
    Outcome.PASSED: "it would have gone on as it came, but for what stands above",
    Outcome.CHANGED: "something else would have gone on",
    Outcome.DROPPED: "it would have been dropped",
    Outcome.HELD: "it would have waited for somebody's word",
}
_CAPTURED = {"redacted": "without what a rule took out of it", "nothing": "not at all: a rule keeps it out"}


def verdict_page(rules: RuleDetail) -> Page:
    """The tab of a message that rules matched, or that wsinspect sent."""
    lines = _verdict_lines(rules.verdict, rules) if rules.verdict is not None else _sent_lines(rules)
    return wrapped("Verdict", lines + _change_lines(rules))


def _verdict_lines(fact: Judged, rules: RuleDetail) -> list[Line]:
    lines: list[Line] = [[(word, "accent-strong")] for word in verdict_marks(fact)]
    lines.append([])
    for hit in fact.hits:
        lines.append(pair("rule", hit.rule, "accent"))
        lines += [pair("", f"· {word}") for word in hit.did]
    if fact.shadow:
        lines.append(pair("in shadow", f"{_IN_SHADOW[fact.outcome]}; {NOT_TOUCHED}"))
    elif rules.released is not None:
        lines.append(pair("held", released_words(rules.released)))
    else:
        lines.append(pair("so", _OUTCOMES[fact.outcome]))
    if fact.outcome is Outcome.HELD:
        lines.append(pair("at most", span(min(fact.limit_ms, 10**12) * 1_000_000)))
    would = ", had it been done" if fact.shadow else ""
    if fact.delay_ms:
        lines.append(pair("delayed", delay_words(fact) + would))
    if fact.behind:
        lines.append(pair("reordered", f"behind {fact.behind:,} later messages{would}"))
    if fact.captured != "whole":
        lines.append(pair("captured", _CAPTURED[fact.captured]))
    lines += [pair("note", note) for note in fact.notes]
    return lines


def _sent_lines(rules: RuleDetail) -> list[Line]:
    lines: list[Line] = [[(word, "accent-strong")] for word in sent_marks((rules.why,), rules.rule)]
    lines += [[], pair("sent by", f"wsinspect, for the rule {rules.rule}" if rules.rule else "wsinspect")]
    first, last = rules.of
    if last:
        which = f"frame {first:,}" if first == last else f"frames {first:,} to {last:,}"
        lines.append(pair("a copy of" if rules.why == "duplicate" else "instead of", which))
    return lines


def _change_lines(rules: RuleDetail) -> list[Line]:
    """Before and after, line by line."""
    if rules.before is None or not rules.after:
        return []
    after = rules.after[0]
    heading = f"before {size(len(rules.before))}, after {size(len(after))}"
    if len(rules.after) > 1:
        heading += f", sent {len(rules.after)} times"
    lines: list[Line] = [[], [(heading, "title")]]
    if rules.before == after:
        return [*lines, [("the same payload, in other frames", "muted")]]
    return lines + [
        [(f"{mark.value} ", DIFF_ROLES[mark]), (text, DIFF_ROLES[mark])]
        for mark, text in payload_diff(rules.before, after)
    ]


def rules_lines(connection: ConnectionDetail) -> list[Line]:
    """What each rule did about a connection."""
    width = max((len(rule) for rule in connection.rules), default=0)
    lines: list[Line] = [
        [(f"{rule:<{min(width, 40)}}  ", "accent"), (words, "text")]
        for rule, words in connection.rules.items()
    ]
    for side in connection.private:
        arrow = "→" if side is Side.CLIENT else "←"
        words = f"what the {side.word} sends is captured after the rules: one could keep something out"
        lines += [[], [(f"{arrow} {flag_words('redacted')}  ", side.word), (words, "text")]]
    return lines
