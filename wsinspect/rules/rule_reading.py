"""Rules and files, read: each key by its declared type, each action by its class."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wsinspect.errors import did_you_mean
from wsinspect.rules import values
from wsinspect.rules.actions import ACTIONS, Action, On
from wsinspect.rules.conditions import CONDITIONS, All, Condition, From, KindIs
from wsinspect.rules.fields import REQUIRED, Field, Type
from wsinspect.rules.marked import Items, Node, Pairs, Place, Scalar, keys_of, kind_of, written
from wsinspect.rules.reach import (
    CONTROL,
    DATA,
    EVERYWHERE,
    FRAMES,
    OPEN,
    REQUEST,
    RESPONSE,
    Kind,
    reach_of,
    sides_in,
)
from wsinspect.rules.reach import reach as reach_from
from wsinspect.rules.reach import words as reach_words
from wsinspect.rules.reading import Reading, Told, Wrong, meanings
from wsinspect.rules.rule import RULE_FIELDS, Often, Rule, ordinal
from wsinspect.rules.template import Expression

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

RULE_NAMES = [each.name for each in RULE_FIELDS]
RULE_HINTS = {
    **{name: f"; it belongs under then: [{name}: …]" for name in ACTIONS if name not in RULE_NAMES},
    **{name: f"; it belongs under when: {{{name}: …}}" for name in CONDITIONS if name not in RULE_NAMES},
    **dict.fromkeys(("if", "match", "condition", "conditions"), "; write when"),
    **dict.fromkeys(("do", "action", "actions"), "; write then"),
    "name": "; write id",
    "probability": "; write chance",
    "toxicity": "; write chance, or toxicity within the action",
    "times": "; write limit or first",
    "disabled": "; write enabled: false",
}


def read_rule(reading: Reading, node: Node, file: int) -> Rule | None:
    """The rule, or None where something about it is wrong; that is told, all of it."""
    told, asked = len(reading.problems), len(reading.asked)
    try:
        entries = reading.entries(node, "a rule", RULE_NAMES, RULE_HINTS)
    except Wrong as error:
        reading.wrong(error)
        return None
    found, partial = _read_fields(reading, entries)
    _check_keys(reading, node, entries, found)
    actions = read_actions(reading, entries["then"][1], found.get("id", "")) if "then" in entries else ()
    often = Often(**{name: found[name] for name in _OFTEN if name in found})
    _check_often(reading, often, entries)
    condition: Condition = found.get("when") or partial or All(())
    place = entries["when"][0].place if "when" in entries else node.place
    unread = "when" in entries and "when" not in found
    partly = unread or any(key.text not in RULE_NAMES for key in keys_of(node))
    reaches = _reach(reading, condition, actions, place, partly=partly)
    if reaches is not None:
        seen = reaches[0] if len(reading.problems) == told else condition.reach
        _check_places(reading, reading.asked[asked:], seen)
    if reaches is None or len(reading.problems) > told:
        return None
    return Rule(
        id=found["id"],
        place=node.place,
        condition=condition,
        reach=reaches[0],
        narrow=reaches[1],
        actions=tuple(action for action, _ in actions),
        captures=found.get("capture") or {},
        often=often,
        stop=found.get("stop", False),
        enabled=found.get("enabled", True),
        description=found.get("description", ""),
        file=file,
        written=written(node),
    )


_OFTEN = ("chance", "after", "first", "every", "limit")


def _check_keys(
    reading: Reading, node: Node, entries: Mapping[str, tuple[Scalar, Node]], found: Mapping[str, Any]
) -> None:
    """An id that is one, and something to do; an unknown key may be meant as either."""
    given = meanings(node, RULE_NAMES, RULE_HINTS)
    keys = [key.text for key in keys_of(node)]
    unknown = not all(meant or key in RULE_HINTS for key, meant in zip(keys, given, strict=True))
    if "id" not in given and not unknown:
        reading.say(node.place, "a rule wants an id: write id: NAME")
    elif "id" in found and not _ID.fullmatch(found["id"]):
        place = entries["id"][1].place
        reading.say(place, f"{found['id']!r} is no id: letters, digits, _, . and -, at most 100 of them")
    acts = "then" in given or unknown or any(key in ACTIONS for key in keys)
    if not acts and ("capture" not in given or found.get("capture") == {}):
        hint = "" if "when" in given else " and when: {…}"
        reading.say(node.place, f"a rule wants then: [ACTION, …]{hint}; then: [] only counts its matches")


def _check_places(reading: Reading, asked: Sequence[tuple[Place, Expression]], seen: int) -> None:
    """A `{{$.a}}` needs a message."""
    if seen & FRAMES:
        return
    for place, expression in asked:
        if not expression.name:
            reading.say(
                place, f"{{{{{expression.source}}}}}: the rule sees no message that it could come from"
            )


def _read_fields(
    reading: Reading, entries: Mapping[str, tuple[Scalar, Node]]
) -> tuple[dict[str, Any], Condition | None]:
    """All but the actions: the values that are there and right, by name; what is wrong is told.

    The second one: of a `when` that is wrong, the conditions that are right.
    """
    found: dict[str, Any] = {}
    partial: Condition | None = None
    for field in RULE_FIELDS:
        if field.name not in entries or field.type is Type.ACTIONS:
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
        except Told as error:
            partial = error.partial if field.type is Type.CONDITION else partial
    return found, partial


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
    actions: Sequence[tuple[Action, Node]],
    place: Place,
    *,
    partly: bool,
) -> tuple[int, int] | None:
    """Where the rule matches: what `when` leaves and its actions can act on. None, and told: nowhere.

    The second one is where those of its actions act that need not act everywhere. `partly`: the rule has more
    conditions, which could not be read.
    """
    if reason := condition.never() or ("" if condition.reach else "its conditions exclude each other"):
        reading.say(place, f"this can never match: {reason}")
        return None
    explicit = partly or any(isinstance(each, KindIs) for each in condition.walk())
    reach, wide, stuck = condition.reach, 0, False
    for action, node in actions:
        can = _can(action)
        left = condition.reach if action.everywhere else reach
        if not can & left:
            reading.say(node.place, _cannot_act(action, left, explicit))
            stuck = True
        elif action.everywhere:
            wide |= can & left
        elif not explicit:
            reach &= can
    if stuck:
        return None
    others = tuple(action for action, _ in actions if not action.everywhere)
    narrow = 0 if wide and not others else _narrow(condition, reach, others, explicit)
    if not narrow | wide:
        reading.say(place, "this can never match: its conditions exclude each other")
        return None
    return narrow | wide, narrow


def _can(action: Action) -> int:
    return reach_of(action.acts_on()) & reach_from(Kind, action.acts_on_sides())


def _cannot_act(action: Action, left: int, explicit: bool) -> str:
    can = _can(action)
    if reach_of(action.acts_on()) & left:
        (here,), (there,) = sides_in(left), sides_in(can)
        hint = f"; write {action.other_side}" if action.other_side else ""
        acts = f"it acts on what the {there.word} sends{hint}"
        return f"`{action.word}` can never act on what the {here.word} sends: {acts}"
    wanted = f"; write kind: {_kind_for(can)}" if explicit and can & EVERYWHERE else ""
    return f"`{action.word}` cannot act on {reach_words(left)}: it acts on {reach_words(can)}{wanted}"


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


# ---------------------------------------------------------------------------------------------- actions


def read_actions(reading: Reading, node: Node, rule: str) -> tuple[tuple[Action, Node], ...]:
    """`then`, each action with its place; mistakes are told, and such actions left out."""
    if not isinstance(node, Items):
        if isinstance(node, Scalar) and not node.empty:
            node = Items(node.place, (node,))
        else:
            hint = ": - in front of each" if isinstance(node, Pairs) else ""
            reading.say(node.place, f"then: a list of actions is wanted{hint}, not {kind_of(node)}")
            return ()
    found: list[tuple[Action, Node]] = []
    last: type[Action] | None = None
    for at, item in enumerate(node.items):
        try:
            action = read_action(reading, item, rule)
            if last is None:
                found.append((action, item))
        except Wrong as error:
            reading.wrong(error)
        except Told:
            pass
        kind = ACTIONS.get(_word(item))
        if last is None and kind is not None and kind.terminal:
            last = kind
            for behind in node.items[at + 1 : at + 2]:
                why = f"nothing can follow `{kind.word}`: it is the last thing that happens to a message"
                reading.say(behind.place, why)
    return tuple(found)


def _word(item: Node) -> str:
    """What an item of `then` names."""
    return item.text if isinstance(item, Scalar) else next((key.text for key in keys_of(item)), "")


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
    asked = len(reading.asked)
    given = _action_values(reading, kind, word, value)
    try:
        made = kind(rule, **given)
    except ValueError as error:
        raise Wrong(value or word, f"{word.text}: {error}") from None
    known = [each for _, each in reading.asked[asked:]]
    reading.ask(word, (each for each in made.expressions() if each not in known))  # of a file that it names
    return made


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
    if word in RULE_NAMES:
        return f"; `{word}` stands beside `then`, not in it"
    if word in CONDITIONS:
        return f"; it belongs under when: {{{word}: …}}"
    meant = _ACTION_HINTS.get(word.lower())
    if meant in ACTIONS:
        return f"; did you mean {meant}?"
    return did_you_mean(word, ACTIONS)


_SYNONYMS = {
    "for": ("by", "limit"),
    "time": ("by", "limit", "for"),
    "timeout": ("limit", "after"),
    "code": ("status",),
    "status": ("code",),
    "pattern": ("regex",),
    "replacement": ("with",),
    "message": ("text",),
    "repeat": ("every",),
    "interval": ("every",),
    "count": ("times",),
    "side": ("to", "from"),
}
"""What people write for fields of actions."""


def _field_hints(fields: Collection[str]) -> dict[str, str]:
    return {
        word: f"; write {next(each for each in meant if each in fields)}"
        for word, meant in _SYNONYMS.items()
        if word not in fields and any(each in fields for each in meant)
    }


def _action_values(reading: Reading, kind: type[Action], word: Scalar, value: Node | None) -> dict[str, Any]:
    """The fields of an action, converted, by the names that they have in Python."""
    fields = {each.name: each for each in kind.fields}
    told = len(reading.problems)
    given: dict[str, Any] = {}
    there: set[str] = set()
    if value is None:
        pass
    elif isinstance(value, Pairs) and not kind.whole:
        there = {*meanings(value, fields, _field_hints(fields))}
        for name, (key, node) in reading.entries(
            value, f"`{word.text}`", fields, _field_hints(fields)
        ).items():
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
        there = {kind.short}
        try:
            given[fields[kind.short].attribute] = values.read(reading, value, fields[kind.short])
        except Wrong as error:
            error.text = f"{word.text}: {error.text}"
            raise
    missing = [f"`{name}`" for name, each in fields.items() if each.default is REQUIRED and name not in there]
    if missing and "" not in there:
        example = f", such as {kind.example}" if kind.example else ""
        raise Wrong(value or word, f"`{word.text}` wants {' and '.join(missing)}{example}")
    if len(reading.problems) > told:
        raise Told
    return given
