"""Tests inside rule files: what passes, and what is said of what does not."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.world import JsonDecoder, rules
from wsinspect.rules.inner_tests import run_tests

RULES = """
version: 1
vars: {who: you}
rules:
  - id: cheap
    when: {from: server, json: {$.price: {gt: 100}}}
    then: [set: {$.price: 1}, tag: cheap, note: "for {{who}}"]
  - {id: late, when: {text: late}, then: [delay: 200ms]}
  - {id: gone, when: {text: gone}, then: [drop]}
  - {id: twice, when: {text: twice}, then: [duplicate]}
  - {id: held, when: {text: held}, then: [hold]}
  - {id: secret, when: {text: secret}, then: [no-capture]}
  - {id: hidden, when: {text: {contains: pw=}}, then: [redact: {regex: "pw=(\\\\w+)", key: k}]}
  - {id: ask, when: {json: {$.op: ask}}, capture: {id: $.id}, then: [reply: {json: {id: "{{id}}"}}]}
  - {id: bye, when: {text: bye}, then: [close: {code: 1001, reason: later, to: client}]}
  - {id: rst, when: {text: rst}, then: [reset]}
  - {id: off, enabled: false, when: {text: off}, then: [drop]}
  - {id: beat, when: {kind: ping, idle: ">5s"}, then: [drop]}
  - {id: split, when: {kind: fragment}, then: [tag: split]}
  - {id: evil, when: {header: {Origin: "*evil*"}}, then: [reject: 403]}
  - {id: head, when: {kind: handshake, path: /head}, then: [{set-header: {A: b}}, remove-header: C, slow: 1s]}
  - {id: moved, when: {path: /moved}, then: [redirect-to: "ws://other/"]}
  - {id: strip, when: {path: /strip}, then: [strip-extension: "*"]}
  - {id: fails, when: {text: fails}, then: [note: "{{$.x}}"]}
  - {id: chat, when: {subprotocol: chat, text: chat}, then: [drop]}
  - {id: opens, when: {kind: open, path: /opens}, then: [send: {to: client, text: hi, after: 1s}]}
  - {id: keys, when: {path: /keys}, then: [redact: {headers: [a-key, s-key], query: t}]}
  - {id: denied, when: {from: server, kind: handshake, status: 403}, then: [slow: 2s]}
