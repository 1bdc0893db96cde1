"""What texts of a connection always look like: a test that none of them can meet is a mistake in the file.

A form is asked of each text that stands in a test of such a field. It looks at what is certain of a match,
its beginning and texts that occur in it, so that no pattern which could match anything is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from wsinspect.errors import did_you_mean
from wsinspect.model.decoded import CODECS
from wsinspect.rules import regexes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of all that a test holds for."""

    source: str
    """As it was written."""
    start: str = ""
    """They begin with it."""
    pieces: tuple[str, ...] = ()
    """All of these occur in them."""
    whole: bool = False
    """There is one such text, and it is `start`."""

    def has(self, chars: str) -> bool:
        """Whether one of these characters is in all of them."""
        return any(char in piece for piece in self.pieces for char in chars)


@dataclass(frozen=True, slots=True)
class Form:
    """Both raise ValueError, with what to write instead."""

    check: Callable[[Wanted], None] | None = None
    """Where no text of the field is like that."""
    check_bare: Callable[[str], None] | None = None
    """Where a text without an operator would be taken for a glob, and cannot be meant as one."""


def exactly(text: str) -> Wanted:
    return Wanted(text, text, (text,), whole=True)


def containing(text: str) -> Wanted:
    return Wanted(text, pieces=(text,))


def like(glob: str) -> Wanted:
    """As a glob."""
    return Wanted(glob, regexes.glob_start(glob), tuple(regexes.glob_literals(glob)))


def matching(pattern: str) -> Wanted:
    """As a regular expression."""
    return Wanted(pattern, regexes.regex_start(pattern))


# -------------------------------------------------------------------------------------------------- forms

_SCHEMES = ("ws://", "wss://")
_QUERY_IN_GLOB = re.compile(r"(?<!\\)\?[\w.-]+=")
_AS_WEBSOCKET = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_HAS_SCHEME = re.compile(r"(ws|wss|http|https)://", re.IGNORECASE)


def _path(wanted: Wanted) -> None:
    """A URL's path begins with a slash, and has no query."""
    source = wanted.source
    if _HAS_SCHEME.match(wanted.start):
        raise ValueError(f"{source!r} is a URL: write path: {_path_of(source)}, or url: {_yaml(source)}")
    before, _, query = source.replace("\\?", "?").partition("?")
    if wanted.has("?"):
        raise ValueError(f"{source!r}: a path has no query: {_split(before, query)}")
    if wanted.has("#"):
        raise ValueError(f"{source!r}: what stands behind # is not sent to a server: leave it out")
    if wanted.whole and not source:
        raise ValueError("a path is never empty: write /")
    if wanted.start and not wanted.start.startswith("/"):
        better = source.replace("^", "^/", 1) if source.startswith("^") else f"/{source}"
        raise ValueError(f"{source!r}: a path begins with a slash: write {_yaml(better)}")


def _bare_path(text: str) -> None:
    """A path with its query would be taken for a glob. Raises ValueError."""
    if _QUERY_IN_GLOB.search(text):
        before, _, query = text.partition("?")
        raise ValueError(
            f"{text!r}: a path has no query: {_split(before, query)}; as a glob, in which ? is any one "
            f'character, it is {{glob: "{text}"}}'
        )


def _split(before: str, query: str) -> str:
    if not before.startswith(("/", "*")):
        return "`query` asks for that"
    path = f"write path: {_yaml(before)}"
    return f"{path} and query: {_yaml(query)}" if query else path


def _path_of(url: str) -> str:
    return _yaml(f"/{url.partition('://')[2].partition('?')[0].partition('/')[2]}")


def _yaml(text: str) -> str:
    """As it may stand in a rule file."""
    if re.fullmatch(r"[\w/][\w./=*-]*", text):
        return text
    return f"'{text}'" if "\\" in text else f'"{text}"'


def _bare_query(text: str) -> None:
    """A question mark before the query would be taken for any one character."""
    if text.startswith("?"):
        raise ValueError(f"{text!r}: a query stands without its question mark: write {text[1:]}")


def _host(wanted: Wanted) -> None:
    """A URL's host has no port, no scheme and no brackets."""
    source = wanted.source
    if "://" in wanted.start:
        name = _host_of(source)
        also = f"host: {_yaml(name)}, or " if name else ""
        raise ValueError(f"{source!r} is a URL: write {also}url: {_yaml(source)}")
    if wanted.has("/"):
        before, _, behind = source.partition("/")
        better = f"write host: {_yaml(before)} and path: {_yaml(f'/{behind}')}"
        raise ValueError(f"{source!r}: a host has no path: {better}")
    if wanted.has("[]"):
        inner = source.partition("[")[2].partition("]")[0]
        raise ValueError(f"{source!r}: a host stands without brackets{f': write {inner}' if inner else ''}")
    if any(map(_has_port, wanted.pieces)) or (wanted.whole and _is_no_address(source)):
        name, _, port = source.rpartition(":")
        also = f" and port: {port}" if port.isdecimal() else ", and port: … for the port"
        raise ValueError(f"{source!r}: a host has no port: write host: {_yaml(name)}{also}")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _has_port(piece: str) -> bool:
    """A colon stands behind what cannot be a part of an IPv6 address."""
    before, colon, _ = piece.rpartition(":")
    return bool(colon) and "%" not in piece and re.search(r"[^0-9a-fA-F:.]", before) is not None


def _is_no_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ":" in text
    return False


def _url(wanted: Wanted) -> None:
    """The URL of a server begins with ws:// or wss://."""
    start, source = wanted.start, wanted.source
    if any(start.startswith(each) or each.startswith(start) for each in _SCHEMES):
        return
    anchor = "^" if source.startswith("^") else ""
    rest = source.removeprefix("^")
    if found := _HAS_SCHEME.match(rest):
        better = f"{anchor}{_AS_WEBSOCKET[found[1].lower()]}{rest[len(found[1]) :]}"
    elif rest in _AS_WEBSOCKET:
        better = f"{anchor}{_AS_WEBSOCKET[rest]}"
    elif anchor:
        better = rest if rest.startswith("/") else f"://{rest}"
    else:
        better = f"*{rest}" if rest.startswith("/") else f"*://{rest}"
    raise ValueError(f"{source!r}: a URL begins with ws:// or wss://: write {_yaml(better)}")


def _name(wanted: Wanted) -> None:
    """A subprotocol, or an extension without its parameters."""
    if wanted.has(","):
        raise ValueError(f"{wanted.source!r}: each is tried by itself: write a list, [{wanted.source}]")


def _extension(wanted: Wanted) -> None:
    _name(wanted)
    if wanted.has(";"):
        short = wanted.source.partition(";")[0]
        raise ValueError(f"{wanted.source!r}: an extension's name has no parameters: write {short}")


def _codec(wanted: Wanted) -> None:
    if wanted.whole and wanted.source not in CODECS:
        near = did_you_mean(wanted.source, CODECS)
        raise ValueError(f"{wanted.source!r} is not one of {', '.join(CODECS)}{near}")


PATH = Form(_path, _bare_path)
QUERY = Form(check_bare=_bare_query)
HOST = Form(_host)
URL = Form(_url)
NAME = Form(_name)
EXTENSION = Form(_extension)
CODEC = Form(_codec)
