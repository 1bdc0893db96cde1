import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.talk import FakeTalk
from wsinspect.model import Side
from wsinspect.rules import template
from wsinspect.rules.template import BUILTINS, Template, TemplateError, Value

MESSAGE = {"id": 41, "user": {"name": "Ada", "tags": ["x", "y"]}, "price": 1.5, "none": None, "yes": True}


def render(text: str, **values: Any) -> str:
    return Template.parse(text).render(FakeTalk(values).turn(MESSAGE, Side.SERVER))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("plain } text }} and { too", "plain } text }} and { too"),
        ("{{name}}", "Bob"),
        ("<{{ name }}>", "<Bob>"),
        ("{{name|json}}", '"Bob"'),
        ("{{$.id}}", "41"),
        ("{{$.user.name}}-{{$.user.tags[-1]}}", "Ada-y"),
        ("{{$.user|json}}", '{"name":"Ada","tags":["x","y"]}'),
        ("{{$.user.tags}}", '["x","y"]'),
        ("{{$.user.tags[*]}}", '["x","y"]'),
        ("{{$.price}} {{$.none}} {{$.yes}}", "1.5 null true"),
        ("{{deep.list[0].key}}", "found"),
        ("{{deep['list'][0]['key']}}", "found"),
        ("{{raw}}", "bytes"),
        ("{{raw|base64}} {{raw|hex}} {{odd|url}}", "Ynl0ZXM= 6279746573 a%20b%2F%26"),
        ("{{name|json|base64}}", "IkJvYiI="),
        ("{{'{{'}}name{{\"}}\"}}", "{{name}}"),
        ("{{'a|b'}}", "a|b"),
        ("{{$['user'].name}}", "Ada"),
    ],
)
def test_filling_in(text: str, result: str) -> None:
    deep = {"list": [{"key": "found"}]}
    assert render(text, name="Bob", deep=deep, raw=b"bytes", odd="a b/&") == result


def test_builtins() -> None:
    turn = FakeTalk().turn("abc", Side.SERVER)

    def value(name: str) -> Any:
        return Template.parse(f"{{{{{name}}}}}").value(turn)

    got = {name: value(name) for name in BUILTINS}
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", got.pop("uuid")
    )
    assert 0 <= got.pop("random") < 1
    assert got == {
        "conn": 7,
        "n": 3,
        "url": "wss://shop.test/ws?token=s3cret",
        "host": "shop.test",
        "path": "/ws",
        "client": "10.0.0.9",
        "side": "server",
        "text": "abc",
        "size": 3,
        "now": 1_767_225_600.25,
        "now_ms": 1_767_225_600_250,
        "time": "2026-01-01T00:00:00.250Z",
        "counter": 1,
    }


def test_a_counter_counts_each_use_in_a_connection() -> None:
    counter = Template.parse("{{counter}}")
    talk = FakeTalk()
    assert [
        counter.render(talk.turn()),
        counter.render(talk.turn()),
        counter.render(talk.handshake()),
    ] == list("123")
    assert counter.render(FakeTalk().turn()) == "1"


def test_a_uuid_is_another_one_each_time_and_repeats_in_the_next_run() -> None:
    def two() -> str:
        return Template.parse("{{uuid}} {{uuid}}").render(FakeTalk().turn())

    first, second = two().split()
    assert first != second
    assert two() == f"{first} {second}"


