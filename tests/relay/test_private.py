"""What a capture has of a direction in which rules keep things out: not a byte that they did not let in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay.judges import Script, plan
from tests.relay.play import KEY, C, Play, S, frames
from wsinspect.capture.timeline import FrameEvent, GapEvent, MessageEvent
from wsinspect.model import Closed, Gap, How, Judged, Message, Read, Side
from wsinspect.model.plans import Close, Cut, Fate, Hold, Plan, Send
from wsinspect.relay.commands import Edit, Inject
from wsinspect.wire.close_codes import encode_close
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import encode_frame

SECRET = b"S3CRET"
LINES = {
    "redact": plan("hide", captured=b"redact ******"),
    "nothing": plan("omit", uncaptured=True),
    "change": plan(
        "swap", payload=b"changed S3CRET too", captured=b"change *", captured_after=b"changed * too"
    ),
    "drop": plan("hide", captured=b"drop *", fate=Fate.DROP),
}
every_deflate = pytest.mark.parametrize(
    "deflate",
    [None, DeflateParams(), DeflateParams(server_no_context_takeover=True, client_no_context_takeover=True)],
    ids=["plain", "takeover", "no-takeover"],
)
sides = pytest.mark.parametrize("side", list(Side), ids=["client", "server"])


def private(**kwargs: object) -> Play:
    return Play(Script(LINES, private=True), **kwargs)  # type: ignore[arg-type]


def kept_out(play: Play) -> None:
    """The secret is nowhere in the capture, be it masked there or not."""
    assert SECRET not in play.raw_capture()
    for event in play.events():
        if isinstance(event, FrameEvent):
            assert SECRET not in event.frame.payload
        elif isinstance(event, MessageEvent):
            assert SECRET not in event.message.payload


def gaps_match(play: Play) -> None:
    """Every read and gap of a direction begins where the one before it ended, and frames count up."""
    ends = {C: 0, S: 0}
    for record in play.records:
        if isinstance(record, Read | Gap):
            assert record.offset == ends[record.side], record
            ends[record.side] += len(record.data) if isinstance(record, Read) else record.nbytes
    for event in play.events():
        if isinstance(event, GapEvent):
            assert event.reason.startswith("no-capture"), event
        if isinstance(event, FrameEvent):
            assert not event.frame.violations


@every_deflate
@sides
def test_in_shadow_it_is_kept_out_and_all_passes_in_its_very_bytes(
    side: Side, deflate: DeflateParams | None
) -> None:
    lines = {word: replace(each, shadow=True) for word, each in LINES.items()}
    play = Play(Script(lines, control={"redact": lines["redact"]}, private=True), deflate=deflate)
    came = [b"one", b"redact S3CRET", b"change S3CRET", b"nothing S3CRET", b"drop S3CRET", b"three"]
    data = b"".join(play.say(side, text, sizes=(2,)) for text in came)
    ping = encode_frame(9, b"redact S3CRET", mask=KEY if side is C else None)
    play.receive(side, ping)
    assert play.bytes_to(side.other) == data + ping
    assert play.captured(side) == [b"one", b"redact ******", b"change *", b"drop *", b"three"]
    assert play.outcomes() == ["passed", "changed", "passed", "dropped", "passed"]
    assert [each.captured for each in play.facts(Judged)] == [
        "redacted", "redacted", "nothing", "redacted", "redacted",
    ]  # fmt: skip
    kept_out(play)
    gaps_match(play)
    assert not play.sent()


@every_deflate
@sides
def test_what_passes_is_the_secret_and_what_is_captured_is_not(
    side: Side, deflate: DeflateParams | None
) -> None:
    play = private(deflate=deflate)
    came = [b"one", b"redact S3CRET", b"two, the same words", b"nothing S3CRET", b"drop S3CRET", b"three"]
    for text in came:
        play.say(side, text, sizes=(2,))
    passed = [text.decode() for text in came if not text.startswith(b"drop")]
    assert play.texts_to(side.other) == passed
    assert play.captured(side) == [b"one", b"redact ******", b"two, the same words", b"drop *", b"three"]
    kept_out(play)
    assert [gap.reason for gap in play.gaps()] == ["no-capture: omit"]
    assert play.codes()[:2] == ["private", "private"]
    verdicts = [(v.first_frame, v.last_frame, v.captured, v.outcome.value) for v in play.facts(Judged)]
    assert verdicts == [
        (3, 4, "redacted", "passed"), (7, 8, "nothing", "passed"), (9, 10, "redacted", "dropped"),
    ]  # fmt: skip
    gaps_match(play)
    frames_seen = [e.frame.number for e in play.events() if isinstance(e, FrameEvent) and e.side is side]
    assert frames_seen == [1, 2, 3, 4, 5, 6, 9, 10, 11, 12]


@every_deflate
@sides
def test_of_a_changed_message_both_versions_are_hidden(side: Side, deflate: DeflateParams | None) -> None:
    play = private(deflate=deflate)
    play.say(side, "change S3CRET")
    play.say(side, "the end")
    assert play.texts_to(side.other) == ["changed S3CRET too", "the end"]
    found = [e.message.payload for e in play.events() if isinstance(e, MessageEvent)]
    assert found == [b"change *", b"changed * too", b"the end"]
    kept_out(play)


@every_deflate
def test_nothing_is_recorded_of_what_went_out_instead_of_a_message_kept_out(
    deflate: DeflateParams | None,
) -> None:
    script = Script({"go": plan("omit", payload=b"S3CRET", uncaptured=True, copies=2)}, private=True)
    play = Play(script, deflate=deflate)
    play.say(C, "go")
    assert play.texts_to(S) == ["S3CRET", "S3CRET"]
    assert play.sent() == []
    kept_out(play)


def test_what_is_sent_beside_is_hidden_too() -> None:
    script = Script({"go": plan(effects=(Send("r", S, 1, SECRET, captured=b"*"),))}, private=True)
    play = Play(script)
    play.say(C, "go")
    assert play.texts_to(S) == ["go", "S3CRET"]
    assert [sent.data[-1:] for sent in play.sent()] == [bytes([ord("*") ^ play.sent()[0].data[2]])]


def test_control_frames_are_hidden_as_well() -> None:
    control = {"redact": plan(captured=b"*"), "nothing": plan("omit", uncaptured=True)}
    play = Play(Script({}, control=control, private=True))
    stream = (
        encode_frame(9, b"redact S3CRET") + encode_frame(9, b"nothing S3CRET") + encode_frame(10, b"fine")
    )
    play.receive(S, frames(S, b"one") + stream + encode_frame(8, b"\x03\xe8"))
    assert play.bytes_to(C) == frames(S, b"one") + stream + encode_frame(8, b"\x03\xe8")
    payloads = [e.frame.payload for e in play.events() if isinstance(e, FrameEvent)]
    assert payloads == [b"one", b"*", b"fine", b"\x03\xe8"]
    assert [(v.first_frame, v.opcode) for v in play.facts(Judged)] == [(2, 9), (3, 9)]
    gaps_match(play)


def test_where_control_frames_alone_are_private_data_are_captured_as_they_come() -> None:
    play = Play(Script(control={"redact": plan(captured=b"*")}, private=True))
    message = frames(S, b"a message")
    play.receive(S, message[:5])
    assert [record.data for record in play.records if isinstance(record, Read)] == [message[:5]]
    play.receive(S, message[5:] + encode_frame(9, b"redact S3CRET")[:4])
    play.receive(S, encode_frame(9, b"redact S3CRET")[4:])
    kept_out(play)
    assert [e.frame.payload for e in play.events() if isinstance(e, FrameEvent)] == [b"a message", b"*"]
    gaps_match(play)


def test_a_ping_between_fragments_has_the_number_that_readers_count() -> None:
    script = Script({"redact": LINES["redact"]}, control={"?": plan("tag", tags=("ping",))}, private=True)
    play = Play(script)
    first, last = encode_frame(1, b"redact ", fin=False), encode_frame(0, SECRET)
    play.receive(S, first + encode_frame(9, b"?") + last + frames(S, b"end"))
    numbers = [(v.opcode, v.first_frame, v.last_frame) for v in play.facts(Judged)]
    assert numbers == [(9, 1, 1), (1, 2, 3)]
    assert [(e.frame.number, e.frame.opcode) for e in play.events() if isinstance(e, FrameEvent)] == [
        (1, 9), (2, 1), (3, 0), (4, 1),
    ]  # fmt: skip


def test_rules_that_come_in_the_middle_of_a_message_keep_its_rest_out() -> None:
    play = Play()
    message = frames(S, b"what began before, and S3CRET", sizes=(10,))
    play.receive(S, message[:14])
    play.judge(Script(LINES, private=True))
    play.receive(S, message[14:20])
    play.receive(S, message[20:] + frames(S, b"redact S3CRET"))
    play.say(S, "one")
    assert play.texts_to(C) == ["what began before, and S3CRET", "redact S3CRET", "one"]
    assert play.captured(S) == [b"redact ******", b"one"]
    kept_out(play)
    gaps_match(play)


def test_late_rules_keep_out_what_they_cannot_read() -> None:
    play = Play(deflate=DeflateParams())
    play.say(S, "the words S3CRET and more words")
    before = len(play.records)
    play.judge(Script(LINES, private=True))
    play.say(S, "redact the words S3CRET and more words")
    assert [type(record) for record in play.records[before:]].count(Read) == 0
    assert play.gaps()[0].reason.startswith("no-capture")


def test_without_rules_raw_reads_go_on_at_the_captures_offsets() -> None:
    play = private()
    play.say(S, "redact S3CRET")
    play.say(S, "nothing S3CRET")
    play.judge(None)
    data = frames(S, b"raw again")
    play.receive(S, data[:4])
    play.receive(S, data[4:])
    assert play.session.direction(S).path is None
    assert play.captured(S) == [b"redact ******", b"raw again"]
    gaps_match(play)
    play.session.closed(0)
    play.turn()
    came = len(frames(S, b"redact S3CRET") + frames(S, b"nothing S3CRET") + data)
    assert play.facts(Closed)[0].wire_bytes == (0, came)
    assert play.facts(Closed)[0].frames == (0, 3)
    assert play.session.wire_bytes == came


def test_compressed_messages_after_private_ones_are_lost_to_readers_and_never_wrong() -> None:
    """They refer to text that is not in the capture."""
    play = private(deflate=DeflateParams())
    play.say(S, "redact S3CRET and the same words")
    play.judge(None)
    play.say(S, "redact S3CRET and the same words")
    assert play.captured(S) == [b"redact ******"]
    lost = [e.message.lost for e in play.events() if isinstance(e, MessageEvent)]
    assert lost == ["", "window-lost"]


def test_a_message_too_large_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("slow", "judging"):
        monkeypatch.setattr(f"wsinspect.relay.{module}.INSPECT_LIMIT", 100)
    play = private()
    large = frames(S, b"x" * 150 + SECRET)
    play.receive(S, large[:140])
    play.receive(S, large[140:] + frames(S, b"one"))
    assert play.bytes_to(C) == large + frames(S, b"one")
    kept_out(play)
    assert play.captured(S) == [b"one"]
    gaps_match(play)


def test_what_cannot_be_parsed_is_kept_out_for_good() -> None:
    play = private()
    broken = b"\x82\x7f\xff" + SECRET + bytes(20)
    play.receive(S, frames(S, b"one") + broken)
    play.receive(S, SECRET)
    assert play.bytes_to(C) == frames(S, b"one") + broken + SECRET
    kept_out(play)
    assert sum(gap.nbytes for gap in play.gaps()) == len(broken + SECRET)
    gaps_match(play)


def test_what_never_becomes_whole_is_kept_out() -> None:
    play = private()
    play.receive(S, frames(S, b"redact S3CRET")[:-1])
    play.end(S, How.FIN)
    assert play.bytes_to(C) == frames(S, b"redact S3CRET")[:-1]
    assert SECRET[:-1] not in play.raw_capture()
    gaps_match(play)


def test_rules_that_keep_something_out_and_watch_nothing_change_nothing() -> None:
    """Such as one that hides headers of the handshake alone."""
    play = Play(Script(private=True))
    play.inject(S)  # a direction that has had a slow path
    play.judge(Script(private=True))
    data = play.say(S, "shown")
    assert play.bytes_to(C).endswith(data)
    assert play.captured(S) == [b"shown"]
    assert play.codes() == []


def test_without_rules_what_cannot_be_parsed_is_captured_again() -> None:
    play = private()
    broken = b"\x82\x7f\xff" + bytes(20)
    play.receive(S, broken)
    play.judge(None)
    play.receive(S, b"anything")
    assert play.raw_capture() == b"anything"
    gaps_match(play)


@every_deflate
@sides
def test_an_edited_message_shows_no_more_than_the_rules_allow(
    side: Side, deflate: DeflateParams | None
) -> None:
    """What somebody wrote was captured as it went out, with the secret that the message had before."""
    held = {"hold": plan("pause", hold=Hold("pause"), captured=b"hold *")}
    play = Play(Hiding(held, private=True), attended=True, deflate=deflate)
    play.say(side, "hold S3CRET")
    play.say(side, "behind")
    assert play.command(Edit(1, b"edited S3CRET")).ok
    assert play.texts_to(side.other) == ["edited S3CRET", "behind"]
    kept_out(play)
    found = [e.message.payload for e in play.events() if isinstance(e, MessageEvent)]
    assert sorted(found) == [b"behind", b"edited *", b"hold *"]
    gaps_match(play)


@sides
def test_what_the_message_itself_had_to_hide_is_hidden_in_an_edit(side: Side) -> None:
    """Also where the rule does not match what somebody wrote."""
    redacted = plan(
        "pause", hold=Hold("pause"), captured=b"hold *", hide=lambda data: data.replace(SECRET, b"**")
    )
    play = Play(Script({"hold": redacted}, private=True), attended=True)
    play.say(side, "hold S3CRET")
    play.command(Edit(1, b"edited S3CRET"))
    assert [e.message.payload for e in play.events() if isinstance(e, MessageEvent)][1] == b"edited **"
    kept_out(play)


@sides
@pytest.mark.parametrize("by_rule", [False, True], ids=["by-command", "by-rule"])
def test_of_an_edit_that_cannot_be_hidden_the_capture_has_nothing(side: Side, by_rule: bool) -> None:
    held = plan("pause", hold=Hold("pause"), hide=(lambda data: None) if by_rule else None)
    script = Hiding({"hold": held}, private=True)
    play = Play(script, attended=True)
    play.say(side, "hold me")
    play.command(Edit(1, b"omit S3CRET"))
    assert play.texts_to(side.other) == ["omit S3CRET"]
    assert play.sent() == []
    kept_out(play)


@sides
def test_an_edited_message_that_is_cut_shows_nothing_of_it(side: Side) -> None:
    held = plan("pause", hold=Hold("pause"), effects=(Cut("pause", 12),))
    play = Play(Hiding({"hold": held}, private=True), attended=True)
    play.say(side, "hold me")
    play.command(Edit(1, b"S3CRET, and more than is let out"))
    assert SECRET[:4] in play.bytes_to(side.other) or side is C
    assert play.sent() == []
    kept_out(play)


@sides
def test_what_is_put_in_by_command_is_hidden(side: Side) -> None:
    play = Play(Hiding({}, control={"?": None}, private=True))
    for opcode, payload in ((1, b"S3CRET"), (9, b"ping S3CRET"), (1, b"omit S3CRET"), (1, b"plain")):
        play.inject(side, opcode, payload)
    assert play.texts_to(side.other) == ["S3CRET", "<ping ping S3CRET>", "omit S3CRET", "plain"]
    kept_out(play)
    found = [e.frame.payload for e in play.events() if isinstance(e, FrameEvent)]
    assert found == [b"*", b"ping *", b"", b"plain"]


def test_the_reason_of_a_close_that_a_rule_sends_is_hidden() -> None:
    effect = Close("r", 4001, "you said S3CRET", captured_reason="you said *")
    play = Play(Script({"go": plan(effects=(effect,))}, private=True))
    play.say(C, "go")
    for side in Side:
        assert play.texts_to(side)[-1].endswith("you said S3CRET>")
    kept_out(play)
    closes = [e.frame.payload for e in play.events() if isinstance(e, FrameEvent) and e.frame.opcode == 8]
    assert closes == [encode_close(4001, "you said *")] * 2


def test_an_injection_is_placed_in_the_stream_that_is_captured() -> None:
    play = private()
    play.say(C, "redact S3CRET, which is longer than its stand-in")
    play.command(Inject(C, 1, b"ours", KEY))
    play.say(C, "one")
    assert play.sent()[0].offset == len(frames(C, b"redact ******"))


def test_after_a_fault_bytes_pass_and_nothing_of_them_is_captured() -> None:
    script = Script(LINES, private=True)
    script.fails_at = b"bad S3CRET"
    play = Play(script)
    play.say(S, "one")
    data = frames(S, b"bad S3CRET") + frames(S, b"redact S3CRET")[:5]
    with pytest.raises(RuntimeError):
        play.receive(S, data)
    play.got[C] += play.session.take_back(S, 0, data)
    play.session.go_blind(S, 0, "a fault")
    play.turn()
    play.receive(S, frames(S, b"redact S3CRET")[5:])
    assert play.bytes_to(C) == frames(S, b"one") + data + frames(S, b"redact S3CRET")[5:]
    kept_out(play)
    assert play.captured(S) == [b"one"]


class Hiding(Script):
    """Hides the secret in what somebody wrote, and lets nothing be captured that begins with `omit`."""

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        return None if payload.startswith(b"omit") else payload.replace(SECRET, b"*")


class Hides(Script):
    """Redacts or omits at random; what it lets through has no secret."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__({}, private=True)
        self._rng = rng
        self.shown: list[bytes] = []

    def message(self, message: Message, now_ns: int) -> Plan | None:
        if SECRET not in message.payload:
            self.shown.append(message.payload)
            return None
        if self._rng.randrange(3) == 0:
            return plan(uncaptured=True)
        captured = message.payload.replace(SECRET, self._rng.choice([b"*", b"<a longer pseudonym>"]))
        self.shown.append(captured)
        payload, after = None, None
        if self._rng.randrange(3) == 0:
            payload, after = message.payload + SECRET, captured + b"*"
        return plan(
            captured=captured, captured_after=after, payload=payload, delay_ms=self._rng.choice([0, 3])
        )


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    deflate=st.sampled_from([None, DeflateParams(), DeflateParams(server_no_context_takeover=True)]),
    side=st.sampled_from(Side),
)
def test_however_it_is_cut_no_secret_is_captured_and_all_else_is(
    seed: int, deflate: DeflateParams | None, side: Side
) -> None:
    rng = random.Random(seed)
    script = Hides(rng)
    play = Play(script, deflate=deflate)
    for _ in range(20):
        words = rng.choices([b"hello", b"words", SECRET, b"more of them"], k=rng.randrange(1, 6))
        text = b" ".join(words)
        deflater = play.deflaters[side]
        data = frames(
            side,
            deflater.deflate(text) if deflater else text,
            1,
            4 if deflater else 0,
            (2,) * rng.randrange(3),
        )
        if rng.randrange(4) == 0:
            data += encode_frame(9, b"?", mask=KEY if side is C else None)
        at = rng.randrange(len(data))
        play.receive(side, data[:at])
        play.receive(side, data[at:])
        play.wait(rng.choice([0, 2]))
    play.wait(10)
    kept_out(play)
    assert play.captured(side) == script.shown
    gaps_match(play)
    play.texts_to(side.other)
