"""Each condition, where it holds and where it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rules.world import CLIENT, SERVER, World, rules
from wsinspect.errors import BadRules
from wsinspect.model import Opcode
from wsinspect.wire.close_codes import encode_close

HEADERS = [
    ("Host", "shop.example:8443"),
    ("Origin", "https://evil.example"),
    ("X-Many", "one"),
    ("x-many", "two"),
    ("Cookie", 'session=abc; theme="dark"; empty='),
    ("Sec-WebSocket-Protocol", "chat, superchat"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-foo"),
]
URL = "wss://Shop.Example:8443/chat/room%201?token=a%20b&n=1&n=2&empty="


def matches(when: str, **more: Any) -> bool:
    """Whether a rule with that condition could match a text message of the connection."""
    world = World(f"- {{id: r, when: {when}, then: []}}", url=URL, headers=HEADERS, **more)
    return world.hit(CLIENT, "x")


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ('{url: "*/chat/*"}', True),
        ("{url: 'wss://Shop.Example:8443/chat/room%201'}", True),
        ('{url: "*token=*"}', True),
        ('{url: "ws:*"}', False),
        ("{url: {regex: '^wss://[^/]+/chat'}}", True),
        ("{url: ['*nope', {contains: room}]}", True),
        ("{host: shop.example}", True),
        ("{host: SHOP.example}", True),
        ('{host: "*.EXAMPLE"}', True),
        ("{host: {regex: '^Shop'}}", True),
        ("{host: example}", False),
        ("{port: 8443}", True),
        ("{port: [80, 443]}", False),
        ("{port: 8000..9000}", True),
        ("{path: /chat/room%201}", True),
        ("{path: /chat}", False),
        ("{query: {token: a b}}", True),
        ('{query: {n: 2, empty: ""}}', True),
        ("{query: {n: 3}}", False),
        ("{query: {missing: {exists: false}}}", True),
        ("{query: {token: {exists: false}}}", False),
        ('{query: "*n=1*"}', True),
        ("{query: {contains: n=1}}", True),
        ("{header: {origin: '*evil*'}}", True),
        ("{header: {X-Many: two}}", True),
        ("{header: {X-Many: three}}", False),
        ("{header: {X-None: {exists: true}}}", False),
        ("{header: {X-None: {exists: false}, Host: '*'}}", True),
        ("{header: {Origin: {contains: evil, regex: 'example$'}}}", True),
        ("{header: {Origin: {in: [a, 'https://evil.example']}}}", True),
        ("{cookie: {session: abc, theme: dark}}", True),
        ('{cookie: {empty: ""}}', True),
        ("{cookie: {session: abcd}}", False),
        ("{client: 10.1.2.3}", True),
        ("{client: [192.168.0.0/16, 10.0.0.0/8]}", True),
        ("{client: 10.1.2.0/31}", False),
        ("{client: '::/0'}", False),
        ("{tls: true}", True),
        ("{tls: false}", False),
        ("{extension: permessage-deflate}", False),
        ("{subprotocol: superchat}", True),
        ("{subprotocol: chat}", False),
        ("{response-header: {Server: nginx*}}", True),
        ("{response-header: {Server: {exists: false}}}", False),
        ("{not: {host: shop.example}}", False),
        ("{any: [{port: 1}, {tls: true}]}", True),
        ("{all: [{port: 8443}, {tls: false}]}", False),
    ],
)
def test_conditions_on_the_connection(when: str, holds: bool) -> None:
    answer = [("Sec-WebSocket-Protocol", "superchat"), ("Server", "nginx/1.2")]
    assert matches(when, client="10.1.2.3", answer=answer) is holds


def test_addresses_of_ipv6() -> None:
    assert matches("{client: 10.0.0.0/8}", client="::ffff:10.1.2.3")
    assert matches("{client: 'fe80::/10'}", client="fe80::1%eth0")
    assert not matches("{client: 'fe80::/10'}", client="")


def test_urls_that_make_no_sense_hold_nothing_and_raise_nothing() -> None:
    for url in ("", "ws://[", "ws://host:port/", "ws://h/?" + "&".join(f"a{n}=1" for n in range(3000))):
        world = World("- {id: r, when: {host: x, port: 1, query: {a: b}}, then: []}", url=url)
        assert not world.hit(CLIENT, "x")


TREE = {
    "type": "ticker",
    "price": 100.5,
    "n": 7,
    "flag": True,
    "none": None,
    "list": [1, "two", {"three": 3}],
    "nested": {"name": "é", "empty": {}},
}


@pytest.mark.parametrize(
    ("tests", "holds"),
    [
        ("{$.type: ticker}", True),
        ("{$.type: tick*}", True),
        ("{$.type: '?icker'}", True),
        ("{$.type: {equals: tick*}}", False),
        ("{$.type: [a, ticker]}", True),
        ("{$.type: {in: [a, b]}}", False),
        ("{$.type: {contains: cke}}", True),
        ("{$.type: {regex: 'k.r$'}}", True),
        ("{$.type: {glob: 't*r'}}", True),
        ("{$.price: 100.5}", True),
        ("{$.price: {gt: 100, le: 100.5}}", True),
        ("{$.price: {lt: 100.5}}", False),
        ('{$.price: "100.5"}', False),
        ("{$.n: 7.0}", True),
        ('{$.n: "7"}', False),
        ("{$.flag: true}", True),
        ("{$.flag: 1}", False),
        ("{$.flag: {ge: 0}}", False),
        ("{$.none: null}", True),
        ("{$.none: ~}", True),
        ("{$.none: {exists: true}}", True),
        ("{$.missing: {exists: false}}", True),
        ("{$.missing: null}", False),
        ("{$.type: {exists: false}}", False),
        ('{"$.list[0]": 1}', True),
        ('{"$.list[-1].three": 3}', True),
        ('{"$.list[*]": two}', True),
        ('{"$.list[*]": three}', False),
        ("{$.list: {contains: two}}", True),
        ("{$.list: {contains: {three: 3}}}", True),
        ("{$.list: {contains: 3}}", False),
        ("{$.nested: {equals: {name: é, empty: {}}}}", True),
        ("{$.nested.name: é}", True),
        ("{\"$['nested'].name\": é}", True),
        ("{$.nested.empty: {equals: {}}}", True),
        ("{$: {exists: true}}", True),
        ("{$.type: ticker, $.n: 8}", False),
    ],
)
def test_json(tests: str, holds: bool) -> None:
    world = World(f"- {{id: r, when: {{json: {tests}}}, then: []}}")
    assert world.hit(SERVER, json.dumps(TREE)) is holds
    assert (world.binary(SERVER, json.dumps(TREE).encode()) is not None) is holds


def test_json_of_what_is_none_never_holds() -> None:
    world = World("""
        - {id: absent, when: {json: {$.a: {exists: false}}}, then: []}
        - {id: codec, when: {codec: {exists: false}}, then: []}
    """)
    assert world.ids(world.text(CLIENT, "not json")) == ["codec"]
    assert world.ids(world.text(CLIENT, "{}")) == ["absent"]


@pytest.mark.parametrize(
    ("when", "payload", "holds"),
    [
        ("{text: hello}", "hello", True),
        ("{text: hello}", "hello!", False),
        ("{text: 'h*o'}", "hello\nhallo", True),
        ("{text: {contains: ell}}", "hello", True),
        ("{text: {contains: é}}", "café", True),
        ("{text: {equals: 'a*'}}", "ab", False),
        ("{text: {regex: '^h.llo$'}}", "héllo", True),
        ("{text: [a, b]}", "b", True),
        ("{bytes: '65 6c'}", "hello", True),
        ("{bytes: {prefix: '65 6c'}}", "hello", False),
        ("{bytes: {prefix: '68 ??'}}", "hello", True),
        ("{bytes: {suffix: '6f'}}", "hello", True),
        ("{bytes: {equals: '68 65 6c 6c 6f'}}", "hello", True),
        ("{size: 5}", "hello", True),
        ("{size: '>1KiB'}", "x" * 1025, True),
        ("{size: 1..4}", "hello", False),
        ("{size: [1, 5]}", "hello", True),
        ("{size: {ge: 5, lt: 6}}", "hello", True),
        ("{not: {text: hello}}", "hello", False),
        ("{not: {text: hello}}", "bye", True),
        ("{message-kind: greet}", '{"event": "greet"}', True),
        ("{message-id: '5'}", '{"id": 5}', True),
        ("{codec: json}", "{}", True),
        ("{codec: msgpack}", "{}", False),
    ],
)
def test_payloads(when: str, payload: str, holds: bool) -> None:
    assert World(f"- {{id: r, when: {when}, then: []}}").hit(CLIENT, payload) is holds


def test_text_is_of_text_messages() -> None:
    world = World("- {id: r, when: {text: {contains: x}}, then: []}")
    assert world.binary(CLIENT, b"x") is None
    assert world.control(CLIENT, Opcode.PING, b"x") is None


def test_not_holds_also_where_its_condition_cannot() -> None:
    world = World("- {id: r, when: {kind: any, not: {text: x}}, then: []}")
    assert not world.hit(CLIENT, "x")
    assert world.binary(CLIENT, b"x") is not None
    assert world.control(CLIENT, Opcode.PING, b"x") is not None


def test_any_tries_each_where_it_can_hold() -> None:
    world = World("- {id: r, when: {any: [{kind: ping}, {text: x}, {close-code: 1001}]}, then: []}")
    assert world.hit(CLIENT, "x")
    assert world.control(CLIENT, Opcode.PING) is not None
    assert world.control(CLIENT, Opcode.PONG) is None
    assert world.control(CLIENT, Opcode.CLOSE, encode_close(1001)) is not None
    assert world.control(CLIENT, Opcode.CLOSE, encode_close(1000)) is None


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("text", {1}),
        ("binary", {2}),
        ("[text, binary]", {1, 2}),
        ("ping", {9}),
        ("[pong, close]", {8, 10}),
        ("any", {1, 2, 3, 8, 9, 10, 11}),
    ],
)
def test_kinds(kind: str, seen: set[int]) -> None:
    world = World(f"- {{id: r, when: {{kind: {kind}}}, then: []}}")
    found = {opcode for opcode in (1, 2, 3) if world.message(CLIENT, b"", opcode) is not None}
    found |= {opcode for opcode in (8, 9, 10, 11) if world.control(CLIENT, opcode) is not None}
    assert found == seen


def test_fragments() -> None:
    world = World("- {id: r, when: {kind: fragment}, then: []}")
    assert not world.hit(CLIENT, "x")
    assert world.hit(CLIENT, "x", frames=2)
    either = World("- {id: r, when: {kind: [ping, fragment]}, then: []}")
    assert not either.hit(CLIENT, "x")
    assert either.hit(CLIENT, "x", frames=3)
    assert either.control(CLIENT, Opcode.PING) is not None


@pytest.mark.parametrize(
    ("code", "when", "holds"),
    [
        (1001, "{close-code: 1001}", True),
        (4500, "{close-code: [1001, 4000..4999]}", True),
        (1000, "{close-code: '>1000'}", False),
        (None, "{close-code: 0..65535}", False),
        (1000, "{close-reason: bye}", True),
        (1000, "{close-reason: {contains: x}}", False),
    ],
)
def test_close_frames(code: int | None, when: str, holds: bool) -> None:
    payload = b"" if code is None else encode_close(code, "bye")
    world = World(f"- {{id: r, when: {when}, then: []}}")
    assert (world.control(SERVER, Opcode.CLOSE, payload) is not None) is holds


def test_index_counts_each_direction_and_each_kind_of_control_frame() -> None:
    world = World("- {id: r, when: {kind: any, index: 2}, then: []}")
    assert not world.hit(CLIENT, "x")
    assert not world.hit(SERVER, "x")
    assert world.control(CLIENT, Opcode.PING) is None
    assert world.control(CLIENT, Opcode.PONG) is None
    assert world.hit(SERVER, "x")
    assert world.binary(CLIENT, b"x") is not None
    assert world.control(CLIENT, Opcode.PING) is not None


def test_age_and_idle() -> None:
    world = World("""
        - {id: old, when: {age: ">=10s"}, then: []}
        - {id: quiet, when: {idle: ">4s"}, then: []}
    """)
    world.wait(5)
    assert world.ids(world.text(CLIENT, "x")) == ["quiet"], "silent since the opening"
    world.wait(3)
    world.control(SERVER, Opcode.PING)
    world.wait(2)
    assert world.ids(world.text(CLIENT, "x")) == ["old"]
    world.wait(4.001)
    assert world.ids(world.text(SERVER, "x")) == ["old", "quiet"]


def test_rate_forgets_after_a_second() -> None:
    world = World("- {id: r, when: {from: client, rate: '>3'}, then: []}")
    assert [world.hit(CLIENT, "x") for _ in range(5)] == [False, False, False, True, True]
    assert not world.hit(SERVER, "x")
    world.wait(0.5)
    assert world.hit(CLIENT, "x")
    world.wait(0.6)
    assert not world.hit(CLIENT, "x")
    world.wait(3600)
    assert not world.hit(CLIENT, "x")


def test_captured_values() -> None:
    world = World(
        rules("""
        version: 1
        vars: {level: 3}
        rules:
          - {id: login, when: {json: {$.user: {exists: true}}}, capture: {user: $.user}, then: []}
          - {id: known, when: {text: x, captured: {user: {exists: true}, level: {gt: 2}}}, then: []}
          - {id: anna, when: {text: x, captured: {user: anna}}, then: []}
        """)
    )
    assert world.ids(world.text(CLIENT, "x")) == []
    world.text(CLIENT, {"user": "anna"})
    assert world.ids(world.text(CLIENT, "x")) == ["known", "anna"]


def test_captures_of_all_sorts() -> None:
    world = World(
        """
        - id: r
          when: {kind: any}
          capture:
            text: {regex: "id=(\\\\w+)"}
            whole: {regex: "i."}
            origin: {header: origin}
            token: {query: token}
            session: {cookie: session}
            none: {header: X-None}
            all: "$.list[*]"
          then: []
        """,
        url=URL,
        headers=HEADERS,
    )
    world.text(CLIENT, "id=abc")
    assert world.rules.values == {
        "text": "abc",
        "whole": "id",
        "origin": "https://evil.example",
        "token": "a b",
        "session": "abc",
    }
    world.text(CLIENT, {"list": [1, 2]})
    assert world.rules.values["all"] == [1, 2]


def test_after_a_control_frame_of_the_other_side() -> None:
    world = World("- {id: r, when: {from: client, text: x, after: {from: server, kind: ping}}, then: []}")
    assert not world.hit(CLIENT, "x")
    world.control(CLIENT, Opcode.PING)
    assert not world.hit(CLIENT, "x")
    world.control(SERVER, Opcode.PING)
    assert world.hit(CLIENT, "x")


def test_templates_in_text_conditions() -> None:
    world = World("""
        - {id: keep, when: {json: {$.room: {exists: true}}}, capture: {room: $.room}, then: []}
        - {id: same, when: {text: {contains: "in {{room}}"}}, then: []}
        - {id: exact, when: {text: "{{room}}"}, then: []}
        - {id: some, when: {text: [a, "{{room}}"]}, then: []}
    """)
    assert world.ids(world.text(CLIENT, "in kitchen")) == []
    world.text(SERVER, {"room": "kitchen"})
    assert world.ids(world.text(CLIENT, "I am in kitchen")) == ["same"]
    assert world.ids(world.text(CLIENT, "kitchen")) == ["exact", "some"]


def test_vars_in_conditions_on_the_connection() -> None:
    loaded = rules("""
        version: 1
        vars: {host: {name: shop.example, room: room%201}, ports: [1, 8443]}
        rules:
          - id: r
            when: {host: "{{host.name}}", url: {contains: ":{{ports[1]}}/"}, path: "/chat/{{host.room}}"}
            then: []
    """)
    assert World(loaded, url=URL).hit(CLIENT, "x")
    assert not World(loaded, url="ws://other/").hit(CLIENT, "x")


@pytest.mark.parametrize(
    ("rule", "reach"),
    [
        ("when: {text: x}, then: [drop]", "a text message"),
        ("then: [drop]", "a message"),
        ("when: {from: client}, then: [tag: t]", "a message"),
        ("when: {close-code: 1000}, then: [tag: t]", "a Close frame"),
        ("then: [reject: 403]", "the handshake's request"),
        ("when: {status: 101}, then: [slow: 1s]", "the handshake's answer"),
        ("when: {kind: handshake}, then: [slow: 1s]", "the handshake's request"),
        ("when: {kind: handshake, from: server}, then: [slow: 1s]", "the handshake's answer"),
        ("when: {url: '*x'}, then: [throttle: 64]", "the opening"),
        ("when: {text: x}, then: [throttle: 64]", "a text message"),
        ("when: {url: '*x'}, then: [throttle: 64, tag: t]", "a message"),
        ("when: {kind: [open, ping]}, then: [tag: t]", "the opening or a ping"),
    ],
)
def test_what_a_rule_without_a_kind_is_about(rule: str, reach: str) -> None:
    from wsinspect.rules.reach import words

    assert words(rules(f"- {{id: r, {rule}}}").rules[0].reach) == reach


def test_a_rule_hidden_by_one_that_stops_is_warned_of() -> None:
    loaded = rules("""
        - {id: wall, when: {from: client}, then: [tag: t], stop: true}
        - {id: hidden, when: {from: client, text: x}, then: [drop]}
        - {id: seen, when: {text: x}, then: [drop]}
    """)
    assert [(each.line, each.text) for each in loaded.warnings] == [
        (4, "rule hidden never sees anything: wall (line 3) stops it all")
    ]
    with pytest.raises(BadRules):
        rules("- {id: r, when: {index: 0}, then: [drop]}")


def test_a_close_code_that_no_frame_may_carry_is_warned_of() -> None:
    """1006 and its like are what a library reports where no Close came; a frame with one is a violation."""
    loaded = rules("""
        - {id: r, when: {close-code: [1000, 1006]}, then: [tag: t]}
        - {id: s, when: {close-code: 4000..4999}, then: [tag: t]}
        - {id: t, when: {close-code: 999}, then: [tag: t]}
    """)
    assert [(each.line, each.text) for each in loaded.warnings] == [
        (3, "close-code: 1006 must not stand in a Close frame: stands for an end without a Close frame"
            " (RFC 6455 7.4)"),
        (5, "close-code: 999 must not stand in a Close frame: codes below 1000 are not used (RFC 6455 7.4)"),
    ]  # fmt: skip
