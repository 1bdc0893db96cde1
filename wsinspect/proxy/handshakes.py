"""Rules at the handshake: asked when the request and when the answer has come, and carried out on the flow.

Rules hear of a request before any fact of it is recorded, since they may hide part of it. What they did is a
`Judged` fact; what differs from what the peers said is in `Altered` facts, whoever changed it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from mitmproxy import http
from mitmproxy.proxy.server import ConnectionHandler

from wsinspect.model import Judged, Notice, Opened, Outcome, Requested, Side
from wsinspect.model.plans import HandshakePlan, Reject
from wsinspect.proxy import contract
from wsinspect.proxy.attempts import Attempt, AttemptRules, Attempts
from wsinspect.proxy.handshake_changes import change_headers, redirect, rejection
from wsinspect.proxy.words import address, tls_of

logger = logging.getLogger(__name__)

type RulesOf = Callable[[int, Requested], AttemptRules | None]
"""Makes the rules of a new connection, by its number and request; None where the proxy has none."""


class Handshakes:
    """The set-ups of a proxy, as its rules see and change them."""

    def __init__(
        self, attempts: Attempts, rules_of: RulesOf, handler_of: Callable[[str], ConnectionHandler | None]
    ) -> None:
        """`handler_of`: mitmproxy's handler of a client, by its id."""
        self._attempts = attempts
        self._rules_of = rules_of
        self._handler_of = handler_of

    async def request(self, flow: http.HTTPFlow) -> None:
        """A client asks for an upgrade; the server has heard nothing of it yet."""
        plans: list[HandshakePlan | None] = []
        attempt = self._attempts.begin(flow, lambda attempt: plans.append(self._judge_request(attempt)))
        plan = plans[0]
        if not await self._begins(flow, attempt, plan, Side.CLIENT) or plan is None:
            return
        if plan.reject is not None:
            self._reject(flow, attempt, plan, plan.reject)
            return
        if plan.redirect_to is not None:
            try:
                self._attempts.note(attempt, redirect(flow.request, plan.redirect_to))
            except ValueError as error:
                self._say(attempt, "rule-failed", f"not redirected: {error}")
        change_headers(flow.request, plan)

    async def answer(self, flow: http.HTTPFlow) -> Attempt | None:
        """The server has answered; the client has heard nothing of it yet."""
        attempt = self._attempts.answered(flow)
        if attempt is None or attempt.rules is None or attempt.rejected_by:
            return attempt
        plan = self._judge_answer(attempt, flow)
        if not await self._begins(flow, attempt, plan, Side.SERVER) or plan is None or flow.response is None:
            return attempt
        if plan.reject is not None:
            self._reject(flow, attempt, plan, plan.reject)
            handler = self._handler_of(flow.client_conn.id)
            if handler is not None:
                contract.end_server_with_answer(handler, flow)
            return attempt
        change_headers(flow.response, plan)
        if plan.strip_extensions and flow.response.status_code == 101:
            text = "the client does not hear of an extension that the server uses from here on"
            self._say(attempt, "extension-hidden", text)
        return attempt

    def whole(self, flow: http.HTTPFlow) -> None:
        """A whole answer is about to go out: mitmproxy has put the server's body into ours, if it was one."""
        attempt = self._attempts.get(flow)
        if attempt is not None and attempt.rejected_by and flow.response is not None:
            flow.response.raw_content = attempt.rejection

    # --------------------------------------------------------------------------------------------- judging

    def _judge_request(self, attempt: Attempt) -> HandshakePlan | None:
        try:
            attempt.rules = rules = self._rules_of(attempt.conn, attempt.requested)
            if rules is None:
                return None
            plan = rules.judge_request(time.monotonic_ns())
            if plan is not None:
                attempt.redactors += plan.redactors
        except Exception:
            logger.exception("the rules of connection %d failed at its request", attempt.conn)
            return None
        return plan

    def _judge_answer(self, attempt: Attempt, flow: http.HTTPFlow) -> HandshakePlan | None:
        response, server = flow.response, flow.server_conn
        if attempt.rules is None or response is None:
            return None
        answer = Opened(
            status=response.status_code,
            reason=response.reason,
            http_version=response.http_version,
            headers=attempt.answer or [],
            server=address(server.peername),
            server_leg=server.id,
            tls=tls_of(server),
            transport="websocket" if attempt.is_websocket else "raw",
        )
        try:
            plan = attempt.rules.judge_response(answer, time.monotonic_ns())
            if plan is not None:
                attempt.redactors += plan.redactors
        except Exception:
            logger.exception("the rules of connection %d failed at its answer", attempt.conn)
            return None
        return plan

    async def _begins(
        self, flow: http.HTTPFlow, attempt: Attempt, plan: HandshakePlan | None, side: Side
    ) -> bool:
        """Record the verdict, and wait as it says. False where nothing is left to be carried out."""
        if attempt.rules is not None:
            for code, text in attempt.rules.take_notices():
                self._say(attempt, code, text)
        if plan is None:
            return False
        self._attempts.note(attempt, _judged(plan, side))
        if plan.shadow:
            return False
        if plan.delay_ms > 0:
            await asyncio.sleep(plan.delay_ms / 1000)
        return self._attempts.get(flow) is attempt  # the client may have left meanwhile

    # ----------------------------------------------------------------------------------------- carrying out

    def _reject(self, flow: http.HTTPFlow, attempt: Attempt, plan: HandshakePlan, reject: Reject) -> None:
        attempt.rejected_by = ", ".join(hit.rule for hit in plan.hits)
        response = flow.response = rejection(reject)
        attempt.rejection = response.raw_content or b""
        response.stream = _Instead(attempt.rejection)

    def _say(self, attempt: Attempt, code: str, text: str) -> None:
        self._attempts.note(attempt, Notice(code=code, text=text, level="warning"))


class _Instead:
    """For `response.stream`, where the server's body would still come: ours goes out, and nothing of that."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __call__(self, _: bytes) -> Iterator[bytes]:
        body, self._body = self._body, b""
        yield body


def _judged(plan: HandshakePlan, side: Side) -> Judged:
    changes = plan.redirect_to or plan.set_headers or plan.remove_headers or plan.strip_extensions
    outcome = Outcome.DROPPED if plan.reject else Outcome.CHANGED if changes else Outcome.PASSED
    return Judged(
        side=side,
        outcome=outcome,
        hits=[*plan.hits],
        delay_ms=float(plan.delay_ms),
        shadow=plan.shadow,
    )
