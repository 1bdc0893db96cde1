"""What the capture must not have: pseudonyms in the place of secrets, while the bytes pass unchanged.

The same secret gets the same pseudonym (`‹redacted:3f2a9c01›`) wherever it stands: in a message, a URL or a
header. It is a keyed hash; without a key of the rule's own the key is random and dies with the process, so
that nobody can try candidates against the capture.

A redaction that fails keeps the whole message out of the capture: traffic fails open, privacy fails closed.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
import operator
import re
import secrets
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsinspect.model import (
    Altered,
    Decoded,
    Fact,
    Failed,
    Header,
    Notice,
    Opcode,
    Opened,
    Requested,
    RuleHit,
    Side,
)
from wsinspect.model.plans import Close, Effect, Plan, Send
from wsinspect.rules import jsonpath
from wsinspect.rules.template import as_text

if TYPE_CHECKING:
    from wsinspect.rules.turn import Talk, Turn


MAX_CONTROL_BYTES = 125
"""Of a control frame's payload (RFC 6455 5.5): a pseudonym may be longer than its secret."""
DID = "redact"
"""What the action says it did; taken back where nothing was there to hide."""

_PSEUDONYM = re.compile("‹redacted:[0-9a-f]{8}›".encode())


@functools.cache
def process_key() -> bytes:
    """Of all redactions without a key of their own; another one in each process."""
    return secrets.token_bytes(32)


def key_of(text: str) -> bytes:
    """The key that a rule file's `key` gives: pseudonyms then agree between captures."""
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Redaction:
    """What one `redact` hides; a `model.plans.Redactor` for the handshake."""

    key: bytes
    patterns: tuple[Any, ...] = ()
    """Compiled; where one has groups, what they match is hidden, else the whole match."""
    paths: tuple[jsonpath.Path, ...] = ()
    headers: frozenset[str] = frozenset()
    """Names in lower case."""
    query: frozenset[str] = frozenset()
    """Names of parameters, decoded."""

    def pseudonym(self, secret: bytes) -> str:
        """What stands for the secret; a pseudonym stands for itself, so that hiding twice is hiding once."""
        if _PSEUDONYM.fullmatch(secret):
            return secret.decode()
        return f"‹redacted:{hashlib.blake2b(secret, key=self.key, digest_size=4).hexdigest()}›"

    # ------------------------------------------------------------------------------------------ payloads

    def hide_value(self, value: Any) -> str:
        """A value of a tree."""
        if isinstance(value, bytes):
            return self.pseudonym(value)
        try:
            return self.pseudonym(as_text(value).encode(errors="surrogatepass"))
        except ValueError:
            return self.pseudonym(repr(value).encode(errors="surrogatepass"))  # bytes within a container

    def hide_bytes(self, data: bytes) -> bytes:
        """Text or bytes, by the patterns."""
        spans = sorted(
            span for pattern in self.patterns for m in pattern.finditer(data) for span in _spans(m)
        )
        out, at = bytearray(), 0
        for begin, end in _apart(_outside(spans, data) if spans else spans):
            out += data[at:begin] + self.pseudonym(data[begin:end]).encode()
            at = end
        return bytes(out) + data[at:] if at else data

    def hide_payload(self, talk: Talk, payload: bytes, decoded: Decoded | None) -> bytes:
        """A message. Raises ValueError where its tree cannot be encoded again."""
        if decoded is not None and self.paths:
            tree = decoded.tree
            for path in self.paths:
                tree, _ = path.replace(tree, self.hide_value)
            if tree is not decoded.tree:
                payload = talk.encode(decoded, tree)
        return self.hide_bytes(payload)

    # ----------------------------------------------------------------------------------------- handshakes

    def hide(self, text: str) -> str:
        """Text of a handshake, by the patterns."""
        if not self.patterns:
            return text
        data = text.encode(errors="surrogatepass")
        hidden = self.hide_bytes(data)
        return text if hidden == data else hidden.decode(errors="surrogatepass")

    def hide_url(self, url: str) -> str:
        """A URL or a target: the values of the named parameters, then the patterns."""
        base, mark, query = url.partition("?")
        if mark and self.query:
            query, fragment_mark, fragment = query.partition("#")
            hidden = [self._hide_parameter(each) for each in re.split("([&;])", query)]
            url = f"{base}?{''.join(hidden)}{fragment_mark}{fragment}"
        return self.hide(url)

    def _hide_parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        if not value or urllib.parse.unquote_plus(name) not in self.query:
            return parameter
        return f"{name}{equals}{self.pseudonym(urllib.parse.unquote_to_bytes(value.replace('+', ' ')))}"

    def hide_headers(self, headers: Iterable[Header]) -> list[Header]:
        return [(name, self.hide_header(name, value)) for name, value in headers]

    def hide_header(self, name: str, value: str) -> str:
        if name.lower() in self.headers and value:
            return self.pseudonym(value.encode(errors="surrogatepass"))
        return self.hide_url(value) if self.query and "?" in value else self.hide(value)

    def redacted(self, fact: Fact) -> Fact:
        """The fact, or one like it with pseudonyms in URL, headers, sentence and body."""
        match fact:
            case Requested():
                url, target = self.hide_url(fact.url), self.hide_url(fact.target)
                return dataclasses.replace(
                    fact, url=url, target=target, headers=self.hide_headers(fact.headers)
                )
            case Opened():
                return dataclasses.replace(fact, headers=self.hide_headers(fact.headers))
            case Failed():
                headers, body = self.hide_headers(fact.headers), self.hide_bytes(fact.body)
                return dataclasses.replace(fact, message=self.hide(fact.message), headers=headers, body=body)
            case Altered():
                name = fact.what.rpartition(" ")[2]
                before, after = self.hide_header(name, fact.before), self.hide_header(name, fact.after)
                return dataclasses.replace(fact, before=before, after=after)
            case Notice():
                return dataclasses.replace(fact, text=self.hide_url(fact.text))
            case _:
                return fact


