"""The JSON Schema takes what loads, refuses plain mistakes, and its copy is the one that the code makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules import json_schema
from wsinspect.rules.actions import ACTIONS
from wsinspect.rules.conditions import CONDITIONS
from wsinspect.rules.reference import MARKER, reference
from wsinspect.rules.schema import schema_text

ROOT = Path(__file__).parents[2]
READY = sorted((ROOT / "rules").glob("*.yaml"))
SCHEMA: dict[str, Any] = json.loads(schema_text())


def fits(text: str) -> bool:
    return json_schema.valid(yaml.safe_load(text), SCHEMA, SCHEMA)


def with_rule(rule: str) -> str:
    return f"version: 1\nrules:\n  - {rule}\n"


def test_the_copy_is_as_the_code_makes_it() -> None:
    copy = ROOT / "rules" / "schema" / "wsinspect-rules.schema.json"
    assert copy.read_text() == schema_text(), f"wsinspect rules schema > {copy.relative_to(ROOT)}"


def test_an_editor_finds_each_action_in_one_place() -> None:
    """As a word of an enum too, the YAML language server completed `drop` to `drop: drop`."""
    bare, mapping = SCHEMA["$defs"]["action"]["anyOf"]
    assert mapping["properties"].keys() == ACTIONS.keys()
    assert "enum" not in bare


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_the_ready_files_fit(path: Path) -> None:
    assert fits(path.read_text())


def test_only_keywords_that_the_tests_understand_are_used() -> None:
    assert json_schema.keywords(SCHEMA) <= json_schema.KNOWN


@pytest.mark.parametrize("word", ACTIONS)
def test_the_example_of_an_action_fits(word: str) -> None:
    example = ACTIONS[word].example.replace("\n", "\n        ")
    assert fits(with_rule(f"id: r\n    then:\n      - {example}"))


@pytest.mark.parametrize("word", CONDITIONS)
def test_the_example_of_a_condition_fits(word: str) -> None:
    assert fits(with_rule(f"id: r\n    when:\n      {CONDITIONS[word].example}\n    then: []"))


RIGHT = """
version: 1
description: all sorts
seed: 7
vars: {token: abc, list: [1, 2]}
rules:
  - id: r
    description: x
    enabled: false
    when:
      any:
        - {text: [a, {regex: b}], port: [80, 443], size: {gt: 1, le: 4KiB}}
        - not: {header: {X: {exists: true}}, query: "*x*", json: {$.a: {in: [1, x]}, $.b: null, $.c: [1, 2]}}
      after: {from: client, kind: [text, fragment], within: 5s}
      counter: {r: 3}
    chance: 50%
    first: 3
    every: 2
    after: 1
    limit: 5
    stop: true
    capture: {id: $.id, token: {query: token}}
    then:
      - drop
  - id: s
    then: drop
tests:
  - name: x
    url: ws://host/
    headers: {A: b}
    handshake: passes
    answer: {status: 403, expect: {hits: [r]}}
    messages:
      - {from: client, json: {a: 1}, at: 1s, expect: {sent: [{to: client, ping: x}], closes: 1000}}
      - {from: client, text: x, times: 2, expect: {delay: ">1s", text: y}}
      - {from: server, close: {code: 1000, reason: bye}, expect: drops}
"""


def test_a_file_with_all_sorts_of_things_fits() -> None:
    assert fits(RIGHT)


@pytest.mark.parametrize(
    "text",
    [
        "rules: []",
        "version: 2",
        "version: 1\nruls: []",
        with_rule("id: r\n    wen: {}"),
        with_rule("then: []"),
        with_rule("id: r\n    when: {txt: x}"),
        with_rule("id: r\n    when: {from: both}"),
        with_rule("id: r\n    when: {kind: texts}"),
        with_rule("id: r\n    when: {json: {price: 1}}"),
        with_rule("id: r\n    when: {text: {matches: x}}"),
        with_rule("id: r\n    when: {any: []}"),
        with_rule("id: r\n    first: 0"),
        with_rule("id: r\n    enabled: 'yes'"),
        with_rule("id: r\n    then: [dorp]"),
        with_rule("id: r\n    then: [delay]"),
        with_rule("id: r\n    then: [{tag: a, note: b}]"),
        with_rule("id: r\n    then: [{delay: {bye: 1s}}]"),
        with_rule("id: r\n    then: [{close: 70000}]"),
        "version: 1\ntests: [{nmae: x}]",
        "version: 1\ntests: [{name: x, messages: [{from: client, text: x, expect: vanishes}]}]",
    ],
)
def test_plain_mistakes_do_not_fit(text: str) -> None:
    assert not fits(text)


def test_everything_is_described() -> None:
    for section in ("rule", "condition", "test"):
        for name, each in SCHEMA["$defs"][section]["properties"].items():
            assert each["description"], name


def test_the_page_ends_with_the_reference_as_the_code_makes_it() -> None:
    page = (ROOT / "docs" / "rules.md").read_text()
    assert page.endswith(reference()), "python -m wsinspect.rules.reference docs/rules.md"
    assert page.count(MARKER) == 1


def test_the_reference_names_everything() -> None:
    text = reference()
    for word in CONDITIONS:
        assert f"| `{word}` |" in text
    for word, kind in ACTIONS.items():
        assert f"#### {word}\n" in text
        assert all(f"| `{each.name}` |" in text for each in kind.fields)
