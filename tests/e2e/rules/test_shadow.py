"""`--shadow`: what rules would do is recorded, no traffic is touched, and secrets stay out of the capture."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rules.ways import Compression, Pair, Rig, Way, for_both, messages, rig_of, settled, verdicts
from tests.proxy.running import facts
from wsinspect.capture.timeline import GapEvent
from wsinspect.formats.verdict_words import judged_words, verdict_marks
from wsinspect.model import Judged, Outcome, Requested, Side

SECRET = "tok-7f3a91"
RULES = (
    for_both(
        "hide",
        """when: {PATH, from: SIDE, kind: text, json: {$.op: {equals: login}}}
    then: [{set: {$.op: logout}}, {tag: seen}, {redact: {json: $.token}}, {close: {code: 4001, to: both}}]
""",
    )
    + for_both(
        "omit",
        """when: {PATH, from: SIDE, text: {contains: omit}}
    then: [no-capture]
""",
        path="hide",
    )
    + for_both(
        "cut",
        """when: {PATH, from: SIDE, text: {contains: late}}
    then: [{delay: 30s}]
""",
        path="hide",
    )
    + """\
  - id: handshake
    when: {path: /hide/*, kind: handshake, from: client}
    then: [{redact: {headers: [authorization]}}, {reject: 403}]
"""
)


@pytest.fixture(scope="module")
def rig(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(tmp_path_factory.mktemp("shadow"), RULES, "--shadow") as rig:
        yield rig


WAYS = [Way(tls, Compression.TAKEOVER, side) for side in Side for tls in (False, True)] + [
    Way(False, Compression.OFF, side) for side in Side
]


async def test_secrets_stay_out_of_the_capture_and_all_passes_as_it_came(rig: Rig) -> None:
    """In shadow `redact` and `no-capture` were off, and the capture held what they keep out of it."""
    login = json.dumps({"op": "login", "token": SECRET})

    async def check(pair: Pair) -> None:
        side = pair.way.sender
        sent = ["hello", login, f"omit {SECRET}", "late hello", "hello again"]
        await pair.send(*sent)
        await pair.arrives(*sent)
        await pair.still_works()
        events = await pair.over()
        shown = [each.message.payload.decode() for each in messages(events, side)]
        assert [text.partition("‹")[0] for text in shown[:4]] == [
            "hello", '{"op": "login", "token": "', "late hello", "hello again",
        ]  # fmt: skip
        assert any(
            each.reason == f"no-capture: omit-{side.word}" for each in events if isinstance(each, GapEvent)
        )
        check_verdicts([verdicts(events, f"{name}-{side.word}")[0] for name in ("hide", "omit", "cut")], side)
        [token] = [value for name, value in facts(events, Requested)[0].headers if name == "Authorization"]
        assert token.startswith("‹redacted:")
        [rejected] = verdicts(events, "handshake")
        assert (rejected.shadow, rejected.outcome) == (True, Outcome.DROPPED)
        assert judged_words(rejected) == (
            "rule handshake would have rejected the request: reject with 403 Forbidden; in the capture: "
            "redact (in shadow: no traffic was touched)"
        )

    await rig.everywhere("hide", check, WAYS, headers={"Authorization": f"Bearer {SECRET}"})
    await asyncio.to_thread(settled, rig)
    assert SECRET.encode() not in rig.proxy.capture.read_bytes()


def check_verdicts(found: list[Judged], side: Side) -> None:
    hide, omit, cut = found
    assert (hide.shadow, hide.outcome, hide.captured, hide.tags) == (
        True, Outcome.CHANGED, "redacted", ["seen"],
    )  # fmt: skip
    assert verdict_marks(hide) == [
        f"☾ shadow: hide-{side.word} would have changed it: "
        'set $.op to "logout"; close both sides with 4001 (private code)',
        "░ redacted",
        "⚑ seen",
    ]
    assert (omit.shadow, omit.outcome, omit.captured) == (True, Outcome.PASSED, "nothing")
    assert "; in the capture: no capture (in shadow: " in judged_words(omit)
    assert (cut.shadow, cut.delay_ms, cut.captured) == (True, 30_000, "whole")
    assert verdict_marks(cut) == [f"☾ shadow: cut-{side.word} would have done: delay 30 s"]
