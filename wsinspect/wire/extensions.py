"""The grammar of Sec-WebSocket-Extensions, RFC 6455 section 9.1, and what a response's headers agree to.

extension-list = 1#( token *( ";" token [ "=" ( token | quoted-string ) ] ) )
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wsinspect.model import Header
from wsinspect.wire.deflate import DeflateParams

__all__ = [
    "Extension",
    "Negotiated",
    "negotiated",
    "parse_extensions",
    "read_extensions",
    "without_extensions",
]

type Extension = tuple[str, list[tuple[str, str | None]]]
"""An extension's name and its parameters, in order; a parameter without a value has None."""

PERMESSAGE_DEFLATE = "permessage-deflate"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def parse_extensions(values: Iterable[str]) -> list[Extension]:
    """The extensions that the header's values list, in order, without those that break the grammar."""
    return read_extensions(values)[0]


def read_extensions(values: Iterable[str]) -> tuple[list[Extension], list[str]]:
    """The extensions, and a sentence for each element that breaks the grammar."""
    extensions: list[Extension] = []
    faults: list[str] = []
    for value in values:
        for element in _split(value, ","):
            if not element:
                continue  # RFC 9110 5.6.1.2: a recipient takes empty list elements
            try:
                extensions.append(_parse_element(element))
            except ValueError as exc:
                faults.append(str(exc))
    return extensions, faults


def _parse_element(element: str) -> Extension:
    name, *params = _split(element, ";")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{element!r} does not begin with an extension's name")
    return name, [_parse_param(param) for param in params]


def _parse_param(param: str) -> tuple[str, str | None]:
    name, equals, value = (piece.strip() for piece in param.partition("="))
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{param!r} is not a parameter")
    if not equals:
        return name, None
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = _ESCAPED.sub(r"\1", quoted[1])
    if not _TOKEN.fullmatch(value):  # 9.1: what the quotes hold must be a token, too
        raise ValueError(f"{param!r} has a value that is not a token")
    return name, value


def _split(text: str, separator: str) -> list[str]:
    """The stripped pieces between separators, except for separators inside a quoted string."""
    pieces: list[str] = []
    start = 0
    quoted = escaped = False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            pieces.append(text[start:i].strip())
            start = i + 1
    pieces.append(text[start:].strip())
    return pieces


def without_extensions(value: str, names: Collection[str]) -> str:
    """A header's value without the extensions of these names (`*`: all); the others stay as written."""
    unwanted = {name.lower() for name in names}
    if "*" in unwanted:
        return ""
    elements = (element for element in _split(value, ",") if element)
    return ", ".join(each for each in elements if _split(each, ";")[0].lower() not in unwanted)


def header_values(headers: list[Header], name: str) -> list[str]:
    """All values of the header, in order, whatever the case of its name."""
    wanted = name.lower()
    return [value.strip() for key, value in headers if key.lower() == wanted]


def header_tokens(headers: list[Header], name: str) -> list[str]:
    """The elements of the header's comma-separated lists, in order."""
    parts = (part.strip() for value in header_values(headers, name) for part in value.split(","))
    return [part for part in parts if part]


@dataclass
class Negotiated:
    """What a handshake agreed to."""

    subprotocol: str | None
    deflate: DeflateParams | None
    """permessage-deflate and its parameters, where it was agreed."""
    extensions: list[str]
    """The names of all agreed extensions, in order."""
    rsv_allowed: int
    """For `FrameDecoder`: 4 with permessage-deflate alone, 7 where an extension is unknown to us, else 0."""


def negotiated(headers: list[Header]) -> Negotiated:
    """What the response's headers agree to; `analyse` says whether it was right to.

    Parameters that break RFC 7692 count as none: a window of 15 bits that is kept inflates whatever any
    others deflate.
    """
    subprotocols = header_tokens(headers, "Sec-WebSocket-Protocol")
    extensions = parse_extensions(header_values(headers, "Sec-WebSocket-Extensions"))
    deflate: DeflateParams | None = None
    rsv_allowed = 0
    for name, params in extensions:
        if name.lower() != PERMESSAGE_DEFLATE:
            rsv_allowed = 7
        elif deflate is None:
            rsv_allowed |= 4
            try:
                deflate = DeflateParams.parse(params)
            except ValueError:
                deflate = DeflateParams()
    return Negotiated(
        subprotocols[0] if subprotocols else None, deflate, [name for name, _ in extensions], rsv_allowed
    )
