"""Actions on the handshake."""

from typing import Any

import pytest

from tests.rules.actions.make import action, did, handshake_plan_of, template
from tests.rules.talk import FakeTalk
from wsinspect.model.plans import Reject
from wsinspect.rules.actions import On


def headers(**values: str) -> dict[str, Any]:
    return {name.replace("_", "-"): template(value) for name, value in values.items()}


def test_reject() -> None:
    act = action("reject", status=503, body=template("sorry, {{client}}"), headers=headers(Retry_After="30"))
    plan = handshake_plan_of(FakeTalk().handshake(), act)
    assert plan.reject == Reject(
        503,
        b"sorry, 10.0.0.9",
        (("Retry-After", "30"), ("Content-Type", "text/plain; charset=utf-8")),
    )
    assert (
        act.explain() == 'reject the handshake with 503 Service Unavailable and the body "sorry, {{client}}"'
    )
    assert did(plan) == "reject with 503 Service Unavailable"
    assert act.terminal


def test_reject_by_default_and_with_a_type_of_its_own() -> None:
    assert handshake_plan_of(FakeTalk().handshake(), action("reject")).reject == Reject(403)
    html = action("reject", body=template("<p>"), headers=headers(content_type="text/html"))
    plan = handshake_plan_of(FakeTalk().handshake(answer=True), html)
    assert plan.reject == Reject(403, b"<p>", (("content-type", "text/html"),))
    assert action("reject", status=599).explain() == "reject the handshake with 599"


def test_set_header() -> None:
    act = action("set-header", headers=headers(Origin="https://a", X_Conn=" {{conn}} "))
    plan = handshake_plan_of(FakeTalk().handshake(), act)
    assert plan.set_headers == (("Origin", "https://a"), ("X-Conn", "7"))
    assert act.explain() == 'set the headers Origin to "https://a" and X-Conn to " {{conn}} "'
    assert did(plan) == "set Origin and X-Conn"


@pytest.mark.parametrize("hostile", ["a\r\nSet-Cookie: x=1", "a\nb", "a\0b", "snow ☃"])
def test_a_value_cannot_break_out_of_its_header(hostile: str) -> None:
    act = action("set-header", headers=headers(X="{{v}}"))
    with pytest.raises(ValueError, match=r"has a line break or NUL|not ISO-8859-1"):
        act.apply_handshake(FakeTalk({"v": hostile}).handshake())
    with pytest.raises(ValueError, match=r"has a line break or NUL|not ISO-8859-1"):
        action("set-header", headers=headers(X=hostile))
    with pytest.raises(ValueError, match=r"has a line break or NUL|not ISO-8859-1"):
        action("reject", headers=headers(X=hostile))


def test_remove_header() -> None:
    act = action("remove-header", names=("Origin", "Cookie"))
    assert handshake_plan_of(FakeTalk().handshake(), act).remove_headers == ("Origin", "Cookie")
    assert act.explain() == "remove the headers Origin and Cookie"
    assert action("remove-header", names=("Origin",)).explain() == "remove the header Origin"


def test_strip_extension() -> None:
    act = action("strip-extension", names=("permessage-deflate",))
    assert handshake_plan_of(FakeTalk().handshake(), act).strip_extensions == ("permessage-deflate",)
    assert act.explain() == "take permessage-deflate out of the client's offer"
    every = action("strip-extension")
    assert handshake_plan_of(FakeTalk().handshake(), every).strip_extensions == ("*",)
    assert every.explain() == "take all extensions out of the client's offer"
    assert act.acts_on() == On.REQUEST


def test_redirect_to() -> None:
    act = action("redirect-to", url="wss://[::1]:8443/other?x=1")
    assert handshake_plan_of(FakeTalk().handshake(), act).redirect_to == "wss://[::1]:8443/other?x=1"
    assert act.explain() == "connect to wss://[::1]:8443/other?x=1 instead"
    assert act.acts_on() == On.REQUEST


def test_slow_holds_a_handshake_back_once() -> None:
    act, talk = action("slow", by=(2000.0, 5000.0)), FakeTalk()
    plan = handshake_plan_of(talk.handshake(), act)
    assert 2000 <= plan.delay_ms <= 5000
    assert handshake_plan_of(talk.handshake(answer=True), act).delay_ms == 0
    assert handshake_plan_of(FakeTalk().handshake(), act).delay_ms == plan.delay_ms
    assert act.explain() == "hold the handshake back for 2 to 5 s"
    seeded = action("slow", by=(2000.0, 5000.0), seed=4)
    drawn = {handshake_plan_of(FakeTalk().handshake(answer=True), seeded).delay_ms for _ in range(3)}
    assert len(drawn) == 1
    assert drawn != {plan.delay_ms}


@pytest.mark.parametrize(
    ("word", "fields", "sentence"),
    [
        ("set-header", {"headers": {}}, "nothing to set"),
        ("set-header", {"headers": headers(**{"a b": "x"})}, "'a b' is no header name"),
        ("set-header", {"headers": headers(Content_Length="5")}, "says where the HTTP message ends"),
        ("set-header", {"headers": headers(X="{{$.a}}")}, "a handshake has no message"),
        ("set-header", {"headers": headers(X="{{n}}")}, r"\{\{n\}\}: a handshake has no message"),
        ("reject", {"body": template("{{text}}")}, "a handshake has no message"),
        ("remove-header", {"names": ()}, "nothing to remove"),
        ("remove-header", {"names": ("transfer-encoding",)}, "says where the HTTP message ends"),
        ("reject", {"headers": headers(Content_Length="5")}, "says where the HTTP message ends"),
        ("reject", {"status": 204, "body": template("x")}, "204 has no body"),
        ("strip-extension", {"names": ()}, "nothing to strip"),
        ("strip-extension", {"names": ("a; b",)}, "no name of an extension"),
        ("redirect-to", {"url": "ftp://x"}, "no URL such as wss://host:port"),
        ("redirect-to", {"url": "wss://"}, "no URL such as"),
        ("redirect-to", {"url": "wss://h:99999"}, "is no URL"),
        ("redirect-to", {"url": "wss://u:p@h"}, "neither user nor fragment"),
        ("redirect-to", {"url": "wss://h/#x"}, "neither user nor fragment"),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action(word, **fields)
