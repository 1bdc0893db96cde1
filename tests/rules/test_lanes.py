"""What is compiled leaves out only rules that could not match: the same verdicts with it and without."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules.messages import message
from tests.rules.world import SERVER, JsonDecoder, PlainDecoder, World, rules
from wsinspect.decode.registry import ContentDecoder, decoder_for
from wsinspect.errors import BadRules
from wsinspect.model import Opcode
from wsinspect.rules.conditions import Condition
from wsinspect.rules.lanes import Lane
from wsinspect.rules.reach import KIND_OF_OPCODE
from wsinspect.rules.ruleset import RuleSet

NAMES = ["a", "b", "type", "é", 'q"', "n\\"]
TEXTS = ["", "x", "ticker", "tick", "ü", 'say "x"', "back\\slash", "line\nend", "a", "5"]
NUMBERS = [0, 1, 1.0, -1, 5, 2.5, 10**20]
SCALARS: list[Any] = [*TEXTS, *NUMBERS, True, False, None]

scalars = st.sampled_from(SCALARS)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
paths = st.lists(st.sampled_from([*NAMES, 0, -1, "*"]), max_size=2).map(
    lambda steps: "$" + "".join("[*]" if step == "*" else f"[{json.dumps(step)}]" for step in steps)
)
operators = st.one_of(
    scalars,
    st.lists(scalars, min_size=1, max_size=3),
    scalars.map(lambda value: {"equals": value}),
    st.lists(scalars, min_size=1, max_size=3).map(lambda values: {"in": values}),
    st.sampled_from([text for text in TEXTS if text]).map(lambda text: {"contains": text}),
    st.sampled_from(["t*k*", "?", "*x*", "*", "ü*"]).map(lambda text: {"glob": text}),
    st.sampled_from(["^t", "x|y", "(?i)TICK"]).map(lambda text: {"regex": text}),
    st.booleans().map(lambda wanted: {"exists": wanted}),
    st.tuples(st.sampled_from(["gt", "ge", "lt", "le"]), st.sampled_from(NUMBERS)).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    st.just({"gt": 0, "lt": 5}),
    st.just({"contains": "tick", "equals": "ticker"}),
)
leaves = st.one_of(
    st.dictionaries(paths, operators, min_size=1, max_size=2).map(lambda value: {"json": value}),
    st.sampled_from(["ticker", "é", 'x"', "*x*", "t?c"]).map(lambda value: {"text": value}),
    st.sampled_from(["tick", "é", "\\", '"a"']).map(lambda value: {"text": {"contains": value}}),
    st.sampled_from(["^x", "tick|ü", "(?i)TYPE", r"\Qx"]).map(lambda value: {"text": {"regex": value}}),
    st.sampled_from(["78", "74 ?? 63", "ff", "22 78"]).map(lambda value: {"bytes": value}),
    st.sampled_from([">3", "1..5"]).map(lambda value: {"size": value}),
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2).map(lambda many: {"any": many})
        | st.lists(inner, min_size=1, max_size=2).map(lambda many: {"all": many})
        | inner.map(lambda one: {"not": one})
    ),
    max_leaves=3,
)
payloads = st.one_of(
    trees.map(lambda tree: json.dumps(tree).encode()),
    trees.map(lambda tree: json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()),
    st.sampled_from(TEXTS).map(str.encode),
    st.binary(max_size=8),
    st.builds(bytes.__add__, st.just(b"x\xff\xc3"), st.sampled_from([b"ticker", "é".encode()])),
    # The same texts spelt in another way.
    st.sampled_from([rb'{"t\u0079pe": "\u0074icker"}', rb'{"a": "\u0078"}', rb'["\u00fc", "back\\slash"]']),
)


def ruleset(whens: list[dict[str, Any]]) -> RuleSet | None:
    """Rules that only count, of conditions that can be loaded."""
    items = [{"id": f"r{number}", "when": when, "then": []} for number, when in enumerate(whens)]
    try:
        return rules("version: 1\nrules: " + json.dumps(items))
    except BadRules as error:
        problems = error.problems
    assert all("never match" in each.text for each in problems), problems
    return None


def plainly(ruleset: RuleSet, payload: bytes, opcode: int) -> list[str]:
    """The rules whose condition holds, each tried by itself."""
    world = World(ruleset, decoder=PlainDecoder())
    view = world.rules._view
    view.set_message(message(payload, opcode), KIND_OF_OPCODE[opcode], world.now_ns)
    return [rule.id for rule in ruleset.rules if rule.reach & view.place and rule.condition.test(view)]


@settings(max_examples=120, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=6), st.lists(payloads, min_size=1, max_size=4))
def test_compiling_changes_no_verdict(whens: list[dict[str, Any]], messages: list[bytes]) -> None:
    compiled = ruleset(whens)
    if compiled is None:
        return
    for opcode in (Opcode.TEXT, Opcode.BINARY):
        worlds = [World(compiled, decoder=decoder) for decoder in (JsonDecoder(), PlainDecoder())]
        for payload in messages:
            expected = plainly(compiled, payload, opcode)
            for world in worlds:
                assert world.ids(world.message(SERVER, payload, opcode)) == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(conditions, min_size=4, max_size=8), payloads)
def test_the_decoders_that_say_so_have_their_texts_in_the_payload(
    whens: list[dict[str, Any]], payload: bytes
) -> None:
    compiled = ruleset(whens)
    if compiled is None:
        return

    class Asked(ContentDecoder):
        text_is_json = False

    first, second = World(compiled, decoder=ContentDecoder()), World(compiled, decoder=Asked())
    assert first.ids(first.text(SERVER, payload)) == second.ids(second.text(SERVER, payload))


def test_decoders_with_names_of_their_own_do_not_say_so() -> None:
    assert decoder_for("ws://h/").text_is_json
    assert decoder_for("ws://h/", "graphql-transport-ws").text_is_json
    assert not decoder_for("ws://h/socket.io/?EIO=4").text_is_json


def test_what_cannot_match_is_not_decoded() -> None:
    text = "\n".join(f"- {{id: r{n}, when: {{json: {{$.type: t{n}}}}}, then: [drop]}}" for n in range(20))
    world = World(text)
    assert not world.hit(SERVER, {"type": "other"})
    assert world.asked == 0
    assert not world.hit(SERVER, r'{"type": "t\u0078"}')
    assert world.asked == 1
    assert world.ids(world.text(SERVER, r'{"type": "\u00743"}')) == ["r3"]
    assert world.ids(world.text(SERVER, {"type": "t19"})) == ["r19"]


def test_many_rules_on_one_value_are_looked_up() -> None:
    text = "\n".join(
        f"- {{id: r{n}, when: {{json: {{$.type: ticker, $.price: {{gt: {n}0}}}}}}, then: []}}"
        for n in range(1, 10)
    )
    world = World(text)
    assert world.ids(world.text(SERVER, {"type": "ticker", "price": 35})) == ["r1", "r2", "r3"]
    assert world.ids(world.text(SERVER, {"type": "ticker", "price": 10})) == []
    assert world.ids(world.text(SERVER, {"type": "ticker", "price": "35"})) == []


def test_values_that_cannot_be_what_is_asked_for_are_not_decoded() -> None:
    world = World("""
        - {id: dear, when: {json: {$.type: ticker, $.price: {gt: 1000}}}, then: []}
        - {id: loss, when: {json: {$.type: ticker, $.change: {lt: 0}}}, then: []}
        - {id: name, when: {json: {$.user.name: {regex: "^eve"}}}, then: []}
    """)
    tick = {"type": "ticker", "price": 999.5, "change": 0.5, "user": {"name": "alice"}}
    assert not world.hit(SERVER, tick)
    assert world.asked == 0
    assert world.ids(world.text(SERVER, {**tick, "price": 1000.5})) == ["dear"]
    assert world.ids(world.text(SERVER, {**tick, "change": -0.5})) == ["loss"]
    assert world.ids(world.text(SERVER, {**tick, "user": {"name": "eve"}})) == ["name"]
    assert world.ids(world.text(SERVER, '{"type":"ticker","price":1e4}')) == ["dear"]
    assert world.asked == 4


def test_many_rules_about_numbers_share_the_search_for_their_name() -> None:
    text = "\n".join(
        f"- {{id: r{n}, when: {{json: {{$.price: {{ge: {n}1, lt: {n}2}}}}}}, then: []}}"
        for n in range(1, 1000)
    )
    world = World(text)
    assert not world.hit(SERVER, {"cost": 71.5})
    assert world.asked == 0
    assert world.ids(world.text(SERVER, {"price": 71.5})) == ["r7"]


def test_true_is_not_one() -> None:
    text = "\n".join(f"- {{id: r{n}, when: {{json: {{$.a: {n}}}}}, then: []}}" for n in range(4))
    world = World(text + "\n- {id: yes, when: {json: {$.a: true}}, then: []}")
    assert world.ids(world.text(SERVER, '{"a": 1}')) == ["r1"]
    assert world.ids(world.text(SERVER, '{"a": 1.0}')) == ["r1"]
    assert world.ids(world.text(SERVER, '{"a": true}')) == ["yes"]


def needles_of(condition: Condition) -> tuple[set[bytes], set[str]] | None:
    found = condition.needles()
    return None if found is None else (set(found.texts), set(found.patterns))


def condition(when: str) -> Condition:
    return rules(f"- {{id: r, when: {when}, then: []}}").rules[0].condition


def test_needles() -> None:
    assert needles_of(condition("{json: {$.type: ticker}}")) == ({b'"ticker"'}, set())
    assert needles_of(condition("{json: {$.longer.name: {exists: true}}}")) == ({b'"longer"'}, set())
    assert needles_of(condition("{json: {'$.list[0]': {gt: 1}}}")) == ({b'"list"'}, set())
    found = needles_of(condition("{json: {$.longer.name: {gt: 100}}}"))
    assert found is not None
    assert not found[0]
    assert "[1-9][0-9]{2}" in min(found[1])
    assert needles_of(condition("{json: {$.a: {contains: abc}}}")) == ({b"abc"}, set())
    assert needles_of(condition("{json: {$.a: [x, y]}}")) == ({b'"x"', b'"y"'}, set())
    assert needles_of(condition("{json: {$.a: {exists: false}}}")) is None
    assert needles_of(condition("{json: {$.é: 1}}")) is None
    assert needles_of(condition("{not: {text: x}}")) is None
    assert needles_of(condition("{text: {regex: 'x+'}}")) == (set(), {"x+"})
    assert needles_of(condition("{any: [{text: abc}, {bytes: 'de ad'}]}")) == ({b"abc", b"\xde\xad"}, set())
    assert needles_of(condition("{any: [{text: abc}, {size: 1}]}")) is None


def test_a_scan_that_grows_too_large_leaves_the_rest_to_be_tested() -> None:
    text = "\n".join(
        f"- {{id: r{n}, when: {{text: {{contains: '{'x' * 3000}{n}'}}}}, then: []}}" for n in range(10)
    )
    world = World(text)
    lane = world.rules._lanes.by_opcode[SERVER][1]
    assert isinstance(lane, Lane)
    assert not lane.open.empty
    assert world.ids(world.text(SERVER, "x" * 3000 + "9")) == ["r9"]
    assert world.ids(world.text(SERVER, "x" * 3000 + "1")) == ["r1"]
    assert world.ids(world.text(SERVER, "y")) == []
