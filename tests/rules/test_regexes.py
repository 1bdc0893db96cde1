"""Globs and hex patterns against slow but plain ways to match them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsinspect.rules import regexes

LETTERS = "ab*?\\é\n."


def plain_glob(pattern: list[str], text: str) -> bool:
    """By the definition of `*` and `?`."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return any(plain_glob(rest, text[at:]) for at in range(len(text) + 1))
    if head == "?":
        return bool(text) and plain_glob(rest, text[1:])
    return text.startswith(head[-1]) and plain_glob(rest, text[1:])


def tokens(glob: str) -> list[str]:
    found, at = [], 0
    while at < len(glob):
        if glob[at] == "\\" and glob[at + 1 : at + 2] in ("*", "?", "\\"):
            found.append("\\" + glob[at + 1])
            at += 2
        else:
            found.append(glob[at])
            at += 1
    return found


@given(st.text(LETTERS, max_size=6), st.text(LETTERS, max_size=6))
def test_globs(glob: str, text: str) -> None:
    matches = regexes.searcher(regexes.glob_regex(glob))(text.encode())
    assert matches == plain_glob(tokens(glob), text)
    if matches:
        assert all(literal in text for literal in regexes.glob_literals(glob))


nibbles = st.sampled_from("0123456789abcdefABCDEF?")


@given(st.lists(st.tuples(nibbles, nibbles), min_size=1, max_size=4), st.binary(max_size=6))
def test_hex_patterns(pairs: list[tuple[str, str]], payload: bytes) -> None:
    text = " ".join(map("".join, pairs))
    pattern, exact = regexes.hex_pattern(text)

    def fits(pair: tuple[str, str], byte: int) -> bool:
        return all(want in ("?", has) for want, has in zip("".join(pair).lower(), f"{byte:02x}", strict=True))

    plain = any(
        all(fits(pair, byte) for pair, byte in zip(pairs, payload[at : at + len(pairs)], strict=True))
        for at in range(len(payload) - len(pairs) + 1)
    )
    assert regexes.searcher(regexes.compile_bytes(pattern))(payload) == plain
    if exact is not None:
        assert plain == (exact in payload)


def test_the_wrapper_is_the_fallback_of_the_fast_search() -> None:
    class Other:
        def __init__(self) -> None:
            self._pattern = regexes.compile_regex("b+")

        def search(self, payload: bytes) -> object:
            return self._pattern.search(payload)

    for pattern in (Other(), regexes.compile_regex("b+")):
        found = regexes.searcher(pattern)
        assert found(b"abbc")
        assert not found(b"ac")


def test_patterns_read_utf8() -> None:
    found = regexes.searcher(regexes.compile_regex("^a.c$"))
    assert found("aéc".encode())
    assert not found(b"a\xc3c")
