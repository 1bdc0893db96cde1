"""`redact`: pseudonyms in the capture, the bytes themselves pass."""

from __future__ import annotations

from typing import Any

from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.jsonpath import Path, together
from wsinspect.rules.redaction import DID, Redaction, key_of, process_key
from wsinspect.rules.turn import Turn


class Redact(Action):
    word = "redact"
    doc = (
        "Hide secrets from the capture: each becomes a pseudonym such as ‹redacted:3f2a9c01›, the same one "
        "wherever the same secret stands. What passes is not changed. A message in which this cannot be "
        "done is kept out of the capture as a whole."
    )
    example = "redact: {json: [$..token, '$.users[*].email'], headers: [authorization, cookie], query: token}"
    fields = (
        Field(
            "regex",
            Type.REGEXES,
            "Hides what it matches, in messages, ping, pong and close frames, the URL and headers; where it "
            "has groups, only what those match.",
            (),
        ),
        Field(
            "json",
            Type.PATHS,
            "Hides the values there in decoded messages; `$..token` is each `token`, at any depth.",
            (),
        ),
        Field("headers", Type.HEADER_NAMES, "Headers of the handshake whose values are hidden.", ()),
        Field("query", Type.TEXTS, "Parameters of the URL whose values are hidden.", ()),
        Field(
            "key",
            Type.TEXT,
            "Pseudonyms are derived from it, and agree between captures; without it they differ from one run "
            "of the proxy to the next. Whoever knows the key can try guesses against a pseudonym.",
            None,
        ),
    )
    short = "regex"
    on = On.FRAMES | On.HANDSHAKE
    private = True
    everywhere = True

    regex: tuple[Any, ...]
    json: tuple[Path, ...]
    headers: tuple[str, ...]
    query: tuple[str, ...]
    key: str | None

    def check(self) -> None:
        if not (self.regex or self.json or self.headers or self.query):
            raise ValueError("nothing to redact: give regex, json, headers or query")
        for regex in self.regex:
            text = words.pattern_text(regex).strip("/`'\"")
            if text.startswith(("$.", "$[")):  # it would hide nothing, and nobody would notice
                raise ValueError(
                    f"{text} is a path, and matches nothing as a regex: write {{json: '{text}'}}"
                )
        words.check_header_names(self.headers)
        self.redaction = Redaction(
            process_key() if self.key is None else key_of(self.key),
            self.regex,
            together(self.json),
            frozenset(name.lower() for name in self.headers),
            frozenset(self.query),
        )

    def acts_on(self) -> On:
        on = On(0)
        if self.regex:
            on |= On.FRAMES | On.HANDSHAKE
        if self.json:
            on |= On.DATA
        if self.headers or self.query:
            on |= On.HANDSHAKE
        return on

    def is_private(self) -> bool:
        return bool(self.regex or self.json)

    def explain(self) -> str:
        what = [
            *_some([f"what matches {words.pattern_text(regex)}" for regex in self.regex], "patterns"),
            *_some([str(path) for path in self.json], "paths"),
            *_some([f"the header {name}" for name in self.headers], "headers"),
            *_some([f"the URL's parameter {name}" for name in self.query], "parameters"),
        ]
        return f"hide {words.listed(what)} from the capture"

    def apply(self, turn: Turn) -> str:
        turn.redactions += (self.redaction,)
        return DID

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        turn.redactors += (self.redaction,)
        return DID


def _some(what: list[str], noun: str) -> list[str]:
    """All of them, or the first three and how many more."""
    return what if len(what) <= 4 else [*what[:3], f"{len(what) - 3} more {noun}"]
