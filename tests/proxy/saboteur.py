"""A script for `wsinspect proxy -s`: a step of the takeover, or a callback of a taken socket, raises.

Where is in the request's path: `/break-STEP/…`; all other connections are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.events import ConnectionClosed

from wsinspect.proxy import contract
from wsinspect.proxy.leg import Leg
from wsinspect.proxy.relays import Relays
from wsinspect.proxy.takeover import Takeover
from wsinspect.proxy.watcher import EdgeWatcher

_armed: list[str] = []
"""Steps that the takeover under way shall fail at."""


def _wanted(flow: Any) -> str:
    word = flow.request.path.split("/")[1]
    return word.removeprefix("break-") if word.startswith("break-") else ""


def _once(step: str) -> None:
    if step in _armed:
        _armed.remove(step)
        raise RuntimeError(f"sabotage of {step}")


def _before(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(*args: Any, **kwargs: Any) -> Any:
        _once(step)
        return function(*args, **kwargs)

    return replacement


def _second(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Raises at the second call of a takeover: the first leg is through then."""
    calls: list[int] = []

    def replacement(*args: Any, **kwargs: Any) -> Any:
        if step in _armed:
            calls.append(1)
            if len(calls) == 2:
                calls.clear()
                _once(step)
        return function(*args, **kwargs)

    return replacement


start = Takeover.start


async def armed_start(self: Takeover) -> None:
    step = _wanted(self.upgraded.flow)
    if step:
        _armed.append(step)
    try:
        await start(self)
    finally:
        _armed.clear()


Takeover.start = armed_start  # type: ignore[method-assign]
contract.install_sink = _before("install", contract.install_sink)
EdgeWatcher.watch = _second("watch", _before("watch-first", EdgeWatcher.watch))  # type: ignore[method-assign]
Takeover._readers_are_empty = _before("drain", Takeover._readers_are_empty)  # type: ignore[method-assign]
contract.take_paused_events = _before("queue", contract.take_paused_events)
Takeover._replay = _before("replay", Takeover._replay)  # type: ignore[method-assign]
Leg.go_live = _second("live", _before("live-first", Leg.go_live))  # type: ignore[method-assign]


def _in_connection(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Raises each time in a connection that asks for it."""

    def replacement(self: Leg, *args: Any, **kwargs: Any) -> Any:
        if _wanted(self.takeover.upgraded.flow) == step:
            raise RuntimeError(f"sabotage of {step}")
        return function(self, *args, **kwargs)

    return replacement


Leg._at_end = _in_connection("end", Leg._at_end)  # type: ignore[method-assign]
Leg._ended = _in_connection("ended", Leg._ended)  # type: ignore[method-assign]
Leg._after_eof = _in_connection("after-eof", Leg._after_eof)  # type: ignore[method-assign]


def _flow_control(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(self: Takeover, leg: Leg) -> Any:
        if _wanted(self.upgraded.flow) == name:
            raise RuntimeError(f"sabotage of {name}")
        return function(self, leg)

    return replacement


Takeover.pause_reading = _flow_control("pause", Takeover.pause_reading)  # type: ignore[method-assign]
Takeover.resume_reading = _flow_control("resume", Takeover.resume_reading)  # type: ignore[method-assign]
Takeover.read_on = _flow_control("read-on", Takeover.read_on)  # type: ignore[method-assign]


upgraded = Relays.upgraded


async def upgraded_late(self: Relays, handler: Any, wanted: Any) -> None:
    """`/break-late/`: the takeover begins once mitmproxy has seen one side end."""
    found = contract.find_upgraded(handler, wanted)
    step = _wanted(found.flow) if found else ""
    if found and step == "late":
        while not any(isinstance(each, ConnectionClosed) for each in found.layer._paused_event_queue):
            await asyncio.sleep(0.005)
    await upgraded(self, handler, wanted)


Relays.upgraded = upgraded_late  # type: ignore[method-assign]


async def response(flow: Any) -> None:
    """`/break-response/`: the hook takes until the client has left."""
    if _wanted(flow) == "response":
        while flow.client_conn.state & ConnectionState.CAN_READ:
            await asyncio.sleep(0.005)
