"""What the editors of JSON and MessagePack share: is it the same on the wire, and which item was which."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from wsinspect.decode.limits import MAX_DEPTH

__all__ = ["SCALARS", "align", "check_depth", "same"]

SCALARS = frozenset((str, int, float, bool, type(None)))
"""Of JSON."""

_CONTAINERS = (dict, list, tuple)
_MAX_CONTAINERS = 8 << 20


def same(old: Any, new: Any) -> bool:
    """Whether both are one value on the wire: True, 1 and 1.0 are three, and so are 0.0 and -0.0 two.

    Recursion goes no deeper than `old`, which was decoded.
    """
    if isinstance(old, dict):
        return (
            isinstance(new, dict)
            and len(old) == len(new)
            and all(name in new and same(value, new[name]) for name, value in old.items())
        )
    if isinstance(old, list):
        return isinstance(new, list | tuple) and len(old) == len(new) and all(map(same, old, new))
    if type(old) is not type(new):
        return False
    return repr(old) == repr(new) if isinstance(old, float) else bool(old == new)


def align(old: list[Any], new: list[Any]) -> list[int | None]:
    """For each new item the old one from which it is best made, in rising order; None: it is new.

    Any answer is right, since what differs is written anew; a good one keeps the bytes of items that moved
    because others were inserted or removed. Linear in the sizes.
    """
    limit = min(len(old), len(new))
    head = 0
    while head < limit and same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < limit - head and same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    middle = _align_middle(old[head : len(old) - tail], new[head : len(new) - tail])
    return [
        *range(head),
        *(None if index is None else head + index for index in middle),
        *range(len(old) - tail, len(old)),
    ]


def _align_middle(old: list[Any], new: list[Any]) -> list[int | None]:
    if len(old) == len(new):
        return [*range(len(old))]
    places: dict[str, list[int]] = defaultdict(list)  # of each old item, the next one last
    for index in reversed(range(len(old))):
        places[repr(old[index])].append(index)
    found: list[int | None] = []
    free = 0  # the first old item that is not behind us
    for item in new:
        indexes = places.get(repr(item), [])
        while indexes and indexes[-1] < free:
            indexes.pop()
        found.append(indexes.pop() if indexes else None)
        free = free if found[-1] is None else found[-1] + 1
    return _pair_rest(found, len(old))


def _pair_rest(found: list[int | None], total: int) -> list[int | None]:
    """Between two items that were found, the others pair up in their order."""
    ends: list[int] = []  # for each new item, the old one that the next found item is
    end = total
    for index in reversed(found):
        ends.append(end)
        end = end if index is None else index
    free = 0
    for at, (index, end) in enumerate(zip(found, reversed(ends), strict=True)):
        if index is None and free < end:
            found[at] = index = free
        free = free if index is None else index + 1
    return found


def check_depth(tree: Any, limit: int = MAX_DEPTH) -> None:
    """Raise ValueError where the tree is nested deeper than `limit` or in itself, or grows past measure.

    It does where an item stands in many places, as YAML's aliases let it.
    """
    level = [tree]
    total = 0
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, _CONTAINERS)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return
        total += len(level)
        if total > _MAX_CONTAINERS:
            raise ValueError("the tree is too large")
    raise ValueError(f"the tree is nested deeper than {MAX_DEPTH}, or in itself")
