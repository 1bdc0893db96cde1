"""The colours: two themes of our own, and a palette of roles that the strips are painted with."""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

DARK = Theme(
    name="wsinspect",
    primary="#5cc8ff",
    secondary="#8b7dff",
    accent="#ffb454",
    foreground="#d6deeb",
    background="#0b0f16",
    surface="#10151e",
    panel="#161d29",
    success="#7ee2a8",
    warning="#ffb454",
    error="#ff6b7f",
    dark=True,
    variables={
        "line": "#253044",
        "line-focus": "#5cc8ff",
        "muted": "#7f8ea6",
        "faint": "#4d5a70",
        "cursor": "#1d3350",
        "cursor-blur": "#182131",
        "spark": "#4a86b8",
    },
)

LIGHT = Theme(
    name="wsinspect-light",
    primary="#0b6bcb",
    secondary="#6a4fd8",
    accent="#a85d00",
    foreground="#1d2733",
    background="#f6f7f9",
    surface="#ffffff",
    panel="#e9edf2",
    success="#117a46",
    warning="#a85d00",
    error="#c4213c",
    dark=False,
    variables={
        "line": "#cbd3de",
        "line-focus": "#0b6bcb",
        "muted": "#5b6878",
        "faint": "#98a3b2",
        "cursor": "#cfe4fb",
        "cursor-blur": "#e6ebf1",
        "spark": "#7fb0e0",
    },
)

CONNECTION_HUES = {
    True: ("#f7a8d8", "#7fd1b9", "#ffd580", "#9db8ff", "#ff9e80", "#b8e986", "#c6a5ff", "#6fd6e8"),
    False: ("#a8327e", "#0a7a68", "#8a5a00", "#2f55c7", "#b8421b", "#4a7a12", "#6a35b8", "#0c7387"),
}
"""A connection keeps its hue; the number beside it is what tells them apart."""


class Palette:
    """Rich styles by role, for one theme. Backgrounds are the widget's, except where they mean something."""

    def __init__(self, theme: Theme, *, colour: bool = True) -> None:
        variables = theme.variables
        self.colour = colour
        text = theme.foreground or ""
        muted, faint = variables.get("muted", text), variables.get("faint", text)
        client, server = theme.primary, theme.success or text
        warning, error, accent = theme.warning or text, theme.error or text, theme.accent or text
        plain: dict[str, Style] = {
            "text": Style(color=text),
            "strong": Style(color=text, bold=True),
            "muted": Style(color=muted),
            "faint": Style(color=faint),
            "accent": Style(color=accent),
            "accent-strong": Style(color=accent, bold=True),
            "client": Style(color=client),
            "server": Style(color=server),
            "ok": Style(color=server),
            "warning": Style(color=warning),
            "error": Style(color=error),
            "error-strong": Style(color=error, bold=True),
            "head": Style(color=faint),
            "title": Style(color=theme.primary, bold=True),
            "tab": Style(color=muted),
            "tab-on": Style(color=theme.background, bgcolor=theme.primary, bold=True),
            "pill": Style(color=theme.background, bgcolor=accent, bold=True),
            "chip-live": Style(color=theme.background, bgcolor=server, bold=True),
            "chip-idle": Style(color=text, bgcolor=variables.get("line"), bold=True),
            "chip-bad": Style(color=theme.background, bgcolor=error, bold=True),
            "thumb": Style(color=variables.get("faint")),
            "thumb-focus": Style(color=theme.primary),
            "cursor": Style(bgcolor=variables.get("cursor")),
            "cursor-blur": Style(bgcolor=variables.get("cursor-blur")),
            "spark": Style(color=variables.get("spark")),
            "kind-text": Style(color=text),
            "kind-binary": Style(color=theme.secondary),
            "kind-control": Style(color=muted),
            "kind-close": Style(color=warning, bold=True),
            "kind-fact": Style(color=accent),
            "json-key": Style(color=theme.primary),
            "json-string": Style(color=server),
            "json-number": Style(color=accent),
            "json-word": Style(color=theme.secondary),
            "json-mark": Style(color=muted),
        }
        for number, hue in enumerate(CONNECTION_HUES[theme.dark]):
            plain[f"conn-{number}"] = Style(color=hue)
        self._styles = plain if colour else {role: _uncoloured(role, style) for role, style in plain.items()}

    def __getitem__(self, role: str) -> Style:
        return self._styles[role]

    def connection(self, conn: int) -> Style:
        """The connection's own hue, for as long as it lives."""
        return self._styles[f"conn-{conn % len(CONNECTION_HUES[True])}"]


_REVERSED = {"cursor", "tab-on", "pill", "chip-live", "chip-idle", "chip-bad"}


def _uncoloured(role: str, style: Style) -> Style:
    """NO_COLOR: what had a background of its own is reversed, the rest keeps its weight."""
    if role == "cursor-blur":
        return Style(underline=True)
    return Style(bold=style.bold, reverse=role in _REVERSED)
