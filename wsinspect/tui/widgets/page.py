"""A page of the detail pane: its lines, by number, for the width that they are asked with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wsinspect.tui.cells import plain, width_of

type Line = list[tuple[str, str]]
"""Text (not yet cleaned) and role."""


@dataclass(slots=True)
class Page:
    """A tab: its lines by number, for the width they are asked with."""

    name: str
    layout: Callable[[int], int]
    """Prepare for a width; how many lines there are."""
    line: Callable[[int], Line]


LABEL = 13


def pair(name: str, value: str, role: str = "text") -> Line:
    """A value under its label."""
    return [(name.ljust(LABEL), "muted"), (value, role)]


def wrapped(name: str, lines: Sequence[Line]) -> Page:
    """A page whose long lines go on, indented under their label where they have one."""
    shown: list[Line] = []

    def layout(cells: int) -> int:
        shown.clear()
        for line in lines:
            shown.extend(_wrap(line, max(8, cells)))
        return len(shown)

    return Page(name, layout, lambda index: shown[index])


def _wrap(line: Line, cells: int) -> list[Line]:
    """Break a line at the width, hard, as the payload must stay readable byte by byte."""
    out: list[Line] = []
    current: Line = []
    room = cells
    indent = LABEL if len(line) == 2 and len(line[0][0]) == LABEL and cells > 3 * LABEL else 0
    for raw, role in line:
        text = plain(raw)
        while True:
            head = text[:room]
            while width_of(head) > room:
                head = head[:-1]
            if len(head) == len(text):
                break
            current.append((head, role))
            text = text[len(head) :]
            out.append(current)
            current = [(" " * indent, role)] if indent else []
            room = cells - indent
        current.append((text, role))
        room -= width_of(text)
    out.append(current)
    return out
