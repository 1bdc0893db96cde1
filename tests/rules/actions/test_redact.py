"""What the capture has in the place of secrets; what passes is never changed."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.rules.actions.make import action, paths, plan_of, regexes, template
from tests.rules.talk import FakeTalk
from wsinspect.model import Altered, Ended, Failed, How, Notice, Opcode, Opened, Requested, RuleHit, Side
from wsinspect.model.plans import Close, Fate, HoldDefault, Send
from wsinspect.rules.actions import Action, On
from wsinspect.rules.jsonpath import parse
from wsinspect.rules.turn import Turn
from wsinspect.wire.close_codes import parse_close

PSEUDONYM = re.compile("‹redacted:[0-9a-f]{8}›")


def text_of(captured: bytes | None) -> str:
    assert captured is not None
    return captured.decode()


def test_what_passes_stays_and_the_capture_has_a_pseudonym() -> None:
    redact = action("redact", regex=regexes("tok_[a-z0-9]+"))
    plan = plan_of(FakeTalk().turn("login tok_abc123 now"), redact)
    assert plan.payload is None
    assert not plan.touches
    assert PSEUDONYM.sub("*", text_of(plan.captured)) == "login * now"
    assert "abc123" not in repr(plan)


def test_the_same_secret_has_the_same_pseudonym_everywhere() -> None:
    redact = action("redact", regex=regexes("token=([a-z]+)"), json=paths("$.token"), query=("token",))
    talk = FakeTalk()
    in_text = PSEUDONYM.findall(text_of(plan_of(talk.turn("token=secret token=other"), redact).captured))
    in_json = PSEUDONYM.findall(
        json.loads(text_of(plan_of(talk.turn({"token": "secret"}), redact).captured))["token"]
    )
    handshake = talk.handshake()
    redact.apply_handshake(handshake)
    in_url = PSEUDONYM.findall(handshake.redactors[0].redacted(Requested(url="ws://h/?token=secret")).url)  # type: ignore[union-attr]
    assert in_text[0] == in_json[0] == in_url[0]
    assert in_text[1] != in_text[0]


def test_a_name_at_any_depth() -> None:
    redact = action("redact", json=tuple(parse(each, deep=True) for each in ("$..token", "$..key", "$.a[0]")))
    tree = {"a": [1, {"token": {"id": 1}}], "token": "t", "b": {"c": [{"key": 7, "id": 2}]}}
    captured = json.loads(text_of(plan_of(FakeTalk().turn(tree), redact).captured))
    hidden = json.loads(PSEUDONYM.sub("*", json.dumps(captured, ensure_ascii=False)))
    assert hidden == {
        "a": ["*", {"token": "*"}],
        "token": "*",
        "b": {"c": [{"key": "*", "id": 2}]},
    }


def test_a_long_list_is_explained_shortly() -> None:
    redact = action("redact", json=paths(*(f"$.a{n}" for n in range(12))), query=("t",))
    assert (
        redact.explain() == "hide $.a0, $.a1, $.a2, 9 more paths and the URL's parameter t from the capture"
    )


def test_only_groups_are_hidden_where_the_pattern_has_some() -> None:
    redact = action("redact", regex=regexes('"user":"([^"]*)","pass":"([^"]*)"', "z(1)|z(2)|z3"))
    captured = text_of(plan_of(FakeTalk().turn('{"user":"u","pass":"p"} z2 z3'), redact).captured)
    assert PSEUDONYM.sub("*", captured) == '{"user":"*","pass":"*"} z* *'


def test_patterns_that_overlap_hide_the_whole_and_never_each_other_s_pseudonyms() -> None:
    redact = action("redact", regex=regexes("abcd", "cdef", "[0-9a-f]{4}g", "q"))
    captured = text_of(plan_of(FakeTalk().turn("xabcdefg q"), redact).captured)
    assert PSEUDONYM.sub("*", captured) == "x* *"


def test_what_one_redaction_put_there_is_no_secret_to_another() -> None:
    """A pattern that matched digits broke every pseudonym that had such digits."""
    turn = FakeTalk().turn("pins 1234 " + " ".join(f"user{n}x" for n in range(300)) + " 1234")
    plan = plan_of(
        turn, action("redact", regex=regexes("user[0-9]+x")), action("redact", regex=regexes("[0-9]{2,}"))
    )
    captured = text_of(plan.captured)
    assert PSEUDONYM.sub("*", captured) == "pins * " + "* " * 300 + "*"
    assert len(set(PSEUDONYM.findall(captured))) == 301


def test_nested_groups_are_hidden_once() -> None:
    redact = action("redact", regex=regexes("key (ab(cd))"))
    captured = text_of(plan_of(FakeTalk().turn("key abcd!"), redact).captured)
    assert PSEUDONYM.sub("*", captured) == "key *!"


def test_values_of_any_type_at_json_paths() -> None:
    redact = action("redact", json=paths("$.secrets[*]", "$.gone"))
    secrets = ["s", 5, None, {"a": [1]}, ["x"], True]
    captured = json.loads(text_of(plan_of(FakeTalk().turn({"secrets": secrets, "b": 1}), redact).captured))
    assert captured["b"] == 1
    assert all(PSEUDONYM.fullmatch(each) for each in captured["secrets"])
    assert len(set(captured["secrets"])) == len(secrets)


def test_where_nothing_is_to_hide_nothing_was_done() -> None:
    """A rule that hides tokens sees each message, and must not stand beside each of them."""
    redact = action("redact", regex=regexes("zzz"), json=paths("$.token"))
    for payload in ({"a": 1}, "plain", b"\x00\xff"):
        turn = FakeTalk().turn(payload)
        turn.hits += (RuleHit("r", (redact.apply(turn),)),)
        assert turn.plan() is None
    plan = plan_of(FakeTalk().turn("plain"), redact, action("tag", tags=("t",)))
    assert plan.hits == (RuleHit("r", ("tag t",)),)
    assert plan.captured is None


def test_binary_messages_and_control_frames() -> None:
    redact = action("redact", regex=regexes("secret"))
    assert text_of(plan_of(FakeTalk().turn(b"a secret"), redact).captured).startswith("a ‹")
    turn = FakeTalk().control(Opcode.CLOSE, b"\x03\xe8secret")
    captured = plan_of(turn, redact).captured
    assert captured is not None
    assert captured.startswith(b"\x03\xe8")
    assert b"secret" not in captured


@pytest.mark.parametrize("first", [True, False])
def test_a_message_that_a_rule_changes_is_hidden_before_and_after(first: bool) -> None:
    """It must not matter whether the redaction stands before the change or behind it."""
    redact = action("redact", json=paths("$.token"), regex=regexes("hush"))
    turn = FakeTalk().turn({"token": "old", "n": 1})
    changed = json.dumps({"token": "new", "n": 2, "x": "hush"}).encode()

    class Change(Action):
        def apply(self, turn: Turn) -> str:
            turn.set_payload(changed)
            return ""

    both = [redact, Change("r")]
    plan = plan_of(turn, *(both if first else reversed(both)))
    assert plan.payload == changed
    before, after = json.loads(text_of(plan.captured)), json.loads(text_of(plan.captured_after))
    assert PSEUDONYM.fullmatch(before["token"])
    assert PSEUDONYM.fullmatch(after["token"])
    assert PSEUDONYM.fullmatch(after["x"])
    assert before["token"] != after["token"]
    assert (before["n"], after["n"]) == (1, 2)


def test_what_a_rule_sends_beside_it_and_notes_are_hidden_too() -> None:
    redact = action("redact", regex=regexes("s3cret"))
    note = action("note", text=template("it said {{text}}"))
    turn = FakeTalk().turn("s3cret")
    turn.effects += (Send("r", Side.CLIENT, Opcode.TEXT, b"you said s3cret"), Send("r", Side.CLIENT, 9, b"x"))
    plan = plan_of(turn, note, redact)
    first, second = plan.effects
    assert isinstance(first, Send)
    assert first.payload == b"you said s3cret"
    assert PSEUDONYM.sub("*", text_of(first.captured)) == "you said *"
    assert isinstance(second, Send)
    assert second.captured is None
    assert PSEUDONYM.sub("*", plan.notes[0]) == "it said *"


@pytest.mark.parametrize("flaw", [{"lost": "window-lost", "payload": b""}, {"truncated": True}])
def test_a_payload_that_is_not_known_is_kept_out(flaw: dict[str, Any]) -> None:
    turn = FakeTalk().turn("half of it")
    assert turn.message is not None
    turn.message = replace(turn.message, **flaw)
    plan = plan_of(turn, action("redact", regex=regexes("secret")))
    assert plan.uncaptured
    assert "not known" in plan.notes[0]


def test_a_redaction_that_fails_keeps_the_message_out_and_lets_it_pass() -> None:
    class Stubborn(FakeTalk):
        def encode(self, decoded: Any, tree: Any) -> bytes:
            raise ValueError("cannot carry this")

    turn = Stubborn().turn({"token": "s3cret"})
    turn.effects += (Send("r", Side.CLIENT, Opcode.TEXT, b'{"token":"s3cret"}'),)
    plan = plan_of(turn, action("redact", json=paths("$.token")))
    assert plan.uncaptured
    assert plan.fate is Fate.FORWARD
    assert not plan.touches
    assert isinstance(plan.effects[0], Send)
    assert plan.effects[0].captured == b""
    assert "s3cret" not in repr(plan.notes)


def test_of_a_close_the_code_stays_whatever_the_pattern_matches() -> None:
    """A pattern that matched all of the payload took the code with it, and the capture had another one."""
    redact = action("redact", regex=regexes("(?s).+"))
    captured = plan_of(FakeTalk().control(Opcode.CLOSE, b"\x03\xe8all of it"), redact).captured
    assert captured is not None
    code, reason, violations = parse_close(captured)
    assert (code, violations) == (1000, ())
    assert PSEUDONYM.fullmatch(reason)


@pytest.mark.parametrize("opcode", [Opcode.CLOSE, Opcode.PING, Opcode.PONG])
def test_what_stands_for_a_control_frame_is_no_longer_than_one_can_be(opcode: Opcode) -> None:
    """Pseudonyms are longer than most secrets: the capture had a frame that broke RFC 6455 5.5."""
    came = (b"\x03\xe8" if opcode is Opcode.CLOSE else b"") + "é".encode() * 10 + b"pin 1234 " * 11
    captured = plan_of(FakeTalk().control(opcode, came), action("redact", regex=regexes("[0-9]{4}"))).captured
    assert captured is not None
    assert len(captured) <= 125
    assert b"1234" not in captured
    if opcode is Opcode.CLOSE:
        assert parse_close(captured)[2] == ()


def test_the_reason_of_a_close_that_a_rule_sends_is_hidden() -> None:
    redact = action("redact", regex=regexes("s3cret"))
    turn = FakeTalk().turn("hello")
    turn.effects += (Close("r", 4000, "it was s3cret"), Close("r", 4000, "nothing"), Close("r", None))
    first, second, third = plan_of(turn, redact).effects
    assert isinstance(first, Close)
    assert first.reason == "it was s3cret"
    assert PSEUDONYM.sub("*", first.captured_reason or "") == "it was *"
    assert (second, third) == (Close("r", 4000, "nothing"), Close("r", None))


def test_where_redacting_fails_the_reason_of_a_close_is_kept_out_too() -> None:
    class Stubborn(FakeTalk):
        def encode(self, decoded: Any, tree: Any) -> bytes:
            raise ValueError("cannot carry this")

    turn = Stubborn().turn({"token": "s3cret"})
    turn.effects += (Close("r", 4000, "s3cret"),)
    plan = plan_of(turn, action("redact", json=paths("$.token")))
    assert plan.effects == (Close("r", 4000, "s3cret", captured_reason=""),)


def test_a_held_message_says_how_an_edit_of_it_is_hidden() -> None:
    redact = action("redact", json=paths("$.token"))
    hold = action("hold", limit=1000, default=HoldDefault.RELEASE)
    plan = plan_of(FakeTalk().turn({"token": "old"}), hold, redact)
    assert plan.hide is not None
    hidden = json.loads(text_of(plan.hide(b'{"token":"new","n":1}')))
    assert PSEUDONYM.fullmatch(hidden["token"])
    assert hidden["n"] == 1
    assert plan.hide(b"no tree") == b"no tree"
    assert plan_of(FakeTalk().turn({"token": "old"}), hold).hide is None
    assert plan_of(FakeTalk().turn({"token": "old"}), redact).hide is None


# -------------------------------------------------------------------------------------------- handshakes


def facts_through(redact: Action, *facts: Any) -> list[Any]:
    turn = FakeTalk().handshake()
    redact.apply_handshake(turn)
    turn.hits += (RuleHit("r"),)
    plan = turn.plan()
    assert plan is not None
    return [plan.redactors[0].redacted(fact) for fact in facts]


def test_url_headers_and_what_was_altered() -> None:
    redact = action("redact", headers=("Authorization", "set-cookie"), query=("token", "a b"))
    url = "wss://h/ws?x=1&token=s3cret%20key&a+b=two&token=&other=token#t"
    requested, opened, altered, ended = facts_through(
        redact,
        Requested(
            url=url, target="/ws?token=s3cret%20key", headers=[("AUTHORIZATION", "Bearer t"), ("Host", "h")]
        ),
        Opened(headers=[("Set-Cookie", "sid=1"), ("Set-Cookie", "sid=2"), ("Referer", "http://x/?token=q")]),
        Altered(what="request header Authorization", before="Bearer t", after=""),
        Ended(side=Side.CLIENT, how=How.FIN),
    )
    assert PSEUDONYM.sub("*", requested.url) == "wss://h/ws?x=1&token=*&a+b=*&token=&other=token#t"
    assert PSEUDONYM.sub("*", requested.target) == "/ws?token=*"
    assert [PSEUDONYM.sub("*", value) for _, value in requested.headers] == ["*", "h"]
    assert [PSEUDONYM.sub("*", value) for _, value in opened.headers] == ["*", "*", "http://x/?token=*"]
    assert altered.before == requested.headers[0][1]
    assert altered.after == ""
    assert ended == Ended(side=Side.CLIENT, how=How.FIN)


def test_patterns_go_through_all_text_of_a_handshake() -> None:
    redact = action("redact", regex=regexes("s3cret"))
    found = facts_through(
        redact,
        Requested(url="ws://h/s3cret", target="/s3cret", headers=[("X", "s3cret\xe9")]),
        Failed(phase="http", message="no s3cret", headers=[("Y", "s3cret")], body=b"<s3cret>"),
        Notice(code="x", text="s3cret"),
    )
    assert "s3cret" not in repr(found)
    assert found[0].headers[0][1].endswith("›\xe9")


def test_hiding_twice_is_hiding_once() -> None:
    """The request and the answer of a connection may both bring the same rule."""
    redact = action("redact", headers=("cookie",), query=("t",), regex=regexes("id=([^&]+)"))
    fact = Requested(url="ws://h/?t=1&id=2", headers=[("Cookie", "a"), ("X", "id=5")])
    (once,) = facts_through(redact, fact)
    assert facts_through(redact, once) == [once]


def test_a_key_makes_pseudonyms_agree_between_runs_and_none_does_not() -> None:
    def pseudonym(**fields: Any) -> str:
        return text_of(
            plan_of(FakeTalk().turn("abc"), action("redact", regex=regexes("abc"), **fields)).captured
        )

    assert pseudonym(key="k") == pseudonym(key="k") != pseudonym(key="l")
    assert pseudonym() == pseudonym() != pseudonym(key="k")


def test_what_it_acts_on_depends_on_its_fields() -> None:
    """Hiding headers alone must not make the traffic be looked at."""
    headers = action("redact", headers=("cookie",))
    assert headers.acts_on() == On.HANDSHAKE
    assert not headers.is_private()
    assert action("redact", json=paths("$.a")).acts_on() == On.DATA
    assert action("redact", regex=regexes("a")).acts_on() == On.FRAMES | On.HANDSHAKE
    assert action("redact", regex=regexes("a")).is_private()
    assert headers.everywhere


def test_explain_and_refusals() -> None:
    redact = action(
        "redact", regex=regexes("tok_.*"), json=paths("$.a"), headers=("cookie",), query=("token",)
    )
    assert redact.explain() == (
        "hide what matches /tok_.*/, $.a, the header cookie and the URL's parameter token from the capture"
    )
    with pytest.raises(ValueError, match="nothing to redact"):
        action("redact")
    with pytest.raises(ValueError, match="'a b' is no header name"):
        action("redact", headers=("a b",))


@pytest.mark.parametrize("source", ["$.token", "$['token']"])
def test_a_path_in_the_place_of_a_regex_is_refused_since_it_would_hide_nothing(source: str) -> None:
    with pytest.raises(ValueError, match="is a path"):
        action("redact", regex=regexes(source))
