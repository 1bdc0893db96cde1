"""What files define, by name: taken from the nodes, before any rule is read.

So a rule that has a mistake still has its id and what it captures, and an unknown name is told together with
the mistake. Where something that defines names cannot be made out, nobody is told that a name is unknown: it
could be one of those.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsinspect.rules.marked import Items, Node, Pairs, Scalar, keys_of
from wsinspect.rules.reading import Defined, meant
from wsinspect.rules.rule_reading import FILE_FIELDS, RULE_HINTS, RULE_NAMES

_FILE_NAMES = [each.name for each in FILE_FIELDS]


def defined_by(root: Node | None) -> Defined:
    """The names of one file. None: a file that could not be read."""
    found = Defined()
    if not isinstance(root, Pairs):
        found.add(unclear())
        return found
    for key, value in root.pairs:
        match meant(key.text, _FILE_NAMES):
            case "rules":
                _rules(found, value)
            case "vars":
                found.vars.update(key.text for key in keys_of(value))
                found.values_unclear |= not isinstance(value, Pairs)
            case _:
                pass
    return found


def unclear() -> Defined:
    """What a file defines that nobody could read."""
    return Defined(ids_unclear=True, values_unclear=True)


def _rules(found: Defined, node: Node) -> None:
    if isinstance(node, Scalar) and node.empty:
        return
    if not isinstance(node, Items):
        found.add(unclear())
        return
    for item in node.items:
        _rule(found, item)


def _rule(found: Defined, node: Node) -> None:
    if not isinstance(node, Pairs):
        found.add(unclear())
        return
    ids = [value for value in _values(node, "id") if isinstance(value, Scalar) and not value.empty]
    found.rules += {each.text: each for each in reversed(ids)}.values()
    found.ids.update(each.text for each in ids)
    found.ids_unclear |= not ids
    for value in [*_values(node, "capture"), *_misplaced(node)]:
        found.captured.update(key.text for key in keys_of(value))
        found.values_unclear |= not isinstance(value, Pairs)


def _values(node: Pairs, name: str) -> Iterator[Node]:
    """What stands under that key, also where it is misspelt or comes twice."""
    return (value for key, value in node.pairs if meant(key.text, RULE_NAMES, RULE_HINTS) == name)


def _misplaced(node: Pairs) -> Iterator[Node]:
    """What stands under a `capture` that is an action or a condition, and should be neither."""
    for key, value in node.pairs:
        parts = value.items if isinstance(value, Items) else (value,)
        if key.text in ("when", "then"):
            for part in parts:
                if isinstance(part, Pairs):
                    yield from (each for name, each in part.pairs if name.text == "capture")
