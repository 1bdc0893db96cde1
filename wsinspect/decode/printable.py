"""Text of peers made safe to show: the one function through which every character goes before a terminal.

A payload may hold escape sequences (ESC, U+009B), characters that turn the line around (bidi controls), that
cannot be seen (zero width, tags, fillers), or that pile up on others (combining marks). Each of them becomes
a glyph that can be seen and takes one cell:

    C0, DEL         ␀ … ␟ ␡, a tab ⇥, a line feed ⏎ (or as asked)
    U+0085, U+2028  ␤          line and paragraph separators, beside the line feed
    bidi controls   ⇄
    invisible       ⍽          zero width, fillers, tags, variation selectors, the rest of a pile of marks
    all else        �          C1, lone surrogates, private use, unassigned
"""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["clean"]

REPLACEMENT = "�"
INVISIBLE = "⍽"
BIDI = "⇄"
LINE_END = "␤"
BASE = "◌"
"""Carries a mark that has no character to stand on, so that it does not stand on ours."""

MARKS_KEPT = 3
"""Combining marks on one character: three are enough for any language, and for no mischief."""

_PRESENTATION = "\ufe0e\ufe0f"  # text or emoji style of the character before

_LINE_ENDS = "\x85\u2028\u2029"
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties, less the bidi controls; the interlinear
# annotation controls; and the blank of braille, which passes for a space.
_INVISIBLE_RANGES = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLE_RANGES}]")
_JAMO_RANGES = "\u1160-\u11ff\ud7b0-\ud7ff"  # vowels and finals, which join the syllable before them
_JAMO = re.compile(f"[{_JAMO_RANGES}]")
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARK_CATEGORIES = frozenset({"Mn", "Me"})
_CONTROLS = frozenset(map(chr, [*range(0x20), 0x7F]))


def clean(text: str, *, newline: str = "⏎", tab: str = "⇥") -> str:
    """The text with every character that is not plainly visible replaced by a glyph of one cell.

    `newline` and `tab` stand for line feed and tab: `newline="\\n"` keeps the lines of a text shown as such.
    The result has no other line break, control or invisible character; its length may differ.
    """
    if text.isascii():
        if text.isprintable():
            return text
        for char in _CONTROLS.intersection(text):  # ten times as fast as str.translate
            text = text.replace(char, newline if char == "\n" else tab if char == "\t" else str(_glyph(char)))
        return text
    return _special().sub(lambda run: _replace(run[0], run.start() > 0, newline, tab), text)


@functools.cache
def _special() -> re.Pattern[str]:
    """Runs of characters that want a look, told from the others at about 10 ns a character.

    Made at the first text that is not ASCII (a few ms). Beyond the BMP all do: there `re` has no bitmap.
    """
    wanted = _UNSEEN_CATEGORIES | _MARK_CATEGORIES
    category = unicodedata.category
    found = "".join(char for char in map(chr, range(0x10000)) if category(char) in wanted)
    return re.compile(f"[{re.escape(found)}{_INVISIBLE_RANGES}{_JAMO_RANGES}\U00010000-\U0010ffff]+")


def _replace(run: str, has_base: bool, newline: str, tab: str) -> str:
    """The stand-in for a run of special characters; `has_base` if an ordinary character stands before it."""
    out: list[str] = []
    marks = 0
    styled = False
    for char in run:
        if char in _PRESENTATION and has_base and not styled:
            styled = True  # it has no cell of its own, and the terminal's idea of its effect may not be ours
        elif _is_mark(char):
            if not has_base:
                out.append(BASE)
                has_base = True
            marks += 1
            if marks <= MARKS_KEPT:
                out.append(char)
            elif marks == MARKS_KEPT + 1:
                out.append(INVISIBLE)
        else:
            glyph = newline if char == "\n" else tab if char == "\t" else _glyph(char)
            out.append(char if glyph is None else glyph)
            has_base = glyph is None
            marks = 0
            styled = False
    return "".join(out)


@functools.lru_cache(maxsize=4096)
def _is_mark(char: str) -> bool:
    if _INVISIBLE.match(char):
        return False
    return unicodedata.category(char) in _MARK_CATEGORIES or _JAMO.match(char) is not None


@functools.lru_cache(maxsize=4096)
def _glyph(char: str) -> str | None:
    """What stands for the character, or None where it can stand for itself."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if char in _LINE_ENDS:
        return LINE_END
    if _BIDI.match(char):
        return BIDI
    if _INVISIBLE.match(char):
        return INVISIBLE
    return REPLACEMENT if unicodedata.category(char) in _UNSEEN_CATEGORIES else None