def test_values_stand_before_nothing_but_builtins_are_there_without_them() -> None:
    assert render("{{n}}") == "3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{id}}", "{{id}}: id has no value yet"),
        ("{{$.nowhere.at}}", "{{$.nowhere.at}}: there is no such place in this message"),
        ("{{name.first}}", "{{name.first}}: there is no such place in name"),
        ("{{raw}}", "no text"),
    ],
)
def test_what_is_not_there_is_a_value_error(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        render(text, name="Bob", raw=b"\xff")


def test_a_message_that_no_decoder_knows() -> None:
    with pytest.raises(ValueError, match="no decoder knows this message"):
        Template.parse("{{$.a}}").render(FakeTalk().turn(b"\x00"))
    with pytest.raises(ValueError, match="no decoder"):
        Template.parse("{{$.a}}").render(FakeTalk().handshake())


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("a {{b", 2, "{{ without }}"),
        ("{{}}", 2, "nothing stands between"),
        ("{{ | json }}", 2, "nothing stands between"),
        ("{{a|jsn}}", 4, "no filter 'jsn'; did you mean json?"),
        ("{{a|json|zzz}}", 9, "no filter 'zzz'; there are base64, hex, json, url"),
        ("{{3}}", 2, "'3' is neither a name nor a path"),
        ("{{ -x }}", 3, "neither a name nor a path"),
        ("{{a b}}", 3, "cannot stand here"),
        ("{{$..a}}", 3, "`..`"),
        ("x{{a.b[}}", 6, "never closed"),
    ],
)
def test_a_bad_template_says_what_and_where(text: str, position: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert caught.value.position == position
    assert words in str(caught.value)


def test_unknown_names_are_found_at_load_with_the_nearest_one() -> None:
    parsed = Template.parse("{{user.name}} {{cuonter}} {{$.x}}")
    with pytest.raises(
        TemplateError, match=r"\{\{cuonter\}\}: nothing defines cuonter; did you mean counter\?"
    ):
        template.check_names(parsed.expressions, {"user"})
    with pytest.raises(TemplateError, match=r"nothing defines user"):
        template.check_names(parsed.expressions, set())
    template.check_names(Template.parse("{{uuid}}{{user}}{{$.a}}").expressions, {"user"})


def test_places_in_values_that_never_change_are_looked_up_at_load() -> None:
    known = {"user": {"name": "Ada", "l": [1]}}
    template.check_names(Template.parse("{{user.name}}{{user.l[-1]}}{{user.*}}").expressions, known, known)
    for text, words in (
        ("{{user.nmae}}", r"there is no such place in user; did you mean name\?"),
        ("{{user.l[1]}}", r"there is no such place in user$"),
        ("{{user.name.first}}", r"there is no such place in user$"),
    ):
        with pytest.raises(TemplateError, match=words):
            template.check_names(Template.parse(text).expressions, known, known)
    template.check_names(Template.parse("{{user.nmae}}").expressions, known, {})


def test_constants_are_known() -> None:
    assert Template.parse("a{{'{{'}}b").constant == "a{{b"
    assert Template.parse("{{a}}").constant is None
    assert str(Template.parse("x {{ a }}")) == "x {{ a }}"


# ---------------------------------------------------------------------------------------------- values


def test_a_string_that_is_one_expression_keeps_its_type() -> None:
    source = {"id": "{{$.id}}", "text": "no {{$.id}}", "l": ["{{$.user.tags}}", 2, None], "plain": {"x": "y"}}
    value = Value.parse(source)
    assert value.render(FakeTalk().turn(MESSAGE)) == {
        "id": 41,
        "text": "no 41",
        "l": [["x", "y"], 2, None],
        "plain": {"x": "y"},
    }
    assert [each.source for each in value.expressions] == ["$.id", "$.id", "$.user.tags"]
    assert json.loads(str(value)) == source


def test_a_filter_makes_text_of_a_value() -> None:
    assert Value.parse("{{$.id|json}}").render(FakeTalk().turn(MESSAGE)) == "41"


def test_what_was_rendered_is_not_the_rule_s_own() -> None:
    """A message that is changed later must not change the rule."""
    value = Value.parse({"list": [1]})
    turn = FakeTalk().turn()
    value.render(turn)["list"].append(2)
    assert value.render(turn) == {"list": [1]}


def test_a_bad_template_deep_in_a_value() -> None:
    with pytest.raises(TemplateError, match="without"):
        Value.parse({"a": [{"b": "{{x"}]})


@given(st.text(alphabet="{}|'\"$.[]a0* \\", max_size=14))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    try:
        parsed = Template.parse(text)
    except TemplateError as error:
        place = error.position
    else:
        place = 0
        assert "{{" in text or parsed.constant == text
    assert 0 <= place <= len(text)


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_text_without_braces_is_itself(text: str) -> None:
    assert Template.parse(text).render(FakeTalk().turn()) == text


@given(st.text())
def test_hostile_values_are_not_read_again(text: str) -> None:
    """A captured value with braces in it stays text."""
    assert Template.parse("{{v}}").render(FakeTalk({"v": text}).turn()) == text
    assert json.loads(Template.parse('{"x": {{v|json}}}').render(FakeTalk({"v": text}).turn())) == {"x": text}
