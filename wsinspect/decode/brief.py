"""A tree in one short line, for summaries."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["SUMMARY_CHARS", "brief", "shorten"]

SUMMARY_CHARS = 200

_MORE = "…"


def shorten(text: str, limit: int = SUMMARY_CHARS) -> str:
    """The text in one line of at most `limit` characters. Takes no longer for a longer text."""
    if len(text) <= limit and text.isprintable():
        return text
    line = " ".join(text[: 4 * limit].split())
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - 1] + _MORE


def brief(tree: Any, limit: int = SUMMARY_CHARS) -> str:
    """The tree like JSON in at most about `limit` characters; bytes as their number."""
    out: list[str] = []
    _put(tree, out, limit)
    return shorten("".join(out), limit)


def _put(node: Any, out: list[str], room: int) -> int:
    """Append the node's text. Returns the room that is left; where there is none, no more is looked at."""
    if isinstance(node, dict):
        return _put_all(node, "{}", out, room, is_dict=True)
    if isinstance(node, list | tuple):
        return _put_all(node, "[]", out, room, is_dict=False)
    text = _scalar(node, room)
    out.append(text)
    return room - len(text)


def _put_all(node: Any, brackets: str, out: list[str], room: int, *, is_dict: bool) -> int:
    out.append(brackets[0])
    room -= 2
    first = True
    for item in node:
        if room < 0:
            break
        if not first:
            out.append(",")
        room -= 1
        first = False
        if is_dict:
            name = _scalar(item, room)
            out.append(name + ":")
            room = _put(node[item], out, room - len(name) - 1)
        else:
            room = _put(item, out, room)
    out.append(brackets[1])
    return room


def _scalar(value: Any, room: int) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value[: max(room, 0) + 1], ensure_ascii=False)
        case bytes():
            return f"‹{len(value)} bytes›"
        case int():
            return str(value) if value.bit_length() < 1000 else "‹a large number›"
        case _:
            return str(value)
