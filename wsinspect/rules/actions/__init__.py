"""What a rule does: one action a file, each able to explain itself.

`ACTIONS` maps the words of YAML to the classes. An action changes the draft of a plan, and sees no socket.
"""

from __future__ import annotations

from wsinspect.rules.actions.append_value import AppendValue
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.close import CloseAction
from wsinspect.rules.actions.corrupt import Corrupt
from wsinspect.rules.actions.cut import CutAction
from wsinspect.rules.actions.delay import Delay
from wsinspect.rules.actions.drop import Drop
from wsinspect.rules.actions.duplicate import Duplicate
from wsinspect.rules.actions.fragment import Fragment
from wsinspect.rules.actions.hold import HoldAction
from wsinspect.rules.actions.merge import Merge
from wsinspect.rules.actions.no_capture import NoCapture
from wsinspect.rules.actions.note import Note
from wsinspect.rules.actions.payload import Payload
from wsinspect.rules.actions.python import Python
from wsinspect.rules.actions.redact import Redact
from wsinspect.rules.actions.redirect_to import RedirectTo
from wsinspect.rules.actions.reject import RejectAction
from wsinspect.rules.actions.remove_header import RemoveHeader
from wsinspect.rules.actions.remove_value import RemoveValue
from wsinspect.rules.actions.reorder import Reorder
from wsinspect.rules.actions.replace import Replace
from wsinspect.rules.actions.reply import Reply
from wsinspect.rules.actions.reset import ResetAction
from wsinspect.rules.actions.send import SendAction
from wsinspect.rules.actions.set_header import SetHeader
from wsinspect.rules.actions.set_value import SetValue
from wsinspect.rules.actions.slow import Slow
from wsinspect.rules.actions.stall import StallAction
from wsinspect.rules.actions.strip_extension import StripExtension
from wsinspect.rules.actions.tag import Tag
from wsinspect.rules.actions.throttle import ThrottleAction
from wsinspect.rules.actions.toxics.bandwidth import Bandwidth
from wsinspect.rules.actions.toxics.latency import Latency
from wsinspect.rules.actions.toxics.limit_data import LimitDataToxic
from wsinspect.rules.actions.toxics.reset_peer import ResetPeer
from wsinspect.rules.actions.toxics.slicer import Slicer
from wsinspect.rules.actions.toxics.slow_close import SlowCloseToxic
from wsinspect.rules.actions.toxics.timeout import Timeout

__all__ = ["ACTIONS", "GROUPS", "Action", "On"]

GROUPS: dict[str, tuple[type[Action], ...]] = {
    "Change what a message says": (SetValue, RemoveValue, AppendValue, Replace, Payload, Python),
    "Whether and when it arrives": (Drop, HoldAction, Delay, Reorder, Duplicate, ThrottleAction),
    "Change its frames": (Fragment, Merge, Corrupt),
    "Send something": (SendAction, Reply),
    "End the connection": (CloseAction, ResetAction, CutAction, StallAction),
    "What the capture has of it": (Tag, Note, Redact, NoCapture),
    "On the handshake": (RejectAction, SetHeader, RemoveHeader, StripExtension, RedirectTo, Slow),
    "toxiproxy's toxics": (
        Latency,
        Bandwidth,
        SlowCloseToxic,
        Timeout,
        ResetPeer,
        Slicer,
        LimitDataToxic,
    ),
}
"""In the order of the docs."""

ACTIONS: dict[str, type[Action]] = {each.word: each for group in GROUPS.values() for each in group}
