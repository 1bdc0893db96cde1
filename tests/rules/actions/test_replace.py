from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of, regex, template
from tests.rules.talk import FakeTalk
from wsinspect.rules.actions import replace


def changed(payload: str | bytes, values: dict[str, Any] | None = None, **fields: Any) -> bytes | None:
    return plan_of(FakeTalk(values or {}).turn(payload), action("replace", **fields)).payload


def test_a_literal_text() -> None:
    assert changed("a.b.c", text=template("."), with_=template("-")) == b"a-b-c"
    assert changed("a.b.c", text=template("."), with_=template("-"), count=1) == b"a-b.c"
    assert changed("a.b.c", text=template(".")) == b"abc"


def test_a_literal_means_itself_and_so_does_what_comes_instead() -> None:
    assert changed(r"x(\1)y", text=template(r"(\1)"), with_=template(r"\g<0>\n")) == rb"x\g<0>\ny"


def test_templates_on_both_sides() -> None:
    assert changed("I am Ada", {"who": "Ada"}, text=template("{{who}}"), with_=template("{{n}}")) == b"I am 3"


def test_a_regex_with_groups_by_number_and_by_name() -> None:
    pattern = regex(r"(\w+)=(?P<value>\d+)")
    new = template(r"\g<value>=\1 \\1 {{n}}")
    assert changed("a=1, b=2", regex=pattern, with_=new) == rb"1=a \1 3, 2=b \1 3"


def test_a_regex_and_a_count() -> None:
    assert changed("aaa", regex=regex("a"), with_=template("b"), count=2) == b"bba"


def test_a_group_that_took_no_part_is_empty() -> None:
    assert changed("ab", regex=regex("(a)|b"), with_=template(r"<\1>")) == b"<a><>"


def test_what_a_value_says_is_not_read_as_a_reference() -> None:
    """A captured value comes from the peer: a backslash in it is a backslash."""
    assert (
        changed("x", {"hostile": r"\1\g<nope>"}, regex=regex("(x)"), with_=template("{{hostile}}"))
        == rb"\1\g<nope>"
    )


def test_regexes_are_of_utf8() -> None:
    assert changed("größe", regex=regex("ö."), with_=template("ü")) == "grüe".encode()


def test_bytes_of_a_binary_message() -> None:
    assert changed(b"\x00\xff\x00\xff", bytes_=b"\xff", with_bytes=b"\x01\x02") == b"\x00\x01\x02\x00\x01\x02"
    assert changed(b"\x00ab", text=template("ab"), with_=template("c")) == b"\x00c"
    assert changed(b"\x00\xff", regex=regex(r"\x00"), with_bytes=b"") == b"\xff"


def test_where_nothing_matches_the_message_passes_as_it_came() -> None:
    turn = FakeTalk().turn("abc")
    plan = plan_of(turn, action("replace", text=template("z"), with_=template("y")))
    assert plan.payload is None
    assert did(plan) == 'nothing replaced: no "z"'


def test_words() -> None:
    act = action("replace", regex=regex("a+"), with_=template("b"), count=2)
    assert act.explain() == 'replace the first 2 of /a+/ with "b"'
    assert did(plan_of(FakeTalk().turn("a aa a"), act)) == 'replace /a+/ with "b" (twice)'
    assert action("replace", bytes_=b"\x01", with_bytes=b"\x02").explain() == "replace 01 (hex) with 02 (hex)"
    assert action("replace", text=template("x"), count=1).explain() == 'replace the first "x" with ""'


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of text, regex or bytes is missing"),
        ({"text": template("a"), "bytes_": b"a"}, "text and bytes cannot both stand here"),
        ({"text": template("a"), "regex": regex("a"), "bytes_": b"a"}, "cannot all stand here"),
        ({"text": template("")}, "the text is empty"),
        ({"bytes_": b""}, "the text is empty"),
        ({"text": template("a"), "with_": template("b"), "with_bytes": b"b"}, "`with` and `with-bytes`"),
        ({"regex": regex("(a)"), "with_": template(r"\2")}, "has no group 2: there are 1"),
        ({"regex": regex("a"), "with_": template(r"\1")}, "has no group 1: it has none"),
        ({"regex": regex("(?P<x>a)"), "with_": template(r"\g<y>")}, "no group y: there are 1 and x"),
        ({"regex": regex("a"), "with_": template(r"\d")}, r"\\d means nothing"),
        ({"regex": regex("a"), "with_": template("a\\")}, "means nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        action("replace", **fields)


@pytest.mark.parametrize("fields", [{"text": template("a")}, {"regex": regex("a")}])
def test_a_message_does_not_grow_without_bound(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replace, "MAX_GROWN_BYTES", 1000)
    act = action("replace", with_=template("b" * 100), **fields)
    assert plan_of(FakeTalk().turn("a" * 10), act).payload == b"b" * 1000
    with pytest.raises(ValueError, match="would grow beyond 1,000 bytes"):
        act.apply(FakeTalk().turn("a" * 11))
