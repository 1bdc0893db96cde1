"""One mistake is told where it stands, and nothing else is told that only comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsinspect.errors import BadRules, Problem
from wsinspect.rules.loading import load_text

READY = sorted((Path(__file__).parents[2] / "rules").glob("*.yaml"))
KEY = re.compile(r"^(?!\s*#).*?([\w-]+)(?=:( |$))", re.MULTILINE)
"""The first of each line."""

NAMES_USED_ELSEWHERE = """
version: 1
vars: {token: abc}
rules:
  - id: login
    when: {json: {$.type: login}}
    capture: {user: $.user}
    then: []
  - id: later
    when: {counter: {login: ">=1"}, captured: {user: {exists: true}}, url: {equals: "ws://{{token}}"}}
    then: [note: "{{user}} {{token}}"]
tests:
  - name: both
    messages:
      - {from: client, json: {type: login}, expect: {hits: login}}
"""


@pytest.mark.parametrize("text", [NAMES_USED_ELSEWHERE, *(file.read_text() for file in READY)])
@pytest.mark.parametrize("spelt", ["{}x", "zqzq"])
def test_a_key_that_is_misspelt(text: str, spelt: str) -> None:
    told = 0
    for key in KEY.finditer(text):
        line = text.count("\n", 0, key.start(1)) + 1
        for problem in _problems(text[: key.start(1)] + spelt.format(key[1]) + text[key.end(1) :]):
            told += 1
            missing_version = key[1] == "version" and problem.text == "version: 1 is missing"
            assert problem.line == line or missing_version, (key[0], str(problem))
    assert told > 5


def _problems(text: str) -> list[Problem]:
    try:
        load_text(text)
    except BadRules as error:
        return error.problems
    return []