def _spans(match: Any) -> list[tuple[int, int]]:
    """What a match hides: its groups where it has some and they matched, else all of it."""
    groups = [match.span(number) for number in range(1, match.re.groups + 1)]
    return [(a, b) for a, b in groups if 0 <= a < b] or [match.span()]


def _outside(spans: list[tuple[int, int]], data: bytes) -> list[tuple[int, int]]:
    """Those that do not lie within a pseudonym, which another redaction has put there."""
    marks = [match.span() for match in _PSEUDONYM.finditer(data)]
    if not marks:
        return spans

    def inside(begin: int, end: int) -> bool:
        at = bisect.bisect_right(marks, begin, key=operator.itemgetter(0)) - 1
        return at >= 0 and end <= marks[at][1]

    return [span for span in spans if not inside(*span)]


def _apart(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sorted spans, those that overlap joined, empty ones left out."""
    begin, end = 0, 0
    for a, b in spans:
        if a < end:
            end = max(end, b)
            continue
        if begin < end:
            yield begin, end
        begin, end = a, b
    if begin < end:
        yield begin, end


# ----------------------------------------------------------------------------------------------- messages


def redact(turn: Turn, plan: Plan) -> None:
    """Say in the plan what the capture has of the message, and of what is sent beside it. Never raises."""
    unknown = turn.message is not None and (bool(turn.message.lost) or turn.message.truncated)
    if unknown:
        plan.uncaptured = True
        plan.notes += ("kept out of the capture: the payload is not known, so nothing in it could be hidden",)
    came = turn.message.payload if turn.message else turn.frame.payload if turn.frame else b""
    try:
        hidden = _hidden(turn, turn.side, turn.opcode, came, turn.decoded if came is turn.payload else None)
        plan.captured = hidden if hidden != came else None
        if not plan.shadow:
            _redact_sent(turn, plan)
    except Exception as error:
        plan.uncaptured = True
        plan.effects = tuple(_blank_effect(effect) for effect in plan.effects)
        plan.notes += (f"kept out of the capture: redacting failed ({type(error).__name__})",)
    if plan.hold is not None:
        plan.hide = functools.partial(hide_written, turn)
    for redaction in turn.redactions:
        plan.notes = tuple(redaction.hide(note) for note in plan.notes)
    if not _hides(plan):
        plan.hits = tuple(hit for hit in map(_without, plan.hits) if hit is not None)


def _redact_sent(turn: Turn, plan: Plan) -> None:
    """The same of what goes out."""
    if plan.payload is not None:
        hidden = _hidden(turn, turn.side, turn.opcode, plan.payload, turn.decoded)
        plan.captured_after = hidden if hidden != plan.payload else None
    plan.effects = tuple(_hidden_effect(turn, effect) for effect in plan.effects)


def _hides(plan: Plan) -> bool:
    sent = any(_hides_effect(effect) for effect in plan.effects)
    return plan.uncaptured or plan.captured is not None or plan.captured_after is not None or sent


def _hides_effect(effect: Effect) -> bool:
    match effect:
        case Send():
            return effect.captured is not None
        case Close():
            return effect.captured_reason is not None
        case _:
            return False


def hide_written(turn: Turn, payload: bytes) -> bytes | None:
    """A payload of somebody's own in the place of the turn's, after all its redactions; None: keep it out."""
    try:
        return _hidden(turn, turn.side, turn.opcode, payload, None)
    except Exception:
        return None


def _without(hit: RuleHit) -> RuleHit | None:
    """The hit of a rule that found nothing to hide: without that word, or none where it did nothing else."""
    did = tuple(word for word in hit.did if word != DID)
    return None if hit.did and not did else dataclasses.replace(hit, did=did)


def _hidden(turn: Turn, side: Side, opcode: int, payload: bytes, decoded: Decoded | None) -> bytes:
    """The payload after all redactions of the turn."""
    if opcode == Opcode.CLOSE:
        return payload[:2] + _hidden_reason(turn, payload[2:])  # its first two bytes are the code (5.5.1)
    came = payload
    for redaction in turn.redactions:
        if decoded is None and redaction.paths and opcode in (Opcode.TEXT, Opcode.BINARY):
            decoded = turn.talk.decode(side, opcode, payload)
        before, payload = payload, redaction.hide_payload(turn.talk, payload, decoded)
        if payload is not before:
            decoded = None
    return payload[: max(MAX_CONTROL_BYTES, len(came))] if opcode > Opcode.CLOSE else payload


def _hidden_reason(turn: Turn, came: bytes) -> bytes:
    reason, most = came, max(MAX_CONTROL_BYTES - 2, len(came))
    for redaction in turn.redactions:
        reason = redaction.hide_bytes(reason)
    return reason if len(reason) <= most else reason[:most].decode(errors="ignore").encode()


def _hidden_effect(turn: Turn, effect: Effect) -> Effect:
    match effect:
        case Send():
            found = _hidden_send(turn, effect)
            return found if effect.again is None else _hidden_again(turn, found, effect.again)
        case Close():
            reason = _hidden_reason(turn, effect.reason.encode()).decode()
            return effect if reason == effect.reason else dataclasses.replace(effect, captured_reason=reason)
        case _:
            return effect


def _hidden_send(turn: Turn, send: Send) -> Send:
    hidden = _hidden(turn, send.to.other, send.opcode, send.payload, None)
    return send if hidden == send.payload else dataclasses.replace(send, captured=hidden)


def _hidden_again(turn: Turn, send: Send, made: Callable[[int], Send | None]) -> Send:
    """Each repetition is hidden as the first one was."""
    kept = turn.kept(payload=False)
    kept.redactions = turn.redactions

    def again(now_ns: int) -> Send | None:
        found = made(now_ns)
        if found is None:
            return None
        try:
            found = _hidden_send(kept, found)
        except Exception:
            found = dataclasses.replace(found, captured=b"")
        return dataclasses.replace(found, again=again)

    return dataclasses.replace(send, again=again)


def _blank_effect(effect: Effect) -> Effect:
    match effect:
        case Send():
            return dataclasses.replace(effect, captured=b"", again=None)
        case Close():
            return dataclasses.replace(effect, captured_reason="")
        case _:
            return effect
