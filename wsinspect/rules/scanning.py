"""One pass over a payload for all the byte strings and patterns without which rules cannot match."""

from __future__ import annotations

from collections.abc import Iterable

import re2

from wsinspect.rules import regexes
from wsinspect.rules.conditions.base import Needles
from wsinspect.rules.regexes import Pattern, Searcher

MAX_SCAN_BYTES = 16 << 10
"""Of all that is searched for: rules beyond that are tested message by message."""

BACKSLASH = b"\\"


class Scan:
    """The search, and which needles it looks for."""

    def __init__(self, wanted: Iterable[Needles | None]) -> None:
        self._texts: set[bytes] = set()
        self._patterns: set[str] = set()
        self._escapes = False
        needles = [each for each in wanted if each is not None]
        # Patterns are of UTF-8, and so must the byte strings beside them be.
        patterned = all(_is_utf8(text) for each in needles for text in each.texts)
        for each in needles:
            if patterned or not each.patterns:
                self._add(each)
        self.found: Searcher | None = self._compiled()
        """Whether a payload has any of them, or a backslash that could spell one; None: there are none."""

    def _add(self, needles: Needles) -> None:
        texts, patterns = self._texts | needles.texts, self._patterns | needles.patterns
        if sum(map(len, texts)) + sum(map(len, patterns)) <= MAX_SCAN_BYTES:
            self._texts, self._patterns = texts, patterns
            self._escapes |= needles.in_tree

    def covers(self, needles: Needles | None) -> bool:
        """Whether a payload in which the scan finds nothing has none of these."""
        return (
            self.found is not None
            and needles is not None
            and needles.texts <= self._texts
            and needles.patterns <= self._patterns
            and (self._escapes or not needles.in_tree)
        )

    def _compiled(self) -> Searcher | None:
        texts = self._texts | ({BACKSLASH} if self._escapes else set())
        if len(texts) == 1 and not self._patterns:
            (only,) = texts
            return lambda payload: only in payload
        if not texts and not self._patterns:
            return None
        literals = b"|".join(map(re2.escape, sorted(texts)))
        if not self._patterns:
            return _searcher(regexes.compile_bytes(literals), texts)
        patterns = [f"(?:{each})" for each in sorted(self._patterns)]
        try:
            union = regexes.compile_union("|".join([*patterns, literals.decode()] if texts else patterns))
        except ValueError:
            self._patterns = set()  # together they are too much for RE2; each rule searches for its own
            return self._compiled()
        return _searcher(union, texts)


def _searcher(pattern: Pattern, texts: set[bytes]) -> Searcher:
    """Looks first for the text that it found last: a feed's messages have the same names, and RE2 takes ten
    times as long."""
    find = regexes.finder(pattern)
    likely = b""

    def search(payload: bytes) -> bool:
        nonlocal likely
        if likely and likely in payload:
            return True
        found = find(payload)
        if found in texts:
            likely = found
        return found is not None

    return search


def fits(wanted: Iterable[Needles | None]) -> bool:
    """Whether all of them are looked for in one pass."""
    needles = [each for each in wanted if each is not None]
    texts = {text for each in needles for text in each.texts}
    patterns = {text for each in needles for text in each.patterns}
    return sum(map(len, texts)) + sum(map(len, patterns)) <= MAX_SCAN_BYTES


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
