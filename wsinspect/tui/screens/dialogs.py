"""What stands above the main screen for a moment: the question before leaving, and the help."""

from __future__ import annotations

import enum
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from wsinspect.tui.themes import Palette


class Leaving(enum.Enum):
    """What happens to the proxy when the screen goes."""

    KEEP = "keep"
    STOP = "stop"


class QuitDialog(ModalScreen[Leaving | None]):
    """Asked where connections live: the traffic is somebody's session."""

    DEFAULT_CSS = """
    QuitDialog { align: center middle; background: $background 60%; }
    QuitDialog > Vertical {
        width: 64; max-width: 100%; height: auto;
        background: $panel; border: round $accent; border-title-color: $accent; border-title-style: bold;
        padding: 1 2;
    }
    QuitDialog Static { margin-bottom: 1; }
    QuitDialog OptionList, QuitDialog OptionList:focus {
        height: auto; background: $panel; border: none; padding: 0;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "answer('keep')", "keep running"),
        Binding("s", "answer('stop')", "stop"),
        Binding("escape,c,q", "dismiss(None)", "cancel"),
    ]

    def __init__(self, live: int) -> None:
        super().__init__()
        self.live = live

    def compose(self) -> ComposeResult:
        words = "1 connection is" if self.live == 1 else f"{self.live} connections are"
        with Vertical() as box:
            box.border_title = "Leave wsinspect"
            yield Static(f"{words} open through the proxy.", markup=False)
            yield OptionList(
                Option(Text("k  keep the proxy running; `wsinspect attach` returns"), id="keep"),
                Option(Text("s  stop the proxy and end them"), id="stop"),
                Option(Text("c  cancel"), id="cancel"),
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(None if event.option_id == "cancel" else Leaving(event.option_id))

    def action_answer(self, answer: str) -> None:
        self.dismiss(Leaving(answer))


HELP: list[tuple[str, list[tuple[str, str]]]] = [
    (
        "Move",
        [
            ("j k  ↓ ↑", "one row"),
            ("ctrl+f ctrl+b", "one page"),
            ("g  G", "first row, tail"),
            ("tab", "next pane"),
            ("h l  ← →  1…9", "tabs of the detail"),
        ],
    ),
    (
        "Watch",
        [
            ("space  p", "pause, follow"),
            ("enter", "only this connection; read this frame"),
            ("esc", "back; all connections"),
            ("t", "the time: of day, since start, a step"),
        ],
    ),
    (
        "Rules",
        [
            ("R", "rules: space on/off, r load anew"),
            ("H", "held: r release, e edit, d drop, w wait"),
        ],
    ),
    ("Else", [("T", "dark, light"), ("?", "this help"), ("q", "quit")]),
]

SIGNS = [
    ("→ client  ← server", "who sent it"),
    ("≡ text  ▦ binary  ┄ cont", "data frames"),
    ("◇ ping  ◆ pong  ■ close", "control frames"),
    ("● open  ○ closed  ✗ dropped", "dropped: an end without Close"),
    ("⚠", "a violation: the detail has its section"),
    ("≠ replaced  ✎ modified", "a rule changed it; what went instead"),
    ("✗ dropped  ◷ delayed  ‖ held", "what a rule kept back"),
    ("✚ injected  ⊕ duplicate", "what wsinspect sent itself"),
    ("§  ⚑ tag  ☾ shadow  ░ redacted", "hits, tags, only recorded, hidden"),
]


class HelpScreen(ModalScreen[None]):
    """The keys and the signs."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > VerticalScroll {
        width: 92; max-width: 100%; height: auto; max-height: 100%;
        background: $panel; border: round $primary; border-title-color: $primary; border-title-style: bold;
        padding: 0 2; scrollbar-size-vertical: 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter,space", "dismiss(None)", "close"),
        Binding("j,down", "scroll(1)", "down"),
        Binding("k,up", "scroll(-1)", "up"),
    ]

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.palette = palette

    def compose(self) -> ComposeResult:
        text = Text()
        for title, keys in [*HELP, ("Signs", SIGNS)]:
            text.append(f"{title}\n", self.palette["title"])
            for key, words in keys:
                text.append(f"  {key:<32}", self.palette["accent"])
                text.append(f"{words}\n", self.palette["text"])
        text.rstrip()
        with VerticalScroll() as box:
            box.border_title = "wsinspect"
            box.border_subtitle = "j k scroll · esc closes"
            yield Static(text, markup=False)

    def on_mount(self) -> None:
        self.app.clear_notifications()

    def action_scroll(self, step: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=step, animate=False)
