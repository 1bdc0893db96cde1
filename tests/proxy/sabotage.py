"""A script for `wsinspect proxy -s`: our own code raises where a frame's payload asks for it."""

from collections.abc import Callable
from typing import Any

from wsinspect.capture.writer import Writer
from wsinspect.model import Read
from wsinspect.relay.session import Session

_poisoned: set[int] = set()
"""Sessions in which a later call shall raise too."""


def _raising(function: Callable[..., Any], wants: Callable[..., bool]) -> Callable[..., Any]:
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        if wants(self, *args):
            raise RuntimeError("sabotage")
        return function(self, *args, **kwargs)

    return replacement


def _in_settle(session: Session, now_ns: int) -> bool:
    return any(b"raise in settle" in data for d in session._directions for data in d._unscanned)


def _in_end(session: Session, side: Any, how: Any, now_ns: int) -> bool:
    return session.conn in _poisoned


def _in_receive(session: Session, side: Any, data: bytes, now_ns: int) -> bool:
    if b"raise in end" in data:
        _poisoned.add(session.conn)
    return b"raise in receive" in data


Session.receive = _raising(Session.receive, _in_receive)  # type: ignore[method-assign]
Session.settle = _raising(Session.settle, _in_settle)  # type: ignore[method-assign]
Session.end = _raising(Session.end, _in_end)  # type: ignore[method-assign]
Writer.append = _raising(  # type: ignore[method-assign]
    Writer.append, lambda self, record: isinstance(record, Read) and b"raise in append" in record.data
)
