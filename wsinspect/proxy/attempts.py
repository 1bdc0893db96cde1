"""Set-ups: from the first sign of a WebSocket to its 101, or to what went wrong instead.

A request counts where it has Sec-WebSocket-Key or Upgrade; a connection that fails before HTTP is known
counts too, marked unknown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from mitmproxy import connection, http

from wsinspect.capture.writer import Writer
from wsinspect.model import (
    Address,
    Altered,
    Decoder,
    Fact,
    FactRecord,
    Failed,
    Header,
    Notice,
    Opened,
    Requested,
)
from wsinspect.model.plans import HandshakePlan, Judge, Redactor
from wsinspect.proxy.words import (
    Phase,
    address,
    alterations,
    errno_in,
    headers_of,
    is_websocket,
    mode_name,
    original_of,
    tls_of,
    url_of,
)

logger = logging.getLogger(__name__)

BODY_LIMIT = 4096
"""Bytes kept of the body of a refusal."""


class AttemptRules(Judge, Protocol):
    """The rules of one connection, from its handshake on. They do not raise."""

    def judge_request(self, now_ns: int) -> HandshakePlan | None: ...

    def judge_response(self, answer: Opened, now_ns: int) -> HandshakePlan | None:
        """Of any answer, also one that opens nothing."""

    def opened_fact(self, opened: Opened, decoder: Decoder | None = None) -> None:
        """What the handshake came to, before the first message. `decoder`: for the messages."""


def is_attempt(request: http.Request) -> bool:
    """Whether somebody asks for another protocol with this request."""
    return "sec-websocket-key" in request.headers or "upgrade" in request.headers


@dataclass(slots=True)
class Attempt:
    """One set-up under way."""

    conn: int
    client_id: str
    requested: Requested
    """As the client asked, before rules."""
    rules: AttemptRules | None = None
    """Of this connection, from its request on."""
    redactors: list[Redactor] = field(default_factory=list)
    """What rules hide of the facts."""
    answer: list[Header] | None = None
    """The headers of the server's answer, as it came."""
    is_websocket: bool = True
    """Of the server's answer, where it is a 101: it leads to frames."""
    opened: Opened | None = None
    """The connection's facts, once the 101 went to the client."""
    rejected_by: str = ""
    """The rule that answered in the place of the server."""
    rejection: bytes = b""
    """That answer's body."""
    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def tap(self, data: bytes) -> bytes:
        """A refusal's body on its way through: its beginning is kept."""
        room = BODY_LIMIT - len(self.body)
        self.body += data[: max(0, room)]
        self.truncated = self.truncated or len(data) > room
        return data


