"""Facts to JSON and back, derived from the dataclasses in `model`: a new field needs no line here.

    in the dataclass            in JSON
    str int bool float          themselves
    bytes                       {"b64": "…"}
    Side                        "client" | "server"        (0 and 1 are read, too)
    an enum                     its value
    tuple, list                 an array                   (read back as what the type says)
    a dataclass                 an object
    None                        the key is left out, and of a verdict so is what equals its default

Reading is lenient, since a capture may come from another version or another hand: an unknown key is ignored,
a missing or unfitting value takes the field's default. A fact of an unknown kind, or one that lacks what has
no default, becomes `model.Unknown`, and is written again as it came.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import json
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

from wsinspect import model
from wsinspect.decode.jsonencoder import encoder
from wsinspect.model import Fact, Side, Unknown

FACT_TYPES: dict[str, type[Any]] = {
    fact.kind: fact
    for fact in (
        model.Requested,
        model.Opened,
        model.Failed,
        model.Altered,
        model.Ended,
        model.Closed,
        model.Notice,
        model.Judged,
        model.Released,
        model.Ruled,
    )
}


def dumps(fact: Fact) -> bytes:
    """The fact as JSON, `{"fact": kind, …}`, in ASCII."""
    if isinstance(fact, model.Judged):
        return _verdict(fact)
    if isinstance(fact, Unknown):
        values = {"fact": fact.name, **{k: v for k, v in fact.values.items() if k != "fact"}}
    else:
        values = {"fact": fact.kind, **_object_writer(type(fact))(fact)}
    return _encode(values).encode("ascii")


_encode = encoder(ascii_only=True, allow_nan=True, default=repr)


class _VerdictWriter:
    """There may be a verdict for each message, and those of one rule differ in the frames alone: what was
    written last is written again (0.9 µs instead of 3.8 [measured])."""

    def __init__(self) -> None:
        names = [each.name for each in dataclasses.fields(model.Judged)]
        self._rest_of = operator.attrgetter(*(name for name in names if not name.endswith("_frame")))
        self._last: tuple[Any, bytes] = None, b""

    def __call__(self, fact: model.Judged) -> bytes:
        rest = self._rest_of(fact)
        last, tail = self._last
        if rest != last:
            values = _object_writer(model.Judged)(dataclasses.replace(fact, first_frame=0, last_frame=0))
            tail = _encode(values)[1:].encode("ascii")
            self._last = rest, tail
        return b'{"fact":"judged","first_frame":%d,"last_frame":%d,%b' % (
            fact.first_frame, fact.last_frame, tail,
        )  # fmt: skip


_verdict = _VerdictWriter()


def loads(payload: bytes) -> Fact | None:
    """The fact in `payload`, or None where it is not a JSON object with a `fact`. Never raises."""
    values = load_object(payload)
    return None if values is None else from_values(values)


_decode = json.JSONDecoder().decode


def load_object(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in `payload`, or None where there is none. Never raises."""
    try:
        values = _decode(payload.decode())
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def from_values(values: dict[str, Any]) -> Fact | None:
    """The fact in an object already parsed, or None where it names no fact."""
    kind = values.get("fact")
    if not isinstance(kind, str):
        return None
    cls = FACT_TYPES.get(kind)
    if cls is not None:
        try:
            fact: Fact = _object_reader(cls)(values)
            return fact
        except UnfitError:
            pass
    return Unknown(name=kind, values={k: v for k, v in values.items() if k != "fact"})


# ------------------------------------------------------------------------------------------- writing


type Write = Callable[[Any], Any]

SPARSE = frozenset({model.Judged})
"""There may be one for each message, and most of it is as usual: what equals its default is left out."""

_PLAIN = (str, int, float, bool)

_WRITERS: dict[Any, Write] = {}


def _object_writer(cls: Any) -> Write:
    found = _WRITERS.get(cls)
    if found is None:
        found = _WRITERS[cls] = _make_object_writer(cls)
    return found


