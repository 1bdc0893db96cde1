"""Messages through other addons' `websocket_message` hooks, for those that want to see and change them.

Slow, as any hook for each message is, so only where somebody has one. What nobody changes goes out in the
bytes in which it came, and control frames pass at once; else this is the layer-driven path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Literal

from mitmproxy import addonmanager, websocket
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.websocket import WebsocketMessageHook
from wsproto.frame_protocol import Opcode

from wsinspect.capture.writer import Writer
from wsinspect.model import Notice, Sent, Side
from wsinspect.proxy import contract
from wsinspect.proxy.injected import inject, inject_of
from wsinspect.proxy.layer import LayerRelay
from wsinspect.proxy.words import headers_of
from wsinspect.relay.commands import Answer, Inject
from wsinspect.relay.gate import Gate, Held
from wsinspect.relay.session import MAX_WAITING, Session
from wsinspect.wire.extensions import negotiated
from wsinspect.wire.frames import encode_frame

logger = logging.getLogger(__name__)

KEPT_MESSAGES = 1000
KEPT_BYTES = 16 << 20
"""What `flow.websocket.messages` holds at most; mitmproxy itself would keep all."""

_SCREENS = ("mitmproxy.tools.console", "mitmproxy.tools.web")

type HooksOption = Literal["auto", "on", "off"]


def who_wants_messages(option: HooksOption, master: Any, own: object) -> str:
    """Why messages shall go through hooks; empty where they need not.

    mitmproxy's own addons (the dumper, `save`) do not count unless its screens show messages.
    """
    if option == "off":
        return ""
    if option == "on":
        return "wsinspect_hooks=on"
    if type(master).__module__.startswith(_SCREENS):
        return "mitmproxy's screen shows them"
    for addon in addonmanager.traverse(master.addons.chain):
        name = addon.__name__ if isinstance(addon, ModuleType) else type(addon).__module__
        if addon is own or name.startswith("mitmproxy."):
            continue
        if callable(getattr(addon, "websocket_message", None)):
            shown = name if isinstance(addon, ModuleType) else type(addon).__name__
            return f"the addon {shown.removeprefix('__mitmproxy_script__.')} has websocket_message"
    return ""


class HookedRelay(LayerRelay):
    """A layer-driven relay in which each data message waits for the hook."""

    def __init__(
        self,
        upgraded: contract.Upgraded,
        session: Session,
        writer: Writer,
        on_finished: Callable[[Session], None],
    ) -> None:
        super().__init__(upgraded, session, writer, on_finished)
        response = upgraded.flow.response
        agreed = negotiated(headers_of(response)) if response is not None else None
        deflate = agreed.deflate if agreed else None
        self._gates = (Gate(Side.CLIENT, deflate), Gate(Side.SERVER, deflate))
        self._queues: tuple[list[Inject], list[Inject]] = ([], [])
        """Injections that wait for the end of a message too large to hold."""
        self._kept_bytes = 0
        self._said: set[str] = set()

    def command(self, command: Inject) -> Answer:
        refusal = self.session.refusal(command)
        queue = self._queues[command.side]
        if not refusal and len(queue) >= MAX_WAITING:
            refusal = f"{MAX_WAITING} injections are waiting for a boundary already"
        if refusal:
            return Answer(False, refusal)
        queue.append(command)
        self._nudge()
        return Answer(
            True, "sent" if self._gates[command.side].between_messages else "waiting for a boundary"
        )

    def _data(self, side: Side, data: bytes) -> Iterator[commands.Command]:
        gate = self._gates[side]
        if self._faulty:
            yield commands.SendData(self._conn(side.other), data)
            return
        given = False
        try:
            now_ns = time.monotonic_ns()
            self.session.receive(side, data, now_ns)
            self.session.settle(now_ns)
            self.session.take_output(side.other)  # the gate decides what goes out, and when
            self._record()
            given = True
            for item in gate.receive(data):
                if isinstance(item, bytes):
                    yield commands.SendData(self._conn(side.other), item)
                else:
                    yield from self._ask(side, item)
            if gate.oversize:
                self._say("oversize", f"messages above {gate.limit >> 20} MiB pass unseen by addons", side)
        except Exception as exc:
            logger.error("fault in connection %d: %r", self.session.conn, exc, exc_info=exc)
            self._faulty = True
            text = (
                f"a fault in wsinspect ({type(exc).__name__}): bytes pass, unseen by addons and the capture"
            )
            self._say("fault", text, side, "error")
            for rest in [*gate.rest(), *([] if given else [data])]:
                yield commands.SendData(self._conn(side.other), rest)
        yield from self._outputs()

    def _ask(self, side: Side, held: Held) -> Iterator[commands.Command]:
        """Fire the hook for a message, and do as it says."""
        gate, message = self._gates[side], held.message
        conn = self._conn(side.other)
        if message.lost or message.opcode not in (1, 2):
            yield commands.SendData(conn, gate.passed(held))
            return
        shown = websocket.WebSocketMessage(Opcode(message.opcode), side is Side.CLIENT, message.payload)
        yield from self._hook(shown)
        numbers = f"{message.first_frame}-{message.last_frame}".removesuffix(f"-{message.first_frame}")
        if shown.dropped:
            gate.dropped(held)
            text = f"an addon dropped the {side.word}'s message of frame {numbers}"
            self.session.notice(Notice(code="dropped", text=text, side=side), time.monotonic_ns())
        elif shown.content != message.payload:
            out = gate.replaced(held, shown.content)
            text = f"an addon changed the {side.word}'s message of frame {numbers}"
            self.session.notice(Notice(code="modified", text=text, side=side), time.monotonic_ns())
            self.session.sent(
                Sent(self.session.conn, side, time.monotonic_ns(), out, gate.offset, "modified")
            )
            self._record()
            yield commands.SendData(conn, out)
        else:
            if gate.parted and message.compressed:
                self._say("recompressed", "since an addon's change messages are compressed anew", side)
            yield commands.SendData(conn, gate.passed(held))
        self._record()

    def _hook(self, shown: websocket.WebSocketMessage) -> Iterator[commands.Command]:
        flow = self.upgraded.flow
        assert flow.websocket is not None
        messages = flow.websocket.messages
        messages.append(shown)
        yield WebsocketMessageHook(flow)
        self._kept_bytes += len(shown.content)
        while len(messages) > 1 and (len(messages) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES):
            self._kept_bytes -= len(messages.pop(0).content)

    def _injected(self, event: events.MessageInjected) -> Iterator[commands.Command]:  # type: ignore[type-arg]
        command = inject_of(event)
        if command is None:
            return
        shown: websocket.WebSocketMessage = event.message
        shown.injected = True
        yield from self._hook(shown)
        if not shown.dropped:
            answer = self.command(inject(command.side, command.opcode, shown.content))
            if not answer.ok:
                logger.warning("inject.websocket: %s", answer.text)

    def _outputs(self) -> Iterator[commands.Command]:
        for side in Side:
            gate, queue = self._gates[side], self._queues[side]
            while queue and gate.between_messages:
                each = queue.pop(0)
                data = encode_frame(each.opcode, each.payload, mask=each.mask)
                now_ns = time.monotonic_ns()
                self.session.sent(Sent(self.session.conn, side, now_ns, data, gate.offset, each.why))
                self._record()
                yield commands.SendData(self._conn(side.other), data)
        yield from super()._outputs()

    def _rest(self, side: Side) -> Iterator[commands.Command]:
        for rest in self._gates[side].rest():
            yield commands.SendData(self._conn(side.other), rest)

    def _say(
        self, code: str, text: str, side: Side, level: Literal["info", "warning", "error"] = "info"
    ) -> None:
        """Once a connection."""
        if code not in self._said:
            self._said.add(code)
            notice = Notice(code=code, text=text, level=level, side=side)
            self.session.notice(notice, time.monotonic_ns())
