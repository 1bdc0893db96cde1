"""The examples of docs/decoders.md are what the decoders say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsinspect.decode import limits
from wsinspect.decode.brief import SUMMARY_CHARS
from wsinspect.decode.registry import decoder_for
from wsinspect.model import Opcode, Side

PAGE = (Path(__file__).parents[2] / "docs" / "decoders.md").read_text()


def examples() -> Iterator[tuple[str, str | None, list[str]]]:
    """URL, subprotocol, cells."""
    for found in re.finditer(r"<!-- examples: (\S+) ?(\S*) -->\n\n((?:\|.*\n)+)", PAGE):
        for row in found[3].splitlines()[2:]:
            cells = [cell.strip().strip("`") for cell in re.split(r"(?<= )\|(?= )", row[1:-1])]
            yield found[1], found[2] or None, cells


@pytest.mark.parametrize(("url", "subprotocol", "cells"), list(examples()))
def test_examples(url: str, subprotocol: str | None, cells: list[str]) -> None:
    message, tree, kind, id_, summary = cells
    decoder = decoder_for(url, subprotocol)
    found = decoder.decode(Side.SERVER, Opcode.TEXT, message.encode())
    assert found is not None
    assert found.tree == json.loads(tree)
    assert (found.kind or "", found.id or "", found.summary) == (kind, id_, summary)


def test_there_are_examples() -> None:
    assert len(list(examples())) > 15


def test_the_edit_that_is_shown() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    before, after = (line.split("     ")[0] for line in block.splitlines())
    decoder = decoder_for("wss://example.com/")
    found = decoder.decode(Side.SERVER, Opcode.TEXT, before.encode())
    assert found is not None
    assert decoder.encode(found, found.tree | {"name": "ü"}).decode() == after


def test_the_limits() -> None:
    assert limits.MAX_BYTES == 16 << 20
    for number in (limits.MAX_DEPTH, limits.MAX_VALUES, limits.MAX_MSGPACK_VALUES, SUMMARY_CHARS):
        assert re.search(rf"\| {number:,}( characters)? \|", PAGE), number