def _make_object_writer(cls: Any) -> Write:
    hints = typing.get_type_hints(cls)
    sparse = cls in SPARSE
    fields = [
        (each.name, _writer(hints[each.name]), _default(each) if sparse else None)
        for each in dataclasses.fields(cls)
    ]

    def write(value: Any) -> dict[str, Any]:
        found = {}
        for name, convert, default in fields:
            item = getattr(value, name)
            if item is not None and item != default:
                found[name] = item if convert is None else convert(item)
        return found

    return write


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _writer(hint: Any) -> Write | None:
    """How values of a type are converted; None: they are JSON as they are."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    many = origin is list or (origin is tuple and args[1:] == (...,))
    if hint in _PLAIN or origin is typing.Literal or (many and args[0] in _PLAIN):
        return None
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return operator.attrgetter("word" if hint is Side else "value")
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _object_writer(hint)
    if origin is list and isinstance(args[0], type) and dataclasses.is_dataclass(args[0]):
        one = _object_writer(args[0])
        return lambda items: [one(item) for item in items]
    return _to_json


def _to_json(value: Any) -> Any:
    match value:
        case Side():
            return value.word
        case enum.Enum():
            return value.value
        case str() | int() | float() | None:
            return value
        case bytes() | bytearray():
            return {"b64": base64.b64encode(value).decode("ascii")}
        case list() | tuple():
            return [_to_json(item) for item in value]
        case dict():
            return {str(key): _to_json(item) for key, item in value.items()}
    return _object_writer(type(value))(value)


# ------------------------------------------------------------------------------------------- reading


class UnfitError(Exception):
    """A JSON value is not of the type that the field has."""


type Read = Callable[[Any], Any]

_READERS: dict[Any, Read] = {}


def _object_reader(cls: Any) -> Read:
    if cls not in _READERS:
        _READERS[cls] = _make_object_reader(cls)
    return _READERS[cls]


def _make_object_reader(cls: Any) -> Read:
    hints = typing.get_type_hints(cls)
    converters = {each.name: _reader(hints[each.name]) for each in dataclasses.fields(cls)}
    required = frozenset(each.name for each in dataclasses.fields(cls) if _required(each))

    def read(values: Any) -> Any:
        if not isinstance(values, dict):
            raise UnfitError
        found = {}
        for name, value in values.items():
            convert = converters.get(name)
            if convert is None or value is None:
                continue
            try:
                found[name] = convert(value)
            except UnfitError:
                if name in required:
                    raise
        if not required <= found.keys():
            raise UnfitError
        return cls(**found)

    return read


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _reader(hint: Any) -> Read:
    if isinstance(hint, typing.TypeAliasType):
        return _reader(hint.__value__)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        # Every union in the model is "X or None", and None never gets here.
        (one,) = [arg for arg in args if arg is not type(None)]
        return _reader(one)
    if origin is typing.Literal:
        return _one_of(args)
    if origin is list:
        return _list_of(_reader(args[0]))
    if origin is tuple and args[1:] == (...,):
        items = _list_of(_reader(args[0]))
        return lambda value: tuple(items(value))
    if origin is tuple:
        return _tuple_of([_reader(arg) for arg in args])
    if origin is dict:
        return _dict_of(_reader(args[1]))
    if hint is Any:
        return lambda value: value
    if hint is Side:
        return _side
    if hint is bytes:
        return _bytes
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum(hint)
    if dataclasses.is_dataclass(hint):
        return _object_reader(hint)
    return _plain(hint)


def _plain(cls: type[Any]) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not cls:  # not isinstance: True must not pass as an int
            raise UnfitError
        return value

    return read


def _one_of(allowed: tuple[Any, ...]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in allowed:
            raise UnfitError
        return value

    return read


def _list_of(item: Read) -> Read:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise UnfitError
        return [item(one) for one in value]

    return read


def _tuple_of(items: list[Read]) -> Read:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(items):
            raise UnfitError
        return tuple(convert(one) for convert, one in zip(items, value, strict=True))

    return read


def _dict_of(item: Read) -> Read:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise UnfitError
        return {key: item(one) for key, one in value.items()}

    return read


def _enum(cls: type[enum.Enum]) -> Read:
    def read(value: Any) -> enum.Enum:
        try:
            return cls(value)
        except (ValueError, TypeError):
            raise UnfitError from None

    return read


def _side(value: Any) -> Side:
    if value in ("client", 0) and value is not False:
        return Side.CLIENT
    if value in ("server", 1) and value is not True:
        return Side.SERVER
    raise UnfitError


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (TypeError, KeyError, IndexError, ValueError, binascii.Error):
        raise UnfitError from None
