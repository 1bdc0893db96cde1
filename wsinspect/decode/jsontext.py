"""JSON laid out for reading, with each name, number and string as the peer wrote it."""

from __future__ import annotations

import json
import re

__all__ = ["pretty"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT = "  "
_GROWTH = 8
"""Times max_bytes that the layout may take: deep nesting of little is mostly indentation."""


def pretty(text: str, *, max_bytes: int = 1 << 20, max_depth: int = 100) -> str | None:
    """The JSON text with line breaks and indentation, or None.

    None where it is not JSON (RFC 8259; NaN and Infinity are let pass, since they are met), where it is
    longer than `max_bytes` in UTF-8 or nested deeper than `max_depth`, or where its layout would take over
    eight times `max_bytes`. Only white space changes: numbers keep their digits, doubled names stay. The
    result is not yet safe for a terminal: see `printable.clean`.
    """
    if len(text) > max_bytes or (not text.isascii() and len(text.encode(errors="replace")) > max_bytes):
        return None
    tokens = _TOKEN.findall(text)
    if not tokens or not _is_shallow(tokens, max_depth) or not _is_json(text):
        return None
    return _lay_out(tokens, max(max_bytes * _GROWTH, 1 << 16))


def _is_shallow(tokens: list[str], max_depth: int) -> bool:
    depth = 0
    for token in tokens:
        if token in ("{", "["):
            depth += 1
            if depth > max_depth:
                return False
        elif token in ("}", "]"):
            depth -= 1
    return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str)  # str: a number may have any number of digits
    except (ValueError, RecursionError):
        return False
    return True


def _lay_out(tokens: list[str], limit: int) -> str | None:
    out: list[str] = []
    size = 0
    line = "\n"
    previous = ""
    for token in tokens:
        if token in ("}", "]"):
            line = line[: -len(_INDENT)]
            piece = token if previous in ("{", "[") else line + token
        elif token in (",", ":"):
            piece = token
        elif previous in ("{", "[", ","):
            piece = line + token
        else:
            piece = f" {token}" if previous == ":" else token
        if token in ("{", "["):
            line += _INDENT
        out.append(piece)
        size += len(piece)
        if size > limit:
            return None
        previous = token
    return "".join(out)
