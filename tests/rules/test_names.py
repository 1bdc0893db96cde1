"""Names of `{{…}}` that nothing defines: each told at its place, none told for another rule's mistake."""

import textwrap
from pathlib import Path

import pytest

from wsinspect.errors import BadRules
from wsinspect.rules.loading import load_rules, load_text


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


# ------------------------------------------------------------------------------- beside other mistakes


def test_names_are_checked_in_rules_that_have_other_mistakes() -> None:
    """They were told after the first mistakes had been put right."""
    text = """
        vars: {token: abc, broken: yes}
        rules:
          - {id: a, then: [note: "{{tokn}} {{broken}}", delya: 5ms]}
          - {id: a, when: {captured: {b: 1}, counter: {aa: 1}, txt: x}, then: [drop]}
    """
    assert problems(text) == [
        """2:28: 'yes': write true, or "yes" in quotes for the text""",
        "4:26: {{tokn}}: nothing defines tokn; did you mean token?",
        "4:49: there is no action 'delya'; did you mean delay?",
        "5:10: the id a is taken (first in line 4)",
        "5:31: captured: nothing captures 'b'",
        "5:48: counter: there is no rule 'aa'; did you mean a?",
        "5:56: `when` has no 'txt'; did you mean text?",
    ]


@pytest.mark.parametrize(
    "mistake",
    [
        "- name: x\n  then: [drop]",
        "- then: [drop]",
        "- drop",
        "- {id: {x: 1}, then: []}",
    ],
)
def test_a_rule_that_could_be_meant_is_not_called_unknown(mistake: str) -> None:
    text = "rules:\n- {id: r, when: {counter: {x: 1}}, then: []}\n" + mistake
    test = "tests:\n- {name: t, enable: x}"
    assert problems(f"{text}\n{test}")
    assert not [each for each in problems(f"{text}\n{test}") if "no rule" in each]


@pytest.mark.parametrize(
    "mistake",
    [
        "capture: $.x",
        "captrue: {x: $.x}",
        "then: [capture: {x: $.x}]",
        "when: {capture: {x: $.x}}",
        "capture: {x: nowhere}",
        "capture: {y: $.y}\n  capture: {x: $.x}",
    ],
)
def test_a_value_that_could_be_meant_is_not_called_unknown(mistake: str) -> None:
    found = problems(f"rules:\n- id: a\n  {mistake}\n- {{id: b, when: {{captured: {{x: 1}}}}, then: []}}")
    assert found
    assert not [each for each in found if "nothing" in each and "counts" not in each]


def test_another_file_that_cannot_be_read_could_define_anything(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\nrules: [")
    (tmp_path / "b.yaml").write_text(
        "version: 1\n"
        "rules:\n"
        '- {id: r, when: {captured: {x: 1}, counter: {q: 1}, url: "ws://{{y}}"}, then: [note: "{{z}}"]}\n'
        "tests: [{name: t, enable: q}]\n"
    )
    with pytest.raises(BadRules) as caught:
        load_rules([tmp_path])
    assert [f"{Path(each.file).name}:{each.line}" for each in caught.value.problems] == [
        "a.yaml:2",
        "b.yaml:4",
    ]
    assert caught.value.problems[1].text == "this file has no rule 'q'"


def test_a_template_in_another_file_is_told_at_the_action(tmp_path: Path) -> None:
    (tmp_path / "body.txt").write_text("{{nobody}}")
    text = "version: 1\nrules: [{id: r, then: [payload: {file: body.txt, template: true}]}]"
    with pytest.raises(BadRules) as caught:
        load_text(text, folder=tmp_path)
    assert [str(each) for each in caught.value.problems] == [
        "rules.yaml:2:24: {{nobody}}: nothing defines nobody"
    ]
