"""The opening handshake, RFC 6455 section 4: the Accept key, and what can be wrong with either half."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from wsinspect.model import Header, Opened, Requested
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.extensions import (
    PERMESSAGE_DEFLATE,
    Extension,
    Negotiated,
    header_tokens,
    header_values,
    negotiated,
    parse_extensions,
    read_extensions,
)

__all__ = [
    "Finding",
    "HandshakeProblem",
    "Negotiated",
    "accept_key",
    "analyse",
    "negotiated",
    "parse_extensions",
]

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # 1.3

type Severity = Literal["problem", "info"]


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key, RFC 6455 section 4.2.2."""
    digest = hashlib.sha1((key.strip() + _GUID).encode("latin-1", "replace"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class HandshakeProblem(enum.Enum):
    """What can be wrong with a handshake, or worth knowing: slug, section, sentence, severity."""

    METHOD = ("method", "RFC 6455 4.1", "the request's method must be GET")
    HTTP_VERSION = ("http-version", "RFC 6455 4.1", "the handshake needs HTTP/1.1 or later")
    HOST_MISSING = ("host-missing", "RFC 6455 4.1", "the request has no Host")
    REQUEST_UPGRADE = ("request-upgrade", "RFC 6455 4.1", "the request's Upgrade does not say websocket")
    REQUEST_CONNECTION = (
        "request-connection",
        "RFC 6455 4.1",
        "the request's Connection does not say Upgrade",
    )
    KEY_MISSING = ("key-missing", "RFC 6455 4.1", "the request has no Sec-WebSocket-Key")
    KEY_BAD = ("key-bad", "RFC 6455 4.1", "the Sec-WebSocket-Key must be 16 bytes in base64, and stand once")
    VERSION_MISSING = ("version-missing", "RFC 6455 4.1", "the request has no Sec-WebSocket-Version")
    VERSION_UNSUPPORTED = ("version-unsupported", "RFC 6455 4.1", "the Sec-WebSocket-Version must be 13")
    EXTENSIONS_SYNTAX = ("extensions-syntax", "RFC 6455 9.1", "Sec-WebSocket-Extensions breaks the grammar")
    DEFLATE_OFFER = ("deflate-offer", "RFC 7692 7.1", "an offer of permessage-deflate has bad parameters")
    ORIGIN_MISSING = (
        "origin-missing",
        "RFC 6455 4.1",
        "no Origin, which browsers send: not a browser",
        "info",
    )
    ORIGIN_DIFFERS = (
        "origin-differs",
        "RFC 6455 10.2",
        "the Origin is another host, so a server may refuse",
        "info",
    )

    RESPONSE_UPGRADE = ("response-upgrade", "RFC 6455 4.1", "the response's Upgrade does not say websocket")
    RESPONSE_CONNECTION = (
        "response-connection",
        "RFC 6455 4.1",
        "the response's Connection does not say Upgrade",
    )
    ACCEPT_MISSING = ("accept-missing", "RFC 6455 4.1", "the response has no Sec-WebSocket-Accept")
    ACCEPT_MISMATCH = ("accept-mismatch", "RFC 6455 4.1", "the Sec-WebSocket-Accept does not fit the key")
    SUBPROTOCOL_NOT_OFFERED = ("subprotocol-not-offered", "RFC 6455 4.1", "the subprotocol was not offered")
    SUBPROTOCOL_SEVERAL = (
        "subprotocol-several",
        "RFC 6455 4.2.2",
        "the response chose more than one subprotocol",
    )
    SUBPROTOCOL_NONE = (
        "subprotocol-none",
        "RFC 6455 4.2.2",
        "of the offered subprotocols none was chosen",
        "info",
    )
    EXTENSION_NOT_OFFERED = ("extension-not-offered", "RFC 6455 4.1", "the extension was not offered")
    DEFLATE_ANSWER = (
        "deflate-answer",
        "RFC 7692 7.1",
        "the answer to permessage-deflate does not fit the offer",
    )
    RESPONSE_BODY = ("response-body", "RFC 9110 15.2", "a 101 has no body, but its headers announce one")

    def __init__(self, slug: str, section: str, sentence: str, severity: Severity = "problem") -> None:
        self.slug = slug
        self.section = section
        self.sentence = sentence
        self.severity = severity


@dataclass
class Finding:
    """One thing found in a handshake."""

    problem: HandshakeProblem
    detail: str
    """What stood there, such as the two keys; peers' text in it is not cleaned for a terminal."""

    def __str__(self) -> str:
        return f"{self.problem.sentence}: {self.detail}" if self.detail else self.problem.sentence


def analyse(requested: Requested, opened: Opened | None) -> list[Finding]:
    """All that is wrong with a handshake or worth knowing, the request's first.

    `opened` is None while, or where, there is no 101; a 101 to another protocol has no findings.
    """
    if opened is not None and opened.transport == "raw":
        return []
    findings = [*_request_line(requested), *_upgrade(requested), *_key(requested), *_offers(requested)]
    findings += _origin(requested)
    if opened is not None:
        findings += [*_answer(requested, opened), *_accept(requested, opened), *_body(opened)]
        findings += [*_subprotocol(requested, opened), *_extensions(requested, opened)]
    return findings


# ---------------------------------------------------------------------------------------- the request, 4.1


def _request_line(requested: Requested) -> Iterator[Finding]:
    if requested.method != "GET":
        yield Finding(HandshakeProblem.METHOD, requested.method)
    if _is_old_http(requested.http_version):
        yield Finding(HandshakeProblem.HTTP_VERSION, f"the request is {requested.http_version}")
    if not header_values(requested.headers, "Host"):
        yield Finding(HandshakeProblem.HOST_MISSING, "")


def _upgrade(requested: Requested) -> Iterator[Finding]:
    if not _has_token(requested.headers, "Upgrade", "websocket"):
        yield Finding(HandshakeProblem.REQUEST_UPGRADE, _shown(requested.headers, "Upgrade"))
    if not _has_token(requested.headers, "Connection", "upgrade"):
        yield Finding(HandshakeProblem.REQUEST_CONNECTION, _shown(requested.headers, "Connection"))


def _key(requested: Requested) -> Iterator[Finding]:
    keys = header_values(requested.headers, "Sec-WebSocket-Key")
    if not keys:
        yield Finding(HandshakeProblem.KEY_MISSING, "")
    elif len(keys) > 1:
        yield Finding(HandshakeProblem.KEY_BAD, f"it stands {len(keys)} times")
    elif not _is_key(keys[0]):
        yield Finding(HandshakeProblem.KEY_BAD, repr(keys[0]))
    versions = header_tokens(requested.headers, "Sec-WebSocket-Version")
    if not versions:
        yield Finding(HandshakeProblem.VERSION_MISSING, "")
    elif versions != ["13"]:
        yield Finding(HandshakeProblem.VERSION_UNSUPPORTED, ", ".join(versions))


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _offers(requested: Requested) -> Iterator[Finding]:
    extensions, faults = read_extensions(header_values(requested.headers, "Sec-WebSocket-Extensions"))
    for fault in faults:
        yield Finding(HandshakeProblem.EXTENSIONS_SYNTAX, f"in the request, {fault}")
    for name, params in extensions:
        if name.lower() == PERMESSAGE_DEFLATE:
            try:
                DeflateParams.parse(params)
            except ValueError as exc:
                yield Finding(HandshakeProblem.DEFLATE_OFFER, str(exc))


def _origin(requested: Requested) -> Iterator[Finding]:
    origins = header_values(requested.headers, "Origin")
    hosts = header_values(requested.headers, "Host")
    if not origins:
        yield Finding(HandshakeProblem.ORIGIN_MISSING, "")
        return
    origin = _authority(origins[0])
    if origin is None:
        yield Finding(HandshakeProblem.ORIGIN_DIFFERS, f"Origin {origins[0]} has no host")
        return
    scheme = requested.url.partition(":")[0]
    if hosts and origin != _authority(f"{scheme}://{hosts[0]}"):
        yield Finding(HandshakeProblem.ORIGIN_DIFFERS, f"Origin {origins[0]}, Host {hosts[0]}")
    elif requested.mode.startswith("reverse:") and origin != _authority(requested.url):
        # A reverse proxy may put the server's own name into Host, and then that differs from Origin.
        yield Finding(HandshakeProblem.ORIGIN_DIFFERS, f"Origin {origins[0]}, the server is {requested.url}")


def _authority(url: str) -> tuple[str, int] | None:
    """Host and port of a URL, the port by its scheme where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


# --------------------------------------------------------------------------------------- the response, 4.1


def _answer(requested: Requested, opened: Opened) -> Iterator[Finding]:
    if _is_old_http(opened.http_version):
        yield Finding(HandshakeProblem.HTTP_VERSION, f"the response is {opened.http_version}")
    if not _has_token(opened.headers, "Upgrade", "websocket"):
        yield Finding(HandshakeProblem.RESPONSE_UPGRADE, _shown(opened.headers, "Upgrade"))
    if not _has_token(opened.headers, "Connection", "upgrade"):
        yield Finding(HandshakeProblem.RESPONSE_CONNECTION, _shown(opened.headers, "Connection"))


def _accept(requested: Requested, opened: Opened) -> Iterator[Finding]:
    keys = header_values(requested.headers, "Sec-WebSocket-Key")
    accepts = header_values(opened.headers, "Sec-WebSocket-Accept")
    if not accepts:
        yield Finding(HandshakeProblem.ACCEPT_MISSING, "")
    elif keys and set(accepts) != {accept_key(keys[0])}:
        yield Finding(
            HandshakeProblem.ACCEPT_MISMATCH, f"{', '.join(accepts)} instead of {accept_key(keys[0])}"
        )


def _body(opened: Opened) -> Iterator[Finding]:
    """RFC 9110 15.2 and 8.6, RFC 9112 6.1: an intermediary that believes these takes frames for a body."""
    for length in header_values(opened.headers, "Content-Length"):
        if length.strip("0"):
            yield Finding(HandshakeProblem.RESPONSE_BODY, f"Content-Length: {length}")
    for coding in header_values(opened.headers, "Transfer-Encoding"):
        yield Finding(HandshakeProblem.RESPONSE_BODY, f"Transfer-Encoding: {coding}")


def _subprotocol(requested: Requested, opened: Opened) -> Iterator[Finding]:
    offered = header_tokens(requested.headers, "Sec-WebSocket-Protocol")
    chosen = header_tokens(opened.headers, "Sec-WebSocket-Protocol")
    if len(chosen) > 1:
        yield Finding(HandshakeProblem.SUBPROTOCOL_SEVERAL, ", ".join(chosen))
    if offered and not chosen:
        yield Finding(HandshakeProblem.SUBPROTOCOL_NONE, ", ".join(offered))
    for name in chosen:
        if name not in offered:  # compared as it stands: 1.9 has the names case-sensitive
            yield Finding(
                HandshakeProblem.SUBPROTOCOL_NOT_OFFERED, f"{name}, of {', '.join(offered) or 'none'}"
            )


def _extensions(requested: Requested, opened: Opened) -> Iterator[Finding]:
    offers = parse_extensions(header_values(requested.headers, "Sec-WebSocket-Extensions"))
    answers, faults = read_extensions(header_values(opened.headers, "Sec-WebSocket-Extensions"))
    for fault in faults:
        yield Finding(HandshakeProblem.EXTENSIONS_SYNTAX, f"in the response, {fault}")
    names = {name.lower() for name, _ in offers}
    deflates = 0
    for name, params in answers:
        if name.lower() not in names:
            yield Finding(HandshakeProblem.EXTENSION_NOT_OFFERED, name)
        if name.lower() == PERMESSAGE_DEFLATE:
            deflates += 1
            yield from _deflate_answer(offers, params)
    if deflates > 1:
        yield Finding(HandshakeProblem.DEFLATE_ANSWER, f"it stands {deflates} times")


def _deflate_answer(offers: list[Extension], params: list[tuple[str, str | None]]) -> Iterator[Finding]:
    """The answer must fit one of the offers; what is reported is why it does not fit the first."""
    try:
        answer = DeflateParams.parse(params)
    except ValueError as exc:
        yield Finding(HandshakeProblem.DEFLATE_ANSWER, str(exc))
        return
    if ("client_max_window_bits", None) in params:
        yield Finding(HandshakeProblem.DEFLATE_ANSWER, "client_max_window_bits needs a value in an answer")
        return
    faults: list[list[str]] = []
    for name, offered in offers:
        if name.lower() == PERMESSAGE_DEFLATE:
            try:
                faults.append(
                    list(_misfits(DeflateParams.parse(offered), dict(offered), answer, dict(params)))
                )
            except ValueError:
                continue  # 7.1: a server must decline it, and _offers has said so
    if faults and all(faults):
        for fault in faults[0]:
            yield Finding(HandshakeProblem.DEFLATE_ANSWER, fault)


def _misfits(
    offer: DeflateParams,
    offered: dict[str, str | None],
    answer: DeflateParams,
    answered: dict[str, str | None],
) -> Iterator[str]:
    if offer.server_no_context_takeover and not answer.server_no_context_takeover:  # 7.1.1.1
        yield "server_no_context_takeover was asked for, and is not in the answer"
    if answer.server_max_window_bits > offer.server_max_window_bits:  # 7.1.2.1
        yield (
            f"server_max_window_bits is {answer.server_max_window_bits}, "
            f"where at most {offer.server_max_window_bits} was asked for"
        )
    if "client_max_window_bits" in answered:  # 7.1.2.2
        if "client_max_window_bits" not in offered:
            yield "client_max_window_bits is in the answer, and was not offered"
        elif answer.client_max_window_bits > offer.client_max_window_bits:
            yield (
                f"client_max_window_bits is {answer.client_max_window_bits}, "
                f"where {offer.client_max_window_bits} was offered"
            )


# ------------------------------------------------------------------------------------------------- helpers


def _has_token(headers: list[Header], name: str, token: str) -> bool:
    return token in (word.lower() for word in header_tokens(headers, name))


def _shown(headers: list[Header], name: str) -> str:
    values = header_values(headers, name)
    return f"{name}: {', '.join(values)}" if values else f"no {name}"


def _is_old_http(version: str) -> bool:
    return version.upper() in ("HTTP/1.0", "HTTP/0.9", "1.0", "0.9")
