"""Patterns over bytes, all of them RE2's: linear time in the payload, whatever the pattern.

Globs (`*` any run of characters, `?` one, `\\*` and `\\?` themselves) and hex patterns become RE2's too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2

MAX_PATTERN_CHARS = 4096
MAX_PROGRAM_BYTES = 8 << 20
MAX_UNION_BYTES = 32 << 20

type Pattern = Any
"""A compiled re2 pattern; the package has no types."""

type Searcher = Callable[[bytes], bool]
"""Whether a pattern is found in a payload."""

type Finder = Callable[[bytes], bytes | None]
"""The first bytes of a payload that a pattern fits."""

_HINTS = {
    "(?=": "; RE2 has no look-ahead",
    "(?!": "; RE2 has no look-ahead",
    "(?<": "; RE2 has no look-behind",
    "invalid escape sequence": "; RE2 has no back-references, and \\z stands for \\Z",
    "repetition size": "; RE2 repeats at most 1,000 times",
}


def _options(**values: Any) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    for name, value in values.items():
        setattr(options, name, value)
    return options


def compile_regex(text: str) -> Pattern:
    """A pattern that reads payloads as UTF-8. Raises ValueError with what RE2 says."""
    if len(text) > MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern of more than {MAX_PATTERN_CHARS:,} characters")
    try:
        return re2.compile(text.encode(), _options())
    except re2.error as error:
        said = str(error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error)
        hint = next((hint for sign, hint in _HINTS.items() if sign in said), "")
        raise ValueError(f"not a regular expression of RE2: {said}{hint}") from None


def compile_union(text: str) -> Pattern:
    """Several patterns as one that only says yes or no. Raises ValueError where RE2 takes no more."""
    try:
        return re2.compile(text.encode(), _options(never_capture=True, max_mem=MAX_UNION_BYTES))
    except re2.error as error:
        raise ValueError(str(error)) from None


def compile_bytes(pattern: bytes) -> Pattern:
    """A pattern of ours whose `.` is any one byte."""
    return re2.compile(pattern, _options(encoding=re2.Options.Encoding.LATIN1, dot_nl=True))


def searcher(pattern: Pattern) -> Searcher:
    """A fast yes or no. The wrapper's own `search` takes twice as long: it makes a match object each time."""
    anchor = getattr(re2, "_Anchor", None)
    inner = getattr(pattern, "_regexp", None)
    if anchor is None or inner is None:
        return lambda payload: pattern.search(payload) is not None
    match, unanchored = inner.Match, anchor.UNANCHORED
    return lambda payload: bool(match(unanchored, payload, 0, len(payload))[0][0] >= 0)


def finder(pattern: Pattern) -> Finder:
    """As `searcher`, with what was found."""
    anchor = getattr(re2, "_Anchor", None)
    inner = getattr(pattern, "_regexp", None)
    if anchor is None or inner is None:
        return lambda payload: None if (found := pattern.search(payload)) is None else bytes(found[0])
    match, unanchored = inner.Match, anchor.UNANCHORED

    def find(payload: bytes) -> bytes | None:
        start, end = match(unanchored, payload, 0, len(payload))[0]
        return payload[start:end] if start >= 0 else None

    return find


_ANCHORED = re.compile(r"\^([\w/:]+)(?![\w/:?*{])")


def regex_start(text: str) -> str:
    """What all that the pattern is found in begins with, where that is plain to see."""
    found = None if "|" in text else _ANCHORED.match(text)
    return found[1] if found else ""


# ------------------------------------------------------------------------------------------------- globs


def is_glob(text: str) -> bool:
    """Whether a bare text is meant as a glob."""
    return "*" in text or "?" in text


def glob_parts(text: str) -> list[str]:
    """The glob's pieces: literal text, and `*` and `?` as pieces of their own; a backslash makes them text.

    A literal piece never begins with `*` or `?` unless a NUL stands before it, which is not part of it.
    """
    parts: list[str] = []
    literal: list[str] = []
    at = 0

    def flush() -> None:
        if literal:
            text = "".join(literal)
            parts.append("\0" + text if text[0] in "*?\0" else text)
            literal.clear()

    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            literal.append(text[at + 1])
            at += 1
        elif char in "*?":
            flush()
            if char == "?" or parts[-1:] != ["*"]:
                parts.append(char)
        else:
            literal.append(char)
        at += 1
    flush()
    return parts


def glob_literals(text: str) -> list[str]:
    """The texts that all must occur in what the glob matches."""
    return [part.removeprefix("\0") for part in glob_parts(text) if part not in ("*", "?")]


def glob_start(text: str) -> str:
    """What all that the glob matches begins with."""
    first = next(iter(glob_parts(text)), "*")
    return "" if first in ("*", "?") else first.removeprefix("\0")


def glob_regex(text: str, *, fold: bool = False) -> Pattern:
    """The glob as a pattern over the whole of a text. Raises ValueError for one that is too long."""
    signs = {"*": ".*", "?": "."}
    body = "".join(signs.get(part) or re2.escape(part.removeprefix("\0")) for part in glob_parts(text))
    return compile_regex(f"(?s{'i' if fold else ''})\\A{body}\\z")


# --------------------------------------------------------------------------------------------------- hex

_HEX = re.compile(r"[0-9a-fA-F?]")


def hex_pattern(text: str) -> tuple[bytes, bytes | None]:
    """`de ad ?? e?` as an RE2 pattern over bytes, and as the bytes themselves where nothing is open.

    Raises ValueError.
    """
    digits = text.replace(" ", "").replace("\n", "").replace(":", "").removeprefix("0x")
    wrong = next((char for char in digits if not _HEX.match(char)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no hex digit; a byte is two of them, or ?? for any")
    if len(digits) % 2 or not digits:
        raise ValueError("a byte is two hex digits, or ?? for any" + (": one is missing" if digits else ""))
    if len(digits) > 2 * MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern of more than {MAX_PATTERN_CHARS:,} bytes")
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    exact = bytes.fromhex(digits) if "?" not in digits else None
    return b"".join(map(_pair, pairs)), exact


def _pair(pair: str) -> bytes:
    high, low = pair[0], pair[1]
    if pair == "??":
        return b"."
    if high == "?":
        return b"[" + b"".join(b"\\x%x%s" % (nibble, low.encode()) for nibble in range(16)) + b"]"
    if low == "?":
        return b"[\\x%s0-\\x%sf]" % (high.encode(), high.encode())
    return b"\\x" + pair.encode()
