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


def accept(values: Iterable[str], choice: DeflateChoice) -> DeflateParams | None:
    """The first offer that the server's choice can go with, as agreed; None where there is none."""
    if not choice:
        return None
    own = DeflateParams() if choice is True else choice
    for name, params in parse_extensions(values):
        if name.lower() == NAME:
            agreed = _accept_one(params, own)
            if agreed is not None:
                return agreed
    return None


def _accept_one(params: list[tuple[str, str | None]], own: DeflateParams) -> DeflateParams | None:
    try:
        offered = DeflateParams.parse(params)
    except ValueError:
        return None
    may_limit_client = any(name == "client_max_window_bits" for name, _ in params)
    return DeflateParams(
        server_no_context_takeover=own.server_no_context_takeover or offered.server_no_context_takeover,
        client_no_context_takeover=own.client_no_context_takeover or offered.client_no_context_takeover,
        server_max_window_bits=min(own.server_max_window_bits, offered.server_max_window_bits),
        client_max_window_bits=(
            min(own.client_max_window_bits, offered.client_max_window_bits) if may_limit_client else 15
        ),
    )


def check(agreed: DeflateParams, choice: DeflateChoice) -> str | None:
    """What is wrong with a server's answer to `offer(choice)`, as a sentence; None where it fits."""
    if not choice:
        return f"the server chose {NAME}, which was not offered"
    offered = DeflateParams() if choice is True else choice
    if offered.server_no_context_takeover and not agreed.server_no_context_takeover:
        return "the server ignored server_no_context_takeover"
    if agreed.server_max_window_bits > offered.server_max_window_bits:
        return "the server ignored server_max_window_bits"
    if offered.client_max_window_bits < agreed.client_max_window_bits < 15:
        return "the server chose a larger client_max_window_bits than was offered"
    return None
