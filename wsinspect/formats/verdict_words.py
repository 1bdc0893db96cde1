"""Facts of the rules in one sentence, for lines and screens alike."""

from __future__ import annotations

from wsinspect.model import Judged, Outcome, Released, Ruled, opcode_word

_RELEASED = {
    "release": "went on as it came",
    "edit": "went on with another payload",
    "drop": "was dropped",
    "discard": "was discarded: the connection was reset",
}


def judged_words(fact: Judged) -> str:
    """`rule fake-price changed the server's text message 4: set $.price to 1`."""
    if not fact.last_frame:
        what = "the handshake" if not fact.opcode else "the connection"
    else:
        numbers = f"{fact.first_frame}-{fact.last_frame}".removesuffix(f"-{fact.first_frame}")
        what = f"the {fact.side.word}'s {opcode_word(fact.opcode)} message {numbers}"
    rules = ", ".join(hit.rule for hit in fact.hits)
    verb = {
        Outcome.PASSED: "matched",
        Outcome.CHANGED: "changed",
        Outcome.DROPPED: "dropped",
        Outcome.HELD: "holds",
    }[fact.outcome]
    did = "; ".join([*(word for hit in fact.hits for word in hit.did), *fact.notes])
    shadow = " (shadow: nothing was touched)" if fact.shadow else ""
    return f"rule {rules} {verb} {what}" + (f": {did}" if did else "") + shadow


def released_words(fact: Released) -> str:
    """`the held message 4 of the client went on as it came, after 1,204 ms`."""
    by = {"user": "", "default": ", by default", "reset": ""}[fact.by]
    number = fact.first_frame
    return (
        f"the held message {number} of the {fact.side.word} {_RELEASED[fact.how]}{by}, "
        f"after {fact.held_ms:,.0f} ms"
    )


def ruled_words(fact: Ruled) -> str:
    """`12 rules of a.yaml, b.yaml`, or why the old ones stay."""
    if fact.error:
        return f"the rules stay as they were: {fact.error}"
    count = len(fact.rules)
    files = f" of {', '.join(fact.files)}" if fact.files else ""
    return f"{count} rule{'' if count == 1 else 's'}{files}" + (", in shadow" if fact.shadow else "")
