"""What rules did, in words and glyphs, for lines and screens alike. Not yet safe for a terminal."""

from __future__ import annotations

from wsinspect.capture.verdicts import verdict_flags
from wsinspect.model import (
    AT_OPENING,
    AT_RELOAD,
    Judged,
    Outcome,
    Released,
    Ruled,
    RuleHit,
    Side,
    opcode_word,
)

GLYPHS = {
    "injected": "✚",
    "modified": "✎",
    "duplicate": "⊕",
    "cut": "↯",
    "replaced": "≠",
    "dropped": "✗",
    "held": "‖",
    "delayed": "◷",
    "reordered": "⇅",
    "redacted": "░",
    "matched": "§",
    "shadow": "☾",
    "truncated": "✂",
    "window-lost": "⚠",
    "gap": "▒",
}
"""By flag; the flag's own word stands beside it, since colour and sign alone say nothing to some."""
TAG = "⚑"
RULE = GLYPHS["matched"]
"""Stands for rules as such: a match that did nothing to the message, a count of hits."""

_RELEASED = {
    "release": "went on as it came",
    "edit": "went on with another payload",
    "drop": "was dropped",
    "discard": "was discarded: the connection ended first",
}
_VERBS = {
    Outcome.PASSED: "matched",
    Outcome.CHANGED: "changed",
    Outcome.DROPPED: "dropped",
    Outcome.HELD: "holds",
}
_IN_SHADOW = {
    Outcome.PASSED: "matched",
    Outcome.CHANGED: "would have changed it",
    Outcome.DROPPED: "would have dropped it",
    Outcome.HELD: "would hold it",
}
MATCHES_SHOWN = 200
"""Characters of what rules did that one line has."""


def flag_words(flag: str) -> str:
    """A flag as its sign and its word: `✗ dropped`, `⚑ login`."""
    if flag.startswith("tag:"):
        return f"{TAG} {flag[4:]}"
    return f"{GLYPHS.get(flag.partition(' ')[0].rstrip(':'), '·')} {flag}"


def row_flags(fact: Judged) -> tuple[str, ...]:
    """The flags of a verdict for a row that says nothing else of it: `delayed 200 ms`, `shadow: dropped`."""
    if fact.shadow:
        outcome = "matched" if fact.outcome is Outcome.PASSED else fact.outcome.value
        return (f"shadow: {outcome}", *verdict_flags(fact)[1:])
    flags = [f"delayed {delay_words(fact)}" if flag == "delayed" else flag for flag in verdict_flags(fact)]
    silent = all(flag.startswith("tag:") for flag in flags)
    return ("matched", *flags) if silent else tuple(flags)


def delay_words(fact: Judged) -> str:
    """`200 ms`."""
    return f"{fact.delay_ms:,.4g} ms"


def rules_of(fact: Judged) -> str:
    """The rules that matched: `fake-price, slow`."""
    return ", ".join(hit.rule for hit in fact.hits)


def did_words(fact: Judged) -> str:
    """What they did: `set $.price to 1; delay 200 ms`."""
    return "; ".join([*(word for hit in fact.hits for word in hit.did), *fact.notes])


def sent_marks(flags: tuple[str, ...], rule: str | None) -> list[str]:
    """Of what wsinspect sent itself: `✚ injected by answer`."""
    by = f" by {rule}" if rule else ""
    return [flag_words(flag) + (by if place == 0 else "") for place, flag in enumerate(flags)]


def verdict_marks(fact: Judged) -> list[str]:
    """What rules did to a message, a mark each: `◷ delayed 200 ms by slow`, `⚑ login`."""
    flags = verdict_flags(fact)
    rules = rules_of(fact)
    tags = [flag_words(flag) for flag in flags if flag.startswith("tag:")]
    if fact.shadow:
        return [f"{flag_words('shadow')}: {rules} {_IN_SHADOW[fact.outcome]}", *tags]
    done = [flag_words(flag) for flag in flags if not flag.startswith("tag:")]
    delay = f"{flag_words('delayed')} {delay_words(fact)}"
    done = [delay if word == flag_words("delayed") else word for word in done]
    if done:
        return [f"{done[0]} by {rules}", *done[1:], *tags, *(f"{RULE} {note}" for note in fact.notes)]
    did = did_words(fact)[:MATCHES_SHOWN]
    return [f"{RULE} {rules}" + (f": {did}" if did else ""), *tags]


def judged_words(fact: Judged) -> str:
    """`rule fake-price changed the server's text message 4: set $.price to 1`."""
    verb = _VERBS[fact.outcome]
    did = did_words(fact)
    shadow = " (shadow: nothing was touched)" if fact.shadow else ""
    if not fact.last_frame and fact.opcode == AT_RELOAD:
        return f"the rules changed: {', '.join(map(_hit_words, fact.hits))}{shadow}"
    if not fact.last_frame and fact.opcode == AT_OPENING:
        what = "the opening"
    elif not fact.last_frame:
        what = "the request" if fact.side is Side.CLIENT else "the answer"
        verb = "rejected" if fact.outcome is Outcome.DROPPED else verb
    else:
        numbers = f"{fact.first_frame}-{fact.last_frame}".removesuffix(f"-{fact.first_frame}")
        kind = "frame" if fact.opcode >= 8 else "message"
        what = f"the {fact.side.word}'s {opcode_word(fact.opcode)} {kind} {numbers}"
    return f"rule {rules_of(fact)} {verb} {what}" + (f": {did}" if did else "") + shadow


def _hit_words(hit: RuleHit) -> str:
    return f"{hit.rule} ({', '.join(hit.did)})" if hit.did else hit.rule


def released_words(fact: Released) -> str:
    """`the held message 4 of the client went on as it came, after 1,204 ms`."""
    by = {"user": "", "default": ", by default", "reset": ""}[fact.by]
    number = fact.first_frame
    return (
        f"the held message {number} of the {fact.side.word} {_RELEASED[fact.how]}{by}, "
        f"after {fact.held_ms:,.0f} ms"
    )


NAMED_OFF = 5
"""Rules that are switched off are named up to here, and counted beyond."""


def ruled_words(fact: Ruled) -> str:
    """`12 rules of a.yaml, b.yaml, 1 off (slow-chat)`, or why the old ones stay."""
    if fact.error:
        return f"the rules stay as they were: {fact.error}"
    count = len(fact.rules)
    files = f" of {', '.join(fact.files)}" if fact.files else ""
    named = ", ".join([*fact.off[:NAMED_OFF], *(["…"] if len(fact.off) > NAMED_OFF else [])])
    off = f", {len(fact.off):,} off ({named})" if fact.off else ""
    return f"{count} rule{'' if count == 1 else 's'}{files}{off}" + (", in shadow" if fact.shadow else "")
