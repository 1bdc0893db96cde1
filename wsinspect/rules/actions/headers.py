"""What the actions on headers have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from wsinspect.rules.actions import words
from wsinspect.rules.template import Template

_LENGTHS = ("content-length", "transfer-encoding")
_FORBIDDEN = re.compile(r"[\r\n\0]")


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for what is no header name, and for those that say where the HTTP message ends."""
    names = list(names)
    words.check_header_names(names)
    for name in names:
        if name.lower() in _LENGTHS:
            raise ValueError(f"{name} says where the HTTP message ends: it cannot be changed")


_OF_MESSAGES = ("n", "text", "size")


def check_templates(templates: Iterable[Template]) -> None:
    """Raise ValueError for what a handshake has not: `$.a`, and the builtins of messages."""
    for template in templates:
        for each in template.expressions:
            if not each.name or each.name in _OF_MESSAGES:
                raise ValueError(f"{{{{{each.source}}}}}: a handshake has no message that it could come from")


def check_values(values: Mapping[str, Template]) -> None:
    """Raise ValueError for templates that cannot make the value of a header."""
    check_names(values)
    check_templates(values.values())
    for name, value in values.items():
        if value.constant is not None:
            check_value(name, value.constant)


def check_value(name: str, value: str) -> str:
    """The value, without white space around it. Raises ValueError for what no header has (RFC 9110 5.5)."""
    if _FORBIDDEN.search(value):
        raise ValueError(f"the value of {name} has a line break or NUL in it")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: a header cannot carry {value[error.start]!r}, which is not ISO-8859-1"
        ) from None
    return value.strip(" \t")
