"""A script for `wsinspect proxy -s`: what a test asks for by a path is done, and answered as JSON.

/levers/state           live relays, mitmproxy's connections, descriptors, timers, tasks; hooks that ran
/levers/kill?TARGET     flow.kill() on the connection to that target
/levers/inject?TARGET   the command inject.websocket, to the client, text "pulled"
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mitmproxy import ctx, flow, http

flows: dict[str, flow.Flow] = {}
hooks: Counter[str] = Counter()


def requestheaders(flow: http.HTTPFlow) -> None:
    if not flow.request.path.startswith("/levers/"):
        return
    lever, _, target = flow.request.path.removeprefix("/levers/").partition("?")
    answer = {"state": _state, "kill": _kill, "inject": _inject}[lever](target)
    flow.response = http.Response.make(200, json.dumps(answer))


def _state(_: str) -> dict[str, Any]:
    gc.collect()
    tasks = asyncio.all_tasks()
    handlers = ctx.master.addons.get("proxyserver").connections
    return {
        "live": len(ctx.master.addons.get("wsinspect").relays.live),
        "attempts": len(ctx.master.addons.get("wsinspect").attempts._open),
        "handlers": len(handlers),
        "fds": len(os.listdir("/proc/self/fd")),
        "tasks": len(tasks),
        "timers": sum(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled),
        "hooks": hooks,
        "open": Counter(_targets()),
        "names": sorted(task.get_name() for task in tasks)[:40],
        "layers": [repr(each.layer) for each in list(handlers.values())[:5]],
    }


def _targets() -> Iterator[str]:
    """What the descriptors lead to."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{fd}").partition(":[")[0]  # no socket's number
        except OSError:
            pass  # that of the listing


def _kill(target: str) -> bool:
    flows[target].kill()
    return True


def _inject(target: str) -> bool:
    ctx.master.commands.call("inject.websocket", flows[target], True, b"pulled")
    return True


def websocket_start(flow: http.HTTPFlow) -> None:
    flows[flow.request.path] = flow
    hooks["websocket_start " + flow.request.path] += 1


def websocket_end(flow: http.HTTPFlow) -> None:
    hooks["websocket_end " + flow.request.path] += 1
    flows.pop(flow.request.path, None)


def client_disconnected(client: Any) -> None:
    hooks["client_disconnected"] += 1
