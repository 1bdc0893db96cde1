"""Agreeing on permessage-deflate (RFC 7692 section 7.1): the client's offer, the server's choice."""

from __future__ import annotations

from collections.abc import Iterable

from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.handshake import parse_extensions

NAME = "permessage-deflate"

type DeflateChoice = DeflateParams | bool | None
"""True: with the defaults. None or False: no compression."""


def offer(choice: DeflateChoice) -> str | None:
    """The client's Sec-WebSocket-Extensions, or None for no offer.

    `client_max_window_bits` is always named: without it a server could not ask for a smaller window.
    """
    if not choice:
        return None
    params = DeflateParams() if choice is True else choice
    words = [NAME]
    if params.server_no_context_takeover:
        words.append("server_no_context_takeover")
    if params.client_no_context_takeover:
        words.append("client_no_context_takeover")
    if params.server_max_window_bits < 15:
        words.append(f"server_max_window_bits={params.server_max_window_bits}")
    if params.client_max_window_bits < 15:
        words.append(f"client_max_window_bits={params.client_max_window_bits}")
    else:
        words.append("client_max_window_bits")
    return "; ".join(words)


def accept(values: Iterable[str], choice: DeflateChoice) -> str | None:
    """The server's answer to the first offer that its choice can go with; None where there is none."""
    if not choice:
        return None
    own = DeflateParams() if choice is True else choice
    for name, params in parse_extensions(values):
        if name.lower() == NAME:
            answer = _answer(params, own)
            if answer is not None:
                return answer
    return None


def _answer(params: list[tuple[str, str | None]], own: DeflateParams) -> str | None:
    try:
        offered = DeflateParams.parse(params)
    except ValueError:
        return None  # 7.1: an offer with bad parameters must be declined
    named = {name for name, _ in params}
    words = [NAME]
    if own.server_no_context_takeover or offered.server_no_context_takeover:
        words.append("server_no_context_takeover")
    if own.client_no_context_takeover or offered.client_no_context_takeover:
        words.append("client_no_context_takeover")
    server_bits = min(own.server_max_window_bits, offered.server_max_window_bits)
    if server_bits < 15 or "server_max_window_bits" in named:  # 7.1.2.1: 15, if asked for, is answered too
        words.append(f"server_max_window_bits={server_bits}")
    client_bits = min(own.client_max_window_bits, offered.client_max_window_bits)
    if client_bits < 15 and "client_max_window_bits" in named:  # 7.1.2.2: else the server must not limit it
        words.append(f"client_max_window_bits={client_bits}")
    return "; ".join(words)
