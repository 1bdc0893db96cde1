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
NOT_TOUCHED = "no traffic was touched"
"""Of rules in shadow."""
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
_IN_SHADOW = {Outcome.CHANGED: "changed", Outcome.DROPPED: "dropped", Outcome.HELD: "held"}
_IN_CAPTURE = ("redact", "no capture", "tag ")
"""How the words of actions begin that act in the capture alone, and so in shadow, too."""
MATCHES_SHOWN = 200
"""Characters of what rules did that one line has."""
ROW_SHOWN = 48
"""The same of a row, which has a preview beside it."""


def flag_words(flag: str) -> str:
    """A flag as its sign and its word: `✗ dropped`, `⚑ login`."""
    if flag.startswith("tag:"):
        return f"{TAG} {flag[4:]}"
    return f"{GLYPHS.get(flag.partition(' ')[0].rstrip(':'), '·')} {flag}"


def row_flags(fact: Judged) -> tuple[str, ...]:
    """The flags of a verdict for a row that says nothing else of it: `delayed 200 ms`, `shadow: would …`."""
    if fact.shadow:
        return (f"shadow: {_cut(_would_have_been(fact), ROW_SHOWN)}", *verdict_flags(fact)[1:])
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


def would_words(fact: Judged) -> str:
    """What rules in shadow would have done: `would have changed it: set $.price to 1`; `matched`: nothing."""
    verb = _IN_SHADOW.get(fact.outcome)
    if verb is not None:
        would = [word for word in _not_done(fact) if word != "drop"]
        return f"would have {verb} it" + (f": {'; '.join(would)}" if would else "")
    if would := _not_done(fact):
        return f"would have done: {'; '.join(would)}"
    return f"would have delayed it {delay_words(fact)}" if fact.delay_ms else "matched"


def _would_have_been(fact: Judged) -> str:
    """The same so that `by RULE` may follow."""
    would, verb = _not_done(fact), _IN_SHADOW.get(fact.outcome)
    if verb is not None:
        return f"would have been {verb}"
    if would:
        return f"would have been done: {'; '.join(would)}"
    return f"would have been delayed {delay_words(fact)}" if fact.delay_ms else "matched"


def _not_done(fact: Judged) -> list[str]:
    """Of what they did, what was not done in shadow."""
    return [word for hit in fact.hits for word in hit.did if not word.startswith(_IN_CAPTURE)]


def _shadow_words(fact: Judged) -> str:
    """The end of a sentence on a verdict in shadow."""
    would = "; ".join(_not_done(fact))
    link = ": " if fact.outcome in _IN_SHADOW else ", and would have done: "
    done = [word for hit in fact.hits for word in hit.did if word.startswith(_IN_CAPTURE)]
    recorded = "; ".join([*done, *fact.notes])
    return (
        (link + would if would else "")
        + (f"; in the capture: {recorded}" if recorded else "")
        + f" (in shadow: {NOT_TOUCHED})"
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


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
        would = f"{flag_words('shadow')}: {rules} {_cut(would_words(fact), MATCHES_SHOWN)}"
        done = [flag_words(flag) for flag in flags if flag == "redacted"]
        return [would, *done, *tags, *(f"{RULE} {note}" for note in fact.notes)]
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
    if fact.shadow and fact.outcome in _IN_SHADOW:
        verb = f"would have {_IN_SHADOW[fact.outcome]}"
    if not fact.last_frame and fact.opcode == AT_RELOAD:
        shadow = f" (in shadow: {NOT_TOUCHED})" if fact.shadow else ""
        return f"the rules changed: {', '.join(map(_hit_words, fact.hits))}{shadow}"
    if not fact.last_frame and fact.opcode == AT_OPENING:
        what = "the opening"
    elif not fact.last_frame:
        what = "the request" if fact.side is Side.CLIENT else "the answer"
        if fact.outcome is Outcome.DROPPED:
            verb = "would have rejected" if fact.shadow else "rejected"
    else:
        numbers = f"{fact.first_frame}-{fact.last_frame}".removesuffix(f"-{fact.first_frame}")
        kind = "frame" if fact.opcode >= 8 else "message"
        what = f"the {fact.side.word}'s {opcode_word(fact.opcode)} {kind} {numbers}"
    end = _shadow_words(fact) if fact.shadow else f": {did}" if did else ""
    return f"rule {rules_of(fact)} {verb} {what}{end}"


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
