"""Rules and files, read: each key by its declared type, each action by its class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wsinspect.errors import did_you_mean
from wsinspect.rules import values
from wsinspect.rules.actions import ACTIONS, Action, On
from wsinspect.rules.conditions import All, Condition, From, KindIs
from wsinspect.rules.fields import REQUIRED, Field, Type
from wsinspect.rules.marked import Items, Node, Pairs, Place, Scalar, kind_of, written
from wsinspect.rules.reach import (
    CONTROL,
    DATA,
    EVERYWHERE,
    OPEN,
    REQUEST,
    RESPONSE,
    reach_of,
)
from wsinspect.rules.reach import words as reach_words
from wsinspect.rules.reading import Reading, Told, Wrong
from wsinspect.rules.rule import RULE_FIELDS, Often, Rule, ordinal

FILE_FIELDS: tuple[Field, ...] = (
    Field("version", Type.INT, "Of this language: 1.", low=1, high=1),
    Field("description", Type.TEXT, "For people.", default=""),
    Field("seed", Type.INT, "Makes all that is random repeat, connection by connection.", default=None),
    Field("vars", Type.VARS, "Values for `{{name}}`; those of a later file win.", default=None),
    Field("rules", Type.RULES, "The rules, in the order in which they see a message.", default=()),
    Field("tests", Type.TESTS, "Messages in, and what comes out: `rules check --run-tests`.", default=()),
)
"""The keys of a file, in the order of the docs."""

MAX_RULES = 10_000

_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}", re.ASCII)

_RULE_HINTS = {
    **dict.fromkeys(("if", "match", "condition", "conditions"), "; write when"),
    **dict.fromkeys(("do", "action", "actions"), "; write then"),
    "name": "; write id",
    "probability": "; write chance",
    "toxicity": "; write chance, or toxicity within the action",
    "times": "; write limit or first",
    "disabled": "; write enabled: false",
}


def read_rule(reading: Reading, node: Node, file: int) -> Rule | None:
    """The rule, or None where something about it is wrong; that is told."""
    told = len(reading.problems)
    try:
        entries = reading.entries(node, "a rule", [each.name for each in RULE_FIELDS], _rule_hints(node))
    except Wrong as error:
        reading.wrong(error)
        return None
    found = _read_fields(reading, entries, RULE_FIELDS, skip=("then",))
    rule_id = found.get("id", "")
    if "id" not in entries and not _misspelt(node, "id"):
        reading.say(node.place, "a rule wants an id: write id: NAME")
    elif rule_id and not _ID.fullmatch(rule_id):
        place = entries["id"][1].place
        reading.say(place, f"{rule_id!r} is no id: letters, digits, _, . and -, at most 100 of them")
    _note(reading, node, entries, rule_id)
    actions = read_actions(reading, entries["then"][1], rule_id) if "then" in entries else ()
    if "then" not in entries and not found.get("capture") and not _misspelt(node, "then"):
        hint = "" if "when" in entries else " and when: {…}"
        reading.say(node.place, f"a rule wants then: [ACTION, …]{hint}; then: [] only counts its matches")
    if len(reading.problems) > told:
        return None
    return _build(reading, node, entries, found, actions, file)


def _misspelt(node: Node, name: str) -> bool:
    """It has been told that one of the keys should be `name`: that it is missing need not be told too."""
    known = [each.name for each in RULE_FIELDS]
    told = (f"; did you mean {name}?", f"; write {name}")
    return isinstance(node, Pairs) and any(
        (_RULE_HINTS.get(key.text) or did_you_mean(key.text, known)) in told
        for key, _ in node.pairs
        if key.text not in known
    )


def _note(reading: Reading, node: Node, entries: Mapping[str, tuple[Scalar, Node]], rule_id: str) -> None:
    """Keep what other rules may ask for, even where this one is wrong: one mistake is told once."""
    if rule_id:
        reading.ids.add(rule_id)
        reading.nodes.setdefault(rule_id, node)
    if "capture" in entries and isinstance(entries["capture"][1], Pairs):
        reading.captured.update(key.text for key, _ in entries["capture"][1].pairs)


def _rule_hints(node: Node) -> dict[str, str]:
    """What to say of conditions and actions that stand beside `when` and `then`."""
    from wsinspect.rules.conditions import CONDITIONS

    known = {each.name for each in RULE_FIELDS}
    under_when = {name: f"; it belongs under when: {{{name}: …}}" for name in CONDITIONS if name not in known}
    under_then = {name: f"; it belongs under then: [{name}: …]" for name in ACTIONS if name not in known}
    return {**under_then, **under_when, **_RULE_HINTS}


def _read_fields(
    reading: Reading,
    entries: Mapping[str, tuple[Scalar, Node]],
    fields: Sequence[Field],
    skip: Sequence[str] = (),
) -> dict[str, Any]:
    """The values that are there and right, by name; what is wrong is told."""
    found: dict[str, Any] = {}
    for field in fields:
        if field.name not in entries or field.name in skip:
            continue
        key, node = entries[field.name]
        if field.name == "after" and isinstance(node, Pairs):
            reading.say(
                node.place, "`after` here skips the first N matches; conditions belong under when: {after: …}"
            )
            continue
        try:
            found[field.name] = values.read(reading, node, field)
        except Wrong as error:
            prefix = "" if field.type is Type.CONDITION else f"{key.text}: "
            reading.say(error.place, f"{prefix}{error.text}")
        except Told:
            pass
    return found


def _build(
    reading: Reading,
    node: Node,
    entries: Mapping[str, tuple[Scalar, Node]],
    found: Mapping[str, Any],
    actions: tuple[Action, ...],
    file: int,
) -> Rule | None:
    place = entries["when"][0].place if "when" in entries else node.place
    condition: Condition = found.get("when") or All(())
    if reason := condition.never():
        reading.say(place, f"this can never match: {reason}")
        return None
    if not condition.reach:
        reading.say(place, "this can never match: its conditions exclude each other")
        return None
    reaches = _reach(reading, condition, actions, entries, place)
    if reaches is None:
        return None
    reach, narrow = reaches
    often = Often(
        chance=found.get("chance", 1.0),
        after=found.get("after", 0),
        first=found.get("first"),
        every=found.get("every", 1),
        limit=found.get("limit"),
    )
    _check_often(reading, often, entries)
    return Rule(
        id=found["id"],
        place=node.place,
        condition=condition,
        reach=reach,
        narrow=narrow,
        actions=actions,
        captures=found.get("capture") or {},
        often=often,
        stop=found.get("stop", False),
        enabled=found.get("enabled", True),
        description=found.get("description", ""),
        file=file,
        written=written(node),
    )


def _check_often(reading: Reading, often: Often, entries: Mapping[str, tuple[Scalar, Node]]) -> None:
    if often.first is not None and often.first < often.every:
        where = entries["first"][1].place
        count = "the first counts" if often.first == 1 else f"the first {often.first} count"
        reading.say(where, f"it never acts: only {count}, and every {ordinal(often.every)} acts")
    if often.chance == 0:
        reading.warn(entries["chance"][1].place, "with a chance of 0 it never acts")


# ------------------------------------------------------------------------------------ where it can act


def _reach(
    reading: Reading,
    condition: Condition,
    actions: tuple[Action, ...],
    entries: Mapping[str, tuple[Scalar, Node]],
    place: Place,
) -> tuple[int, int] | None:
    """Where the rule matches: what `when` leaves and its actions can act on. None, and told: nowhere.

    The second one is where those of its actions act that need not act everywhere.
    """
    explicit = any(isinstance(each, KindIs) for each in condition.walk())
    reach, wide = condition.reach, 0
    for action, node in zip(actions, _action_nodes(entries), strict=True):
        can = reach_of(action.acts_on())
        left = condition.reach if action.everywhere else reach
        if not can & left:
            wanted = f"; write kind: {_kind_for(can)}" if explicit and can & EVERYWHERE else ""
            acts = f"it acts on {reach_words(can)}"
            reading.say(node.place, f"`{action.word}` cannot act on {reach_words(left)}: {acts}{wanted}")
            return None
        if action.everywhere:
            wide |= can & left
        elif not explicit:
            reach &= can
    others = tuple(each for each in actions if not each.everywhere)
    narrow = 0 if wide and not others else _narrow(condition, reach, others, explicit)
    if not narrow | wide:
        reading.say(place, "this can never match: its conditions exclude each other")
        return None
    return narrow | wide, narrow


def _narrow(condition: Condition, reach: int, actions: tuple[Action, ...], explicit: bool) -> int:
    """Where these actions act at all: of what they all can act on one sort, where no kind is asked for."""
    if explicit:
        one_sided = any(isinstance(each, From) for each in condition.walk())
        return reach if one_sided else _one_handshake(reach, actions)
    if actions and all(each.once for each in actions) and reach & OPEN and _known_at_opening(condition):
        return reach & OPEN
    return next((reach & group for group in (DATA, CONTROL, OPEN, REQUEST, RESPONSE) if reach & group), 0)


def _one_handshake(reach: int, actions: tuple[Action, ...]) -> int:
    """`kind: handshake` without `from` is the request, unless the actions can only act on the answer."""
    if not (reach & REQUEST and reach & RESPONSE):
        return reach
    on = [each.acts_on() for each in actions]
    if all(On.REQUEST in each for each in on):
        return reach & ~RESPONSE
    return reach & ~REQUEST if all(On.RESPONSE in each for each in on) else reach


def _known_at_opening(condition: Condition) -> bool:
    """Whether nothing in it needs a message."""
    return all(each.static or each.children() or isinstance(each, All) for each in condition.walk())


def _kind_for(can: int) -> str:
    for name, group in (("handshake", REQUEST | RESPONSE), ("open", OPEN), ("[text, binary]", DATA)):
        if can & group == can:
            return name
    return "any"


def _action_nodes(entries: Mapping[str, tuple[Scalar, Node]]) -> tuple[Node, ...]:
    if "then" not in entries:
        return ()
    node = entries["then"][1]
    return node.items if isinstance(node, Items) else (node,)


# ---------------------------------------------------------------------------------------------- actions


def read_actions(reading: Reading, node: Node, rule: str) -> tuple[Action, ...]:
    """`then`; mistakes are told, and such actions left out."""
    if not isinstance(node, Items):
        if isinstance(node, Scalar) and not node.empty:
            node = Items(node.place, (node,))
        else:
            hint = ": - in front of each" if isinstance(node, Pairs) else ""
            reading.say(node.place, f"then: a list of actions is wanted{hint}, not {kind_of(node)}")
            return ()
    found: list[Action] = []
    for at, item in enumerate(node.items):
        try:
            action = read_action(reading, item, rule)
        except Wrong as error:
            reading.wrong(error)
            continue
        except Told:
            continue
        found.append(action)
        if action.terminal and at + 1 < len(node.items):
            reading.say(
                node.items[at + 1].place,
                f"nothing can follow `{action.word}`: it is the last thing that happens to a message",
            )
    return tuple(found)


def read_action(reading: Reading, node: Node, rule: str) -> Action:
    """One action. Raises Wrong or Told."""
    if isinstance(node, Scalar):
        word, value = node, None
    elif isinstance(node, Pairs) and len(node.pairs) == 1:
        word, value = node.pairs[0]
    elif isinstance(node, Pairs) and node.pairs:
        word, value = node.pairs[0]
        extra = node.pairs[1][0]
        if word.text in ACTIONS and any(extra.text == each.name for each in ACTIONS[word.text].fields):
            raise Wrong(extra, f"{extra.text} belongs to `{word.text}`: indent it below that")
        raise Wrong(extra, "one action an item: put - before this one too")
    else:
        raise Wrong(node, f"an action is wanted, not {kind_of(node)}")
    kind = ACTIONS.get(word.text)
    if kind is None:
        raise Wrong(word, f"there is no action {word.text!r}{_action_hint(word.text)}")
    if kind.needs_python and not reading.allow_python:
        raise Wrong(word, f"`{word.text}` runs Python code that the file names: allow it with --allow-python")
    if isinstance(value, Scalar) and value.empty:
        value = None
    given = _action_values(reading, kind, word, value)
    try:
        return kind(rule, **given)
    except ValueError as error:
        raise Wrong(value or word, f"{word.text}: {error}") from None


_ACTION_HINTS = {
    "reject": "handshake",
    "modify": "set",
    "rewrite": "replace",
    "block": "drop",
    "log": "note",
    "inject": "send",
    "sleep": "delay",
    "disconnect": "close",
}


def _action_hint(word: str) -> str:
    meant = _ACTION_HINTS.get(word.lower())
    if meant in ACTIONS:
        return f"; did you mean {meant}?"
    return did_you_mean(word, ACTIONS)


def _action_values(reading: Reading, kind: type[Action], word: Scalar, value: Node | None) -> dict[str, Any]:
    """The fields of an action, converted, by the names that they have in Python."""
    fields = {each.name: each for each in kind.fields}
    told = len(reading.problems)
    given: dict[str, Any] = {}
    if value is None:
        pass
    elif isinstance(value, Pairs) and not kind.whole:
        for name, (key, node) in reading.entries(value, f"`{word.text}`", fields).items():
            try:
                given[fields[name].attribute] = values.read(reading, node, fields[name])
            except Wrong as error:
                reading.say(error.place, f"{key.text}: {error.text}")
            except Told:
                pass
    elif not kind.short:
        if not fields:
            raise Wrong(value, f"`{word.text}` takes nothing")
        raise Wrong(value, f"`{word.text}` takes a mapping of {', '.join(fields)}, not {kind_of(value)}")
    else:
        try:
            given[fields[kind.short].attribute] = values.read(reading, value, fields[kind.short])
        except Wrong as error:
            error.text = f"{word.text}: {error.text}"
            raise
    if len(reading.problems) > told:
        raise Told
    missing = [
        name for name, each in fields.items() if each.default is REQUIRED and each.attribute not in given
    ]
    if missing:
        example = f", such as {kind.example}" if kind.example else ""
        raise Wrong(value or word, f"`{word.text}` wants {' and '.join(missing)}{example}")
    return given
