"""JSON-RPC 2.0 (jsonrpc.org/specification): what a JSON tree is as a call, an answer, or a batch of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from wsinspect.decode.brief import brief, shorten

__all__ = ["Call", "classify", "summary"]

MAX_BATCH_IDS = 100
"""A batch of more has no id: it would be too long to pair by."""

_SHOWN_KINDS = 8


class Call(NamedTuple):
    kind: str
    """The method, `result`, `error` or `batch`."""
    id: str | None
    answers: bool


def classify(tree: Any) -> Call | None:
    """None where it is not JSON-RPC 2.0."""
    if isinstance(tree, dict):
        return _one(tree) if tree.get("jsonrpc") == "2.0" else None
    if isinstance(tree, list) and tree and isinstance(tree[0], dict) and tree[0].get("jsonrpc") == "2.0":
        return _batch(tree)
    return None


def summary(tree: Any) -> str:
    """`subtract 3 [42,23]`, `result 3 19`, `error 3 -32601 Method not found`, `batch of 2: sum, notify`."""
    if isinstance(tree, list):
        calls = filter(None, map(_one, tree[:_SHOWN_KINDS]))
        return shorten(f"batch of {len(tree)}: " + ", ".join(shorten(call.kind, 40) for call in calls))
    call = _one(tree)
    if call is None:
        return brief(tree)
    words = [shorten(call.kind, 60)]
    if call.id is not None:
        words.append(shorten(call.id, 40))
    if not call.answers:
        words += [brief(tree["params"], 120)] if "params" in tree else []
    else:
        words.append(_error(tree["error"]) if call.kind == "error" else brief(tree["result"], 120))
    return " ".join(words)


def _one(tree: Any) -> Call | None:
    if not isinstance(tree, dict):
        return None
    method = tree.get("method")
    if isinstance(method, str):
        return Call(method, _id(tree), False)
    if tree.get("error") is not None:  # some servers send both, one of them null
        return Call("error", _id(tree), True)
    if "result" in tree:
        return Call("result", _id(tree), True)
    return None


def _id(tree: dict[str, Any]) -> str | None:
    """Section 4: a string or a number; none at all on a notification, null where it could not be read."""
    number = tree.get("id")
    if isinstance(number, str):
        return number
    if isinstance(number, int | float) and not isinstance(number, bool):
        return brief(number, 40)
    return None


def _error(error: Any) -> str:
    """Section 5.1."""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return f"{brief(error.get('code'), 20)} {shorten(error['message'], 120)}"
    return brief(error, 120)


def _batch(tree: list[Any]) -> Call | None:
    """Section 6: the answers may come in any order, so the id is of all questions, sorted."""
    calls = [call for call in map(_one, tree[: MAX_BATCH_IDS + 1]) if call is not None]
    if not calls:
        return None
    ids = sorted(call.id for call in calls if call.id is not None)
    number = ",".join(ids) if ids and len(tree) <= MAX_BATCH_IDS else None
    return Call("batch", number, all(call.answers for call in calls))
