"""The bar at the top (what is listening, where it is kept) and the two at the bottom (state, keys)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.strip import Strip
from textual.widget import Widget

from wsinspect.tui.cells import Span, number, plain, size, strip_of, width_of
from wsinspect.tui.source import Snapshot, Status
from wsinspect.tui.themes import Palette


class Bar(Widget):
    """One line: spans from the left, spans from the right, painted again only when they differ."""

    DEFAULT_CSS = """
    Bar {
        height: 1;
    }
    """

    def __init__(self, palette: Palette, **options: Any) -> None:
        super().__init__(**options)
        self.palette = palette
        self.left: list[tuple[str, str]] = []
        """Text and role."""
        self.right: list[tuple[str, str]] = []
        """Left out from its end where there is no room."""

    def put(self, left: list[tuple[str, str]], right: list[tuple[str, str]]) -> None:
        """Show these spans."""
        if (left, right) != (self.left, self.right):
            self.left, self.right = left, right
            self.refresh()

    def restyle(self, palette: Palette) -> None:
        """Other colours."""
        self.palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        left: list[Span] = [(plain(text), self.palette[role]) for text, role in self.left]
        right: list[Span] = [(plain(text), self.palette[role]) for text, role in self.right]
        used = sum(width_of(text) for text, _ in left)
        while right and used + sum(width_of(text) for text, _ in right) > width:
            right.pop(0)
        gap = width - used - sum(width_of(text) for text, _ in right)
        return strip_of(
            [*left, (" " * max(0, gap), self.palette["text"]), *right], width, under=self.rich_style
        )


CHIPS = {
    "live": (" ● LIVE ", "chip-live"),
    "file": (" ▤ FILE ", "chip-idle"),
    "ended": (" ○ PROXY GONE ", "chip-bad"),
}


class TopBar(Bar):
    """The name, whether traffic can still come, the listeners, the capture."""

    def show(self, status: Status) -> None:
        """Take over a status."""
        chip = CHIPS[status.source]
        left = [(" ◢◤ wsinspect ", "title"), chip, ("  ", "text")]
        for number_of, listener in enumerate(status.listeners):
            address, _, mode = listener.partition(" ")
            left += [
                ("  " if number_of else "", "text"),
                (address, "strong"),
                (f" {mode}" if mode else "", "muted"),
            ]
        name = status.capture.rsplit("/", 1)[-1]
        right = [(f"{name}  ", "muted"), (f"{size(status.capture_bytes)} ", "muted")] if name else []
        self.put(left, right)


class StatusBar(Bar):
    """Follow or paused, the scope, totals, the rate, and how far behind the screen is."""

    def show(self, snapshot: Snapshot, *, follow: bool, scope: str) -> None:
        """Take over a snapshot and the log's state."""
        status = snapshot.status
        chip = (" ▼ FOLLOW ", "chip-live") if follow else (" ‖ PAUSED ", "pill")
        left = [chip]
        if snapshot.held:
            left += [(" ", "text"), (f" ‖ {len(snapshot.held):,} HELD ", "pill")]
        if snapshot.rules.error:
            left += [(" ", "text"), (" ✗ RULES NOT LOADED ", "chip-bad")]
        elif snapshot.rules.shadow and snapshot.rules.rules:
            left += [(" ", "text"), (" ☾ SHADOW ", "chip-idle")]
        left.append((f"  {scope}  ", "text"))
        if status.behind_bytes > 1 << 16:
            left.append((f"⟳ {size(status.behind_bytes)} behind  ", "warning"))
        for _level, text in [n for n in status.notices if n[0] != "info"][-1:]:
            left.append((f"⚠ {text}", "warning"))
        right: list[tuple[str, str]] = []
        if status.violations:
            right.append((f"⚠ {number(status.violations)} violations   ", "error"))
        right += [
            (f"{status.frames:,} frames   ", "text"),
            (f"→ {size(status.wire_bytes[0])}  ", "client"),
            (f"← {size(status.wire_bytes[1])}   ", "server"),
            (f"{status.frames_per_s:,}/s ", "strong"),
        ]
        self.put(left, right)


class KeyBar(Bar):
    """The keys that matter where one is."""

    def show(self, keys: Sequence[tuple[str, str]]) -> None:
        """Key and word, the most important first; what does not fit is left out."""
        spans: list[tuple[str, str]] = [(" ", "text")]
        used = 1
        for key, word in keys:
            need = width_of(key) + width_of(word) + 3
            if used + need > self.size.width:
                break
            spans += [(key, "accent-strong"), (f" {word}  ", "muted")]
            used += need
        self.put(spans, [])
