"""What files define, by name: taken from the nodes, before any rule is read.

So a rule that has a mistake still has its id and what it captures, and an unknown name is told together with
the mistake. Where something that defines names cannot be made out, nobody is told that a name is unknown: it
could be one of those.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsinspect.rules.marked import Items, Node, Pairs, Scalar, keys_of
from wsinspect.rules.reading import Defined, meanings
from wsinspect.rules.rule_reading import FILE_FIELDS, RULE_HINTS, RULE_NAMES

_FILE_NAMES = [each.name for each in FILE_FIELDS]


def defined_by(root: Node | None) -> Defined:
    """The names of one file, also of what stands under a key that means nothing. None: it was not read."""
    found = Defined()
    if not isinstance(root, Pairs):
        found.add(unclear())
        return found
    meant = meanings(root, _FILE_NAMES)
    for name, (_, value) in zip(meant, root.pairs, strict=True):
        if name == "rules" or (not name and isinstance(value, Items) and "rules" not in meant):
            _rules(found, value)
        elif name == "vars" or (not name and isinstance(value, Pairs)):
            found.vars.update(key.text for key in keys_of(value))
            found.values_unclear |= not isinstance(value, Pairs)
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
    meant = meanings(node, RULE_NAMES, RULE_HINTS)
    values = [(name, value) for name, (_, value) in zip(meant, node.pairs, strict=True)]
    ids = [each for name, each in values if name == "id" and isinstance(each, Scalar) and not each.empty]
    found.rules += {each.text: each for each in reversed(ids)}.values()
    found.ids.update(each.text for each in ids)
    found.ids_unclear |= not ids
    captures = [value for name, value in values if name == "capture"]
    captures += [value for name, value in values if not name and isinstance(value, Pairs)]
    for value in [*captures, *_misplaced(node)]:
        found.captured.update(key.text for key in keys_of(value))
        found.values_unclear |= not isinstance(value, Pairs)


def _misplaced(node: Pairs) -> Iterator[Node]:
    """What stands under a `capture` that is an action or a condition, and should be neither."""
    for key, value in node.pairs:
        parts = value.items if isinstance(value, Items) else (value,)
        if key.text in ("when", "then"):
            for part in parts:
                if isinstance(part, Pairs):
                    yield from (each for name, each in part.pairs if name.text == "capture")
