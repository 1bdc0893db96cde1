"""Strategies: JSON as any peer may write it, trees, and edits of trees."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

SPACES = st.sampled_from(["", "", "", " ", "\n  ", "\t", "\r\n"])
NAMES = st.sampled_from(["a", "b", "id", "é", "", "a b"])
NUMBERS = st.sampled_from(
    ["0", "-0", "0.0", "-0.0", "1", "1.0", "1.50", "1e2", "1E+2", "100.0", "12345678901234567890", "1e400",
     "0.1", "0.10000000000000000555", "-7", "3.14159265358979323846", "9" * 30]
)  # fmt: skip
TEXTS = st.text(max_size=6) | st.sampled_from(["é", "\u2028", "a/b", "\x7f", "}]", '"', "\\"])


@st.composite
def strings(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> str:
    text = json.dumps(draw(texts), ensure_ascii=draw(st.booleans()))
    return text.replace("/", "\\/") if draw(st.booleans()) else text


SCALARS = NUMBERS | strings() | st.sampled_from(["true", "false", "null"])


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=5))
    spaced = [draw(SPACES) + item + draw(SPACES) for item in items]
    return "[" + (",".join(spaced) or draw(SPACES)) + "]"


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Names may stand twice."""
    members = draw(st.lists(st.tuples(strings(NAMES), inner), max_size=5))
    spaced = [
        f"{draw(SPACES)}{name}{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}" for name, value in members
    ]
    return "{" + (",".join(spaced) or draw(SPACES)) + "}"


VALUES = st.recursive(SCALARS, lambda inner: _arrays(inner) | _objects(inner), max_leaves=12)
CONTAINERS = _arrays(VALUES) | _objects(VALUES)


@st.composite
def json_texts(draw: st.DrawFn, values: st.SearchStrategy[str] = VALUES) -> str:
    return draw(SPACES) + draw(values) + draw(SPACES)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@st.composite
def edited(draw: st.DrawFn, tree: Any, values: st.SearchStrategy[Any] = TREES, edits: int = 3) -> Any:
    """The tree with some places set, removed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(0, edits))):
        nodes = list(containers(tree))
        if not nodes:
            return draw(values)
        node = draw(st.sampled_from(nodes))
        if isinstance(node, dict):
            name = draw(st.sampled_from(list(node)) if node and draw(st.booleans()) else NAMES)
            if name in node and draw(st.booleans()):
                del node[name]
            else:
                node[name] = draw(values)
        else:
            at = draw(st.integers(0, len(node)))
            match draw(st.sampled_from(["insert", "set", "delete", "swap"])):
                case "insert":
                    node.insert(at, draw(values))
                case "set":
                    node[at : at + 1] = [draw(values)]
                case "delete":
                    del node[at : at + 1]
                case _:
                    node.reverse()
    return tree


def containers(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from containers(child)
