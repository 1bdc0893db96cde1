"""Names of `{{…}}` that nothing defines: each told at its place, none told for another rule's mistake."""

import textwrap

import pytest

from wsinspect.errors import BadRules
from wsinspect.rules.loading import load_text


def problems(text: str) -> list[str]:
    """`line:column: sentence` of each mistake in the rules."""
    try:
        load_text("version: 1\n" + textwrap.dedent(text).strip("\n"))
    except BadRules as error:
        return [f"{each.line}:{each.column}: {each.text}" for each in error.problems]
    return []


def test_each_unknown_name_is_told_where_it_stands() -> None:
    text = """
        vars: {user: {name: Ada}}
        rules:
          - id: a
            when: {text: "{{nobody}}"}
            then:
              - set: {$.x: ["{{uuid}}", "{{ uuidd }}"]}
              - note: "fine {{user.name}}, wrong {{user.nmae}}"
    """
    assert problems(text) == [
        "5:18: {{nobody}}: nothing defines nobody",
        "7:33: {{uuidd}}: nothing defines uuidd; did you mean uuid?",
        "8:15: {{user.nmae}}: there is no such place in user; did you mean name?",
    ]


def test_a_rule_with_a_mistake_still_defines_what_it_captures() -> None:
    text = """
        rules:
          - id: a
            capture: {order: $.id}
            then: [delya: 5ms]
          - id: b
            then: [note: "{{order}}"]
          - id: c
            when: {counter: {a: 1}}
            then: [drop]
    """
    assert problems(text) == ["5:12: there is no action 'delya'; did you mean delay?"]


def test_a_captured_value_may_have_any_shape() -> None:
    text = """
        vars: {order: {}}
        rules:
          - {id: a, capture: {order: $.order}, then: []}
          - {id: b, then: [note: "{{order.id}}"]}
    """
    assert problems(text) == []


@pytest.mark.parametrize("then", ['send: {to: client, text: "{{$.a}}"}', 'close: {reason: "{{$.a}}"}'])
def test_an_opening_has_no_message_to_look_into(then: str) -> None:
    text = f"""
        rules:
          - id: a
            when: {{kind: open}}
            then: [{then}]
    """
    (found,) = problems(text)
    assert "{{$.a}}: the rule sees no message that it could come from" in found


def test_a_template_in_a_variable_is_warned_of() -> None:
    rules = load_text('version: 1\nvars: {a: {b: ["x {{conn}}"]}}\nrules: []\n')
    (warning,) = rules.warnings
    assert (warning.line, warning.column) == (2, 16)
    assert "is not filled in here" in warning.text
