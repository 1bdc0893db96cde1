"""A script for `wsinspect proxy -s`: rules that have one plan for each word that a path begins with.

`/reject/…` is rejected, `/answer-reject/…` at the answer; what follows `?to=` is where `/redirect/…` leads.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from wsinspect.model import Altered, Fact, Frame, Message, Opened, Requested, RuleHit, Side
from wsinspect.model.plans import HandshakePlan, Reject, Watch
from wsinspect.proxy.handshakes import Handshakes

REJECT = Reject(
    418, b"no coffee", (("X-Why", "tea\r\nInjected: yes"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
)
DEFLATE = "Sec-WebSocket-Extensions"


class Hiding:
    """Hides every `secret`."""

    def redacted(self, fact: Fact) -> Fact:
        if isinstance(fact, Requested):
            headers = [(name, value.replace("secret", "‹redacted›")) for name, value in fact.headers]
            url = fact.url.replace("secret", "‹redacted›")
            return Requested(url=url, target=fact.target.replace("secret", "‹redacted›"), headers=headers)
        if isinstance(fact, Altered) and "secret" in fact.before + fact.after:
            return Altered(what=fact.what, before="‹redacted›", after="‹redacted›")
        return fact


class Broken:
    """Fails."""

    def redacted(self, fact: Fact) -> Fact:
        raise RuntimeError("broken")


class Planned:
    """One plan."""

    def __init__(self, requested: Requested) -> None:
        self.word = urlsplit(requested.url).path.split("/")[1]
        self.to = parse_qs(urlsplit(requested.url).query).get("to", [""])[0]
        self.answer = self.word.startswith("answer-")
        self.notices: list[tuple[str, str]] = []

    def judge_request(self, now_ns: int) -> HandshakePlan | None:
        return None if self.answer else self.plan(self.word)

    def judge_response(self, answer: Opened, now_ns: int) -> HandshakePlan | None:
        return self.plan(self.word.removeprefix("answer-")) if self.answer else None

    def opened_fact(self, opened: Opened, decoder: object = None) -> None: ...

    def watch(self, side: Side) -> Watch:
        return Watch()

    def opened(self, now_ns: int) -> None: ...

    def message(self, message: Message, now_ns: int) -> None: ...

    def control(self, frame: Frame, now_ns: int) -> None: ...

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        return payload

    def take_notices(self) -> list[tuple[str, str]]:
        taken, self.notices = self.notices, []
        return taken

    def plan(self, word: str) -> HandshakePlan | None:
        hits = (RuleHit(f"rule-{word}", (word,)),)
        match word:
            case "reject":
                return HandshakePlan(hits, reject=REJECT)
            case "shadow":
                return HandshakePlan(hits, reject=REJECT, shadow=True)
            case "no-content":
                return HandshakePlan(hits, reject=Reject(204, b"not allowed here"))
            case "redirect":
                return HandshakePlan(hits, redirect_to=self.to)
            case "headers":
                return HandshakePlan(
                    hits,
                    set_headers=(("X-New", "one"), ("X-New", "two"), ("User-Agent", "us\r\nInjected: yes")),
                    remove_headers=("x-gone", "Not-There"),
                )
            case "strip":
                return HandshakePlan(hits, strip_extensions=("Permessage-Deflate",))
            case "strip-all":
                return HandshakePlan(hits, strip_extensions=("*",))
            case "bare":
                return HandshakePlan(hits, remove_headers=("Upgrade",))
            case "slow":
                return HandshakePlan(hits, delay_ms=400)
            case "hide":
                return HandshakePlan(hits, redactors=(Hiding(),))
            case "hide-broken":
                return HandshakePlan(hits, redactors=(Broken(),))
            case "notice":
                self.notices = [("rule-failed", "rule-notice is off")]
            case "raise":
                raise RuntimeError("a fault of the rules")
        return None


_init = Handshakes.__init__


def _with_plans(self: Handshakes, attempts: object, rules_of: object, handler_of: object) -> None:
    _init(self, attempts, lambda conn, requested: Planned(requested), handler_of)  # type: ignore[arg-type]


Handshakes.__init__ = _with_plans  # type: ignore[method-assign, assignment]