"""


ASK = "json: {op: ask, id: 7}"


def failures(test: str) -> list[str]:
    """What is said of one test, without its place and name."""
    text = RULES + "tests:\n  - name: t\n" + textwrap.indent(textwrap.dedent(test).strip("\n"), "    ")
    (ran,) = run_tests(rules(text), lambda requested, opened: JsonDecoder())
    assert all(each.file == "rules.yaml" and each.line > 27 for each in ran.problems)
    return [each.text.removeprefix("t: ") for each in ran.problems]


def message(fields: str, expect: str) -> list[str]:
    return failures(f"messages: [{{from: server, {fields}, expect: {expect}}}]")


@pytest.mark.parametrize(
    ("fields", "expect"),
    [
        ("text: x", "passes"),
        ("text: x", "{passes: true, hits: [], copies: 1, delay: 0, sent: []}"),
        ("text: gone", "drops"),
        ("text: gone", "{drops: true, hits: [gone], copies: 0}"),
        (
            "json: {price: 200, a: [1, null]}",
            "{json: {price: 1, a: [1, null]}, tags: [cheap], notes: [for you]}",
        ),
        ("json: {price: 200}", "{text: '{\"price\": 1}'}"),
        ("binary: '7b 7d'", "{binary: 7b7d}"),
        ("text: late", "{delay: 200ms, drops: false, text: late, passes: false}"),
        ("text: late", "{delay: '>100ms'}"),
        ("text: late", "{delay: 100ms..1s}"),
        ("text: twice", "{copies: 2}"),
        ("text: held", "{held: true}"),
        ("text: x", "{held: false, uncaptured: false}"),
        ("text: secret", "{uncaptured: true, passes: true}"),
        (
            "json: {op: ask, id: 7}",
            "{drops: true, sent: [{to: server, json: {id: 7}}], values: {id: 7, who: you}}",
        ),
        ("text: bye", "{closes: 1001}"),
        ("text: bye", "{closes: {code: 1001, reason: later, to: client}}"),
        ("text: rst", "{effects: [reset]}"),
        ("text: x, frames: 2", "{tags: [split]}"),
        ("ping: x, at: 6s", "drops"),
        ("ping: x, at: 4s", "passes"),
        ("pong: x", "passes"),
        ("close: 1000", "passes"),
        ("close: {code: 1001, reason: x}", "{passes: true}"),
        ("text: off", "passes"),
    ],
)
def test_expectations_that_are_met(fields: str, expect: str) -> None:
    assert message(fields, expect) == []


@pytest.mark.parametrize(
    ("fields", "expect", "said"),
    [
        ("text: x", "drops", "it should be dropped (no rule acted)"),
        ("text: gone", "passes", "it should pass as it came (gone: drop)"),
        ("text: gone", "{text: gone}", "it is dropped (gone: drop)"),
        ("text: x", "{passes: false}", "it should not pass as it came (no rule acted)"),
        ("json: {price: 200}", "{json: {price: 2}}", 'it goes out as {"price":1}, not {"price":2}'),
        ("text: x", "{text: y}", 'it goes out as: "x", not "y"'),
        ("text: late", "{delay: 1s}", "the delay is 200 ms, but 1 s was expected"),
        ("text: x", "{delay: '>0'}", "the delay is 0 ms, but over 0 ms was expected"),
        ("text: twice", "{copies: 3}", "goes out: 2, not 3"),
        ("text: twice", "{hits: [gone]}", 'rules that acted: ["twice"], not ["gone"]'),
        ("text: x", "{closes: 1000}", "no Close is sent, 1000 was expected"),
        ("text: bye", "{closes: 1000}", "closes with 1001, not 1000"),
        ("text: bye", "{closes: {code: 1001, to: server}}", "closes the client, not the server"),
        ("text: x", "{effects: [reset]}", 'effects: [], not ["reset"]'),
        ("text: x", "{sent: [{to: client, text: a}]}", "0 messages sent beside it, not 1"),
        (ASK, "{sent: [{to: client, text: a}]}", "what is sent goes to the server, not to the client"),
        (ASK, "{sent: [{to: server, ping: a}]}", "what is sent: a text, not a ping"),
        (ASK, "{sent: [{to: server, json: {id: 8}}]}", 'what is sent: {"id":7}, not {"id":8}'),
        (ASK, "{values: {id: 8}}", 'values are {"id":7}, not {"id":8}'),
        ("text: x", "{held: true}", "it should be held (no rule acted)"),
        ("text: x", "{tags: [a]}", 'tags: [], not ["a"]'),
        ("text: x", "{uncaptured: true}", "it should be kept out of the capture (no rule acted)"),
    ],
)  # fmt: skip
def test_expectations_that_are_missed(fields: str, expect: str, said: str) -> None:
    (found,) = message(fields, expect)
    assert found.partition(": ")[2] == said


def test_a_rule_that_fails_fails_the_test_whatever_is_expected() -> None:
    (found,) = message("text: fails", "passes")
    assert found.startswith("rule fails failed and is off for this connection")
    assert len(failures("messages: [{from: server, text: fails}]")) == 1


def test_what_is_captured_in_place_of_a_secret() -> None:
    assert message("text: pw=abc", "{captured: pw=abc}") != []
    (found,) = message("text: pw=abc", "{captured: pw=}")
    pseudonym = found.partition('captured: "')[2].partition('"')[0]
    assert message("text: pw=abc", f"{{captured: '{pseudonym}', text: pw=abc}}") == []
    assert message("text: pw=abc pw=d", "{captured: pw=‹redacted› pw=‹redacted›}") == []
    assert message("text: pw=abc pw=d", "{captured: pw=‹redacted› pw=d}") == [
        'the server\'s text: captured: "pw=‹redacted› pw=‹redacted›", not "pw=‹redacted› pw=d"'
    ]
    assert message("text: x", "{captured: ‹redacted›}") == [
        'the server\'s text: captured: nothing, not "‹redacted›"'
    ]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("handshake: {captured-url: 'ws://h/keys?t=‹redacted›&u=1'}", []),
        (
            "handshake: {captured-url: 'ws://h/keys?t=‹redacted›'}",
            [
                'the handshake: the captured URL: "ws://h/keys?t=‹redacted›&u=1", not "ws://h/keys?t=‹redacted›"'
            ],
        ),
        ("handshake: {captured-headers: {A-Key: ‹redacted›, B: plain}}", []),
        (
            "handshake: {captured-headers: {a-key: ‹redacted›, C: x}}",
            ['the handshake: the captured C: nothing, not "x"'],
        ),
        ("answer: {headers: {S-Key: x}, expect: {captured-headers: {S-Key: ‹redacted›}}}", []),
        (
            "answer: {expect: {captured-url: 'ws://h/'}}",
            ['the handshake: the captured URL: nothing, not "ws://h/"'],
        ),
    ],
)
def test_what_is_captured_of_a_handshake(test: str, said: list[str]) -> None:
    headers = "headers: {A-Key: x, B: plain}\n"
    assert failures(f"url: ws://h/keys?t=1&u=1\n{headers}{test}") == said


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("headers: {Origin: https://evil.example}\nhandshake: {rejects: 403, hits: [evil]}", []),
        ("handshake: passes", []),
        ("handshake: {rejects: 403}", ["the handshake: rejected with: nothing, not 403"]),
        ("url: ws://h/head\nhandshake: {sets: {A: b}, removes: [C], delay: 1s, passes: false}", []),
        (
            "url: ws://h/head\nhandshake: {sets: {A: c}}",
            ['the handshake: headers set: {"A":"b"}, not {"A":"c"}'],
        ),
        ("url: ws://h/moved\nhandshake: {redirects: ws://other/}", []),
        ("url: ws://h/strip\nhandshake: {strips: ['*']}", []),
        ("answer: {status: 403, expect: {delay: 2s, hits: [denied]}}", []),
        ("answer: {expect: passes}", []),
        ("url: ws://h/opens\nopening: {sent: [{to: client, text: hi, after: 1s}]}", []),
        ("opening: {hits: []}", []),
        ("subprotocol: chat\nmessages: [{from: client, text: chat, expect: drops}]", []),
        ("messages: [{from: client, text: chat, expect: passes}]", []),
        ("enable: ['off']\nmessages: [{from: client, text: 'off', expect: drops}]", []),
        ("messages: [{from: client, text: gone, times: 3, expect: drops}]", []),
    ],
)
def test_handshakes_openings_and_settings(test: str, said: list[str]) -> None:
    assert failures(test) == said


def test_only_the_first_of_many_equal_failures_is_told() -> None:
    assert len(failures("messages: [{from: client, text: x, times: 5, expect: drops}]")) == 1


def test_a_test_runs_against_the_rules_of_its_own_file(tmp_path: object) -> None:
    from pathlib import Path

    from wsinspect.rules.loading import load_rules

    assert isinstance(tmp_path, Path)
    (tmp_path / "a.yaml").write_text("version: 1\nrules: [{id: a, when: {text: x}, then: [drop]}]\n")
    (tmp_path / "b.yaml").write_text(
        "version: 1\nrules: [{id: b, when: {text: x}, then: [tag: t]}]\n"
        "tests: [{name: t, messages: [{from: client, text: x, expect: {hits: [b]}}]}]\n"
    )
    (ran,) = run_tests(load_rules([tmp_path]))
    assert ran.problems == ()


def test_chance_repeats_in_tests_also_without_a_seed() -> None:
    text = """
        version: 1
        rules: [{id: r, when: {text: x}, chance: 50%, then: [drop]}]
        tests: [{name: t, messages: [{from: client, text: x, times: 20, expect: drops}]}]
    """
    first, second = (run_tests(rules(text)) for _ in range(2))
    assert first[0].problems
    assert first[0].problems == second[0].problems