class Attempts:
    """Every set-up that has neither opened nor failed yet, by flow id."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: dict[str, Attempt] = {}
        self._server_faults: dict[str, Phase] = {}
        """Where reaching the server failed just now, by client id."""
        self.total = 0
        self.failed = 0
        self.forget: Callable[[int], None] = lambda conn: None
        """Told of a set-up that has failed."""

    def get(self, flow: http.HTTPFlow) -> Attempt | None:
        return self._open.get(flow.id)

    def begin(self, flow: http.HTTPFlow, judge: Callable[[Attempt], None] = lambda _: None) -> Attempt:
        """A request that asks for a WebSocket (or another protocol) has come.

        `judge` is asked before anything is recorded, so that rules can hide what must not be.
        """
        request, client = flow.request, flow.client_conn
        original = original_of(request)
        requested = Requested(
            url=url_of(request),
            method=request.method,
            target=original.target,
            http_version=request.http_version,
            headers=original.headers,
            client=address(client.peername),
            listener=address(client.sockname),
            mode=mode_name(client.proxy_mode),
            client_leg=client.id,
            tls=tls_of(client),
        )
        attempt = self._open[flow.id] = Attempt(self._writer.next_conn(), client.id, requested)
        self.total += 1
        judge(attempt)
        self.note(attempt, requested)
        return attempt

    def answered(self, flow: http.HTTPFlow) -> Attempt | None:
        """The server's answer has come: noted as it is, before anybody changes it."""
        attempt, response = self._open.get(flow.id), flow.response
        if attempt is not None and response is not None and attempt.answer is None:
            attempt.answer = headers_of(response)
            attempt.is_websocket = is_websocket(response)
        return attempt

    def open(
        self, flow: http.HTTPFlow, peer: Address | None, *, path: Literal["takeover", "layer"]
    ) -> Attempt:
        """The 101 went to the client. `peer`: the other end of the server leg."""
        attempt = self.answered(flow) or self.begin(flow)  # begin: the addon came in the middle of things
        self.answered(flow)
        self._open.pop(flow.id, None)
        self._note_alterations(attempt, flow)
        response, server = flow.response, flow.server_conn
        assert response is not None
        attempt.opened = Opened(
            status=response.status_code,
            reason=response.reason,
            http_version=response.http_version,
            headers=attempt.answer or [],
            server=peer,
            server_leg=server.id,
            tls=tls_of(server),
            transport="websocket" if attempt.is_websocket else "raw",
            path=path,
        )
        self.note(attempt, attempt.opened)
        return attempt

    def refuse(self, flow: http.HTTPFlow) -> None:
        """Another answer than 101 came."""
        attempt = self._open.pop(flow.id, None)
        response = flow.response
        if attempt is None or response is None:
            return
        self._note_alterations(attempt, flow)
        if response.raw_content and not attempt.body:
            attempt.tap(response.raw_content)
        who = f"rule {attempt.rejected_by} " if attempt.rejected_by else ""
        self._fail_attempt(
            attempt,
            Failed(
                phase="http",
                message=f"{who}answered {response.status_code} {response.reason}".rstrip(),
                status=response.status_code,
                reason=response.reason,
                headers=headers_of(response),
                body=bytes(attempt.body),
                truncated=attempt.truncated,
            ),
        )

    def fail(self, flow: http.HTTPFlow) -> None:
        """The exchange ended without an answer."""
        attempt = self._open.pop(flow.id, None)
        if attempt is None:
            return
        message = flow.error.msg if flow.error else "the exchange ended without an answer"
        phase = self._server_faults.pop(flow.client_conn.id, "http")
        self._note_alterations(attempt, flow)
        self._fail_attempt(attempt, Failed(phase=phase, message=message, errno=errno_in(message)))

    def server_failed(self, client: connection.Client, phase: Phase) -> None:
        """Remembered for the `fail` that follows: a flow does not know which connection was tried for it."""
        self._server_faults[client.id] = phase

    def client_gone(self, client: connection.Client) -> None:
        """mitmproxy fires no hook where the client leaves while the answer's own hooks run."""
        self._server_faults.pop(client.id, None)
        for flow_id in [key for key, attempt in self._open.items() if attempt.client_id == client.id]:
            attempt = self._open.pop(flow_id)
            self._fail_attempt(attempt, Failed(phase="http", message="the client left before the answer"))

    def fail_unknown(self, client: connection.Client, target: str, failed: Failed) -> None:
        """A connection failed before HTTP is known: it may have been meant for a WebSocket."""
        conn = self._writer.next_conn()
        self.total += 1
        self._fact(
            conn,
            Requested(
                url=target,
                method="",
                target="",
                http_version="",
                client=address(client.peername),
                listener=address(client.sockname),
                mode=mode_name(client.proxy_mode),
                client_leg=client.id,
            ),
        )
        self._fail(conn, failed)

    def fail_over_http2(self, client: connection.Client, headers: list[Header]) -> None:
        """Extended CONNECT (RFC 8441): the proxy did not offer it, and answers HTTP_1_1_REQUIRED."""
        conn = self._writer.next_conn()
        self.total += 1
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        scheme = "ws" if pseudo.get(":scheme") == "http" else "wss"
        target = pseudo.get(":path", "/")
        self._fact(
            conn,
            Requested(
                url=f"{scheme}://{pseudo.get(':authority', '')}{target}",
                method="CONNECT",
                target=target,
                http_version="HTTP/2.0",
                headers=headers,
                client=address(client.peername),
                listener=address(client.sockname),
                mode=mode_name(client.proxy_mode),
                client_leg=client.id,
                tls=tls_of(client),
            ),
        )
        text = (
            f"{pseudo.get(':protocol')} over HTTP/2 (RFC 8441) was asked for, though not offered; the stream "
            "was reset with HTTP_1_1_REQUIRED"
        )
        self._fail(conn, Failed(phase="http", message=text))

    def notice(self, conn: int, code: str, text: str) -> None:
        """Something to know about one connection, or (0) about all."""
        self._fact(conn, Notice(code=code, text=text, level="warning"))

    def note(self, attempt: Attempt, fact: Fact) -> None:
        """A fact of a set-up, without what rules hide; where that fails, without all that could be hidden."""
        try:
            for redactor in attempt.redactors:
                fact = redactor.redacted(fact)
        except Exception:
            logger.exception("redacting a fact of connection %d failed", attempt.conn)
            fact = _blank(fact)
        self._fact(attempt.conn, fact)

    def _fail_attempt(self, attempt: Attempt, failed: Failed) -> None:
        self.failed += 1
        self.note(attempt, failed)
        self.forget(attempt.conn)

    def _fail(self, conn: int, failed: Failed) -> None:
        self.failed += 1
        self._fact(conn, failed)

    def _note_alterations(self, attempt: Attempt, flow: http.HTTPFlow) -> None:
        """What rules, mitmproxy or another addon changed in the request and the answer."""
        original = original_of(flow.request)
        for altered in alterations("request", original.headers, headers_of(flow.request)):
            self.note(attempt, altered)
        if original.tunnelled:
            form = Altered(
                what="way to the parent proxy", before="a request in absolute form", after="CONNECT"
            )
            self.note(attempt, form)
        if attempt.answer is not None and flow.response is not None and not attempt.rejected_by:
            for altered in alterations("answer", attempt.answer, headers_of(flow.response)):
                self.note(attempt, altered)

    def _fact(self, conn: int, fact: Fact) -> None:
        self._writer.append(FactRecord(conn, time.monotonic_ns(), fact))


def _blank(fact: Fact) -> Fact:
    """The fact without URL, headers, body, and text that could hold part of them."""
    match fact:
        case Requested():
            return replace(fact, url="", target="", headers=[])
        case Opened():
            return replace(fact, headers=[])
        case Failed():
            return replace(fact, message="", headers=[], body=b"")
        case Altered():
            return replace(fact, before="", after="")
        case Notice():
            return replace(fact, text="")
        case _:
            return fact
