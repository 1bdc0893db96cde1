"""`reject`: no WebSocket."""

from __future__ import annotations

import http

from wsinspect.model.plans import Reject
from wsinspect.rules.actions import headers, words
from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn
from wsinspect.rules.template import Template


class RejectAction(Action):
    word = "reject"
    doc = (
        "Answer the handshake ourselves. Of the request, the server never hears of it; of the answer, the "
        "client gets this in its place."
    )
    example = "reject: {status: 503, body: 'down for maintenance', headers: {Retry-After: '30'}}"
    fields = (
        Field("status", Type.STATUS, "The HTTP status.", 403),
        Field("body", Type.TEMPLATE, "The body, as text.", Template.parse("")),
        Field("headers", Type.HEADERS, "Headers of the answer.", {}),
    )
    short = "status"
    on = On.HANDSHAKE
    terminal = True

    status: int
    body: Template
    headers: dict[str, Template]

    def check(self) -> None:
        headers.check_values(self.headers)
        headers.check_templates([self.body])
        if self.status in (204, 205, 304) and self.body.text:
            raise ValueError(f"an answer of the status {self.status} has no body (RFC 9110 15)")

    def _status(self) -> str:
        try:
            return f"{self.status} {http.HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def explain(self) -> str:
        body = f" and the body {words.shown(self.body)}" if self.body.text else ""
        return f"reject the handshake with {self._status()}{body}"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        body = self.body.render(turn).encode()
        made = [(name, headers.check_value(name, value.render(turn))) for name, value in self.headers.items()]
        if body and not any(name.lower() == "content-type" for name, _ in made):
            made.append(("Content-Type", "text/plain; charset=utf-8"))
        turn.reject = Reject(self.status, body, tuple(made))
        return f"reject with {self._status()}"
