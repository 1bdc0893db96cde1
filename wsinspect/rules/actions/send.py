"""`send`: frames of our own, to either side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wsinspect.model import Side
from wsinspect.model.plans import Send, StopSending
from wsinspect.rules.actions import words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.actions.content import (
    BASE64_FIELD,
    HEX_FIELD,
    JSON_FIELD,
    PING_FIELD,
    PONG_FIELD,
    Content,
)
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.turn import Turn

_serial = itertools.count(1)


class SendAction(Action):
    word = "send"
    doc = (
        "Send something to one side, as if the other side had. It goes out at the next boundary between "
        "messages. With `every` it is repeated, up to `times`, until a message meets `until`, or to the end "
        "of the connection; each time it is filled in anew, with what holds then. While it is being "
        "repeated, another match does not start it again."
    )
    example = "send: {to: server, json: {type: heartbeat}, every: 10s, until: {from: server, text: bye}}"
    fields = (
        Field("to", Type.SIDE, "Who gets it."),
        Field("text", Type.TEMPLATES, "A text message, or several, sent in turn.", None),
        JSON_FIELD,
        BASE64_FIELD,
        HEX_FIELD,
        PING_FIELD,
        PONG_FIELD,
        Field("after", Type.DURATION, "How long after the match.", 0.0, low=0),
        Field("every", Type.DURATION, "Repeat it, so long after the last time.", None, low=1),
        Field("times", Type.INT, "How often in all; of several texts, how often all of them.", None, low=1),
        Field(
            "until",
            Type.CONDITION,
            "The first message of either side that meets it ends the repeating.",
            None,
        ),
    )
    on = On.TRAFFIC

    to: Side
    after: float
    every: float | None
    times: int | None
    until: Any

    def check(self) -> None:
        name = words.exactly_one(self, "text", "json", "base64", "hex", "ping", "pong")
        self._contents = Content.all_of(self, name)
        if not self._contents:
            raise ValueError("nothing to send: the list of texts is empty")
        for other in ("times", "until"):
            if getattr(self, other) is not None and self.every is None:
                raise ValueError(f"`{other}` belongs to `every`, which is missing")
        self._key = f"{self.rule}.{next(_serial)}"

    def explain(self) -> str:
        what = words.listed(content.explain() for content in self._contents)
        text = f"send {what} to the {self.to.word}{words.later(self.after)}"
        if self.every is None:
            return text
        text += f", every {words.duration(self.every)}"
        if self.times is not None:
            text += f", {words.times(self.times)} in all"
        return text + (
            f", until a message comes that meets ({words.condition(self.until)})"
            if self.until is not None
            else ""
        )

    def apply(self, turn: Turn) -> str:
        if self.is_running(turn):
            return ""
        turn.effects += tuple(self._sends(turn))
        if self.every is not None:
            ends_ns = turn.now_ns + self._lasts_ms() * 1e6
            turn.memory(self).update(ends_ns=ends_ns, key=self._key)  # after a reload, the key is another
        return f"send {words.listed(content.explain() for content in self._contents)} to the {self.to.word}"

    def _sends(self, turn: Turn) -> list[Send]:
        """One effect for each payload; with `every` they take turns."""
        every, count = self.every or 0.0, len(self._contents)
        times = 1 if self.every is None else self.times
        sends = [
            Send(
                self.rule,
                self.to,
                int(content.opcode),
                content.render(turn),
                after_ms=self.after + number * every,
                every_ms=every * count if times != 1 else 0.0,
                times=times,
                key=self._key,
            )
            for number, content in enumerate(self._contents)
        ]
        if times == 1:
            return sends
        return [
            _renewed(send, content.later(turn, self.rule))
            for send, content in zip(sends, self._contents, strict=True)
        ]

    def _lasts_ms(self) -> float:
        if self.times is None:
            return math.inf
        return self.after + (self.every or 0.0) * (self.times * len(self._contents) - 1)

    @property
    def stop_condition(self) -> Any:
        return self.until

    def is_running(self, turn: Turn) -> bool:
        ends_ns = turn.memory(self).get("ends_ns")
        return ends_ns is not None and turn.now_ns < ends_ns

    def stop(self, turn: Turn) -> str:
        memory = turn.memory(self)
        memory.pop("ends_ns", None)
        turn.effects += (StopSending(memory.pop("key", self._key)),)
        return f"stop sending to the {self.to.word}"


def _renewed(send: Send, render: Callable[[int], bytes | None] | None) -> Send:
    """The same, filled in anew for each repetition."""
    if render is None:
        return send

    def again(now_ns: int) -> Send | None:
        payload = render(now_ns)
        return None if payload is None else replace(send, payload=payload, again=again)

    return replace(send, again=again)
