"""Tests that no connection can meet are refused; none is that one could meet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.world import rules
from wsinspect.errors import BadRules
from wsinspect.model import Requested
from wsinspect.rules.connection_facts import ConnectionFacts
from wsinspect.rules.predicates import Predicate
from wsinspect.rules.text_forms import HOST, PATH, QUERY, URL, Form
from wsinspect.rules.values_tests import Texts

NOBODY: Any = None
"""No test here looks at a message."""


def test_a_query_in_a_path_is_no_glob() -> None:
    for path in ("/chat?x=1", "*?x=1", "/a?b=*"):
        with pytest.raises(BadRules, match="a path has no query: write path"):
            rules(f"- {{id: r, when: {{path: '{path}'}}, then: [drop]}}")


@pytest.mark.parametrize(
    "when",
    [
        "path: /cha?",
        'path: "/chat?x"',
        'path: {glob: "/chat?x=1"}',
        'path: "?chat"',
        "path: {contains: chat}",
        'path: {regex: "chat$"}',
        'path: {regex: "^(chat|/chat)"}',
        'path: {regex: "^c*/chat"}',
        'path: {regex: "^chat|/chat"}',
        'host: "::1"',
        'host: "*:8080"',
        'host: "fe80::*"',
        'host: {contains: ":80"}',
        "host: 10.0.0.1",
        'url: "w*"',
        'url: "*x"',
        'url: "ws?://x"',
        'url: {regex: "^wss?://x"}',
        'url: {contains: "?x=1"}',
        "tls: true, url: 'w*'",
        'tls: true, url: ["ws://a/*", "wss://a/*"]',
        'tls: true, url: {regex: "^wss?://"}',
        "not: {tls: true}, url: 'ws://*'",
        'query: "x=?"',
        "query: {x: '?1'}",
        "subprotocol: [a, b]",
    ],
)
def test_what_could_match_is_taken(when: str) -> None:
    assert rules(f"- {{id: r, when: {{{when}}}, then: [drop]}}").rules


def test_a_variable_is_tried_with_its_value() -> None:
    text = """
        version: 1
        vars: {good: chat, bad: "chat/"}
        rules:
          - {id: r, when: {path: ["/{{good}}", "{{bad}}"]}, then: [drop]}
    """
    with pytest.raises(BadRules, match=r"4:26: path: 'chat/': a path begins with a slash: write /chat/"):
        rules(text)


def test_a_variable_of_a_host_is_compared_whatever_its_case() -> None:
    (rule,) = rules(
        'version: 1\nvars: {h: Shop.Example}\nrules: [{id: r, when: {host: "{{h}}"}, then: []}]'
    ).rules
    assert rule.could_match(ConnectionFacts(Requested(url="ws://shop.example/")))


# ------------------------------------------------------------------------------------------ in any case

OPERATORS = ("equals", "contains", "glob", "regex", "bare")
labels = st.text("ab-1", min_size=1, max_size=4)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=3).map(".".join),
    st.ip_addresses().map(str),
)
paths = st.text("/ab=.:", max_size=6).map("/{}".format)
queries = st.text("a=&?", max_size=5)
patterns = st.text("/ab=.:?*^|\\w[]#", max_size=8)


@given(st.sampled_from(OPERATORS[:4]), patterns, paths, hosts, queries, st.booleans())
def test_what_is_refused_matches_no_connection(
    operator: str, pattern: str, path: str, host: str, query: str, tls: bool
) -> None:
    shown = f"[{host}]" if ":" in host else host
    facts = ConnectionFacts(Requested(url=f"{'wss' if tls else 'ws'}://{shown}{path}?{query}"))
    for form, fold, values in (
        (PATH, False, [facts.path]),
        (HOST, True, [facts.host]),
        (URL, False, [facts.url, facts.url_bare]),
        (QUERY, False, [facts.query_text]),
    ):
        made = _made(operator, pattern, fold, None)
        if made is not None and made.any_of(values, NOBODY):
            assert _made(operator, pattern, fold, form) is not None, (pattern, values)


def _made(operator: str, pattern: str, fold: bool, form: Form | None) -> Predicate | None:
    try:
        made: Predicate = getattr(Texts(fold, form), operator)(pattern)
    except ValueError:
        return None
    return made


@given(st.sampled_from(OPERATORS), patterns, st.text("/ab=.:w", max_size=6))
def test_a_match_begins_as_its_test_says(operator: str, pattern: str, text: str) -> None:
    made = _made(operator, pattern, False, None)
    if made is not None and made.holds(text, NOBODY):
        assert text.startswith(made.starts())
