"""A control server in a thread, that answers as a proxy would and remembers what it was asked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from wsinspect.control import paths
from wsinspect.control.protocol import (
    Close,
    ControlError,
    ErrorCode,
    Event,
    Hello,
    Holds,
    HoldsStatus,
    Lines,
    Listener,
    ProxyInfo,
    ProxyStatus,
    Reload,
    Request,
    ResolveHold,
    Rules,
    RulesBrief,
    RulesStatus,
    Send,
    Status,
    Stop,
    Stopping,
    SwitchRules,
    Watch,
    encode_answer,
    encode_event,
    encode_refusal,
    parse_request,
)


class FakeProxy:
    def __init__(self, capture: str | None = None, pid: int | None = None) -> None:
        self.info = ProxyInfo("0.1.0", pid or os.getpid(), capture, (Listener("regular", "127.0.0.1", 8080),))
        self.hello: dict[str, Any] = self.info.values()
        self.requests: list[Request] = []
        self.mute = False
        self.on_stop: Callable[[], None] | None = None
        self.events: list[Event] = []
        """Sent to each watcher, at once."""
        self.rules = RulesStatus()
        self.holds = HoldsStatus()
        self.path = paths.socket_path(self.info.pid)
        self._server = paths.listen(self.path)
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)
        for each in self._sockets:
            each.close()

    def stop(self) -> None:
        self.path.unlink(missing_ok=True)
        for each in (self._server, *self._sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def _spawn(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        lines = Lines()
        try:
            while data := client.recv(65536):
                for line in lines.receive(data):
                    if not self.mute:
                        client.sendall(self._reply(line))
                        if self.requests and isinstance(self.requests[-1], Stop):
                            self.stop()
                            if self.on_stop is not None:
                                self.on_stop()
        except (OSError, ControlError):
            return

    def _reply(self, line: bytes) -> bytes:
        try:
            request_id, request = parse_request(line)
        except ControlError as error:
            return encode_refusal(error)
        self.requests.append(request)
        match request:
            case Hello():
                return encode_answer(request_id, self.hello)
            case Status():
                return encode_answer(request_id, self._status().values())
            case Rules():
                return encode_answer(request_id, self.rules.values())
            case Reload():
                if self.rules.error:
                    error = ControlError(ErrorCode.BAD_RULES, self.rules.error, request_id=request_id)
                    return encode_refusal(error)
                return encode_answer(request_id, self.rules.values())
            case SwitchRules(rules=rules) if missing := set(rules) - {each.id for each in self.rules.rules}:
                text = f"there is no rule {min(missing)}"
                error = ControlError(ErrorCode.NOT_FOUND, text, request_id=request_id)
                return encode_refusal(error)
            case Holds():
                return encode_answer(request_id, self.holds.values())
            case ResolveHold(conn=conn, hold=hold):
                if any((each.conn, each.hold) == (conn, hold) for each in self.holds.holds):
                    return encode_answer(request_id)
                text = f"{conn}.{hold} is already released"
                error = ControlError(ErrorCode.ALREADY_RELEASED, text, request_id=request_id)
                return encode_refusal(error)
            case Send(conn=conn) | Close(conn=conn) if conn > 9:
                error = ControlError(ErrorCode.NOT_FOUND, f"no connection {conn}", request_id=request_id)
                return encode_refusal(error)
            case Watch():
                answer = encode_answer(request_id) + b"".join(encode_event(event) for event in self.events)
                return answer + encode_event(Stopping())
            case _:
                return encode_answer(request_id)

    def _status(self) -> ProxyStatus:
        rules = self.rules
        off = sum(not each.enabled for each in rules.rules)
        brief = RulesBrief(len(rules.rules), off, rules.hits, rules.files, rules.shadow, rules.error)
        return ProxyStatus(
            self.info,
            2,
            5,
            uptime_s=1.5,
            trouble=["the disk is slow"],
            rules=brief if rules.files else None,
            held=len(self.holds.holds),
        )
