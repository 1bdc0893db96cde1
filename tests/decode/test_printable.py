from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsinspect.decode.printable import clean

HARMLESS = (
    "plain text, {json: [1]}",
    "grüße, señor, Ελληνικά, русский, עברית, العربية",
    "日本語テキスト 한국어 中文",
    "e\u0301 is é",
    "हिन्दी ไทย",
    "→ × ✓ €",
    "😀👍🏽",
)
HOSTILE = [*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x180E]
HOSTILE += [
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0x2800,
    0x3164,
    0xFEFF,
    0xFFA0,
]
HOSTILE += [*range(0xFFF0, 0xFFFC), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000), 0xE000, 0xF8FF, 0xFDD0]
HOSTILE += [0x1D173, 0x1FFFE, *range(0xE0000, 0xE0080), 0xE0100, 0xE01EF, 0xF0000, 0x10FFFF]
BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize("text", ["", *HARMLESS])
def test_what_is_plainly_visible_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\r\n", "a⇥b⏎c␍⏎"),
        ("\x00\x07\x08\x1b[31m\x7f", "␀␇␈␛[31m␡"),
        ("\x9b31m", "�31m"),
        ("one\x85two\u2028three\u2029", "one␤two␤three␤"),
        ("user\u202egnp.exe", "user⇄gnp.exe"),
        ("a\u200bb\ufeff", "a⍽b⍽"),
        ("\ud800", "�"),
        ("\ue000\U0010ffff", "��"),
        ("hi\U000e0041", "hi⍽"),
        ("❤\ufe0f", "❤"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("\ufe0f", "⍽"),
        ("x\ufe0f\ufe0f", "x⍽"),
        ("👨\u200d👩", "👨⍽👩"),
        ("\u0301x", "◌\u0301x"),
        ("\n\u0301x", "⏎◌\u0301x"),
        ("z" + "\u0301" * 50 + "a", "z" + "\u0301" * 3 + "⍽a"),
    ],
)
def test_what_is_not_gets_a_glyph(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_newline_and_tab_as_asked() -> None:
    assert clean("a\n\tb", newline="\n", tab="    ") == "a\n    b"
    assert clean("ä\n\tb", newline="\n", tab="    ") == "ä\n    b"


def test_every_hostile_character_alone_and_inside() -> None:
    for code in HOSTILE:
        char = chr(code)
        for text in (char, f"a{char}b", f"é{char}é"):
            shown = clean(text)
            assert char not in shown or char in text.replace(char, ""), hex(code)
            assert_safe(shown)


def assert_safe(text: str) -> None:
    marks = 0
    for char in text:
        code = ord(char)
        assert code >= 0x20
        assert not 0x7F <= code < 0xA0
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"), hex(code)
        assert (
            not unicodedata.bidirectional(char).endswith(("E", "O", "I", "PDF", "PDI")) or char.isprintable()
        )
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        assert marks <= 3
    assert not text or unicodedata.category(text[0]) not in ("Mn", "Me")


ANYTHING = st.text(
    st.characters() | st.sampled_from([chr(code) for code in HOSTILE]) | st.sampled_from("\u0301\u0489")
)


@given(ANYTHING)
@example("a" + "\u0301" * 9)
def test_the_result_is_safe_and_cleaning_it_again_changes_nothing(text: str) -> None:
    shown = clean(text)
    assert_safe(shown)
    assert clean(shown) == shown


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_ascii_has_its_own_way_to_the_same_result(text: str) -> None:
    assert clean(text) + "é" == clean(text + "é")


@given(st.text(st.characters(categories=["L", "N", "P", "Sm", "Sc", "Zs"], max_codepoint=0x10FF)))
def test_letters_are_left_alone(text: str) -> None:
    assert clean(text) == text
