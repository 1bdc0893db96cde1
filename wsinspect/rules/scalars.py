"""What a plain scalar is, by YAML 1.2's core schema, with the traps of YAML 1.1 refused instead of guessed.

as JSON     null ~        true false     12 -3 1.5 1e3 .5       everything else is text
refused     yes no on off   (false to YAML 1.1, text to 1.2)    010   1_000   0x1F   .inf .nan
harmless    1:30, 2024-01-01 and the like: the text, as written
"""

from __future__ import annotations

import re
from typing import Any

from wsinspect.rules.marked import Scalar
from wsinspect.rules.units import number

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_OLD_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_NUMBER_LIKE = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_UNDERSCORED = re.compile(r"[-+]?\d+(_\d+)+(\.\d*)?")
_BASED = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

MAX_DIGITS = 400


def json_value(scalar: Scalar) -> Any:
    """The scalar as a JSON value. Raises ValueError for what readers of YAML disagree on."""
    text = scalar.text
    if scalar.style:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if (meant := _OLD_BOOLS.get(text.lower())) is not None and len(text) > 1:
        raise ValueError(f'{text!r}: write {meant}, or "{text}" in quotes for the text')
    if _UNDERSCORED.fullmatch(text) or _BASED.fullmatch(text):
        raise ValueError(f'{text!r}: write the number in plain digits, or "{text}" in quotes for the text')
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f'{text!r}: JSON has no such number; "{text}" in quotes is the text')
    if _NUMBER_LIKE.fullmatch(text):
        return _number(text)
    return text


def _number(text: str) -> int | float:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits")
    try:
        value = number(text)
    except ValueError as error:
        raise ValueError(f'{error}, or "{text}" in quotes for the text') from None
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else value


def text_value(scalar: Scalar) -> str:
    """The scalar as a text: as written, whatever it looks like. Raises ValueError where there is none."""
    if scalar.plain and scalar.text in _NULLS:
        quoted = f'; "{scalar.text}" in quotes is the text' if scalar.text else '; an empty text is ""'
        raise ValueError(f"a text is wanted, not {'null' if scalar.text else 'nothing'}{quoted}")
    return scalar.text


def bool_value(scalar: Scalar) -> bool:
    """Raises ValueError for anything but true and false."""
    if scalar.plain and scalar.text in _BOOLS:
        return _BOOLS[scalar.text]
    meant = _OLD_BOOLS.get(scalar.text.lower())
    if scalar.text.lower() in ("true", "false"):
        raise ValueError(f"{scalar.text.lower()} is wanted here, without quotes")
    raise ValueError(f"true or false is wanted, not {scalar.text!r}" + (f": write {meant}" if meant else ""))


def plain_number_text(scalar: Scalar) -> str:
    """The text of a scalar that is to be a number. Raises ValueError for one in quotes, and for nothing."""
    if scalar.empty:
        raise ValueError("a number is wanted, not nothing")
    if scalar.style:
        raise ValueError(f"{scalar.text!r} in quotes is a text: leave the quotes out")
    return scalar.text
