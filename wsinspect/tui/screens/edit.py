"""The payload of a held message, to be read and written anew before it goes on.

Whoever writes should not lose the message meanwhile: its time limit begins anew when the field opens, and
with each key in it. Whoever walks away presses no key, and the default is taken as ever.

What a terminal could obey, or a text field would change, is edited as bytes in hex.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from wsinspect.decode.printable import clean
from wsinspect.errors import WsinspectError
from wsinspect.model import Opcode, opcode_word
from wsinspect.tui.cells import plain, size, span
from wsinspect.tui.ruling import HeldRow
from wsinspect.tui.screens.listing import put
from wsinspect.tui.source import Source
from wsinspect.tui.themes import Palette

EDITED_BYTES = 256 << 10
"""The largest payload that is edited here."""
JSON_CHECKED = 64 << 10
"""Characters up to which each key stroke is followed by a look whether it is JSON."""
TICK_S = 0.25
WAIT_S = 0.5
"""At most so often the proxy is asked to begin a limit anew, but for limits of a few seconds."""


class EditScreen(ModalScreen[None]):
    """A text field over a held message; ctrl+s lets it go on as it stands there."""

    DEFAULT_CSS = """
    EditScreen { align: center middle; background: $background 60%; }
    EditScreen > Vertical {
        width: 96%; max-width: 130; height: 90%;
        background: $panel; border: round $accent; border-title-color: $accent; border-title-style: bold;
        border-subtitle-color: $muted;
        padding: 0 1;
    }
    EditScreen Static { height: auto; }
    EditScreen TextArea, EditScreen TextArea:focus { height: 1fr; border: none; padding: 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", "send", priority=True),
        Binding("escape", "dismiss(None)", "cancel", priority=True),
    ]

    def __init__(self, source: Source, palette: Palette, held: HeldRow) -> None:
        super().__init__()
        self.source = source
        self.palette = palette
        self.held = held
        """As last shown."""
        self.gone = False
        """It is not held any more."""
        self.in_hex = False
        """The field has bytes in hex."""
        self.was_json = False
        self._sending = False
        self._asked_s = 0.0
        self._asking = False
        """For more time; a proxy that does not answer is asked once."""

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = plain(f"Held {self.held.name}").replace("[", r"\[")
            yield Static("", id="about", markup=False)
            yield TextArea("", soft_wrap=True, id="payload")
            yield Static("", id="state", markup=False)

    def on_mount(self) -> None:
        self.field.disabled = True
        self.run_worker(self._fetch(), name="fetch")
        self.tick()
        self.wait_longer()
        self.set_interval(TICK_S, self.tick)

    @property
    def field(self) -> TextArea:
        return self.query_one("#payload", TextArea)

    async def _fetch(self) -> None:
        payload = await asyncio.to_thread(self.source.held_payload, self.held)
        if payload is None:
            self.say("the payload cannot be had here; release or drop it as it is")
            return
        if len(payload) > EDITED_BYTES:
            self.say(f"{size(len(payload))} are too much for this field: wsinspect ctl hold edit reads stdin")
            return
        text = _as_text(self.held.opcode, payload)
        self.in_hex = text is None
        self.was_json = text is not None and json_state(text) == "JSON"
        self.field.text = as_hex(payload) if text is None else text
        self.field.disabled = False
        self.field.focus()
        self.look()
        self.tick()

    def tick(self) -> None:
        """How long there is still time, and what can be done; and what goes on behind."""
        snapshot = self.source.snapshot()
        found = next((each for each in snapshot.held if each.name == self.held.name), None)
        self.gone = found is None
        self.held = held = found or self.held
        what = f"{held.side.word}'s {opcode_word(held.opcode)}, {size(held.size)}, held by {held.rule}: "
        if self.gone:
            end = self.source.hold_end(held)
            what += "it is not held any more" + (f"; {end}" if end else "")
        else:
            what += f"{span(held.left_ns(snapshot.now_ns))} left, then {held.default}"
        put(self.query_one("#about", Static), plain(what))
        self.query_one(Vertical).border_subtitle = self._keys()
        self.field.read_only = self.gone
        for screen in self.app.screen_stack[1:-1]:
            screen.refresh()  # the screens between here and the main one keep what they have drawn of that

    def _keys(self) -> str:
        if self.gone:
            return "too late to send it · esc closes"
        return "esc leaves it held" if self.field.disabled else "ctrl+s sends it · esc leaves it held"

    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def wait_longer(self) -> None:
        """Somebody is at it: the text has changed, or the cursor has moved."""
        left_s = self.held.left_ns(self.source.snapshot().now_ns) / 1e9
        now_s = time.monotonic()
        if self.gone or self._asking:
            return
        if now_s - self._asked_s >= min(WAIT_S, left_s / 4):
            self._asked_s, self._asking = now_s, True
            self.run_worker(self._wait_longer(), name="wait")

    async def _wait_longer(self) -> None:
        try:
            await asyncio.to_thread(self.source.resolve_hold, self.held, "wait")
        except WsinspectError:
            pass  # it is over already, or the proxy is older than this: the time that is left stands above
        finally:
            self._asking = False

    def say(self, sentence: str) -> None:
        """A line below the field."""
        put(self.query_one("#state", Static), plain(sentence))

    @on(TextArea.Changed)
    def look(self) -> None:
        """Whether it is what it was: JSON, or bytes in hex."""
        text = self.field.text
        if self.in_hex:
            try:
                self.say(f"bytes in hex: {size(len(bytes.fromhex(text)))}")
            except ValueError:
                self.say("⚠ these are not bytes in hex")
        elif self.was_json and len(text) <= JSON_CHECKED:
            state = json_state(text)
            self.say("JSON" if state == "JSON" else f"⚠ it was JSON and is not any more: {state}")
        else:
            self.say(f"text, {size(len(text.encode(errors='replace')))}")

    def action_send(self) -> None:
        if self.gone:
            self.say("✗ too late: it is not held any more")
        elif not self.field.disabled and not self._sending:
            self.run_worker(self._send(), name="send")

    async def _send(self) -> None:
        """Stays open where it does not go, so that what was written is not lost."""
        text = self.field.text
        try:
            payload = bytes.fromhex(text) if self.in_hex else text.encode()
        except ValueError:
            self.say("⚠ these are not bytes in hex" if self.in_hex else "⚠ this text cannot be put in UTF-8")
            return
        self._sending = True
        try:
            await asyncio.to_thread(self.source.resolve_hold, self.held, "edit", payload)
        except WsinspectError as error:
            self.say(f"✗ {error}")
            return
        finally:
            self._sending = False
        self.notify(f"{self.held.name} went on as you wrote it", markup=False)
        self.dismiss(None)


def _as_text(opcode: int, payload: bytes) -> str | None:
    """The payload as text where a text field shows it as it is, and gives it back as it was."""
    if opcode != Opcode.TEXT:
        return None
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if clean(text, newline="\n", tab="\t") == text else None


def as_hex(payload: bytes) -> str:
    """Sixteen bytes a line."""
    return "\n".join(payload[at : at + 16].hex(" ") for at in range(0, len(payload), 16))


def json_state(text: str) -> str:
    """`JSON`, or where it stops being it."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg}, line {error.lineno} column {error.colno}"
    except (ValueError, RecursionError):
        return "too deep, or a number too long"
    return "JSON"
