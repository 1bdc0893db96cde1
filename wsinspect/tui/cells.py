"""Text on its way into cells: everything that reaches a strip goes through `plain` or `fit` first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from wsinspect.decode.printable import clean

type Span = tuple[str, Style]
"""Plain, cleaned text and its style."""


def plain(text: str) -> str:
    """Text that is safe to write to a terminal: one line, no control characters. Never markup."""
    return text if text.isascii() and text.isprintable() else clean(text)


def width_of(text: str) -> int:
    """Terminal cells of a cleaned text."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cleaned, and made exactly `width` cells: padded, or cut with an ellipsis."""
    if width <= 0:
        return ""
    text = plain(text[: 4 * width + 8])  # what lies far behind the edge need not be cleaned
    cells = width_of(text)
    if cells > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cells)
    return padding + text if right else text + padding


def strip_of(spans: Iterable[Span], width: int, *, under: Style | None = None) -> Strip:
    """A strip of exactly `width` cells; `under` is laid beneath the spans' own styles."""
    segments = [Segment(text, style) for text, style in spans if text]
    strip = Strip(segments).adjust_cell_length(width).simplify()
    return strip.apply_style(under) if under is not None else strip


def size(nbytes: int) -> str:
    """`64 B`, `1.4 KiB`, `12 MiB`: at most seven cells."""
    if nbytes < 1000:
        return f"{nbytes} B"
    value = float(nbytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 9.95:
            return f"{value:.1f} {unit}"
        if value < 999.5:
            return f"{value:.0f} {unit}"
    return f"{value:.0f} PiB"


def number(value: int) -> str:
    """`999`, `1.2k`, `34k`, `5.6M`: at most four cells."""
    if value < 1000:
        return str(value)
    scaled = float(value)
    for unit in "kMGT":
        scaled /= 1000
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5:
            return f"{scaled:.0f}{unit}"
    return f"{scaled:.0f}P"


def span(ns: int) -> str:
    """A length of time: `320 ms`, `4.2 s`, `3m07s`, `2h05m`, `9d04h`."""
    seconds = max(0, ns) / 1e9
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def age(ns: int) -> str:
    """`span` in whole seconds, so that it changes once a second at most."""
    return span(ns) if ns >= 59_950_000_000 else f"{max(0, ns) // 1_000_000_000}s"


def wall(wall_ns: int) -> str:
    """`12:34:56.789`, local time."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03}"


def since(ns: int) -> str:
    """`+0.123`, `+65.432`: seconds, twelve cells at most."""
    sign = "-" if ns < 0 else "+"
    return f"{sign}{abs(ns) / 1e9:,.3f}"


_BARS = " ▁▂▃▄▅▆▇"


def sparkline(values: Sequence[int], width: int) -> str:
    """The last `width` values as bars; a value above zero is never invisible."""
    values = values[-width:]
    peak = max(values, default=0)
    bars = "".join(_BARS[0] if v <= 0 else _BARS[max(1, round(v * 7 / peak))] for v in values)
    return bars.rjust(width)
