"""What a rule does: one action a file, each able to explain itself.

`ACTIONS` maps the words of YAML to the classes. An action changes the draft of a plan, and sees no socket.
"""

from __future__ import annotations

from wsinspect.rules.actions.append_value import AppendValue
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.drop import Drop
from wsinspect.rules.actions.no_capture import NoCapture
from wsinspect.rules.actions.note import Note
from wsinspect.rules.actions.redact import Redact
from wsinspect.rules.actions.remove_value import RemoveValue
from wsinspect.rules.actions.set_value import SetValue
from wsinspect.rules.actions.tag import Tag

__all__ = ["ACTIONS", "Action", "On"]

_CLASSES: tuple[type[Action], ...] = (
    # change what the message says
    SetValue,
    RemoveValue,
    AppendValue,
    # whether it arrives
    Drop,
    # what the capture has of it
    Tag,
    Note,
    Redact,
    NoCapture,
)
"""In the order of the docs."""

ACTIONS: dict[str, type[Action]] = {each.word: each for each in _CLASSES}
