"""`redirect-to`: another server."""

from __future__ import annotations

import urllib.parse

from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.handshake_turn import HandshakeTurn


class RedirectTo(Action):
    word = "redirect-to"
    doc = (
        "Connect to another server than the client asked for; the client does not notice. Path and query "
        "stay unless the URL has its own."
    )
    example = "redirect-to: ws://localhost:9000"
    fields = (Field("url", Type.URL, "With ws, wss, http or https, a host, and a port where it is needed."),)
    short = "url"
    on = On.REQUEST

    url: str

    def check(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"{self.url!r} is no URL: {error}") from None
        if parts.scheme not in ("ws", "wss", "http", "https") or not host or port == 0:
            raise ValueError(f"{self.url!r} is no URL such as wss://host:port")
        if parts.username is not None or parts.fragment:
            raise ValueError(f"{self.url!r}: a WebSocket URL has neither user nor fragment")

    def explain(self) -> str:
        return f"connect to {self.url} instead"

    def apply_handshake(self, turn: HandshakeTurn) -> str:
        turn.redirect_to = self.url
        return f"redirect to {self.url}"
