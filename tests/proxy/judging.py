"""A script for `wsinspect proxy -s`: every connection has a judge that does what messages ask for.

A message `late …` is delayed, `hold …` is held, and so on (`LINES`). By paths a test speaks to the relay:

/judging/release?TARGET   release hold 1 of the connection to that target; edit and drop likewise
/judging/state?TARGET     what is held, who is read, how much waits
"""

from __future__ import annotations

import json
import os
from typing import Any

from mitmproxy import ctx, http

from wsinspect.model import Frame, Message, RuleHit, Side
from wsinspect.model.plans import (
    Close,
    Cut,
    Effect,
    Fate,
    Hold,
    LimitData,
    Plan,
    Reset,
    Send,
    SlowClose,
    Stall,
    Throttle,
    Watch,
)
from wsinspect.proxy import relays
from wsinspect.relay import slow
from wsinspect.relay.commands import DropHeld, Edit, Release
from wsinspect.relay.session import Session

slow.KEPT_LIMIT = 4 << 20


def _plan(*effects: Effect, **values: Any) -> Plan:
    return Plan((RuleHit("asked", ("as asked",)),), effects=effects, **values)


LINES = {
    b"late": _plan(delay_ms=200),
    b"hold": _plan(hold=Hold("asked", 60_000)),
    b"soon": _plan(hold=Hold("asked", 300)),
    b"drop": _plan(fate=Fate.DROP),
    b"swap": _plan(payload=b"swapped, for plain words"),
    b"reset": _plan(Reset("asked")),
    b"lone": _plan(Reset("asked", (Side.SERVER,))),
    b"close": _plan(Close("asked", 1012, "restart")),
    b"cut": _plan(Cut("asked", 4)),
    b"stall": _plan(Stall("asked")),
    b"timeout": _plan(Stall("asked", then_fin_ms=200)),
    b"reply": _plan(Send("asked", Side.CLIENT, 1, b"answer"), fate=Fate.DROP),
    b"beat": _plan(Send("asked", Side.SERVER, 9, b"beat", every_ms=20, times=3)),
    b"throttle": _plan(Throttle("asked", Side.CLIENT, 100_000.0)),
    b"limit": _plan(LimitData("asked", Side.CLIENT, 10)),
    b"slow": _plan(SlowClose("asked", Side.CLIENT, 300.0)),
    b"hide": _plan(captured=b"hidden"),
}


class Asked:
    """Does what messages ask for."""

    def watch(self, side: Side) -> Watch:
        return Watch(data=True, private=True)

    def opened(self, now_ns: int) -> None: ...

    def replaced(self, now_ns: int) -> None: ...

    def message(self, message: Message, now_ns: int) -> Plan | None:
        word = message.payload.split(b" ")[0]
        if word == b"boom":
            raise RuntimeError("sabotage of the judge")
        return LINES.get(word)

    def control(self, frame: Frame, now_ns: int) -> None: ...

    def captured(self, side: Side, opcode: int, payload: bytes, now_ns: int) -> bytes | None:
        return payload

    def take_notices(self) -> list[tuple[str, str]]:
        return []


class JudgedSession(Session):
    """A session with that judge, whatever rules the proxy has."""

    __slots__ = ()

    def __init__(self, conn: int, **kwargs: bool) -> None:
        super().__init__(conn, **kwargs)
        super().set_judge(Asked(), 0, agreed=None, new_key=lambda: os.urandom(4), opening=True)
        super().attend(True, 0)

    def set_judge(self, *_: Any, **__: Any) -> None: ...

    def attend(self, *_: Any) -> None: ...


relays.Session = JudgedSession  # type: ignore[misc]


def requestheaders(flow: http.HTTPFlow) -> None:
    if not flow.request.path.startswith("/judging/"):
        return
    what, _, target = flow.request.path.removeprefix("/judging/").partition("?")
    live = ctx.master.addons.get("wsinspect").relays.live.values()
    relay = next(each for each in live if each.upgraded.flow.request.path == target)
    flow.response = http.Response.make(200, json.dumps(_answer(what, relay)))


def _answer(what: str, relay: Any) -> Any:
    words = {"release": Release(1), "edit": Edit(1, b"edited"), "drop": DropHeld(1)}
    if what in words:
        return relay.command(words[what]).text
    session = relay.session
    paths = [session.direction(side).path for side in Side]
    return {
        "held": [message.payload.decode() for message in session.holds()],
        "reads": [session.wants_reading(side) for side in Side],
        "kept": [path.way.kept_bytes if path else 0 for path in paths],
    }
