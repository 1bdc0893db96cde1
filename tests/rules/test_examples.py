"""Every condition and every action shows itself by an example, which loads and explains itself."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from wsinspect.rules.actions import ACTIONS
from wsinspect.rules.conditions import CONDITIONS
from wsinspect.rules.loading import load_text


def action_file(word: str) -> str:
    example = textwrap.indent(ACTIONS[word].example, "        ").lstrip()
    return f"version: 1\nvars: {{token: abc}}\nrules:\n  - id: r\n    then:\n      - {example}\n"


@pytest.mark.parametrize("word", ACTIONS)
def test_the_example_of_an_action(word: str, tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text("def double(message):\n    return None\n")
    (rule,) = load_text(action_file(word), folder=tmp_path, allow_python=True).rules
    assert [each.word for each in rule.actions] == [word]
    assert rule.explain().startswith("When ")


@pytest.mark.parametrize("word", CONDITIONS)
def test_the_example_of_a_condition(word: str) -> None:
    example = CONDITIONS[word].example
    text = (
        "version: 1\nrules:\n"
        "  - {id: login-failed, when: {text: x}, capture: {user: $.user, id: $.id}, then: []}\n"
        f"  - id: r\n    when:\n      {example}\n    then: []\n"
    )
    rule = load_text(text).rules[1]
    assert word in {each.field.name for each in rule.condition.walk()}
    assert rule.explain().startswith("When ")


@pytest.mark.parametrize("word", [*CONDITIONS, *ACTIONS])
def test_words_are_documented(word: str) -> None:
    doc = CONDITIONS[word].field.doc if word in CONDITIONS else ACTIONS[word].doc
    assert doc.endswith((".", "…"))


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "then: [throttle: 5KB/s]",
            "When the opening comes: let through at most 5 KB/s of what both sides send.",
        ),
        (
            "when: {kind: text}, then: [throttle: 5KB/s]",
            "When a text message comes: let through at most 5 KB/s of what its sender sends.",
        ),
        (
            "when: {kind: [open, text]}, then: [throttle: {off: true}]",
            "When the opening or a text message comes: let what its sender (at the opening both sides) sends "
            "through freely again.",
        ),
        (
            "when: {kind: open}, then: [throttle: {rate: 5KB/s, from: client}]",
            "When the opening comes: let through at most 5 KB/s of what the client sends.",
        ),
    ],
)
def test_a_throttle_says_whose_bytes_where_it_acts(rule: str, sentence: str) -> None:
    """At the opening it said `its sender`, and acts on both sides."""
    (found,) = load_text(f"version: 1\nrules:\n  - {{id: r, {rule}}}\n").rules
    assert found.explain() == sentence
