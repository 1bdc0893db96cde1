"""Messages through other addons' `websocket_message` hooks, for those that want to see and change them.

Slow, as any hook for each message is, so only where somebody has one. What nobody changes goes out in the
bytes in which it came, and control frames pass at once; else this is the layer-driven path.
"""

from __future__ import annotations

import logging
import os
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
from wsinspect.relay.commands import Answer, Command, Inject
from wsinspect.relay.encoder import Encoder, plain_frames
from wsinspect.relay.gate import Control, Gate, Held
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
        self._encoders = tuple(Encoder(side, deflate, _new_key) for side in Side)
        self._queues: tuple[list[Inject], list[Inject]] = ([], [])
        """Injections that wait for the end of a message too large to hold; a Close is the session's."""
        self._kept_bytes = 0
        self._said: set[str] = set()

    def command(self, command: Command) -> Answer:
        if not isinstance(command, Inject) or command.last:
            return super().command(command)
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

    def _send(self, to: Side, data: bytes) -> Iterator[commands.Command]:
        """What the session lets out goes through the hooks."""
        side = to.other
        gate = self._gates[side]
        if side in self._faulty:
            yield commands.SendData(self._conn(to), data)
            return
        for item in gate.receive(data):
            match item:
                case bytes():
                    yield commands.SendData(self._conn(to), item)
                case Control():
                    yield commands.SendData(self._conn(to), item.raw)
                case Held():
                    yield from self._ask(side, item)
        if gate.oversize:
            self._say("oversize", f"messages above {gate.limit >> 20} MiB pass unseen by addons", side)

    def _fall_back(self, side: Side, data: bytes, exc: Exception) -> Iterator[commands.Command]:
        for rest in self._gates[side].rest():
            yield commands.SendData(self._conn(side.other), rest)
        yield from super()._fall_back(side, data, exc)

    def _ask(self, side: Side, held: Held) -> Iterator[commands.Command]:
        """Fire the hook for a message, and do as it says."""
        encoder, message = self._encoders[side], held.message
        conn = self._conn(side.other)
        if message.lost or message.truncated or message.opcode not in (1, 2):
            encoder.passes(held)
            if encoder.broken:
                text = (
                    "a compressed message that cannot be read passed as it came, behind one that was changed"
                )
                self._say("window-broken", text, side, "error")
                self._record()
            yield commands.SendData(conn, held.raw)
            return
        shown = websocket.WebSocketMessage(Opcode(message.opcode), side is Side.CLIENT, message.payload)
        yield from self._hook(shown)
        numbers = f"{message.first_frame}-{message.last_frame}".removesuffix(f"-{message.first_frame}")
        if shown.dropped:
            encoder.skipped(held)
            text = f"an addon dropped the {side.word}'s message of frame {numbers}"
            self.session.notice(Notice(code="dropped", text=text, side=side), time.monotonic_ns())
        elif shown.content != message.payload:
            out = encoder.changed(held, shown.content, None)
            text = f"an addon changed the {side.word}'s message of frame {numbers}"
            self.session.notice(Notice(code="modified", text=text, side=side), time.monotonic_ns())
            self._record_changed(side, held, shown.content, out)
            yield commands.SendData(conn, out)
        elif encoder.passes(held):
            yield commands.SendData(conn, held.raw)
        else:
            self._say("recompressed", "since an addon's change messages are compressed anew", side)
            yield commands.SendData(conn, encoder.encoded(held))
        self._record()

    def _record_changed(self, side: Side, held: Held, content: bytes, out: bytes) -> None:
        """What went out instead; not where rules decide what of this side gets into the capture."""
        if self.session.private(side):
            return
        data = plain_frames(held, content, None, _new_key) if held.number else out
        numbers = held.message.first_frame, held.message.last_frame
        compressed = len(out) if held.number else 0
        sent = Sent(
            self.session.conn, side, time.monotonic_ns(), data, self._position(side), "modified", None,
            *numbers, compressed,
        )  # fmt: skip
        self.session.sent(sent)
        self._record()

    def _position(self, side: Side) -> int:
        """How much of what `side` sent has gone out, near enough where rules changed it too."""
        return self.session.direction(side).scan.offset - self._gates[side].kept_bytes

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
        yield from super()._outputs()
        for side in Side:
            gate, queue = self._gates[side], self._queues[side]
            if self.session.direction(side).close_injected:
                queue.clear()  # nothing follows a Close of ours
            while queue and gate.between_messages and not self._finished:
                now_ns = time.monotonic_ns()
                each = self.session.shown(queue.pop(0), now_ns)
                data = encode_frame(each.opcode, each.payload, mask=each.mask)
                shown = (
                    data
                    if each.captured is None
                    else encode_frame(each.opcode, each.captured, mask=each.mask)
                )
                self.session.sent(
                    Sent(self.session.conn, side, now_ns, shown, self._position(side), each.why)
                )
                self._record()
                yield commands.SendData(self._conn(side.other), data)

    def _before_end(self, to: Side) -> Iterator[commands.Command]:
        if self.session.direction(to.other).close_injected:
            return
        for rest in self._gates[to.other].rest():
            yield commands.SendData(self._conn(to), rest)

    def _say(
        self, code: str, text: str, side: Side, level: Literal["info", "warning", "error"] = "info"
    ) -> None:
        """Once a connection."""
        if code not in self._said:
            self._said.add(code)
            notice = Notice(code=code, text=text, level=level, side=side)
            self.session.notice(notice, time.monotonic_ns())


def _new_key() -> bytes:
    return os.urandom(4)
